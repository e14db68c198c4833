/* Trainload: batches of samples made by threads while the network computes.
 *
 *     TrainLoader *l;
 *     TRY(trainload_new(&task, &graph, &(TrainLoad){.batch = 32, .workers = 2, .seed = 1}, &l));
 *     void *const *input;
 *     TRY(trainload_next(l, &input));            // waits; input[i] is a whole graph input
 *     trainload_done(l);                         // its memory may be filled again
 *     trainload_free(l);
 *
 * Sample number k (from 0) of the training is place k % samples of epoch k / samples; every epoch
 * has its own order.  What it is depends on k, samples and seed alone, not on threads or batch.
 */
#ifndef CROWDREC_TRAINLOAD_H
#define CROWDREC_TRAINLOAD_H

#include "crowdrec/train.h"

typedef struct {
    int batch, workers;
    int overfit; /* not 0: the first so many samples again and again, each time the same */
    uint64_t seed;
    uint64_t first;  /* number of the first sample */
    double samples;  /* of the whole training, for TrainDraw.progress; 0: trainload_progress says */
    double progress; /* what that is at the first sample */
} TrainLoad;

typedef struct TrainLoader TrainLoader;

Status trainload_new(const TrainTask *task, const TrainGraph *graph, const TrainLoad *options,
                     TrainLoader **out);
void trainload_free(TrainLoader *l); /* NULL is allowed; waits for samples under way */

/* The next batch, or the failure of its sample; batches before that are handed out first. */
Status trainload_next(TrainLoader *l, void *const **input);
void trainload_done(TrainLoader *l);

/* Share of the training that is done, for samples drawn from now on. */
void trainload_progress(TrainLoader *l, double share);

#endif
