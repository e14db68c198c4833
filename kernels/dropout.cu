#include "kernels/cuda.cuh"
extern "C" {
#include "tensor/rng.h"
}

/* seed: seed and step, whole numbers below 2^24, which change between replays. */
template <int N>
static __global__ void drop(size_t count, DropoutAttr a, const REAL *__restrict__ seed,
                            const REAL *__restrict__ from, REAL *__restrict__ to, bool add) {
    uint64_t stream = rng_stream_of(a.key, (uint64_t)seed[0]) + ((uint64_t)seed[1] << 32);
    REAL scale = 1 / (1 - a.p);
    EACH(i, count) {
        Pack<N> x = pack_load<N>(from, i);
        for (int l = 0; l < N; l++)
            x.v[l] = rng_uniform(stream, i * N + (unsigned)l) >= a.p ? x.v[l] * scale : 0;
        pack_put<N>(to, i, x, add);
    }
}

static void launch(const Call *c, const REAL *from, REAL *to, bool add) {
    size_t size = shape_size(c->in[0].shape);
    LAUNCH_PACKS(cuda_fours(size, from, to), drop, size, *(const DropoutAttr *)c->attr,
                 cuda_data(&c->in[1]), from, to, add);
}

void CUDA(dropout_forward)(const Call *c) {
    launch(c, cuda_data(&c->in[0]), cuda_data(&c->out[0]), false);
}

void CUDA(dropout_backward)(const Call *c) {
    launch(c, cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
