/* update: the optimisers, one pass over the parts of the slabs that have a gradient. */
#include "kernels/kernel.h"

enum { PIECE = 16384 };

/* What one step needs, made once in double. */
typedef struct {
    REAL beta1, beta2, eps, momentum;
    REAL rest1, rest2; /* 1 - beta1, 1 - beta2 */
    REAL rate;         /* lr, or lr / (1 - beta1^t) */
    REAL root;         /* 1 / sqrt(1 - beta2^t) */
    REAL shrink;       /* lr * weight decay, taken off the weight */
    REAL decay;        /* weight decay added to the gradient */
    bool nesterov;
} Step;

static Step step_make(const UpdateAttr *a, const REAL *hyper) {
    double beta1 = a->beta1 != 0 ? a->beta1 : 0.9, beta2 = a->beta2 != 0 ? a->beta2 : 0.999;
    double lr = hyper[0], decay = hyper[1], t = hyper[2];
    bool adam = a->kind != UPDATE_SGD;
    return (Step){
        .beta1 = (REAL)beta1,
        .beta2 = (REAL)beta2,
        .rest1 = (REAL)(1 - beta1),
        .rest2 = (REAL)(1 - beta2),
        .eps = (REAL)(a->eps != 0 ? a->eps : 1e-8),
        .momentum = a->momentum,
        .rate = (REAL)(adam ? lr / (1 - pow(beta1, t)) : lr),
        .root = (REAL)(adam ? 1 / sqrt(1 - pow(beta2, t)) : 1),
        .shrink = (REAL)(a->kind == UPDATE_ADAMW ? lr * decay : 0),
        .decay = (REAL)(a->kind == UPDATE_ADAMW ? 0 : decay),
        .nesterov = a->nesterov,
    };
}

static void adam(const Step *s, REAL *w, const REAL *gradient, REAL *m, REAL *v, size_t size) {
    for (size_t i = 0; i < size; i++) {
        REAL weight = w[i] - s->shrink * w[i], g = gradient[i] + s->decay * w[i];
        m[i] = s->beta1 * m[i] + s->rest1 * g;
        v[i] = s->beta2 * v[i] + s->rest2 * g * g;
        w[i] = weight - s->rate * m[i] / (sqrt(v[i]) * s->root + s->eps);
    }
}

/* m may be absent where the momentum is 0. */
static void sgd(const Step *s, REAL *w, const REAL *gradient, REAL *m, size_t size) {
    for (size_t i = 0; i < size; i++) {
        REAL g = gradient[i] + s->decay * w[i];
        if (m) {
            m[i] = s->momentum * m[i] + g;
            g = s->nesterov ? g + s->momentum * m[i] : m[i];
        }
        w[i] -= s->rate * g;
    }
}

void KERNEL(update_forward)(const Call *c) {
    const UpdateAttr *a = c->attr;
    REAL *w = c->in[0].data, *g = c->in[1].data, *m = c->in[2].data, *v = c->in[3].data;
    Step s = step_make(a, c->in[4].data);
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
