/* update: the optimisers, one pass over the parts of the slabs that have a gradient. */
#include "kernels/kernel.h"
#include "kernels/update.h"

enum { PIECE = 16384 };

static void adam(const UpdateStep *s, REAL *w, const REAL *g, REAL *m, REAL *v, size_t size) {
    for (size_t i = 0; i < size; i++) update_adam(s, w + i, g[i], m + i, v + i);
}

static void sgd(const UpdateStep *s, REAL *w, const REAL *g, REAL *m, size_t size) {
    for (size_t i = 0; i < size; i++) update_sgd(s, w + i, g[i], m ? m + i : NULL);
}

void KERNEL(update_forward)(const Call *c) {
    const UpdateAttr *a = c->attr;
    REAL *w = c->in[0].data, *g = c->in[1].data, *m = c->in[2].data, *v = c->in[3].data;
    const REAL *hyper = c->in[4].data;
    UpdateStep s = update_step(a, hyper + 4 * update_row(c->in[5].data, c->in[4].shape.n));
    for (int r = 0; r < a->ranges; r++) {
        size_t start = a->range[r].offset, end = start + a->range[r].size;
        PARALLEL_FOR
        for (size_t i = start; i < end; i += PIECE) {
            size_t size = end - i < PIECE ? end - i : PIECE;
            if (a->kind == UPDATE_SGD)
                sgd(&s, w + i, g + i, m ? m + i : NULL, size);
            else
                adam(&s, w + i, g + i, m + i, v + i, size);
        }
    }
}
