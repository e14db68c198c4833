/* softmax over c: y = exp(x - max) / sum; dx = y * (dy - <y, dy>). */
#include "kernels/kernel.h"

static void softmax_row(const REAL *x, REAL *y, int c) {
    REAL top = x[0], sum = 0;
    for (int k = 1; k < c; k++) top = x[k] > top ? x[k] : top;
    for (int k = 0; k < c; k++) {
        y[k] = exp(x[k] - top);
        sum += y[k];
    }
    for (int k = 0; k < c; k++) y[k] /= sum;
}

static void softmax_row_gradient(const REAL *y, const REAL *dy, REAL *dx, int c, bool add) {
    REAL sum = 0;
    for (int k = 0; k < c; k++) sum += y[k] * dy[k];
    for (int k = 0; k < c; k++) kernel_put(dx + k, y[k] * (dy[k] - sum), add);
}

void KERNEL(softmax_forward)(const Call *c) {
    Shape s = c->in[0].shape;
    PARALLEL_FOR
    for (int i = 0; i < s.n * s.h * s.w; i++) {
        size_t at = (size_t)i * s.c;
        softmax_row((const REAL *)c->in[0].data + at, (REAL *)c->out[0].data + at, s.c);
    }
}

void KERNEL(softmax_backward)(const Call *c) {
    Shape s = c->in[0].shape;
    PARALLEL_FOR
    for (int i = 0; i < s.n * s.h * s.w; i++) {
        size_t at = (size_t)i * s.c;
        softmax_row_gradient((const REAL *)c->out[0].data + at, (const REAL *)c->dout[0].data + at,
                             (REAL *)c->din[0].data + at, s.c, c->add[0]);
    }
}
