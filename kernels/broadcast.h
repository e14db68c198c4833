/* Tensors that share one shape but for axes of size 1, which are repeated: what binary, loss and
 * reduce walk over.
 *
 *     Broadcast b = broadcast_make(y.shape, 2, (Shape[]){a.shape, b.shape});
 *     PARALLEL_FOR
 *     for (size_t i = 0; i < broadcast_segments(&b); i++) {
 *         Segment s = broadcast_segment(&b, i);
 *         // s.count numbers from y + s.full; operand k begins at s.operand[k], step b.step[k][3]
 *     }
 *
 * broadcast_sum goes the other way: it sums terms of the full shape into an operand, in double and
 * in an order that depends on nothing but the shapes.  CUDA takes the shapes from here and walks
 * them its own way, see broadcast.cuh.
 */
#ifndef KERNELS_BROADCAST_H
#define KERNELS_BROADCAST_H

#include "kernels/kernel.h"

#include <limits.h>

enum { BROADCAST_OPERANDS = 2, BROADCAST_SEGMENT = 256, BROADCAST_JOBS = 32 };

typedef struct {
    int size[4];                        /* full shape, axes merged where all agree */
    size_t step[BROADCAST_OPERANDS][4]; /* 0 along repeated axes */
    int operands;
} Broadcast;

/* A run of numbers along the last axis. */
typedef struct {
    size_t full, operand[BROADCAST_OPERANDS];
    int count;
} Segment;

/* Axis `from` can be walked together with its inner neighbour `to`: the same operands repeat. */
static inline bool broadcast_joins(int (*size)[4], int shapes, int to, int from) {
    if (size[0][to] > 0 && size[0][from] > INT_MAX / size[0][to]) return false;
    for (int k = 1; k < shapes; k++)
        if ((size[k][to] == size[0][to]) != (size[k][from] == size[0][from])) return false;
    return true;
}

static inline Broadcast broadcast_make(Shape full, int operands, const Shape *operand) {
    int size[1 + BROADCAST_OPERANDS][4], shapes = 1 + operands, to = 3;
    for (int k = 0; k < shapes; k++) {
        Shape s = k ? operand[k - 1] : full;
        const int sizes[] = {s.n, s.h, s.w, s.c};
        memcpy(size[k], sizes, sizeof sizes);
    }
    for (int from = 2; from >= 0; from--) {
        if (size[0][from] == 1) continue;
        bool join = size[0][to] != 1 && broadcast_joins(size, shapes, to, from);
        if (!join && size[0][to] != 1) to--;
        for (int k = 0; k < shapes; k++) size[k][to] = size[k][from] * (join ? size[k][to] : 1);
    }
    Broadcast b = {{1, 1, 1, 1}, {{0}}, operands};
    for (int axis = to; axis < 4; axis++) b.size[axis] = size[0][axis];
    for (int k = 0; k < operands; k++) {
        size_t step = 1;
        for (int axis = 3; axis >= to; axis--) {
            b.step[k][axis] = size[k + 1][axis] == 1 ? 0 : step;
            step *= (size_t)size[k + 1][axis];
        }
    }
    return b;
}

static inline int broadcast_pieces(const Broadcast *b) {
    return (b->size[3] + BROADCAST_SEGMENT - 1) / BROADCAST_SEGMENT;
}

static inline size_t broadcast_segments(const Broadcast *b) {
    return (size_t)b->size[0] * (size_t)b->size[1] * (size_t)b->size[2] *
           (size_t)broadcast_pieces(b);
}

/* The segment at place n, h, w and piece of the last axis. */
static inline Segment broadcast_at(const Broadcast *b, const size_t *place) {
    size_t start = place[3] * BROADCAST_SEGMENT, rest = (size_t)b->size[3] - start;
    size_t at[] = {place[0], place[1], place[2], start};
    Segment s = {0, {0}, rest < BROADCAST_SEGMENT ? (int)rest : (int)BROADCAST_SEGMENT};
    for (int axis = 0; axis < 4; axis++) s.full = s.full * (size_t)b->size[axis] + at[axis];
    for (int k = 0; k < b->operands; k++)
        for (int axis = 0; axis < 4; axis++) s.operand[k] += at[axis] * b->step[k][axis];
    return s;
}

static inline Segment broadcast_segment(const Broadcast *b, size_t i) {
    size_t place[4], pieces = (size_t)broadcast_pieces(b);
    place[3] = i % pieces;
    i /= pieces;
    for (int axis = 2; axis >= 0; axis--) {
        place[axis] = i % (size_t)b->size[axis];
        i /= (size_t)b->size[axis];
    }
    return broadcast_at(b, place);
}

