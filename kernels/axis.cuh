/* Rows of numbers that move: what concat and slice are made of (axis.h on the device). */
#ifndef KERNELS_AXIS_CUH
#define KERNELS_AXIS_CUH

#include "kernels/stored.cuh"
extern "C" {
#include "kernels/axis.h"
}

/* `size` packs of each row move; the steps, in packs, lead from one row to the next. */
template <int N>
static __global__ void axis_rows(size_t count, Stored to, size_t to_step, Stored from,
                                 size_t from_step, unsigned size, bool add) {
    EACH(i, count) {
        size_t row = (unsigned)i / size, at = (unsigned)i % size;
        stored_put<N>(to, row * to_step + at, stored_load<N>(from, row * from_step + at), add);
    }
}

/* Copies `rows` rows of `size` numbers, or adds them to what is there. */
static inline void axis_launch(Stored to, size_t to_step, Stored from, size_t from_step,
                               size_t rows, size_t size, bool add) {
    unsigned count = cuda_small(rows * size), n = (unsigned)size;
    if (stored_fours(size | to_step | from_step, to, from))
        LAUNCH_EACH(axis_rows<4>, count / 4, to, to_step / 4, from, from_step / 4, n / 4, add);
    else
        LAUNCH_EACH(axis_rows<1>, count, to, to_step, from, from_step, n, add);
}

#endif
