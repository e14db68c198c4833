/* What maxpool and avgpool share on the device: whose turn it is. */
#ifndef KERNELS_POOL_CUH
#define KERNELS_POOL_CUH

#include "kernels/cuda.cuh"
extern "C" {
#include "kernels/pool.h"
}

/* Pack i of [n,h,w,packs]. */
typedef struct {
    int image, row, column;
    unsigned k;
} PoolPlace;

static inline __device__ PoolPlace pool_place(unsigned i, int h, int w, unsigned packs) {
    unsigned pixel = i / packs, line = pixel / (unsigned)w;
    PoolPlace p = {(int)(line / (unsigned)h), (int)(line % (unsigned)h), (int)(pixel % (unsigned)w),
                   i % packs};
    return p;
}

/* The way back: pack `k` of pixel (row, column) of an image of h x w pixels. */
static inline __device__ size_t pool_pack(const PoolPlace &p, int h, int w, unsigned packs, int row,
                                          int column) {
    return (((size_t)p.image * h + row) * w + column) * packs + p.k;
}

#endif
