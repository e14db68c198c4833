/* Kernels of backend `cuda` broken on purpose, to see that their emulation notices; see broken.c.
 */
#include "kernels/cuda.cuh"
extern "C" {
#include "tests/broken/choose.h"
}

/* Changes nothing, if a __syncthreads stood where the empty line is: each number passes through its
 * neighbour's hands. */
static __global__ void exchange_numbers(unsigned size, REAL *y) {
    __shared__ REAL numbers[EACH_THREADS];
    unsigned own = threadIdx.x, other = own ^ 1;
    if (other < size) numbers[other] = y[other];

    if (own < size) y[own] = numbers[own];
}

static void synchronisation_forgotten(Kernel *real, const Call *c) {
    size_t size = shape_size(c->out[0].shape);
    real(c);
    LAUNCH(exchange_numbers, 1, EACH_THREADS, 0,
           size < EACH_THREADS ? (unsigned)size : (unsigned)EACH_THREADS, cuda_data(&c->out[0]));
}

/* The last thread goes one too far. */
static __global__ void clear_behind(size_t count, REAL *y) {
    EACH(i, count) if (i + 1 == count) y[count] = 0;
}

static void one_behind_the_end(Kernel *real, const Call *c) {
    real(c);
    LAUNCH_EACH(clear_behind, shape_size(c->out[0].shape), cuda_data(&c->out[0]));
}

extern "C" {
// clang-format off
BREAK(softmax_forward_cuda, synchronisation_forgotten)
BREAK(unary_forward_cuda, one_behind_the_end)
}
