/* project: points of the camera frame to pixels, one camera per person.  The camera's gradient is
 * not needed. */
#include "kernels/cuda.cuh"
#include "kernels/geom.h"

/* points: of each person. */
static __global__ void project_points(size_t count, size_t points, const REAL *__restrict__ p,
                                      const REAL *__restrict__ camera, REAL *__restrict__ pixel) {
    EACH(i, count) geom_project(p + 3 * i, camera + 3 * (i / points), pixel + 2 * i);
}

static __global__ void project_points_back(size_t count, size_t points, const REAL *__restrict__ p,
                                           const REAL *__restrict__ camera,
                                           const REAL *__restrict__ dpixel, REAL *__restrict__ dp,
                                           bool add) {
    EACH(i, count) {
        REAL g[3];
        geom_project_backward(p + 3 * i, camera + 3 * (i / points), dpixel + 2 * i, g);
        for (int k = 0; k < 3; k++) kernel_put(dp + 3 * i + k, g[k], add);
    }
}

void CUDA(project_forward)(const Call *c) {
    size_t points = (size_t)c->in[0].shape.h * (size_t)c->in[0].shape.w;
    LAUNCH_EACH(project_points, shape_size(c->in[0].shape) / 3, points, cuda_data(&c->in[0]),
                cuda_data(&c->in[1]), cuda_data(&c->out[0]));
}

void CUDA(project_backward)(const Call *c) {
    size_t points = (size_t)c->in[0].shape.h * (size_t)c->in[0].shape.w;
    LAUNCH_EACH(project_points_back, shape_size(c->in[0].shape) / 3, points, cuda_data(&c->in[0]),
                cuda_data(&c->in[1]), cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
