/* maxpool: an input gathers the gradients of those windows whose maximum it is. */
#include "kernels/pixel.cuh"
#include "kernels/stored.cuh"
extern "C" {
#include "kernels/pool.h"
}

template <int N> static __global__ void maxpool_values(size_t count, Pool p, Stored x, Stored y) {
    unsigned packs = (unsigned)p.c / N;
    EACH(i, count) {
        Pixel at = pixel_at((unsigned)i, p.ho, p.wo, packs);
        PoolRange h = pool_inputs(&p, at.row, p.h), w = pool_inputs(&p, at.column, p.w);
        Pack<N> most = stored_load<N>(x, pixel_pack(at, p.h, p.w, packs, h.begin, w.begin));
        for (int a = h.begin; a < h.end; a++)
            for (int b = w.begin; b < w.end; b++) {
                Pack<N> value = stored_load<N>(x, pixel_pack(at, p.h, p.w, packs, a, b));
                for (int l = 0; l < N; l++)
                    most.v[l] =
                        value.v[l] <= most.v[l] || most.v[l] != most.v[l] ? most.v[l] : value.v[l];
            }
        stored_put<N>(y, i, most, false);
    }
}

/* Does no position of window (row, column) before that of `at`, in row-major order, hold `most`? */
static __device__ bool is_first(const Pool &p, const Pixel &at, int row, int column, Stored x,
                                REAL most) {
    PoolRange h = pool_inputs(&p, row, p.h), w = pool_inputs(&p, column, p.w);
    for (int a = h.begin; a <= at.row; a++)
        for (int b = w.begin; b < (a < at.row ? w.end : at.column); b++)
            if (stored_get(x, pixel_pack(at, p.h, p.w, (unsigned)p.c, a, b)) == most) return false;
    return true;
}

static __global__ void maxpool_gradients(size_t count, Pool p, Stored x, Stored y, Stored dy,
                                         Stored dx, bool add) {
    EACH(i, count) {
        Pixel at = pixel_at((unsigned)i, p.h, p.w, (unsigned)p.c);
        PoolRange h = pool_windows(&p, at.row, p.ho), w = pool_windows(&p, at.column, p.wo);
        REAL value = stored_get(x, i), sum = 0;
        for (int a = h.begin; a < h.end; a++)
            for (int b = w.begin; b < w.end; b++) {
                size_t window = pixel_pack(at, p.ho, p.wo, (unsigned)p.c, a, b);
                if (value == stored_get(y, window) && is_first(p, at, a, b, x, value))
                    sum += stored_get(dy, window);
            }
        stored_put_one(dx, i, sum, add);
    }
}

void CUDA(maxpool_forward)(const Call *c) {
    Pool p = pool_describe((const PoolAttr *)c->attr, c->in[0].shape, c->out[0].shape);
    Stored x = stored_of(&c->in[0]), y = stored_of(&c->out[0]);
    unsigned size = cuda_small(shape_size(c->out[0].shape));
    LAUNCH_PACKS(stored_fours((size_t)p.c, x, y), maxpool_values, size, p, x, y);
}

void CUDA(maxpool_backward)(const Call *c) {
    Pool p = pool_describe((const PoolAttr *)c->attr, c->in[0].shape, c->dout[0].shape);
    LAUNCH_EACH(maxpool_gradients, cuda_small(shape_size(c->din[0].shape)), p, stored_of(&c->in[0]),
                stored_of(&c->out[0]), stored_of(&c->dout[0]), stored_of(&c->din[0]), c->add[0]);
}
