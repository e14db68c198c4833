/* Train: the loop by which every network is trained, and what a task gives to it.
 *
 *     TrainOptions options;
 *     TrainTask task;
 *     TRY(train_fill(given, &options));
 *     TRY(traindetect_open(&options, &task));     // or trainpose_open, trainmesh_open
 *     TRY(train_run(&task, &options, stdout));
 *     task.close(task.self);
 *
 * A task says what one sample is, what the loss is and how good a network is; the loop does the
 * rest: batches drawn by a threaded loader, optimiser and schedule, moving average of the weights,
 * checkpoints, log, curves.  Samples depend on seed, epoch and place alone, so that a resumed run
 * goes on with the same bits.
 */
#ifndef CROWDREC_TRAIN_H
#define CROWDREC_TRAIN_H

#include "crowdrec/crowdrec.h"
#include "crowdrec/dataset.h"
#include "nets/net.h"

enum { TRAIN_INPUTS = 12, TRAIN_TERMS = 12, TRAIN_METRICS = 8 };

typedef CrowdrecTrain TrainOptions;

/* What a task puts on the graph of one batch. */
typedef struct {
    Tensor *input[TRAIN_INPUTS]; /* graph inputs [batch,...]; a sample fills its part of each */
    int inputs;
    Tensor *loss;              /* [1,1,1,1] */
    Tensor *term[TRAIN_TERMS]; /* scalars of the log, kept */
    const char *term_name[TRAIN_TERMS];
    int terms;
    Tensor *seed; /* of dropout [1,1,1,2]; NULL: nothing is dropped */
} TrainGraph;

/* Which sample: all its randomness comes from key. */
typedef struct {
    uint64_t key;
    int index;       /* 0 .. samples - 1 */
    double progress; /* share of the training that is done, 0..1 */
} TrainDraw;

/* How good a network is; the first number decides which checkpoint is the best (larger is better
 * unless smaller_is_better). */
typedef struct {
    const char *name[TRAIN_METRICS];
    double value[TRAIN_METRICS];
    int count;
    bool smaller_is_better;
} TrainMetrics;

typedef struct {
    void *self;
    NetSpec spec;
    int samples; /* of one epoch */
    TrainGraph (*build)(const void *self, const Scope *m, int batch);
    /* Writes one sample: input[i] is its part of TrainGraph.input[i] in that tensor's dtype (F32:
     * float).  Called by several threads at once. */
    Status (*sample)(void *self, const TrainDraw *draw, void *const *input);
    /* The network with these parameters (norms in inference mode) on the validation set; NULL:
     * there is none. */
    Status (*validate)(void *self, Params *params, TrainMetrics *out);
    void (*close)(void *self);
    /* Changes fresh parameters, such as CLIFF's mean body; may be NULL. */
    Status (*start)(void *self, Params *params);
} TrainTask;

/* The options with their defaults in place: all that follows takes these.  ERR_USAGE for options
 * that are out of range or exclude each other. */
Status train_fill(const TrainOptions *given, TrainOptions *out);

/* Which network is to be trained: that of the checkpoint to go on from, of options->weights, the
 * variant options->net or else `small`; with the input size asked for.  ERR_USAGE when it is not of
 * that kind. */
Status train_spec(const TrainOptions *options, NetKind kind, const char *small, NetSpec *out);

/* Trains until the steps are done, the time is over or a signal came, then writes the last
 * checkpoint.  One line goes to report, unless NULL.  ERR_INPUT when a value is not finite, naming
 * the first such tensor; files keep what they were at the last checkpoint. */
Status train_run(TrainTask *task, const TrainOptions *options, FILE *report);

/* Fills the options in, opens the task, runs it, closes it. */
Status train(const TrainOptions *given, FILE *report);

#endif
