/* boxdecode: YOLOX's raw rows to boxes in input pixels (YOLOX, Ge et al. 2021). */
#include "kernels/kernel.h"

/* Where an anchor is: its map's stride and its cell, all in input pixels. */
typedef struct {
    int stride, x, y;
} Anchor;

static Anchor anchor_at(const BoxdecodeAttr *a, int i) {
    for (int stride = 8; stride < 32; stride *= 2) {
        int columns = a->width / stride, cells = a->height / stride * columns;
        if (i < cells) return (Anchor){stride, i % columns * stride, i / columns * stride};
        i -= cells;
    }
    int columns = a->width / 32;
    return (Anchor){32, i % columns * 32, i / columns * 32};
}

void KERNEL(boxdecode_forward)(const Call *c) {
    const REAL *raw = c->in[0].data;
    REAL *out = c->out[0].data;
    Shape s = c->in[0].shape;
    PARALLEL_FOR
    for (int i = 0; i < s.n * s.h; i++) {
        const REAL *x = raw + (size_t)i * (size_t)s.c;
        REAL *y = out + (size_t)i * (size_t)s.c;
        Anchor anchor = anchor_at(c->attr, i % s.h);
        REAL stride = (REAL)anchor.stride;
        y[0] = x[0] * stride + (REAL)anchor.x;
        y[1] = x[1] * stride + (REAL)anchor.y;
        y[2] = exp(x[2]) * stride;
        y[3] = exp(x[3]) * stride;
        for (int k = 4; k < s.c; k++) y[k] = 1 / (1 + exp(-x[k]));
    }
}

void KERNEL(boxdecode_backward)(const Call *c) {
    const REAL *out = c->out[0].data, *dout = c->dout[0].data;
    REAL *din = c->din[0].data;
    Shape s = c->dout[0].shape;
    PARALLEL_FOR
    for (int i = 0; i < s.n * s.h; i++) {
        size_t row = (size_t)i * (size_t)s.c;
        const REAL *y = out + row, *dy = dout + row;
        REAL *dx = din + row, stride = (REAL)anchor_at(c->attr, i % s.h).stride;
        for (int k = 0; k < s.c; k++) {
            REAL slope = k < 2 ? stride : k < 4 ? y[k] : y[k] * (1 - y[k]);
            kernel_put(dx + k, dy[k] * slope, c->add[0]);
        }
    }
}
