/* loss: the rows of loss.def, each element times its weight. */
#include "kernels/broadcast.h"

typedef void Value(REAL *y, const REAL *prediction, const REAL *target, REAL beta, int count);

#define LOSS(NAME, value, slope)                                                             \
    static void value_##NAME(REAL *y, const REAL *prediction, const REAL *target, REAL beta, \
                             int count) {                                                    \
        for (int i = 0; i < count; i++) {                                                    \
            REAL p = prediction[i], t = target[i], d = p - t, m = fabs(d);                   \
            (void)m, (void)beta;                                                             \
            y[i] = value;                                                                    \
        }                                                                                    \
    }                                                                                        \
    static void slope_##NAME(REAL *y, const REAL *prediction, const REAL *target, REAL beta, \
                             int count) {                                                    \
        for (int i = 0; i < count; i++) {                                                    \
            REAL p = prediction[i], t = target[i], d = p - t, m = fabs(d);                   \
            (void)m, (void)beta;                                                             \
            y[i] = slope;                                                                    \
        }                                                                                    \
    }
#include "kernels/loss.def"
#undef LOSS

static Value *const VALUE[] = {
#define LOSS(NAME, value, slope) [LOSS_##NAME] = value_##NAME,
#include "kernels/loss.def"
#undef LOSS
};

static Value *const SLOPE[] = {
#define LOSS(NAME, value, slope) [LOSS_##NAME] = slope_##NAME,
#include "kernels/loss.def"
#undef LOSS
};

static REAL beta_of(const LossAttr *a) { return a->beta != 0 ? a->beta : 1; }

/* Operand 0 is the weight, if there is one. */
static Broadcast broadcast_of(const Call *c) {
    bool weighted = shape_size(c->in[2].shape) > 0;
    return broadcast_make(c->in[0].shape, weighted, &c->in[2].shape);
}

static REAL weight_at(const Call *c, const Broadcast *w, const Segment *s, int i) {
    const REAL *weight = c->in[2].data;
    return w->operands ? weight[s->operand[0] + (w->step[0][3] ? (size_t)i : 0)] : 1;
}

void KERNEL(loss_forward)(const Call *c) {
    const LossAttr *a = c->attr;
    Broadcast w = broadcast_of(c);
    const REAL *p = c->in[0].data, *t = c->in[1].data;
    REAL *y = c->out[0].data;
    PARALLEL_FOR
    for (size_t i = 0; i < broadcast_segments(&w); i++) {
        Segment s = broadcast_segment(&w, i);
        REAL *to = y + s.full;
        VALUE[a->kind](to, p + s.full, t + s.full, beta_of(a), s.count);
        for (int j = 0; j < s.count; j++) to[j] *= weight_at(c, &w, &s, j);
    }
}

void KERNEL(loss_backward)(const Call *c) {
    const LossAttr *a = c->attr;
    Broadcast w = broadcast_of(c);
    const REAL *p = c->in[0].data, *t = c->in[1].data, *dy = c->dout[0].data;
    REAL *dp = c->din[0].data, *dt = c->din[1].data;
    CHECK(!dt || a->kind != LOSS_BCE, "loss: BCE has no gradient for the target");
    PARALLEL_FOR
    for (size_t i = 0; i < broadcast_segments(&w); i++) {
        Segment s = broadcast_segment(&w, i);
        REAL slope[BROADCAST_SEGMENT];
        SLOPE[a->kind](slope, p + s.full, t + s.full, beta_of(a), s.count);
        for (int j = 0; j < s.count; j++) {
            REAL g = dy[s.full + (size_t)j] * weight_at(c, &w, &s, j) * slope[j];
            if (dp) kernel_put(dp + s.full + j, g, c->add[0]);
            if (dt) kernel_put(dt + s.full + j, -g, c->add[1]);
        }
    }
}
