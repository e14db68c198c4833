/* Pixels of maps on the device: whose turn it is, and where its neighbours lie. */
#ifndef KERNELS_PIXEL_CUH
#define KERNELS_PIXEL_CUH

#include "kernels/cuda.cuh"

/* A pack of [n,h,w,packs]. */
typedef struct {
    int image, row, column;
    unsigned k;
} Pixel;

/* Pack i. */
static inline __device__ Pixel pixel_at(unsigned i, int h, int w, unsigned packs) {
    unsigned pixel = i / packs, line = pixel / (unsigned)w;
    Pixel p = {(int)(line / (unsigned)h), (int)(line % (unsigned)h), (int)(pixel % (unsigned)w),
               i % packs};
    return p;
}

/* The way back: the same pack of pixel (row, column) of the same image, of h x w pixels. */
static inline __device__ size_t pixel_pack(const Pixel &p, int h, int w, unsigned packs, int row,
                                           int column) {
    return (((size_t)p.image * h + row) * w + column) * packs + p.k;
}

template <int N> static inline __device__ void add_scaled(Pack<N> &sum, Pack<N> more, REAL scale) {
    for (int l = 0; l < N; l++) sum.v[l] += scale * more.v[l];
}

#endif
