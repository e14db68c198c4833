#include "kernels/update_rows.h"
#include "kernels/vector.h"

VECTOR_INLINE void adam(const UpdateStep *s, float *w, const float *g, float *m, float *v,
                        int lanes) {
    Vector old = vector_load(w, lanes),
           gradient = s->scale * vector_load(g, lanes) + s->decay * old;
    Vector mean = s->beta1 * vector_load(m, lanes) + s->rest1 * gradient;
    Vector square = s->beta2 * vector_load(v, lanes) + s->rest2 * gradient * gradient;
    vector_store(m, mean, lanes);
    vector_store(v, square, lanes);
    Vector step = s->rate * mean / (vector_sqrt(square) * s->root + s->eps);
    vector_store(w, old - s->shrink * old - step, lanes);
}

void ISA_NAME(update_adam_rows)(const UpdateStep *step, float *w, const float *g, float *m,
                                float *v, size_t size) {
    const UpdateStep s = *step;
    size_t i = 0;
    for (; i + LANES <= size; i += LANES) adam(&s, w + i, g + i, m + i, v + i, LANES);
    if (i < size) adam(&s, w + i, g + i, m + i, v + i, (int)(size - i));
}
