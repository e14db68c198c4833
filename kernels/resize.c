#include "kernels/kernel.h"

/* One axis: `out` samples of `in`. */
typedef struct {
    ResizeKind kind;
    int in, out;
} Sampling;

/* An output is (1-t)*in[first] + t*in[second]. */
typedef struct {
    int first, second;
    REAL t;
} Tap;

static Tap tap(Sampling s, int o) {
    if (s.kind == RESIZE_NEAREST) {
        int i = (int)((int64_t)o * s.in / s.out);
        return (Tap){i, i, 0};
    }
    double at = (o + 0.5) * s.in / s.out - 0.5;
    if (at < 0) at = 0;
    int first = (int)at < s.in ? (int)at : s.in - 1;
    return (Tap){first, first + 1 < s.in ? first + 1 : first, (REAL)(at - first)};
}

/* How much input i counts in output o. */
static REAL share(Sampling s, int o, int i) {
    Tap t = tap(s, o);
    return (t.first == i ? 1 - t.t : 0) + (t.second == i ? t.t : 0);
}

/* Outputs begin .. end-1 include all in which input i counts; nearest: no others. */
static void reach(Sampling s, int i, int *begin, int *end) {
    if (s.kind == RESIZE_NEAREST) {
        *begin = (int)(((int64_t)i * s.out + s.in - 1) / s.in);
        *end = (int)(((int64_t)(i + 1) * s.out + s.in - 1) / s.in);
        return;
    }
    double scale = (double)s.out / s.in;
    *begin = i == 0 ? 0 : (int)floor((i - 0.5) * scale - 0.5);
    *end = i == s.in - 1 ? s.out : (int)ceil((i + 1.5) * scale - 0.5) + 1;
    if (*begin < 0) *begin = 0;
    if (*end > s.out) *end = s.out;
}

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
        Tap h = tap(rows, row % y.h);
        const REAL *image = (const REAL *)c->in[0].data + (size_t)(row / y.h) * x.h * x.w * x.c;
        const REAL *upper = image + (size_t)h.first * x.w * x.c;
        const REAL *lower = image + (size_t)h.second * x.w * x.c;
        REAL *to = (REAL *)c->out[0].data + (size_t)row * y.w * y.c;
        for (int j = 0; j < y.w; j++, to += y.c) {
            Tap w = tap(columns, j);
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
    reach(rows, i, &h0, &h1);
    reach(columns, j, &w0, &w1);
    for (int q = w0; q < w1; q++) {
        REAL across = share(columns, q, j);
        if (across == 0) continue;
        for (int p = h0; p < h1; p++) {
            REAL scale = across * share(rows, p, i);
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
