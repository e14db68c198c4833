/* Steplog: log.jsonl, one line of JSON for each iteration of refinement.
 *
 *     Steplog log;
 *     TRY(steplog_begin("out/log.jsonl", &log));
 *     steplog_add(&log, &step);
 *     TRY(steplog_end(&log));                      // the file appears; or steplog_abandon
 */
#ifndef CROWDREC_STEPLOG_H
#define CROWDREC_STEPLOG_H

#include "crowdrec/refine.h"
#include "tensor/file.h"

typedef struct {
    FileWriter file;
    bool open;
} Steplog;

Status steplog_begin(const char *path, Steplog *log);
void steplog_add(Steplog *log, const RefineStep *step);
Status steplog_end(Steplog *log); /* a log that is not open is fine */
void steplog_abandon(Steplog *log);

#endif
