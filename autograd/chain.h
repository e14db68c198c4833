/* Chain: convolutions that follow each other and run a few images at a time, so that what one has
 * written the next one still finds in the caches.
 *
 *     chain_find(g, &list, limit, arena);   // on a list of steps that nothing was prepared for
 *     list.step[i].chain                    // NULL: the step runs once, on all images
 *
 * Steps of a chain stand side by side and have calls of `images` images; they run in order on the
 * first images, then on the next ones, `blocks` times.  Weights that are folded for them are folded
 * before the chain, gradients of folded weights go on behind it.  Blocks add to the gradients of
 * weights that the ones before have left.
 *
 * Threads share out the blocks, in a lane each, or all work on each block where there are too few
 * for that.  Where there are several, lanes have calls and memory of their own: values of one
 * block, a workspace, and gradients of weights, which are added to those of the first lane when all
 * are done (run.h).
 */
#ifndef AUTOGRAD_CHAIN_H
#define AUTOGRAD_CHAIN_H

#include "autograd/step.h"

#include <stddef.h>

struct Chain {
    int first, last; /* steps, both included */
    int images, blocks;
    int lanes;                           /* blocks that run side by side; 1: one, on all threads */
    size_t offset;                       /* of the first lane's memory in the plan's arena */
    size_t values, workspace, gradients; /* bytes of what a lane's memory has, in this order */
};

/* limit: bytes of what a convolution reads and writes of `images` images (of one, where that is
 * more); 0: about what a processor's caches hold. */
void chain_find(const Graph *g, StepList *list, size_t limit, Arena *arena);

/* Bytes of a lane's memory. */
static inline size_t chain_bytes(const Chain *c) { return c->values + c->workspace + c->gradients; }

/* The tensors of a call that hold something of each image; others are the same for all. */
enum { CHAIN_TENSORS = 6 };
static inline Tensor *chain_tensor(Call *c, int i) {
    Tensor *all[CHAIN_TENSORS] = {&c->in[0],  &c->in[3],  &c->out[0],
                                  &c->din[0], &c->din[3], &c->dout[0]};
    return all[i];
}

/* The mask of one of them, 0 for the others. */
static inline unsigned chain_mask(Call *c, const Tensor *t) {
    for (int i = 0; i < CHAIN_TENSORS; i++)
        if (chain_tensor(c, i) == t) return 1u << i;
    return 0;
}

#endif
