/* boxdecode: YOLOX's raw rows to boxes in input pixels. */
#include "kernels/cuda.cuh"
#include "kernels/box.h"

/* count numbers of [n,a,1,columns]. */
static __global__ void decode(size_t count, BoxdecodeAttr a, int anchors, int columns,
                              const REAL *__restrict__ x, REAL *__restrict__ y) {
    EACH(i, count) {
        size_t row = i / (size_t)columns;
        BoxAnchor at = box_anchor(&a, (int)(row % (size_t)anchors));
        y[i] = box_decode(&at, (int)(i - row * (size_t)columns), x[i]);
    }
}

static __global__ void decode_back(size_t count, BoxdecodeAttr a, int anchors, int columns,
                                   const REAL *__restrict__ y, const REAL *__restrict__ dy,
                                   REAL *__restrict__ dx, bool add) {
    EACH(i, count) {
        size_t row = i / (size_t)columns;
        BoxAnchor at = box_anchor(&a, (int)(row % (size_t)anchors));
        REAL slope = box_slope(&at, (int)(i - row * (size_t)columns), y[i]);
        kernel_put(dx + i, dy[i] * slope, add);
    }
}

void CUDA(boxdecode_forward)(const Call *c) {
    Shape s = c->in[0].shape;
    LAUNCH_EACH(decode, shape_size(s), *(const BoxdecodeAttr *)c->attr, s.h, s.c,
                cuda_data(&c->in[0]), cuda_data(&c->out[0]));
}

void CUDA(boxdecode_backward)(const Call *c) {
    Shape s = c->dout[0].shape;
    LAUNCH_EACH(decode_back, shape_size(s), *(const BoxdecodeAttr *)c->attr, s.h, s.c,
                cuda_data(&c->out[0]), cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
