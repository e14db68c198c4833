/* The optimisers for one number, and the cursor that says which step it is, in C and in CUDA. */
#ifndef KERNELS_UPDATE_H
#define KERNELS_UPDATE_H

#include "kernels/kernel.h"

/* What one step needs, made once in double. */
typedef struct {
    REAL beta1, beta2, eps, momentum;
    REAL rest1, rest2; /* 1 - beta1, 1 - beta2 */
    REAL rate;         /* lr, or lr / (1 - beta1^t) */
    REAL root;         /* 1 / sqrt(1 - beta2^t) */
    REAL shrink;       /* lr * weight decay, taken off the weight */
    REAL decay;        /* weight decay added to the gradient */
    REAL scale;        /* of the gradient */
    bool nesterov;
} UpdateStep;

/* What clipping multiplies the gradient by; 0: nothing may change. */
INLINE double update_scale(const UpdateAttr *a, const REAL *hyper) {
    if (!(a->clip > 0)) return 1;
    double norm = (double)hyper[3];
    if (!isfinite(norm)) return 0;
    return norm > (double)a->clip ? (double)a->clip / norm : 1;
}

/* The row in force of a table with `rows` rows; cursor may be NULL. */
INLINE size_t update_row(const REAL *cursor, int rows) {
    if (!cursor || !(*cursor > 0)) return 0;
    return *cursor < (REAL)rows ? (size_t)*cursor : (size_t)rows - 1;
}

/* hyper: the row in force. */
INLINE UpdateStep update_step(const UpdateAttr *a, const REAL *hyper) {
    double beta1 = a->beta1 != 0 ? a->beta1 : 0.9, beta2 = a->beta2 != 0 ? a->beta2 : 0.999;
    double lr = hyper[0], decay = hyper[1], t = hyper[2];
    bool adam = a->kind == UPDATE_ADAMW || a->kind == UPDATE_ADAM;
    UpdateStep s;
    s.beta1 = (REAL)beta1;
    s.beta2 = (REAL)beta2;
    s.rest1 = (REAL)(1 - beta1);
    s.rest2 = (REAL)(1 - beta2);
    s.eps = (REAL)(a->eps != 0 ? a->eps : 1e-8);
    s.momentum = a->momentum;
    s.rate = (REAL)(adam ? lr / (1 - pow(beta1, t)) : lr);
    s.root = (REAL)(adam ? 1 / sqrt(1 - pow(beta2, t)) : 1);
    s.shrink = (REAL)(a->kind == UPDATE_ADAMW ? lr * decay : 0);
    s.decay = (REAL)(a->kind == UPDATE_ADAMW ? 0 : decay);
    s.scale = (REAL)update_scale(a, hyper);
    s.nesterov = a->nesterov;
    return s;
}

INLINE void update_adam(const UpdateStep *s, REAL *w, REAL gradient, REAL *m, REAL *v) {
    REAL weight = *w - s->shrink * *w, g = s->scale * gradient + s->decay * *w;
    *m = s->beta1 * *m + s->rest1 * g;
    *v = s->beta2 * *v + s->rest2 * g * g;
    *w = weight - s->rate * *m / (sqrt(*v) * s->root + s->eps);
}

/* m may be NULL where the momentum is 0. */
INLINE void update_sgd(const UpdateStep *s, REAL *w, REAL gradient, REAL *m) {
    REAL g = s->scale * gradient + s->decay * *w;
    if (m) {
        *m = s->momentum * *m + g;
        g = s->nesterov ? g + s->momentum * *m : *m;
    }
    *w -= s->rate * g;
}

INLINE void update_average(const UpdateStep *s, REAL *w, REAL number) {
    *w += s->rate * (number - *w);
}

#endif
