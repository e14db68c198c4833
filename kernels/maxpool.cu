/* maxpool: an input gathers the gradients of those windows whose maximum it is. */
#include "kernels/pool.cuh"

template <int N>
static __global__ void maxpool_values(size_t count, Pool p, const REAL *__restrict__ x,
                                      REAL *__restrict__ y) {
    unsigned packs = (unsigned)p.c / N;
    EACH(i, count) {
        PoolPlace at = pool_place((unsigned)i, p.ho, p.wo, packs);
        PoolRange h = pool_inputs(&p, at.row, p.h), w = pool_inputs(&p, at.column, p.w);
        Pack<N> most = pack_load<N>(x, pool_pack(at, p.h, p.w, packs, h.begin, w.begin));
        for (int a = h.begin; a < h.end; a++)
            for (int b = w.begin; b < w.end; b++) {
                Pack<N> value = pack_load<N>(x, pool_pack(at, p.h, p.w, packs, a, b));
                for (int l = 0; l < N; l++)
                    most.v[l] = value.v[l] > most.v[l] ? value.v[l] : most.v[l];
            }
        pack_put<N>(y, i, most, false);
    }
}

/* Does no position of window (row, column) before that of `at`, in row-major order, hold `most`? */
static __device__ bool is_first(const Pool &p, const PoolPlace &at, int row, int column,
                                const REAL *x, REAL most) {
    PoolRange h = pool_inputs(&p, row, p.h), w = pool_inputs(&p, column, p.w);
    for (int a = h.begin; a <= at.row; a++)
        for (int b = w.begin; b < (a < at.row ? w.end : at.column); b++)
            if (x[pool_pack(at, p.h, p.w, (unsigned)p.c, a, b)] == most) return false;
    return true;
}

static __global__ void maxpool_gradients(size_t count, Pool p, const REAL *__restrict__ x,
                                         const REAL *__restrict__ y, const REAL *__restrict__ dy,
                                         REAL *__restrict__ dx, bool add) {
    EACH(i, count) {
        PoolPlace at = pool_place((unsigned)i, p.h, p.w, (unsigned)p.c);
        PoolRange h = pool_windows(&p, at.row, p.ho), w = pool_windows(&p, at.column, p.wo);
        REAL value = x[i], sum = 0;
        for (int a = h.begin; a < h.end; a++)
            for (int b = w.begin; b < w.end; b++) {
                size_t window = pool_pack(at, p.ho, p.wo, (unsigned)p.c, a, b);
                if (value == y[window] && is_first(p, at, a, b, x, value)) sum += dy[window];
            }
        kernel_put(dx + i, sum, add);
    }
}

void CUDA(maxpool_forward)(const Call *c) {
    Pool p = pool_describe((const PoolAttr *)c->attr, c->in[0].shape, c->out[0].shape);
    const REAL *x = cuda_data(&c->in[0]);
    REAL *y = cuda_data(&c->out[0]);
    unsigned size = cuda_small(shape_size(c->out[0].shape));
    LAUNCH_PACKS(cuda_fours((size_t)p.c, x, y), maxpool_values, size, p, x, y);
}

void CUDA(maxpool_backward)(const Call *c) {
    Pool p = pool_describe((const PoolAttr *)c->attr, c->in[0].shape, c->dout[0].shape);
    LAUNCH_EACH(maxpool_gradients, cuda_small(shape_size(c->din[0].shape)), p, cuda_data(&c->in[0]),
                cuda_data(&c->out[0]), cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
