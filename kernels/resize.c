#include "kernels/resize.h"

static void blend(REAL *restrict y, const REAL *const from[4], Tap h, Tap w, int c) {
    const REAL *restrict a = from[0], *restrict b = from[1], *restrict p = from[2],
                         *restrict q = from[3];
    REAL wa = (1 - h.t) * (1 - w.t), wb = (1 - h.t) * w.t, wp = h.t * (1 - w.t), wq = h.t * w.t;
    for (int l = 0; l < c; l++) y[l] = wa * a[l] + wb * b[l] + wp * p[l] + wq * q[l];
}

/* y = a + b; b is far longer than c and wanted from memory well before its turn. */
static void add_two(REAL *restrict y, const REAL *restrict a, const REAL *restrict b, int c) {
    enum { LINE = 64 / sizeof(REAL), AHEAD = 1024 / sizeof(REAL) };
    for (int l = 0; l < c; l += LINE) __builtin_prefetch(b + AHEAD + l);
    for (int l = 0; l < c; l++) y[l] = a[l] + b[l];
}

/* A row of outputs, each a copy of an input; which one is found without divisions. */
static void nearest_row(REAL *y, const REAL *x, const REAL *r, Sampling s, int c) {
    for (int q = 0, j = 0; q < s.out; q++, y += c) {
        while ((int64_t)(j + 1) * s.out <= (int64_t)q * s.in) j++;
        const REAL *from = x + (size_t)j * c;
        if (r)
            add_two(y, from, r + (size_t)q * c, c);
        else
            memcpy(y, from, c * sizeof *y);
    }
}

static void bilinear_row(REAL *y, const REAL *upper, const REAL *lower, const REAL *r, Tap h,
                         Sampling s, int c) {
    for (int q = 0; q < s.out; q++, y += c) {
        Tap w = resize_tap(s, q);
        size_t left = (size_t)w.first * c, right = (size_t)w.second * c;
        blend(y, (const REAL *const[]){upper + left, upper + right, lower + left, lower + right}, h,
              w, c);
        for (int l = 0; r && l < c; l++) y[l] += r[(size_t)q * c + l];
    }
}

void KERNEL(resize_forward)(const Call *c) {
    const ResizeAttr *attr = c->attr;
    Shape x = c->in[0].shape, y = c->out[0].shape;
    Sampling rows = {attr->kind, x.h, y.h}, columns = {attr->kind, x.w, y.w};
    const REAL *residual = c->in[1].data;
    PARALLEL_FOR
    for (int row = 0; row < y.n * y.h; row++) {
        Tap h = resize_tap(rows, row % y.h);
        const REAL *image = (const REAL *)c->in[0].data + (size_t)(row / y.h) * x.h * x.w * x.c;
        const REAL *upper = image + (size_t)h.first * x.w * x.c;
        const REAL *lower = image + (size_t)h.second * x.w * x.c;
        size_t at = (size_t)row * y.w * y.c;
        const REAL *r = residual ? residual + at : NULL;
        REAL *to = (REAL *)c->out[0].data + at;
        if (attr->kind == RESIZE_NEAREST)
            nearest_row(to, upper, r, columns, x.c);
        else
            bilinear_row(to, upper, lower, r, h, columns, x.c);
    }
}

static void add_scaled(REAL *restrict to, const REAL *restrict from, REAL scale, int c) {
    for (int l = 0; l < c; l++) to[l] += scale * from[l];
}

/* How much input i counts in output o, one of resize_reach. */
static REAL share(Sampling s, int o, int i) {
    return s.kind == RESIZE_NEAREST ? 1 : resize_share(s, o, i);
}

/* Input pixel (i, j) gathers from all outputs it counts in. */
static void gather(Sampling rows, Sampling columns, int i, int j, const REAL *dy, int c, REAL *to) {
    int h0, h1, w0, w1;
    resize_reach(rows, i, &h0, &h1);
    resize_reach(columns, j, &w0, &w1);
    for (int p = h0; p < h1; p++) {
        REAL down = share(rows, p, i);
        for (int q = w0; down != 0 && q < w1; q++) {
            REAL scale = down * share(columns, q, j);
            if (scale != 0) add_scaled(to, dy + ((size_t)p * columns.out + q) * c, scale, c);
        }
    }
}

static void input_gradient(const Call *c) {
    ResizeKind kind = ((const ResizeAttr *)c->attr)->kind;
    Shape x = c->in[0].shape, y = c->dout[0].shape;
    Sampling rows = {kind, x.h, y.h}, columns = {kind, x.w, y.w};
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

static void residual_gradient(const Call *c) {
    Shape y = c->dout[0].shape;
    size_t size = (size_t)y.w * y.c;
    PARALLEL_FOR
    for (int row = 0; row < y.n * y.h; row++) {
        const REAL *dy = (const REAL *)c->dout[0].data + (size_t)row * size;
        REAL *to = (REAL *)c->din[1].data + (size_t)row * size;
        if (c->add[1])
            for (size_t i = 0; i < size; i++) to[i] += dy[i];
        else
            memcpy(to, dy, size * sizeof *to);
    }
}

void KERNEL(resize_backward)(const Call *c) {
    if (c->din[0].data) input_gradient(c);
    if (c->din[1].data) residual_gradient(c);
}
