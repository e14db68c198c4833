/* focus: each 2x2 block of pixels becomes one pixel: top-left, bottom-left, top-right,
 * bottom-right. */
#include "kernels/kernel.h"

/* Offset of the pixel that becomes block `q` of output pixel j in output row `row` of n*h/2. */
static size_t pixel(Shape x, int row, int j, int q) {
    return (((size_t)row * 2 + q % 2) * x.w + (size_t)j * 2 + q / 2) * x.c;
}

void KERNEL(focus_forward)(const Call *c) {
    Shape x = c->in[0].shape, y = c->out[0].shape;
    const REAL *in = c->in[0].data;
    PARALLEL_FOR
    for (int row = 0; row < y.n * y.h; row++) {
        REAL *to = (REAL *)c->out[0].data + (size_t)row * y.w * y.c;
        for (int j = 0; j < y.w; j++)
            for (int q = 0; q < 4; q++, to += x.c) {
                const REAL *from = in + pixel(x, row, j, q);
                for (int k = 0; k < x.c; k++) to[k] = from[k];
            }
    }
}

void KERNEL(focus_backward)(const Call *c) {
    Shape x = c->in[0].shape, y = c->dout[0].shape;
    REAL *dx = c->din[0].data;
    PARALLEL_FOR
    for (int row = 0; row < y.n * y.h; row++) {
        const REAL *from = (const REAL *)c->dout[0].data + (size_t)row * y.w * y.c;
        for (int j = 0; j < y.w; j++)
            for (int q = 0; q < 4; q++, from += x.c) {
                REAL *to = dx + pixel(x, row, j, q);
                for (int k = 0; k < x.c; k++) kernel_put(to + k, from[k], c->add[0]);
            }
    }
}
