/* What maxpool and avgpool share: where windows lie. */
#ifndef KERNELS_POOL_H
#define KERNELS_POOL_H

#include "kernels/op.h"
#include "tensor/inline.h"

typedef struct {
    int n, h, w, c, ho, wo, k, stride, pad;
} Pool;

static inline Pool pool_describe(const PoolAttr *a, Shape x, Shape y) {
    Pool p = {x.n, x.h, x.w, x.c, y.h, y.w, a->k, a->stride ? a->stride : 1, a->pad};
    return p;
}

/* Positions begin .. end-1 of one axis. */
typedef struct {
    int begin, end;
} PoolRange;

/* The inputs (of `size`) under window o. */
INLINE PoolRange pool_inputs(const Pool *p, int o, int size) {
    int begin = o * p->stride - p->pad, end = begin + p->k;
    PoolRange range = {begin < 0 ? 0 : begin, end > size ? size : end};
    return range;
}

/* The windows (of `size`) over input i. */
INLINE PoolRange pool_windows(const Pool *p, int i, int size) {
    int first = i + p->pad - p->k + 1, last = (i + p->pad) / p->stride;
    int begin = first <= 0 ? 0 : (first + p->stride - 1) / p->stride;
    PoolRange range = {begin, last < size ? last + 1 : size};
    return range;
}

#endif