/* Sums into operand k: each of its `blocks` (one segment of it) gets `rows` segments of the full
 * shape. */
typedef struct {
    const Broadcast *b;
    int k;
    size_t blocks, rows;
} BroadcastSum;

/* An axis of size 1 counts as kept. */
static inline bool broadcast_kept(const BroadcastSum *s, int axis) {
    return s->b->step[s->k][axis] > 0 || s->b->size[axis] == 1;
}

static inline BroadcastSum broadcast_sum_make(const Broadcast *b, int k) {
    BroadcastSum s = {b, k, 1, 1};
    for (int axis = 0; axis < 4; axis++) {
        size_t size = (size_t)(axis < 3 ? b->size[axis] : broadcast_pieces(b));
        if (broadcast_kept(&s, axis))
            s.blocks *= size;
        else
            s.rows *= size;
    }
    return s;
}

static inline Segment broadcast_sum_segment(const BroadcastSum *s, size_t block, size_t row) {
    size_t place[4];
    for (int axis = 3; axis >= 0; axis--) {
        size_t size = (size_t)(axis < 3 ? s->b->size[axis] : broadcast_pieces(s->b));
        size_t *rest = broadcast_kept(s, axis) ? &block : &row;
        place[axis] = size ? *rest % size : 0;
        *rest /= size ? size : 1;
    }
    return broadcast_at(s->b, place);
}

/* How many sums a block has. */
static inline int broadcast_sum_width(const BroadcastSum *s, size_t block) {
    return broadcast_kept(s, 3) ? broadcast_sum_segment(s, block, 0).count : 1;
}

/* Writes the terms of one segment. */
typedef void BroadcastTerm(const void *context, const Segment *s, REAL *terms);

/* The sums of one block over rows first..last-1. */
static inline void broadcast_sum_block(const BroadcastSum *s, size_t block, size_t first,
                                       size_t last, BroadcastTerm *term, const void *context,
                                       double *sum) {
    REAL terms[BROADCAST_SEGMENT];
    bool kept = broadcast_kept(s, 3);
    memset(sum, 0, (size_t)broadcast_sum_width(s, block) * sizeof *sum);
    for (size_t row = first; row < last; row++) {
        Segment segment = broadcast_sum_segment(s, block, row);
        term(context, &segment, terms);
        if (kept)
            for (int i = 0; i < segment.count; i++) sum[i] += terms[i];
        else
            for (int i = 0; i < segment.count; i++) sum[0] += terms[i];
    }
}

static inline void broadcast_sum_put(const BroadcastSum *s, size_t block, const double *sum,
                                     double scale, REAL *out, bool add) {
    Segment segment = broadcast_sum_segment(s, block, 0);
    for (int i = 0; i < broadcast_sum_width(s, block); i++)
        kernel_put(out + segment.operand[s->k] + i, (REAL)(scale * sum[i]), add);
}

/* out = scale * sum of terms, in the shape of operand k.  Few blocks are cut into a fixed number of
 * jobs whose sums are added in order. */
static inline void broadcast_sum(const Broadcast *b, int k, BroadcastTerm *term,
                                 const void *context, double scale, REAL *out, bool add) {
    BroadcastSum s = broadcast_sum_make(b, k);
    double partial[BROADCAST_JOBS][BROADCAST_SEGMENT];
    size_t jobs = s.blocks ? BROADCAST_JOBS / s.blocks : 1;
    if (jobs > s.rows) jobs = s.rows;
    if (jobs <= 1) {
        PARALLEL_FOR
        for (size_t i = 0; i < s.blocks; i++) {
            double sum[BROADCAST_SEGMENT];
            broadcast_sum_block(&s, i, 0, s.rows, term, context, sum);
            broadcast_sum_put(&s, i, sum, scale, out, add);
        }
        return;
    }
    PARALLEL_FOR
    for (size_t i = 0; i < s.blocks * jobs; i++) {
        size_t job = i % jobs;
        broadcast_sum_block(&s, i / jobs, s.rows * job / jobs, s.rows * (job + 1) / jobs, term,
                            context, partial[i]);
    }
    for (size_t i = 0; i < s.blocks; i++) {
        double *sum = partial[i * jobs];
        int width = broadcast_sum_width(&s, i);
        for (size_t job = 1; job < jobs; job++)
            for (int j = 0; j < width; j++) sum[j] += partial[i * jobs + job][j];
        broadcast_sum_put(&s, i, sum, scale, out, add);
    }
}

#endif
