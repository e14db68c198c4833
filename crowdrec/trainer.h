/* Trainer: a network in training: its parameters, their moving average, and one step.
 *
 *     Trainer *t;
 *     TRY(trainer_new(&task, &(TrainerOptions){.batch = 32, .passes = 1, .update = adam}, &t));
 *     trainer_pass(t, input);                      // passes times: forward and backward
 *     TRY(trainer_step(t, rate, decay));           // optimiser and average
 *     trainer_free(t);
 *
 * The gradient of a step is the mean over its passes.  A loss or gradient that is not finite ends
 * the training before it reaches a weight.
 */
#ifndef CROWDREC_TRAINER_H
#define CROWDREC_TRAINER_H

#include "autograd/plan.h"
#include "crowdrec/train.h"

typedef struct {
    const Backend *backend;
    int batch, passes;
    UpdateAttr update;  /* clip is INFINITY for none */
    double ema;         /* decay of the average; <= 0: the average is the weights themselves */
    const char *freeze; /* weights whose keys begin with this do not learn; NULL: all learn */
} TrainerOptions;

typedef struct {
    NetSpec spec;
    Params *params;
    Params *average; /* params itself without a moving average */
    TrainGraph graph;
    int step;                  /* steps done; may be set before the first one */
    uint64_t seed;             /* of dropout; likewise */
    double loss;               /* of the step under way: mean over its passes so far */
    double term[TRAIN_TERMS];  /* likewise */
    double norm;               /* of the gradient of the latest step, before clipping */
    struct TrainerPlans *made; /* graph and plans */
} Trainer;

/* Parameters are 0 until they are set; call trainer_average_reset then.  ERR_USAGE where nothing
 * or everything is frozen. */
Status trainer_new(const TrainTask *task, const TrainerOptions *options, Trainer **out);
void trainer_free(Trainer *t); /* NULL is allowed */

/* Makes the average what the weights are. */
Status trainer_average_reset(Trainer *t);

/* One batch: input[i] as TrainGraph.input[i] wants it.  ERR_INPUT names the first tensor that is
 * not finite when the loss is not, or the step alone where there is no memory to look. */
Status trainer_pass(Trainer *t, void *const *input);

/* Ends a step.  The average moves by 1 - ema * (1 - exp(-step/2000)), running statistics too, as
 * YOLOX does it.  ERR_INPUT as above, weights unchanged. */
Status trainer_step(Trainer *t, double rate, double decay);

#endif
