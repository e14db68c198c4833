/* Trainlog: log.jsonl of a training, a line for each step and each validation, and its curves.
 *
 *     TrainLog log;
 *     TRY(trainlog_open("out/log.jsonl", step, validated, &log));
 *     trainlog_step(&log, trainer, rate, seconds, waited);
 *     trainlog_metrics(&log, step, &metrics);
 *     TRY(trainlog_curves(&log, "out/curves.svg"));
 *     TRY(trainlog_close(&log));
 */
#ifndef CROWDREC_TRAINLOG_H
#define CROWDREC_TRAINLOG_H

#include "crowdrec/trainer.h"

typedef struct {
    char *path;
    FILE *file;
} TrainLog;

/* step > 0: keeps the lines of steps up to it, and of validations up to step `validated`.
 * ERR_USAGE when the file cannot be written. */
Status trainlog_open(const char *path, int step, int validated, TrainLog *log);
Status trainlog_close(TrainLog *log); /* a zeroed log is allowed; reports lines that were lost */

/* seconds: of the whole step; waited: of them, for data. */
void trainlog_step(TrainLog *log, const Trainer *t, double rate, double seconds, double waited);
void trainlog_metrics(TrainLog *log, int step, const TrainMetrics *metrics);

/* Loss (logarithmic) and first metric against the step, read back from the log. */
Status trainlog_curves(TrainLog *log, const char *svg);

#endif
