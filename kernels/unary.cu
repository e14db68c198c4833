/* unary: the rows of unary.def, four numbers a thread where that is possible. */
#include "kernels/stored.cuh"

static __device__ REAL value_of(UnaryKind kind, REAL x, REAL p) {
    switch (kind) {
#define UNARY(NAME, reads, value, slope) \
    case UNARY_##NAME:                   \
        return value;
#include "kernels/unary.def"
#undef UNARY
    case UNARY_COUNT: break;
    }
    return x;
}

static __device__ REAL slope_of(UnaryKind kind, REAL x, REAL y, REAL p) {
    switch (kind) {
#define UNARY(NAME, reads, value, slope) \
    case UNARY_##NAME:                   \
        return slope;
#include "kernels/unary.def"
#undef UNARY
    case UNARY_COUNT: break;
    }
    return y;
}

template <int N>
static __global__ void unary_values(size_t count, UnaryAttr a, Stored x, Stored y) {
    EACH(i, count) {
        Pack<N> from = stored_load<N>(x, i);
        for (int l = 0; l < N; l++) from.v[l] = value_of(a.kind, from.v[l], a.p);
        stored_put<N>(y, i, from, false);
    }
}

template <int N>
static __global__ void unary_slopes(size_t count, UnaryAttr a, Stored dy, Stored x, Stored y,
                                    Stored dx, bool add) {
    EACH(i, count) {
        Pack<N> in = stored_load<N>(x, i), out = stored_load<N>(y, i), d = stored_load<N>(dy, i);
        for (int l = 0; l < N; l++) d.v[l] *= slope_of(a.kind, in.v[l], out.v[l], a.p);
        stored_put<N>(dx, i, d, add);
    }
}

void CUDA(unary_forward)(const Call *c) {
    size_t size = shape_size(c->in[0].shape);
    Stored x = stored_of(&c->in[0]), y = stored_of(&c->out[0]);
    LAUNCH_PACKS(stored_fours(size, x, y), unary_values, size, *(const UnaryAttr *)c->attr, x, y);
}

/* What a slope does not read is absent: zeros stand in. */
void CUDA(unary_backward)(const Call *c) {
    size_t size = shape_size(c->dout[0].shape);
    Stored x = stored_of(&c->in[0]), y = stored_of(&c->out[0]);
    Stored dy = stored_of(&c->dout[0]), dx = stored_of(&c->din[0]);
    LAUNCH_PACKS(stored_fours(size, x, y, dy, dx), unary_slopes, size, *(const UnaryAttr *)c->attr,
                 dy, x, y, dx, c->add[0]);
}
