/* axisangle: rotation matrix to axis-angle. */
#include "kernels/cuda.cuh"
#include "kernels/geom.h"

static __global__ void axisangle_rows(size_t count, const REAL *__restrict__ x,
                                      const REAL *__restrict__ near, REAL *__restrict__ y) {
    EACH(i, count) geom_axisangle(x + 9 * i, near ? near + 3 * i : NULL, y + 3 * i);
}

static __global__ void axisangle_rows_back(size_t count, const REAL *__restrict__ x,
                                           const REAL *__restrict__ near,
                                           const REAL *__restrict__ dy, REAL *__restrict__ dx,
                                           bool add) {
    EACH(i, count) {
        REAL g[9];
        geom_axisangle_backward(x + 9 * i, near ? near + 3 * i : NULL, dy + 3 * i, g);
        for (int k = 0; k < 9; k++) kernel_put(dx + 9 * i + k, g[k], add);
    }
}

void CUDA(axisangle_forward)(const Call *c) {
    LAUNCH_EACH(axisangle_rows, shape_size(c->in[0].shape) / 9, cuda_data(&c->in[0]),
                cuda_data(&c->in[1]), cuda_data(&c->out[0]));
}

void CUDA(axisangle_backward)(const Call *c) {
    LAUNCH_EACH(axisangle_rows_back, shape_size(c->in[0].shape) / 9, cuda_data(&c->in[0]),
                cuda_data(&c->in[1]), cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
