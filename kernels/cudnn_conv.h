/* cuDNN: convolutions of backend `cuda`, through its graph API.
 *
 *     CudnnConvKey key = {0};                     // zeroed whole: keys are compared byte by byte
 *     key.pass = CUDNN_CONV_FORWARD; ...
 *     const CudnnConv *conv = cudnn_conv_find(&key);
 *     if (conv) cudnn_conv_run(conv, &(CudnnConvData){x, w, y, b, r, workspace});
 *
 * The engine for a key is chosen once a process, by cuDNN's heuristics, among those that keep the
 * key's precision.  When tuning the heuristics' first few are measured, and the fastest is
 * remembered for later runs (engines.h).  A shape that no engine takes gets NULL: the caller then
 * runs own kernels.
 */
#ifndef KERNELS_CUDNN_CONV_H
#define KERNELS_CUDNN_CONV_H

#include "kernels/op.h"

typedef enum { CUDNN_CONV_FORWARD, CUDNN_CONV_INPUTS, CUDNN_CONV_WEIGHTS } CudnnPass;

typedef struct {
    CudnnPass pass;
    Precision precision; /* BF16: x, w and the gradient of y are bfloat16 in memory */
    Shape x, w, y;       /* w [co,kh,kw,ci/groups] */
    int stride, pad, dilation;
    Act act; /* fused with forward, with b and r where they are present */
    float slope;
    int has_bias, has_residual;
    int half_residual, half_out; /* the residual, what the pass makes: bfloat16 */
} CudnnConvKey;

/* Device addresses, 64-byte aligned.  Forward reads x, w, b, r and writes y; INPUTS reads y (its
 * gradient) and w, writes x; WEIGHTS reads x and y (its gradient), writes w. */
typedef struct {
    void *x, *w, *y, *b, *r, *workspace;
} CudnnConvData;

typedef struct CudnnConv CudnnConv;

const CudnnConv *cudnn_conv_find(const CudnnConvKey *key);
size_t cudnn_conv_workspace(const CudnnConv *conv); /* bytes */
void cudnn_conv_run(const CudnnConv *conv, const CudnnConvData *data);

/* From now on only engines that give the same bits in every run. */
void cudnn_conv_deterministic(bool on);

/* From now on engines of new keys are measured, or taken from what an earlier run measured on this
 * device.  Needs cudnn_conv_open. */
void cudnn_conv_tune(bool on);

/* Makes the library ready on the present device; why it cannot be used, NULL if it can. */
const char *cudnn_conv_open(void);

/* "9.19.0" */
const char *cudnn_conv_version(void);

#endif
