/* Convloops: any convolution by loops of this program alone, in float and in double.
 *
 *     void *workspace = ...;                           // KERNEL(convloops_bytes)(&g)
 *     KERNEL(convloops_forward)(&g, c, workspace, y);  // y = act(x * w + b + r) of c's inputs
 */
#ifndef KERNELS_CONVLOOPS_H
#define KERNELS_CONVLOOPS_H

#include "kernels/conv.h"

/* Whether whole rows go through SiLU's vectors, which are made for float. */
static inline bool convloops_silu(const Conv *g) { return KERNEL_IS_FLOAT && g->act == ACT_SILU; }

/* Workspace of forward and of the gradient of x. */
size_t KERNEL(convloops_bytes)(const Conv *g);

void KERNEL(convloops_forward)(const Conv *g, const Call *c, void *workspace, REAL *y);

/* din[0], din[1] of c from dz = dout[0], the gradient before the activation. */
void KERNEL(convloops_input_gradient)(const Conv *g, const Call *c, void *workspace);
void KERNEL(convloops_weight_gradient)(const Conv *g, const Call *c);

/* y = act(sum + b + r) for `count` channels of one pixel; b and r may be NULL. */
void KERNEL(convloops_finish)(const Conv *g, const REAL *sum, int count, const REAL *b,
                              const REAL *r, REAL *y);

#endif
