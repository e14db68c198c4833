/* A tensor seen along one axis, [outer][size][inner], and rows of numbers that move: what concat,
 * slice, gather and reshape are made of.
 *
 *     AxisView v = axis_view(c->in[0].shape, a->axis);
 *     axis_put(y, v.inner, x, v.size * v.inner, v.outer, v.inner, false);  // entry 0 of the axis
 */
#ifndef KERNELS_AXIS_H
#define KERNELS_AXIS_H

#include "kernels/kernel.h"

typedef struct {
    size_t outer, size, inner;
} AxisView;

static inline AxisView axis_view(Shape shape, Axis axis) {
    const int size[] = {shape.n, shape.h, shape.w, shape.c};
    AxisView view = {1, (size_t)size[axis], 1};
    for (int i = 0; i < (int)axis; i++) view.outer *= (size_t)size[i];
    for (int i = (int)axis + 1; i < 4; i++) view.inner *= (size_t)size[i];
    return view;
}

enum { AXIS_PIECE = 8192 };

static inline void axis_put_piece(REAL *to, const REAL *from, size_t size, bool add) {
    if (!add)
        memcpy(to, from, size * sizeof *to);
    else
        for (size_t i = 0; i < size; i++) to[i] += from[i];
}

/* Copies `rows` rows of `size` numbers, or adds them to what is there; the steps lead from one row
 * to the next. */
static inline void axis_put(REAL *to, size_t to_step, const REAL *from, size_t from_step,
                            size_t rows, size_t size, bool add) {
    size_t pieces = (size + AXIS_PIECE - 1) / AXIS_PIECE;
    PARALLEL_FOR
    for (size_t i = 0; i < rows * pieces; i++) {
        size_t row = i / pieces, start = i % pieces * AXIS_PIECE;
        size_t rest = size - start, count = rest < AXIS_PIECE ? rest : (size_t)AXIS_PIECE;
        axis_put_piece(to + row * to_step + start, from + row * from_step + start, count, add);
    }
}

#endif
