/* unary: the rows of unary.def, four numbers a thread where that is possible. */
#include "kernels/cuda.cuh"

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
static __global__ void unary_values(size_t count, UnaryAttr a, const REAL *__restrict__ x,
                                    REAL *__restrict__ y) {
    EACH(i, count) {
        Pack<N> from = pack_load<N>(x, i);
        for (int l = 0; l < N; l++) from.v[l] = value_of(a.kind, from.v[l], a.p);
        pack_put<N>(y, i, from, false);
    }
}

template <int N>
static __global__ void unary_slopes(size_t count, UnaryAttr a, const REAL *__restrict__ dy,
                                    const REAL *__restrict__ x, const REAL *__restrict__ y,
                                    REAL *__restrict__ dx, bool add) {
    EACH(i, count) {
        Pack<N> in = pack_load<N>(x, i), out = pack_load<N>(y, i), d = pack_load<N>(dy, i);
        for (int l = 0; l < N; l++) d.v[l] *= slope_of(a.kind, in.v[l], out.v[l], a.p);
        pack_put<N>(dx, i, d, add);
    }
}

void CUDA(unary_forward)(const Call *c) {
    size_t size = shape_size(c->in[0].shape);
    const REAL *x = cuda_data(&c->in[0]);
    REAL *y = cuda_data(&c->out[0]);
    LAUNCH_PACKS(cuda_fours(size, x, y), unary_values, size, *(const UnaryAttr *)c->attr, x, y);
}

void CUDA(unary_backward)(const Call *c) {
    size_t size = shape_size(c->dout[0].shape);
    const REAL *x = cuda_data(&c->in[0]), *y = cuda_data(&c->out[0]), *dy = cuda_data(&c->dout[0]);
    REAL *dx = cuda_data(&c->din[0]);
    if (!x) x = dy; /* this slope does not read it: anything of its size stands in */
    if (!y) y = dy;
    LAUNCH_PACKS(cuda_fours(size, x, y, dy, dx), unary_slopes, size, *(const UnaryAttr *)c->attr,
                 dy, x, y, dx, c->add[0]);
}
