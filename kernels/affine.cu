/* affine: crops of a photo under affine maps. */
#include "kernels/cuda.cuh"
#include "kernels/affine.h"

/* count pixels of crops [n,out_h,out_w,3]. */
static __global__ void affine_crops(size_t count, AffineSource s, const REAL *__restrict__ maps,
                                    const REAL *__restrict__ rectangles, REAL *__restrict__ out) {
    size_t width = (size_t)s.a.out_w, size = (size_t)s.a.out_h * width;
    EACH(i, count) {
        size_t crop = i / size, at = i % size;
        affine_pixel(&s, maps + 6 * crop, rectangles ? rectangles + 4 * crop : NULL,
                     (int)(at / width), (int)(at % width), out + 3 * i);
    }
}

void CUDA(affine_forward)(const Call *c) {
    LAUNCH_EACH(affine_crops, shape_size(c->out[0].shape) / 3, affine_source(c),
                cuda_data(&c->in[1]), cuda_data(&c->in[2]), cuda_data(&c->out[0]));
}
