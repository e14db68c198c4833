/* boxdecode: YOLOX's raw rows to boxes in input pixels (YOLOX, Ge et al. 2021). */
#include "kernels/kernel.h"
#include "kernels/box.h"

void KERNEL(boxdecode_forward)(const Call *c) {
    const REAL *raw = c->in[0].data;
    REAL *out = c->out[0].data;
    Shape s = c->in[0].shape;
    PARALLEL_FOR
    for (int i = 0; i < s.n * s.h; i++) {
        const REAL *x = raw + (size_t)i * (size_t)s.c;
        REAL *y = out + (size_t)i * (size_t)s.c;
        BoxAnchor anchor = box_anchor(c->attr, i % s.h);
        for (int k = 0; k < s.c; k++) y[k] = box_decode(&anchor, k, x[k]);
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
        BoxAnchor anchor = box_anchor(c->attr, i % s.h);
        for (int k = 0; k < s.c; k++)
            kernel_put(din + row + k, dy[k] * box_slope(&anchor, k, y[k]), c->add[0]);
    }
}
