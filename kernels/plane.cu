/* plane: the normal of the plane near some points, by one block. */
#include "kernels/plane.h"
#include "kernels/sum.cuh"

/* The sum over the block's threads, in each of them. */
static __device__ double total(double value) {
    double sum = sum_block(value);
    __syncthreads();
    return sum;
}

static __global__ void plane_of_points(int n, const REAL *__restrict__ p,
                                       const REAL *__restrict__ axis, double prior,
                                       REAL *__restrict__ normal) {
    PlaneSums s = {};
    for (int i = (int)threadIdx.x; i < n; i += SUM_THREADS)
        plane_sum_point(&s, p[3 * i], p[3 * i + 1], p[3 * i + 2]);
    s.count = n;
    for (int k = 0; k < 3; k++) s.point[k] = total(s.point[k]);
    for (int i = (int)threadIdx.x; i < n; i += SUM_THREADS)
        plane_sum_square(&s, p[3 * i], p[3 * i + 1], p[3 * i + 2]);
    for (int k = 0; k < 6; k++) s.square[k] = total(s.square[k]);
    if (threadIdx.x) return;
    double up[3] = {axis[0], axis[1], axis[2]}, found[3];
    plane_normal(&s, up, prior, found);
    for (int k = 0; k < 3; k++) normal[k] = (REAL)found[k];
}

void CUDA(plane_forward)(const Call *c) {
    LAUNCH(plane_of_points, 1, SUM_THREADS, 0, c->in[0].shape.n, cuda_data(&c->in[0]),
           cuda_data(&c->in[1]), (double)((const PlaneAttr *)c->attr)->prior,
           cuda_data(&c->out[0]));
}
