/* Depthwise: convs in which each output channel reads one input channel (groups = ci = co).
 *
 *     if (depthwise_is(&g)) KERNEL(depthwise_forward)(&g, c, workspace, y);
 *
 * Channels are vectors, rows of the map go to threads.  In float every output row is a sum over
 * `taps`, pairs of a row of the map and a row of weights, and so is a gradient's row: of every
 * stride-th column, each with the taps that reach it.
 */
#ifndef KERNELS_DEPTHWISE_H
#define KERNELS_DEPTHWISE_H

#include "kernels/conv.h"
#include "kernels/isa.h"

static inline bool depthwise_is(const Conv *g) { return g->gi == 1 && g->go == 1; }

/* Workspace of any of the calls below. */
size_t KERNEL(depthwise_bytes)(const Conv *g);

/* y = act(x * w + b + r) of c's inputs. */
void KERNEL(depthwise_forward)(const Conv *g, const Call *c, void *workspace, REAL *y);

/* din[0], din[1] of c from dz = dout[0], the gradient before the activation. */
void KERNEL(depthwise_input_gradient)(const Conv *g, const Call *c, void *workspace);
void KERNEL(depthwise_weight_gradient)(const Conv *g, const Call *c, void *workspace);

enum { DEPTHWISE_TAPS = 64 };

/* Output k = sum over taps of w * x[column k*step + offset], columns outside count 0. */
typedef struct {
    const float *x; /* [width][c] */
    const float *w; /* [c] */
    int offset;
} DepthwiseTap;

typedef struct {
    DepthwiseTap tap[DEPTHWISE_TAPS];
    int taps, width, step, c, outputs;
    float *y;
    size_t y_step;      /* numbers from one output to the next */
    const float *b, *r; /* added before the activation, r laid out as y; or NULL */
    Act act;
    float slope;
    bool add; /* to what y holds */
} DepthwiseRow;

ISA_DECLARE(void, depthwise_row, (const DepthwiseRow *row));

/* sum[k][c] += sum over the columns of dz[columns][c] of dz * x[width][c] at column j*step +
 * offset[k]. */
typedef struct {
    const float *x, *dz;
    int width, columns, step, c, taps;
    int offset[DEPTHWISE_TAPS];
    float *sum;
} DepthwiseWeights;

ISA_DECLARE(void, depthwise_weights, (const DepthwiseWeights *row));

#endif
