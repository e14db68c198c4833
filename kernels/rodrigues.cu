/* rodrigues: axis-angle to a rotation matrix. */
#include "kernels/cuda.cuh"
#include "kernels/geom.h"

static __global__ void rodrigues_rows(size_t count, const REAL *__restrict__ x,
                                      REAL *__restrict__ y) {
    EACH(i, count) geom_rodrigues(x + 3 * i, y + 9 * i);
}

static __global__ void rodrigues_rows_back(size_t count, const REAL *__restrict__ x,
                                           const REAL *__restrict__ dy, REAL *__restrict__ dx,
                                           bool add) {
    EACH(i, count) {
        REAL g[3];
        geom_rodrigues_backward(x + 3 * i, dy + 9 * i, g);
        for (int k = 0; k < 3; k++) kernel_put(dx + 3 * i + k, g[k], add);
    }
}

void CUDA(rodrigues_forward)(const Call *c) {
    LAUNCH_EACH(rodrigues_rows, shape_size(c->in[0].shape) / 3, cuda_data(&c->in[0]),
                cuda_data(&c->out[0]));
}

void CUDA(rodrigues_backward)(const Call *c) {
    LAUNCH_EACH(rodrigues_rows_back, shape_size(c->in[0].shape) / 3, cuda_data(&c->in[0]),
                cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
