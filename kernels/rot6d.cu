/* rot6d: six numbers to a rotation matrix. */
#include "kernels/cuda.cuh"
#include "kernels/geom.h"

static __global__ void rot6d_rows(size_t count, const REAL *__restrict__ x, REAL *__restrict__ y) {
    EACH(i, count) geom_rot6d(x + 6 * i, y + 9 * i);
}

static __global__ void rot6d_rows_back(size_t count, const REAL *__restrict__ x,
                                       const REAL *__restrict__ dy, REAL *__restrict__ dx,
                                       bool add) {
    EACH(i, count) {
        REAL g[6];
        geom_rot6d_backward(x + 6 * i, dy + 9 * i, g);
        for (int k = 0; k < 6; k++) kernel_put(dx + 6 * i + k, g[k], add);
    }
}

void CUDA(rot6d_forward)(const Call *c) {
    LAUNCH_EACH(rot6d_rows, shape_size(c->in[0].shape) / 6, cuda_data(&c->in[0]),
                cuda_data(&c->out[0]));
}

void CUDA(rot6d_backward)(const Call *c) {
    LAUNCH_EACH(rot6d_rows_back, shape_size(c->in[0].shape) / 6, cuda_data(&c->in[0]),
                cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
