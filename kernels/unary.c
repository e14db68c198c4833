/* unary: the rows of unary.def as loops; those with an exponential, for floats, as vectors. */
#include "kernels/activation.h"
#include "kernels/kernel.h"

enum { PIECE = 4096 };

typedef void Value(REAL *y, const REAL *x, size_t size, REAL p);
typedef void Slope(REAL *dx, const REAL *dy, const REAL *x, const REAL *y, size_t size, REAL p,
                   bool add);

#define UNARY(NAME, reads, value, slope)                                                \
    static void value_##NAME(REAL *out, const REAL *in, size_t size, REAL p) {          \
        (void)p;                                                                        \
        for (size_t i = 0; i < size; i++) {                                             \
            REAL x = in[i];                                                             \
            out[i] = value;                                                             \
        }                                                                               \
    }                                                                                   \
    static void slope_##NAME(REAL *dx, const REAL *dy, const REAL *in, const REAL *out, \
                             size_t size, REAL p, bool add) {                           \
        (void)p;                                                                        \
        for (size_t i = 0; i < size; i++) {                                             \
            REAL x = in[i], y = out[i];                                                 \
            (void)x, (void)y;                                                           \
            kernel_put(dx + i, dy[i] * (slope), add);                                   \
        }                                                                               \
    }
#include "kernels/unary.def"
#undef UNARY

static Value *const VALUE[] = {
#define UNARY(NAME, reads, value, slope) value_##NAME,
#include "kernels/unary.def"
#undef UNARY
};

static Slope *const SLOPE[] = {
#define UNARY(NAME, reads, value, slope) slope_##NAME,
#include "kernels/unary.def"
#undef UNARY
};

/* The row as vectors, if there is one. */
static bool value_vectors(UnaryKind kind, void *y, const void *x, size_t size) {
    if (!KERNEL_IS_FLOAT) return false;
    switch (kind) {
    case UNARY_EXP: isa_pick(activation_exp)(y, x, size); return true;
    case UNARY_SIGMOID: isa_pick(activation_sigmoid)(y, x, size); return true;
    case UNARY_SILU: isa_pick(activation_silu)(y, x, size); return true;
    default: return false;
    }
}

static bool slope_vectors(UnaryKind kind, void *dx, const void *dy, const void *x, size_t size,
                          bool add) {
    if (!KERNEL_IS_FLOAT || kind != UNARY_SILU) return false;
    isa_pick(activation_silu_slope)(dx, dy, x, size, add);
    return true;
}

static size_t piece_size(size_t start, size_t size) {
    return size - start < PIECE ? size - start : PIECE;
}

void KERNEL(unary_forward)(const Call *c) {
    const UnaryAttr *a = c->attr;
    const REAL *x = c->in[0].data;
    REAL *y = c->out[0].data;
    size_t size = shape_size(c->in[0].shape);
    PARALLEL_FOR
    for (size_t i = 0; i < size; i += PIECE) {
        size_t count = piece_size(i, size);
        if (!value_vectors(a->kind, y + i, x + i, count)) VALUE[a->kind](y + i, x + i, count, a->p);
    }
}

void KERNEL(unary_backward)(const Call *c) {
    const UnaryAttr *a = c->attr;
    const REAL *x = c->in[0].data, *y = c->out[0].data, *dy = c->dout[0].data;
    REAL *dx = c->din[0].data;
    size_t size = shape_size(c->dout[0].shape);
    if (!x) x = dy; /* this slope does not read it: anything of its size stands in */
    if (!y) y = dy;
    PARALLEL_FOR
    for (size_t i = 0; i < size; i += PIECE) {
        size_t count = piece_size(i, size);
        if (!slope_vectors(a->kind, dx + i, dy + i, x + i, count, c->add[0]))
            SLOPE[a->kind](dx + i, dy + i, x + i, y + i, count, a->p, c->add[0]);
    }
}
