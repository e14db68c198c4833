#include "kernels/kernel.h"
#include "kernels/pool.h"

static void add_scaled(REAL *restrict to, const REAL *restrict from, int c, REAL scale) {
    for (int l = 0; l < c; l++) to[l] += from[l] * scale;
}

void KERNEL(avgpool_forward)(const Call *c) {
    Pool p = pool_describe(c->attr, c->in[0].shape, c->out[0].shape);
    const REAL *x = c->in[0].data;
    REAL *y = c->out[0].data, scale = 1 / (REAL)(p.k * p.k);
    PARALLEL_FOR
    for (int row = 0; row < p.n * p.ho; row++) {
        PoolRange h = pool_inputs(&p, row % p.ho, p.h);
        const REAL *image = x + (size_t)(row / p.ho) * p.h * p.w * p.c;
        for (int j = 0; j < p.wo; j++) {
            PoolRange w = pool_inputs(&p, j, p.w);
            REAL *to = y + ((size_t)row * p.wo + j) * p.c;
            memset(to, 0, p.c * sizeof *to);
            for (int a = h.begin; a < h.end; a++)
                for (int b = w.begin; b < w.end; b++)
                    add_scaled(to, image + ((size_t)a * p.w + b) * p.c, p.c, scale);
        }
    }
}

void KERNEL(avgpool_backward)(const Call *c) {
    Pool p = pool_describe(c->attr, c->in[0].shape, c->dout[0].shape);
    const REAL *dy = c->dout[0].data;
    REAL *dx = c->din[0].data, scale = 1 / (REAL)(p.k * p.k);
    PARALLEL_FOR
    for (int row = 0; row < p.n * p.h; row++) {
        PoolRange h = pool_windows(&p, row % p.h, p.ho);
        const REAL *image = dy + (size_t)(row / p.h) * p.ho * p.wo * p.c;
        for (int j = 0; j < p.w; j++) {
            PoolRange w = pool_windows(&p, j, p.wo);
            REAL *to = dx + ((size_t)row * p.w + j) * p.c;
            if (!c->add[0]) memset(to, 0, p.c * sizeof *to);
            for (int a = h.begin; a < h.end; a++)
                for (int b = w.begin; b < w.end; b++)
                    add_scaled(to, image + ((size_t)a * p.wo + b) * p.c, p.c, scale);
        }
    }
}
