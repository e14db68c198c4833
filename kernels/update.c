/* update: the optimisers, one pass over the parts of the slabs that have a gradient. */
#include "kernels/kernel.h"
#include "kernels/update_rows.h"

enum { PIECE = 16384, PARTS = 64 };

static void adam(const UpdateStep *s, REAL *w, const REAL *g, REAL *m, REAL *v, size_t size) {
    if (KERNEL_IS_FLOAT)
        isa_pick(update_adam_rows)((const void *)s, (void *)w, (const void *)g, (void *)m,
                                   (void *)v, size);
    else
        for (size_t i = 0; i < size; i++) update_adam(s, w + i, g[i], m + i, v + i);
}

static void sgd(const UpdateStep *s, REAL *w, const REAL *g, REAL *m, size_t size) {
    for (size_t i = 0; i < size; i++) update_sgd(s, w + i, g[i], m ? m + i : NULL);
}

static void average(const UpdateStep *s, REAL *w, const REAL *g, size_t size) {
    for (size_t i = 0; i < size; i++) update_average(s, w + i, g[i]);
}

/* In a fixed number of parts, so that the threads do not change the sum. */
static double sum_of_squares(const REAL *g, size_t size) {
    double part[PARTS], sum = 0;
    PARALLEL_FOR
    for (int k = 0; k < PARTS; k++) {
        size_t end = size * (size_t)(k + 1) / PARTS;
        part[k] = 0;
        for (size_t i = size * (size_t)k / PARTS; i < end; i++) part[k] += (double)g[i] * g[i];
    }
    for (int k = 0; k < PARTS; k++) sum += part[k];
    return sum;
}

static double squared_norm(const UpdateAttr *a, const REAL *g) {
    double sum = 0;
    for (int r = 0; r < a->ranges; r++)
        sum += sum_of_squares(g + a->range[r].offset, a->range[r].size);
    return sum;
}

void KERNEL(update_forward)(const Call *c) {
    const UpdateAttr *a = c->attr;
    REAL *w = c->in[0].data, *g = c->in[1].data, *m = c->in[2].data, *v = c->in[3].data;
    REAL *hyper =
        (REAL *)c->in[4].data + UPDATE_HYPER * update_row(c->in[5].data, c->in[4].shape.n);
    if (a->clip > 0) hyper[3] = (REAL)sqrt(squared_norm(a, g));
    UpdateStep s = update_step(a, hyper);
    if (s.scale == 0) return;
    for (int r = 0; r < a->ranges; r++) {
        size_t start = a->range[r].offset, end = start + a->range[r].size;
        PARALLEL_FOR
        for (size_t i = start; i < end; i += PIECE) {
            size_t size = end - i < PIECE ? end - i : PIECE;
            if (a->kind == UPDATE_AVERAGE)
                average(&s, w + i, g + i, size);
            else if (a->kind == UPDATE_SGD)
                sgd(&s, w + i, g + i, m ? m + i : NULL, size);
            else
                adam(&s, w + i, g + i, m + i, v + i, size);
        }
    }
}
