/* unary: the rows of unary.def as loops. */
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

static size_t piece_size(size_t start, size_t size) {
    return size - start < PIECE ? size - start : PIECE;
}

void KERNEL(unary_forward)(const Call *c) {
    const UnaryAttr *a = c->attr;
    const REAL *x = c->in[0].data;
    REAL *y = c->out[0].data;
    size_t size = shape_size(c->in[0].shape);
    PARALLEL_FOR
    for (size_t i = 0; i < size; i += PIECE)
        VALUE[a->kind](y + i, x + i, piece_size(i, size), a->p);
}

void KERNEL(unary_backward)(const Call *c) {
    const UnaryAttr *a = c->attr;
    const REAL *x = c->in[0].data, *y = c->out[0].data, *dy = c->dout[0].data;
    REAL *dx = c->din[0].data;
    size_t size = shape_size(c->dout[0].shape);
    if (!x) x = dy; /* this slope does not read it: anything of its size stands in */
    if (!y) y = dy;
    PARALLEL_FOR
    for (size_t i = 0; i < size; i += PIECE)
        SLOPE[a->kind](dx + i, dy + i, x + i, y + i, piece_size(i, size), a->p, c->add[0]);
}
