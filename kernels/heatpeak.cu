/* heatpeak: where each joint's heatmap is largest.  One block per image and warp of joints; its
 * rows of threads share the pixels, so that a warp reads numbers that lie together. */
#include "kernels/cuda.cuh"
#include "kernels/heatpeak.h"

enum { WARP = 32, ROWS = 16 };

static __global__ void heatpeak_values(HeatpeakAttr a, Shape s, const REAL *__restrict__ heat,
                                       REAL *__restrict__ out) {
    __shared__ HeatPeak found[ROWS][WARP];
    int joint = (int)(blockIdx.y * WARP + threadIdx.x), row = (int)threadIdx.y;
    const REAL *map = heat + (size_t)blockIdx.x * (size_t)(s.h * s.w) * (size_t)s.c + joint;
    HeatPeak best = heatpeak_none();
    for (int k = row; joint < s.c && k < s.h * s.w; k += ROWS)
        best = heatpeak_larger(best, {map[(size_t)k * (size_t)s.c], k});
    found[row][threadIdx.x] = best;
    __syncthreads();
    if (row || joint >= s.c) return;
    for (int k = 1; k < ROWS; k++) best = heatpeak_larger(best, found[k][threadIdx.x]);
    size_t at = (size_t)blockIdx.x * (size_t)s.c + (size_t)joint;
    heatpeak_row(&a, map, s.h, s.w, s.c, best, out + 3 * at);
}

void CUDA(heatpeak_forward)(const Call *c) {
    Shape s = c->in[0].shape;
    dim3 blocks((unsigned)s.n, (unsigned)(s.c + WARP - 1) / WARP);
    if (s.n && s.c)
        LAUNCH(heatpeak_values, blocks, dim3(WARP, ROWS), 0, *(const HeatpeakAttr *)c->attr, s,
               cuda_data(&c->in[0]), cuda_data(&c->out[0]));
}
