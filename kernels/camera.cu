/* camera: a crop's camera to the person's translation in the photo's camera frame. */
#include "kernels/cuda.cuh"
#include "kernels/geom.h"

static __global__ void camera_people(size_t count, const REAL *__restrict__ crop,
                                     const REAL *__restrict__ box, REAL *__restrict__ t) {
    EACH(i, count) geom_camera(crop + 3 * i, box + 6 * i, t + 3 * i);
}

static __global__ void camera_people_back(size_t count, const REAL *__restrict__ crop,
                                          const REAL *__restrict__ box, const REAL *__restrict__ dt,
                                          REAL *__restrict__ dcrop, bool add) {
    EACH(i, count) {
        REAL g[3];
        geom_camera_backward(crop + 3 * i, box + 6 * i, dt + 3 * i, g);
        for (int k = 0; k < 3; k++) kernel_put(dcrop + 3 * i + k, g[k], add);
    }
}

void CUDA(camera_forward)(const Call *c) {
    LAUNCH_EACH(camera_people, (size_t)c->in[0].shape.n, cuda_data(&c->in[0]), cuda_data(&c->in[1]),
                cuda_data(&c->out[0]));
}

void CUDA(camera_backward)(const Call *c) {
    LAUNCH_EACH(camera_people_back, (size_t)c->in[0].shape.n, cuda_data(&c->in[0]),
                cuda_data(&c->in[1]), cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
