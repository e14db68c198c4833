/* oneDNN: convolutions and matrix products of backend `cpu`.
 *
 *     if (onednn_usable(sizeof(REAL)))
 *         c->state = onednn_conv_new(c, ONEDNN_FORWARD, act, &bytes);
 *     ...
 *     onednn_conv_forward(c->state, c, y, workspace);
 *
 * A build without oneDNN, and one that finds no fast kernel for a shape, gets NULL from
 * onednn_conv_new and keeps to the own loops.  Nothing is allocated between _new and _free.
 */
#ifndef KERNELS_ONEDNN_H
#define KERNELS_ONEDNN_H

#include "kernels/op.h"

/* "2.6.3", and the instruction set it uses ("avx512_core_bf16"); NULL in a build without oneDNN. */
const char *onednn_version(void);
const char *onednn_isa(void);

/* Whether this build has oneDNN and the numbers are float, its only type here. */
bool onednn_usable(size_t real_size);

enum { ONEDNN_FORWARD = 1, ONEDNN_INPUT_GRADIENT = 2, ONEDNN_WEIGHT_GRADIENT = 4 };

typedef struct OnednnConv OnednnConv;

/* Primitives for the passes (a mask) of the conv call c, forward with activation `act`.
 * Sets the bytes of workspace that any of the passes needs; 64-byte aligned when used. */
OnednnConv *onednn_conv_new(const Call *c, unsigned passes, Act act, size_t *workspace);
void onednn_conv_free(OnednnConv *conv); /* NULL is allowed */

/* y = act(x * w + b + r) of c's inputs. */
void onednn_conv_forward(const OnednnConv *conv, const Call *c, void *y, void *workspace);

/* din[0], or din[1] and, where wanted, din[2] of c from dz = dout[0], the gradient before the
 * activation. */
void onednn_conv_input_gradient(const OnednnConv *conv, const Call *c, void *workspace);
void onednn_conv_weight_gradient(const OnednnConv *conv, const Call *c, void *workspace);

/* c [m,n] = or += a b of floats, row-major; a is [m,k], or [k,m] when transpose_a; b is [k,n], or
 * [n,k] when transpose_b; ld is the distance between rows.  Bitwise the same for any number of
 * threads. */
typedef struct {
    const void *data;
    int ld;
    bool transpose;
} OnednnMatrix;
void onednn_gemm(int m, int n, int k, OnednnMatrix a, OnednnMatrix b, void *c, int ldc, bool add);

#endif
