/* focus: each 2x2 block of pixels becomes one pixel: top-left, bottom-left, top-right,
 * bottom-right. */
#include "kernels/cuda.cuh"

/* Where number i of the output is in the input, w x c numbers a row. */
static __device__ size_t source(unsigned w, unsigned c, unsigned i) {
    unsigned k = i % c, q = i / c % 4, pixel = i / c / 4;
    unsigned column = pixel % (w / 2), row = pixel / (w / 2);
    return (((size_t)row * 2 + q % 2) * w + column * 2 + q / 2) * c + k;
}

static __global__ void focus_values(size_t count, unsigned w, unsigned c,
                                    const REAL *__restrict__ x, REAL *__restrict__ y) {
    EACH(i, count) y[i] = x[source(w, c, (unsigned)i)];
}

static __global__ void focus_gradients(size_t count, unsigned w, unsigned c,
                                       const REAL *__restrict__ dy, REAL *__restrict__ dx,
                                       bool add) {
    EACH(i, count) kernel_put(dx + source(w, c, (unsigned)i), dy[i], add);
}

void CUDA(focus_forward)(const Call *c) {
    Shape x = c->in[0].shape;
    LAUNCH_EACH(focus_values, cuda_small(shape_size(x)), (unsigned)x.w, (unsigned)x.c,
                cuda_data(&c->in[0]), cuda_data(&c->out[0]));
}

void CUDA(focus_backward)(const Call *c) {
    Shape x = c->din[0].shape;
    LAUNCH_EACH(focus_gradients, cuda_small(shape_size(x)), (unsigned)x.w, (unsigned)x.c,
                cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
