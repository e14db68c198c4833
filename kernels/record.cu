/* record: scalars of a step to their row of a history, in place; one warp. */
#include "kernels/cuda.cuh"
#include "kernels/update.h"

typedef struct {
    const REAL *value[RECORD_MAX];
} Scalars;

static __global__ void record_row(Scalars from, int count, int rows, REAL *cursor, REAL *history) {
    int i = (int)threadIdx.x;
    if (i < count) history[update_row(cursor, rows) * (size_t)count + (size_t)i] = *from.value[i];
    __syncthreads();
    if (i == 0) *cursor += 1;
}

void CUDA(record_forward)(const Call *c) {
    Shape history = c->in[1].shape;
    Scalars from = {};
    for (int i = 0; i < RECORD_MAX; i++) from.value[i] = cuda_data(&c->in[RECORD_FIRST + i]);
    LAUNCH(record_row, 1, 32, 0, from, history.c, history.n, cuda_data(&c->in[0]),
           cuda_data(&c->in[1]));
}
