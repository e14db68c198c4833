/* Iterate: one iteration of refinement for one group of people: forward, losses, backward, AdamW.
 *
 *     Iterator *it;
 *     TRY(iterate_new(&options, &it));
 *     TRY(iterate_start(it));          // the first prediction, which the losses hold on to
 *     TRY(iterate_several(it, hyper, count, terms));
 *     iterate_free(it);
 *
 * Several iterations may run before the host looks at any: their rates go to the device together,
 * and their losses are read together.
 *
 * When everything fits into max_mem, one plan does it all.  Otherwise the gradient is made in two
 * passes and is still exact: all people forward in micro-batches without keeping activations; the
 * gradient of the joint loss at the network's outputs; each micro-batch again forward and backward,
 * with that gradient as seed, adding up the weights' gradients; one update.
 */
#ifndef CROWDREC_ITERATE_H
#define CROWDREC_ITERATE_H

#include "autograd/profile.h"
#include "crowdrec/predict.h"

typedef struct Iterator Iterator;

typedef struct {
    double total, crowd, keypoints, betas, pose; /* weighted */
} IterateTerms;

/* The people as the latest run's forward pass saw them, before its update; free with
 * iterate_bodies_free. */
typedef struct {
    float *angles;                                  /* [n,72] */
    float *betas;                                   /* [n,10] */
    float *cam;                                     /* [n,3] */
    float *trans;                                   /* [n,3] */
    float *joints;                                  /* [n,26,3] */
    float *each_keypoints, *each_betas, *each_pose; /* [n] */
} IterateBodies;

typedef struct {
    const NetSpec *net;
    Params *params;
    const Body *body;
    const LossWeights *weights;
    const People *people;
    size_t max_mem;
    int micro;
    Profile *profile; /* what the iterations cost is added to it; NULL: not timed */
} IterateOptions;

/* The people must outlive the iterator.  micro: people per pass, 0: as many as fit into max_mem
 * bytes (0: three quarters of what is free); fewer, where memory turns out to be short.  ERR_MEMORY
 * when not even one fits. */
Status iterate_new(const IterateOptions *options, Iterator **out);
void iterate_free(Iterator *it); /* NULL is allowed */

int iterate_micro(const Iterator *it); /* people per pass; all of them: one plan */

/* Predicts the people with the weights as they are and makes that the first prediction. */
Status iterate_start(Iterator *it);

/* count iterations, at most ITERATE_ROWS, steps from 1; then each one's terms in order. */
enum { ITERATE_ROWS = 32 };
Status iterate_several(Iterator *it, const PlanHyper *hyper, int count, IterateTerms *terms);

/* Whether running several at a time saves anything: the device works while the host waits. */
bool iterate_apart(const Iterator *it);

Status iterate_bodies(const Iterator *it, IterateBodies *out);
void iterate_bodies_free(IterateBodies *b);

#endif
