/* Trainsave: checkpoints of a training, safetensors.
 *
 *     TRY(trainsave_write("out/last.safetensors", t, &state));
 *     TRY(trainsave_read("out/last.safetensors", t, &state));
 *
 * Under the network's own keys lie the averaged weights, so that the file is one of weights like
 * any other.  Beside them "train.weight.KEY", "train.m.KEY" and "train.v.KEY" hold what goes on
 * learning and the optimiser's moments; the metadata hold the state.
 */
#ifndef CROWDREC_TRAINSAVE_H
#define CROWDREC_TRAINSAVE_H

#include "crowdrec/trainer.h"

typedef struct {
    int step;
    uint64_t samples; /* drawn so far: where the random numbers stand */
    uint64_t seed;
    int validated;  /* step of the latest validation, 0: none */
    double best;    /* metric of the best checkpoint, NaN: none */
    double seconds; /* trained so far */
} TrainState;

Status trainsave_write(const char *path, const Trainer *t, const TrainState *state);

/* The averaged weights alone, for use; recipe goes into the header. */
Status trainsave_weights(const char *path, const Trainer *t, const char *recipe);

/* Brings back weights, average, moments and t->step.  ERR_MODEL when the file is no checkpoint of
 * this network. */
Status trainsave_read(const char *path, Trainer *t, TrainState *state);

#endif
