#include "kernels/activation.h"
#include "kernels/vector.h"

#define ROW(name, function)                                                      \
    void ISA_NAME(name)(float *y, const float *x, size_t size) {                 \
        size_t i = 0;                                                            \
        for (; i + LANES <= size; i += LANES)                                    \
            vector_store(y + i, function(vector_load(x + i, LANES)), LANES);     \
        int rest = (int)(size - i);                                              \
        if (rest) vector_store(y + i, function(vector_load(x + i, rest)), rest); \
    }

ROW(activation_exp, vector_exp)
ROW(activation_sigmoid, vector_sigmoid)
ROW(activation_silu, vector_silu)

VECTOR_INLINE void slope(float *dx, const float *dy, const float *x, int lanes, bool add) {
    Vector d = vector_load(dy, lanes) * vector_silu_slope(vector_load(x, lanes));
    vector_store(dx, add ? vector_load(dx, lanes) + d : d, lanes);
}

void ISA_NAME(activation_silu_slope)(float *dx, const float *dy, const float *x, size_t size,
                                     bool add) {
    size_t i = 0;
    for (; i + LANES <= size; i += LANES) slope(dx + i, dy + i, x + i, LANES, add);
    if (i < size) slope(dx + i, dy + i, x + i, (int)(size - i), add);
}
