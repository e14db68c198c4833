#include "crowdrec/steplog.h"

#include <math.h>
#include <stdio.h>

Status steplog_begin(const char *path, Steplog *log) {
    *log = (Steplog){0};
    TRY(file_begin(path, &log->file));
    log->open = true;
    return OK;
}

/* Nine digits; JSON has no infinity. */
static void number(FILE *out, const char *key, double value) {
    if (isfinite(value))
        fprintf(out, ", \"%s\": %.9g", key, value);
    else
        fprintf(out, ", \"%s\": null", key);
}

void steplog_add(Steplog *log, const RefineStep *s) {
    FILE *out = log->file.stream;
    fprintf(out, "{\"group\": %d, \"iteration\": %d, \"people\": %d", s->group, s->iteration,
            s->people);
    number(out, "rate", s->rate);
    number(out, "decay", s->decay);
    number(out, "loss", s->total);
    number(out, "crowd", s->crowd);
    number(out, "keypoints", s->keypoints);
    number(out, "betas", s->betas);
    number(out, "pose", s->pose);
    number(out, "seconds", s->seconds);
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
