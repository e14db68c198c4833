/* loss: the rows of loss.def, each element times its weight. */
#include "kernels/broadcast.cuh"

/* A row's value, or its derivative by p. */
static __device__ REAL row_of(LossAttr a, REAL p, REAL t, bool derivative) {
    REAL d = p - t, m = fabs(d), beta = a.beta;
    switch (a.kind) {
#define LOSS(NAME, value, slope) \
    case LOSS_##NAME:            \
        return derivative ? (slope) : (value);
#include "kernels/loss.def"
#undef LOSS
    }
    return 0;
}

/* Operand 0 of w is the weight, NULL if there is none. */
typedef struct {
    LossAttr a;
    Broadcast w;
    const REAL *prediction, *target, *weight;
} Loss;

static Loss describe(const Call *c) {
    const LossAttr *a = (const LossAttr *)c->attr;
    bool weighted = shape_size(c->in[2].shape) > 0;
    Loss loss = {*a, broadcast_make(c->in[0].shape, weighted, &c->in[2].shape),
                 cuda_data(&c->in[0]), cuda_data(&c->in[1]),
                 weighted ? cuda_data(&c->in[2]) : NULL};
    if (loss.a.beta == 0) loss.a.beta = 1;
    return loss;
}

static bool fours(const Loss *loss) {
    return cuda_fours((size_t)loss->w.size[3], loss->prediction, loss->target, loss->weight);
}

template <int N> static __global__ void loss_values(size_t count, Loss loss, REAL *__restrict__ y) {
    EACH(i, count) {
        Pack<N> p = pack_load<N>(loss.prediction, i), t = pack_load<N>(loss.target, i);
        Pack<N> weight = broadcast_load<N>(loss.w, 0, loss.weight, i);
        for (int l = 0; l < N; l++)
            p.v[l] = row_of(loss.a, p.v[l], t.v[l], false) * (loss.weight ? weight.v[l] : 1);
        pack_put<N>(y, i, p, false);
    }
}

/* dp and dt, either may be NULL. */
template <int N>
static __global__ void loss_gradients(size_t count, Loss loss, const REAL *__restrict__ dy,
                                      REAL *__restrict__ dp, bool add_p, REAL *__restrict__ dt,
                                      bool add_t) {
    EACH(i, count) {
        Pack<N> p = pack_load<N>(loss.prediction, i), t = pack_load<N>(loss.target, i);
        Pack<N> weight = broadcast_load<N>(loss.w, 0, loss.weight, i), d = pack_load<N>(dy, i);
        for (int l = 0; l < N; l++) {
            d.v[l] *= (loss.weight ? weight.v[l] : 1) * row_of(loss.a, p.v[l], t.v[l], true);
            t.v[l] = -d.v[l];
        }
        if (dp) pack_put<N>(dp, i, d, add_p);
        if (dt) pack_put<N>(dt, i, t, add_t);
    }
}

void CUDA(loss_forward)(const Call *c) {
    Loss loss = describe(c);
    REAL *y = cuda_data(&c->out[0]);
    unsigned size = cuda_small(shape_size(c->in[0].shape));
    LAUNCH_PACKS(fours(&loss) && cuda_fours(4, y), loss_values, size, loss, y);
}

void CUDA(loss_backward)(const Call *c) {
    Loss loss = describe(c);
    const REAL *dy = cuda_data(&c->dout[0]);
    REAL *dp = cuda_data(&c->din[0]), *dt = cuda_data(&c->din[1]);
    unsigned size = cuda_small(shape_size(c->in[0].shape));
    CHECK(!dt || loss.a.kind != LOSS_BCE, "loss: BCE has no gradient for the target");
    LAUNCH_PACKS(fours(&loss) && cuda_fours(4, dy, dp, dt), loss_gradients, size, loss, dy, dp,
                 c->add[0], dt, c->add[1]);
}
