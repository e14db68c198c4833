/* shuffle: out[y*r+i][x*r+j][k] = in[y][x][k*r*r + i*r + j]. */
#include "kernels/kernel.h"

void KERNEL(shuffle_forward)(const Call *c) {
    const ShuffleAttr *a = c->attr;
    Shape x = c->in[0].shape, y = c->out[0].shape;
    int r = a->r, block = r * r;
    PARALLEL_FOR
    for (int row = 0; row < y.n * y.h; row++) {
        const REAL *from =
            (const REAL *)c->in[0].data + (size_t)(row / r) * x.w * x.c + row % r * r;
        REAL *to = (REAL *)c->out[0].data + (size_t)row * y.w * y.c;
        for (int j = 0; j < y.w; j++, to += y.c)
            for (int k = 0; k < y.c; k++) to[k] = from[(size_t)(j / r) * x.c + j % r + k * block];
    }
}

void KERNEL(shuffle_backward)(const Call *c) {
    const ShuffleAttr *a = c->attr;
    Shape x = c->in[0].shape, y = c->dout[0].shape;
    int r = a->r, block = r * r;
    PARALLEL_FOR
    for (int row = 0; row < x.n * x.h; row++) {
        const REAL *from = (const REAL *)c->dout[0].data + (size_t)row * r * y.w * y.c;
        REAL *to = (REAL *)c->din[0].data + (size_t)row * x.w * x.c;
        for (int j = 0; j < x.w; j++, to += x.c)
            for (int q = 0; q < block; q++) {
                const REAL *dy = from + ((size_t)(q / r) * y.w + (size_t)j * r + q % r) * y.c;
                for (int k = 0; k < y.c; k++) kernel_put(to + k * block + q, dy[k], c->add[0]);
            }
    }
}
