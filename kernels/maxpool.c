#include "kernels/kernel.h"
#include "kernels/pool.h"

/* NaN is larger than all. */
static void keep_larger(REAL *restrict y, const REAL *restrict x, int c) {
    for (int l = 0; l < c; l++) y[l] = x[l] <= y[l] || y[l] != y[l] ? y[l] : x[l];
}

void KERNEL(maxpool_forward)(const Call *c) {
    Pool p = pool_describe(c->attr, c->in[0].shape, c->out[0].shape);
    const REAL *x = c->in[0].data;
    REAL *y = c->out[0].data;
    PARALLEL_FOR
    for (int row = 0; row < p.n * p.ho; row++) {
        PoolRange h = pool_inputs(&p, row % p.ho, p.h);
        const REAL *image = x + (size_t)(row / p.ho) * p.h * p.w * p.c;
        for (int j = 0; j < p.wo; j++) {
            PoolRange w = pool_inputs(&p, j, p.w);
            REAL *to = y + ((size_t)row * p.wo + j) * p.c;
            memcpy(to, image + ((size_t)h.begin * p.w + w.begin) * p.c, p.c * sizeof *to);
            for (int a = h.begin; a < h.end; a++)
                for (int b = w.begin; b < w.end; b++)
                    keep_larger(to, image + ((size_t)a * p.w + b) * p.c, p.c);
        }
    }
}

enum { LANES = 16 };

/* The gradient of one window goes to the first position that holds its maximum, which is the last
 * one found from the end. */
static inline void give_window(const Pool *p, int i, int j, const REAL *x, const REAL *y,
                               const REAL *dy, REAL *dx, int lanes) {
    PoolRange h = pool_inputs(p, i, p->h), w = pool_inputs(p, j, p->w);
    int first[LANES];
    for (int l = 0; l < lanes; l++) first[l] = -1;
    for (int a = h.end - 1; a >= h.begin; a--)
        for (int b = w.end - 1; b >= w.begin; b--) {
            int at = a * p->w + b;
            const REAL *from = x + (size_t)at * p->c;
            for (int l = 0; l < lanes; l++) first[l] = from[l] == y[l] ? at : first[l];
        }
    for (int l = 0; l < lanes; l++)
        if (first[l] >= 0) dx[(size_t)first[l] * p->c + l] += dy[l];
}

/* One image, up to LANES channels; windows overlap only within this. */
static inline void give_image(const Pool *p, const REAL *x, const REAL *y, const REAL *dy, REAL *dx,
                              int lanes, bool add) {
    if (!add)
        for (size_t i = 0; i < (size_t)p->h * p->w; i++)
            memset(dx + i * p->c, 0, lanes * sizeof *dx);
    for (int i = 0; i < p->ho; i++)
        for (int j = 0; j < p->wo; j++) {
            size_t at = ((size_t)i * p->wo + j) * p->c;
            give_window(p, i, j, x, y + at, dy + at, dx, lanes);
        }
}

void KERNEL(maxpool_backward)(const Call *c) {
    Pool p = pool_describe(c->attr, c->in[0].shape, c->dout[0].shape);
    int blocks = (p.c + LANES - 1) / LANES;
    PARALLEL_FOR
    for (int i = 0; i < p.n * blocks; i++) {
        int first = i % blocks * LANES;
        size_t in = (size_t)(i / blocks) * p.h * p.w * p.c + first;
        size_t out = (size_t)(i / blocks) * p.ho * p.wo * p.c + first;
        const REAL *x = (const REAL *)c->in[0].data + in, *y = (const REAL *)c->out[0].data + out;
        const REAL *dy = (const REAL *)c->dout[0].data + out;
        REAL *dx = (REAL *)c->din[0].data + in;
        if (p.c - first >= LANES)
            give_image(&p, x, y, dy, dx, LANES, c->add[0]);
        else
            give_image(&p, x, y, dy, dx, p.c - first, c->add[0]);
    }
}
