#include "kernels/resize.h"

static void blend(REAL *restrict y, const REAL *const from[4], Tap h, Tap w, int c) {
    const REAL *restrict a = from[0], *restrict b = from[1], *restrict p = from[2],
                         *restrict q = from[3];
    REAL wa = (1 - h.t) * (1 - w.t), wb = (1 - h.t) * w.t, wp = h.t * (1 - w.t), wq = h.t * w.t;
    for (int l = 0; l < c; l++) y[l] = wa * a[l] + wb * b[l] + wp * p[l] + wq * q[l];
}

void KERNEL(resize_forward)(const Call *c) {
    const ResizeAttr *attr = c->attr;
    Shape x = c->in[0].shape, y = c->out[0].shape;
    Sampling rows = {attr->kind, x.h, y.h}, columns = {attr->kind, x.w, y.w};
    PARALLEL_FOR
    for (int row = 0; row < y.n * y.h; row++) {
        Tap h = resize_tap(rows, row % y.h);
        const REAL *image = (const REAL *)c->in[0].data + (size_t)(row / y.h) * x.h * x.w * x.c;
        const REAL *upper = image + (size_t)h.first * x.w * x.c;
        const REAL *lower = image + (size_t)h.second * x.w * x.c;
        REAL *to = (REAL *)c->out[0].data + (size_t)row * y.w * y.c;
        for (int j = 0; j < y.w; j++, to += y.c) {
            Tap w = resize_tap(columns, j);
            size_t left = (size_t)w.first * x.c, right = (size_t)w.second * x.c;
            if (attr->kind == RESIZE_NEAREST)
                memcpy(to, upper + left, x.c * sizeof *to);
            else
                blend(
                    to,
                    (const REAL *const[]){upper + left, upper + right, lower + left, lower + right},
                    h, w, x.c);
        }
    }
}

static void add_scaled(REAL *restrict to, const REAL *restrict from, REAL scale, int c) {
    for (int l = 0; l < c; l++) to[l] += scale * from[l];
}

/* Input pixel (i, j) gathers from all outputs it counts in. */
static void gather(Sampling rows, Sampling columns, int i, int j, const REAL *dy, int c, REAL *to) {
    int h0, h1, w0, w1;
    resize_reach(rows, i, &h0, &h1);
    resize_reach(columns, j, &w0, &w1);
    for (int q = w0; q < w1; q++) {
        REAL across = resize_share(columns, q, j);
        if (across == 0) continue;
        for (int p = h0; p < h1; p++) {
            REAL scale = across * resize_share(rows, p, i);
            if (scale != 0) add_scaled(to, dy + ((size_t)p * columns.out + q) * c, scale, c);
        }
    }
}

void KERNEL(resize_backward)(const Call *c) {
    const ResizeAttr *attr = c->attr;
    Shape x = c->in[0].shape, y = c->dout[0].shape;
    Sampling rows = {attr->kind, x.h, y.h}, columns = {attr->kind, x.w, y.w};
    PARALLEL_FOR
    for (int row = 0; row < x.n * x.h; row++) {
        const REAL *dy = (const REAL *)c->dout[0].data + (size_t)(row / x.h) * y.h * y.w * y.c;
        REAL *to = (REAL *)c->din[0].data + (size_t)row * x.w * x.c;
        for (int j = 0; j < x.w; j++, to += x.c) {
            if (!c->add[0]) memset(to, 0, x.c * sizeof *to);
            gather(rows, columns, row % x.h, j, dy, x.c, to);
        }
    }
}
