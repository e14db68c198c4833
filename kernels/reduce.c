/* reduce: sum, mean and standard deviation over axes; sums are made in double. */
#include "kernels/broadcast.h"

static size_t reduced_count(Shape in, Shape out) {
    size_t kept = shape_size(out);
    return kept ? shape_size(in) / kept : 0;
}

/* Operand 0 of `w` is the output, the full shape is the input. */
typedef struct {
    const Broadcast *w;
    const REAL *x, *mean;
} Terms;

static void value_terms(const void *context, const Segment *s, REAL *terms) {
    const Terms *t = context;
    memcpy(terms, t->x + s->full, (size_t)s->count * sizeof *terms);
}

static void square_terms(const void *context, const Segment *s, REAL *terms) {
    const Terms *t = context;
    const REAL *x = t->x + s->full, *mean = t->mean + s->operand[0];
    size_t step = t->w->step[0][3] > 0;
    for (size_t i = 0; i < (size_t)s->count; i++) {
        REAL d = x[i] - mean[i * step];
        terms[i] = d * d;
    }
}

/* Two passes: the mean goes into y first. */
static void deviation(const Broadcast *w, const REAL *x, REAL *y, size_t count, size_t outputs) {
    Terms t = {w, x, y};
    broadcast_sum(w, 0, value_terms, &t, 1 / (double)count, y, false);
    broadcast_sum(w, 0, square_terms, &t, 1 / (double)(count - 1), y, false);
    for (size_t i = 0; i < outputs; i++) y[i] = sqrt(y[i]);
}

void KERNEL(reduce_forward)(const Call *c) {
    ReduceKind kind = ((const ReduceAttr *)c->attr)->kind;
    Shape in = c->in[0].shape, out = c->out[0].shape;
    Broadcast w = broadcast_make(in, 1, &out);
    REAL *y = c->out[0].data;
    size_t count = reduced_count(in, out);
    Terms t = {&w, c->in[0].data, NULL};
    if (kind == REDUCE_STD && count < 2)
        memset(y, 0, shape_size(out) * sizeof *y);
    else if (kind == REDUCE_STD)
        deviation(&w, c->in[0].data, y, count, shape_size(out));
    else
        broadcast_sum(&w, 0, value_terms, &t, kind == REDUCE_MEAN && count ? 1 / (double)count : 1,
                      y, false);
}

static void spread(const Broadcast *w, const REAL *dy, double scale, REAL *dx, bool add) {
    size_t step = w->step[0][3] > 0;
    PARALLEL_FOR
    for (size_t i = 0; i < broadcast_segments(w); i++) {
        Segment s = broadcast_segment(w, i);
        for (size_t j = 0; j < (size_t)s.count; j++)
            kernel_put(dx + s.full + j, (REAL)scale * dy[s.operand[0] + j * step], add);
    }
}

/* dx = dy (x - mean) / ((count-1) y), block by block, because the mean is made again. */
static void deviation_backward(const Broadcast *w, const Call *c, size_t count) {
    const REAL *x = c->in[0].data, *y = c->out[0].data, *dy = c->dout[0].data;
    REAL *dx = c->din[0].data;
    Terms t = {w, x, NULL};
    BroadcastSum sum = broadcast_sum_make(w, 0);
    size_t step = w->step[0][3] > 0;
    PARALLEL_FOR
    for (size_t block = 0; block < sum.blocks; block++) {
        double total[BROADCAST_SEGMENT];
        broadcast_sum_block(&sum, block, 0, sum.rows, value_terms, &t, total);
        for (size_t row = 0; row < sum.rows; row++) {
            Segment s = broadcast_sum_segment(&sum, block, row);
            for (size_t i = 0; i < (size_t)s.count; i++) {
                size_t o = s.operand[0] + i * step;
                double d = (double)x[s.full + i] - total[i * step] / (double)count;
                double scale = y[o] > 0 ? dy[o] / ((double)(count - 1) * y[o]) : 0;
                kernel_put(dx + s.full + i, (REAL)(scale * d), c->add[0]);
            }
        }
    }
}

void KERNEL(reduce_backward)(const Call *c) {
    ReduceKind kind = ((const ReduceAttr *)c->attr)->kind;
    Shape in = c->din[0].shape, out = c->dout[0].shape;
    Broadcast w = broadcast_make(in, 1, &out);
    size_t count = reduced_count(in, out);
    if (kind == REDUCE_SUM || kind == REDUCE_MEAN)
        spread(&w, c->dout[0].data, kind == REDUCE_MEAN && count ? 1 / (double)count : 1,
               c->din[0].data, c->add[0]);
    else if (count > 1)
        deviation_backward(&w, c, count);
    else if (!c->add[0])
        memset(c->din[0].data, 0, shape_size(in) * sizeof(REAL));
}
