/* Winograd: 3x3 convs with pad 1 and groups 1, with stride 1 in a quarter of the multiplications
 * (Lavin and Gray, "Fast algorithms for convolutional neural networks", F(4x4,3x3)), with stride 2
 * in 81 of 144: every other row and column of x meets 4, 2, 2 or 1 of the taps, F(4x4,2x2).
 *
 *     Winograd s = winograd_new(n, h, w, c, k, 1, parallel_threads());
 *     void *workspace = ...;                          // winograd_bytes(&s, WINOGRAD_FORWARD)
 *     winograd_forward(&s, x, weights, (WinogradEnd){b, r, ACT_RELU, 0}, y, workspace);
 *
 * x [n,h,w,c], y [n,out_h,out_w,k], weights [k,3,3,c], all float and contiguous.  Any sizes; maps y
 * whose sides are no multiples of 4 waste the rest of their last tiles.  Results do not depend on
 * the number of threads.  The relative L2 error is about 1e-6, three to five times that of a direct
 * sum: the interpolation points are 0, +-1/sqrt(2), +-sqrt(2) and infinity, which halves the error
 * of the usual 0, +-1, +-2 and infinity.
 */
#ifndef KERNELS_WINOGRAD_H
#define KERNELS_WINOGRAD_H

#include "kernels/attr.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    int n, h, w, c, k, stride;
    int out_h, out_w;
    int rows, columns, tiles; /* tiles of 4x4 outputs: in a map's height and width, in all maps */
    int workers;              /* places in the workspace for threads */
} Winograd;

typedef enum { WINOGRAD_FORWARD, WINOGRAD_INPUT_GRADIENT, WINOGRAD_WEIGHT_GRADIENT } WinogradPass;

/* What follows the sums: + b [k], + r [n,out_h,out_w,k], then the activation; b and r may be NULL.
 */
typedef struct {
    const float *b, *r;
    Act act;
    float slope;
} WinogradEnd;

/* Maps [n,h,w,c] into [n,out_h,out_w,k], 3x3 with stride 1 or 2; threads: the most that will work
 * at once, each of which has a place in the workspace. */
Winograd winograd_new(int n, int h, int w, int c, int k, int stride, int threads);

/* Bytes of workspace; 64-byte aligned when used. */
size_t winograd_bytes(const Winograd *s, WinogradPass pass);

void winograd_forward(const Winograd *s, const float *x, const float *weights, WinogradEnd end,
                      float *y, void *workspace);

/* dx = or += the gradient of x from dz [n,out_h,out_w,k], that of the sums. */
void winograd_input_gradient(const Winograd *s, const float *dz, const float *weights, float *dx,
                             bool add, void *workspace);

/* dw [k,3,3,c] and, unless NULL, db [k] = or += the gradients of weights and bias. */
void winograd_weight_gradient(const Winograd *s, const float *x, const float *dz, float *dw,
                              bool add, float *db, bool add_db, void *workspace);

#endif
