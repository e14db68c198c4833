/* binary: sum, difference, product, quotient with repeated axes. */
#include "kernels/broadcast.h"

/* y[i] = value of p and q; a step of 0 repeats an operand. */
#define LOOP(value)                                            \
    if (a_step && b_step)                                      \
        for (int i = 0; i < count; i++) {                      \
            REAL p = a[i], q = b[i];                           \
            y[i] = value;                                      \
        }                                                      \
    else                                                       \
        for (int i = 0; i < count; i++) {                      \
            REAL p = a[a_step ? i : 0], q = b[b_step ? i : 0]; \
            y[i] = value;                                      \
        }

static void combine(BinaryKind kind, REAL *y, const REAL *a, bool a_step, const REAL *b,
                    bool b_step, int count) {
    switch (kind) {
    case BINARY_ADD: LOOP(p + q) break;
    case BINARY_SUB: LOOP(p - q) break;
    case BINARY_MUL: LOOP(p * q) break;
    case BINARY_DIV: LOOP(p / q) break;
    }
}

static Broadcast broadcast_of(const Call *c, Shape full) {
    return broadcast_make(full, 2, (Shape[]){c->in[0].shape, c->in[1].shape});
}

void KERNEL(binary_forward)(const Call *c) {
    BinaryKind kind = ((const BinaryAttr *)c->attr)->kind;
    Broadcast w = broadcast_of(c, c->out[0].shape);
    const REAL *a = c->in[0].data, *b = c->in[1].data;
    REAL *y = c->out[0].data;
    PARALLEL_FOR
    for (size_t i = 0; i < broadcast_segments(&w); i++) {
        Segment s = broadcast_segment(&w, i);
        combine(kind, y + s.full, a + s.operand[0], w.step[0][3], b + s.operand[1], w.step[1][3],
                s.count);
    }
}

/* What the terms of one operand's gradient need. */
typedef struct {
    BinaryKind kind;
    int k; /* the operand */
    const Broadcast *w;
    const REAL *a, *b, *dy; /* a and b are not read by ADD and SUB */
} Gradient;

static void quotient_terms(const REAL *dy, const REAL *a, bool a_step, const REAL *b, bool b_step,
                           int count, REAL *terms) {
    for (int i = 0; i < count; i++) {
        REAL q = b[b_step ? i : 0];
        terms[i] = -dy[i] * a[a_step ? i : 0] / (q * q);
    }
}

static void gradient_terms(const void *context, const Segment *s, REAL *terms) {
    const Gradient *g = context;
    const REAL *dy = g->dy + s->full;
    bool a_step = g->w->step[0][3], b_step = g->w->step[1][3];
    if (g->kind == BINARY_ADD || g->kind == BINARY_SUB) {
        REAL sign = g->kind == BINARY_SUB && g->k ? -1 : 1;
        for (int i = 0; i < s->count; i++) terms[i] = sign * dy[i];
        return;
    }
    const REAL *a = g->a + s->operand[0], *b = g->b + s->operand[1];
    if (g->kind == BINARY_MUL && g->k)
        combine(BINARY_MUL, terms, dy, true, a, a_step, s->count);
    else if (g->k)
        quotient_terms(dy, a, a_step, b, b_step, s->count, terms);
    else
        combine(g->kind, terms, dy, true, b, b_step, s->count);
}

/* Sums and differences: dy, or -dy, as it is. */
static void put_copy(REAL *restrict out, const REAL *restrict dy, bool minus, size_t count,
                     bool add) {
    if (!add && !minus)
        memcpy(out, dy, count * sizeof *out);
    else if (!add)
        for (size_t i = 0; i < count; i++) out[i] = -dy[i];
    else if (!minus)
        for (size_t i = 0; i < count; i++) out[i] += dy[i];
    else
        for (size_t i = 0; i < count; i++) out[i] -= dy[i];
}

/* An operand of the full shape needs no sums. */
static void gradient_put(const Gradient *g, REAL *out, bool add) {
    PARALLEL_FOR
    for (size_t i = 0; i < broadcast_segments(g->w); i++) {
        REAL terms[BROADCAST_SEGMENT];
        Segment s = broadcast_segment(g->w, i);
        if (g->kind == BINARY_ADD || g->kind == BINARY_SUB) {
            put_copy(out + s.full, g->dy + s.full, g->kind == BINARY_SUB && g->k, (size_t)s.count,
                     add);
            continue;
        }
        gradient_terms(g, &s, terms);
        for (int j = 0; j < s.count; j++) kernel_put(out + s.full + j, terms[j], add);
    }
}

void KERNEL(binary_backward)(const Call *c) {
    BinaryKind kind = ((const BinaryAttr *)c->attr)->kind;
    Broadcast w = broadcast_of(c, c->dout[0].shape);
    for (int k = 0; k < 2; k++) {
        REAL *out = c->din[k].data;
        if (!out) continue;
        Gradient g = {kind, k, &w, c->in[0].data, c->in[1].data, c->dout[0].data};
        if (shape_equal(c->in[k].shape, c->dout[0].shape))
            gradient_put(&g, out, c->add[k]);
        else
            broadcast_sum(&w, k, gradient_terms, &g, 1, out, c->add[k]);
    }
}
