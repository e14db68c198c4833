/* Conv: the sizes of one conv call, and what C and CUDA say alike of its taps and activations. */
#ifndef KERNELS_CONV_H
#define KERNELS_CONV_H

#include "kernels/kernel.h"

typedef struct {
    Act act;
    REAL slope;
    int stride, pad, dilation, groups;
    int n, h, w, ci, ho, wo, co, kh, kw;
    int gi, go; /* channels of one group: inputs, outputs */
} Conv;

static inline Conv conv_of(const Call *c) {
    const ConvAttr *a = (const ConvAttr *)c->attr;
    Shape x = c->in[0].shape, w = c->in[1].shape;
    Shape y = shape_size(c->out[0].shape) ? c->out[0].shape : c->dout[0].shape;
    Conv g;
    g.act = a->act, g.slope = (REAL)a->slope;
    g.stride = a->stride ? a->stride : 1, g.pad = a->pad;
    g.dilation = a->dilation ? a->dilation : 1, g.groups = a->groups ? a->groups : 1;
    g.n = x.n, g.h = x.h, g.w = x.w, g.ci = x.c;
    g.ho = y.h, g.wo = y.w, g.co = w.n;
    g.kh = w.h, g.kw = w.w;
    g.gi = w.c, g.go = g.co / g.groups;
    return g;
}

static inline size_t conv_size(const Conv *g) { return (size_t)g->n * g->ho * g->wo * g->co; }

/* Input position that output position `o` reads through tap `k`. */
INLINE int conv_source(const Conv *g, int o, int k) {
    return o * g->stride - g->pad + k * g->dilation;
}

/* Output position that reads input position `i` through tap `k`, or -1. */
INLINE int conv_target(const Conv *g, int i, int k, int size) {
    int scaled = i + g->pad - k * g->dilation;
    if (scaled < 0 || scaled % g->stride) return -1;
    return scaled / g->stride < size ? scaled / g->stride : -1;
}

INLINE REAL conv_activate(const Conv *g, REAL z) {
    switch (g->act) {
    case ACT_RELU: return z < 0 ? 0 : z; /* a NaN stays one */
    case ACT_LEAKY: return z > 0 ? z : g->slope * z;
    case ACT_SILU: return z / (1 + exp(-z));
    case ACT_NONE: break;
    }
    return z;
}

INLINE REAL conv_silu_slope(REAL z) {
    REAL s = 1 / (1 + exp(-z));
    return s * (1 + z * (1 - s));
}

#endif
