#include "kernels/kernel.h"
#include "tensor/rng.h"

/* The mask's random stream at this step; seed and step are whole numbers below 2^24. */
static uint64_t stream(const Call *c) {
    const DropoutAttr *a = c->attr;
    const REAL *seed = c->in[1].data;
    return rng_stream_of(a->key, (uint64_t)seed[0]) + ((uint64_t)seed[1] << 32);
}

static void drop(const Call *c, const REAL *from, REAL *to, bool add) {
    const DropoutAttr *a = c->attr;
    uint64_t s = stream(c);
    REAL scale = 1 / (1 - (REAL)a->p);
    size_t size = shape_size(c->in[0].shape);
    PARALLEL_FOR
    for (size_t i = 0; i < size; i++)
        kernel_put(to + i, rng_uniform(s, i) >= a->p ? from[i] * scale : 0, add);
}

void KERNEL(dropout_forward)(const Call *c) { drop(c, c->in[0].data, c->out[0].data, false); }

void KERNEL(dropout_backward)(const Call *c) {
    drop(c, c->dout[0].data, c->din[0].data, c->add[0]);
}
