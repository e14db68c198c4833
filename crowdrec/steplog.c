#include "crowdrec/steplog.h"

#include "crowdrec/jsonfile.h"

#include <stdio.h>

Status steplog_begin(const char *path, Steplog *log) {
    *log = (Steplog){0};
    TRY(file_begin(path, &log->file));
    log->open = true;
    return OK;
}

void steplog_add(Steplog *log, const RefineStep *s) {
    FILE *out = log->file.stream;
    fprintf(out, "{\"group\": %d, \"iteration\": %d, \"people\": %d", s->group, s->iteration,
            s->people);
    jsonfile_field(out, "rate", s->rate);
    jsonfile_field(out, "decay", s->decay);
    jsonfile_field(out, "loss", s->total);
    jsonfile_field(out, "crowd", s->crowd);
    jsonfile_field(out, "keypoints", s->keypoints);
    jsonfile_field(out, "betas", s->betas);
    jsonfile_field(out, "pose", s->pose);
    jsonfile_field(out, "seconds", s->seconds);
    fputs("}\n", out);
}

Status steplog_end(Steplog *log) {
    if (!log->open) return OK;
    log->open = false;
    return file_commit(&log->file);
}

void steplog_abandon(Steplog *log) {
    if (log->open) file_abandon(&log->file);
    log->open = false;
}
