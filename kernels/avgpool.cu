/* avgpool: means of windows, padding counted. */
#include "kernels/pool.cuh"

template <int N> static __device__ void add_scaled(Pack<N> &sum, Pack<N> more, REAL scale) {
    for (int l = 0; l < N; l++) sum.v[l] += more.v[l] * scale;
}

template <int N>
static __global__ void avgpool_values(size_t count, Pool p, const REAL *__restrict__ x,
                                      REAL *__restrict__ y) {
    unsigned packs = (unsigned)p.c / N;
    REAL scale = 1 / (REAL)(p.k * p.k);
    EACH(i, count) {
        PoolPlace at = pool_place((unsigned)i, p.ho, p.wo, packs);
        PoolRange h = pool_inputs(&p, at.row, p.h), w = pool_inputs(&p, at.column, p.w);
        Pack<N> sum = {};
        for (int a = h.begin; a < h.end; a++)
            for (int b = w.begin; b < w.end; b++)
                add_scaled<N>(sum, pack_load<N>(x, pool_pack(at, p.h, p.w, packs, a, b)), scale);
        pack_put<N>(y, i, sum, false);
    }
}

template <int N>
static __global__ void avgpool_gradients(size_t count, Pool p, const REAL *__restrict__ dy,
                                         REAL *__restrict__ dx, bool add) {
    unsigned packs = (unsigned)p.c / N;
    REAL scale = 1 / (REAL)(p.k * p.k);
    EACH(i, count) {
        PoolPlace at = pool_place((unsigned)i, p.h, p.w, packs);
        PoolRange h = pool_windows(&p, at.row, p.ho), w = pool_windows(&p, at.column, p.wo);
        Pack<N> sum = {};
        for (int a = h.begin; a < h.end; a++)
            for (int b = w.begin; b < w.end; b++)
                add_scaled<N>(sum, pack_load<N>(dy, pool_pack(at, p.ho, p.wo, packs, a, b)), scale);
        pack_put<N>(dx, i, sum, add);
    }
}

void CUDA(avgpool_forward)(const Call *c) {
    Pool p = pool_describe((const PoolAttr *)c->attr, c->in[0].shape, c->out[0].shape);
    const REAL *x = cuda_data(&c->in[0]);
    REAL *y = cuda_data(&c->out[0]);
    unsigned size = cuda_small(shape_size(c->out[0].shape));
    LAUNCH_PACKS(cuda_fours((size_t)p.c, x, y), avgpool_values, size, p, x, y);
}

void CUDA(avgpool_backward)(const Call *c) {
    Pool p = pool_describe((const PoolAttr *)c->attr, c->in[0].shape, c->dout[0].shape);
    const REAL *dy = cuda_data(&c->dout[0]);
    REAL *dx = cuda_data(&c->din[0]);
    unsigned size = cuda_small(shape_size(c->din[0].shape));
    LAUNCH_PACKS(cuda_fours((size_t)p.c, dy, dx), avgpool_gradients, size, p, dy, dx, c->add[0]);
}
