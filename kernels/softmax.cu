/* softmax over c: y = exp(x - max) / sum; dx = y * (dy - <y, dy>); a warp for each row. */
#include "kernels/cuda.cuh"

enum { WARP = 32, WARPS = 4, WHOLE = ~0 };

/* The row of this thread's warp; its lane is threadIdx.x. */
static __device__ size_t own_row(void) { return (size_t)blockIdx.x * WARPS + threadIdx.y; }

static __device__ REAL warp_sum(REAL value) {
    for (int by = WARP / 2; by > 0; by /= 2) value += __shfl_xor_sync(WHOLE, value, by);
    return value;
}

static __device__ REAL warp_most(REAL value) {
    for (int by = WARP / 2; by > 0; by /= 2) value = fmax(value, __shfl_xor_sync(WHOLE, value, by));
    return value;
}

static __global__ void softmax_values(size_t rows, int c, const REAL *__restrict__ x,
                                      REAL *__restrict__ y) {
    size_t row = own_row();
    if (row >= rows) return;
    x += row * c, y += row * c;
    REAL top = -INFINITY, sum = 0;
    for (int k = threadIdx.x; k < c; k += WARP) top = fmax(top, x[k]);
    top = warp_most(top);
    for (int k = threadIdx.x; k < c; k += WARP) {
        y[k] = exp(x[k] - top);
        sum += y[k];
    }
    sum = warp_sum(sum);
    for (int k = threadIdx.x; k < c; k += WARP) y[k] /= sum;
}

static __global__ void softmax_gradients(size_t rows, int c, const REAL *__restrict__ y,
                                         const REAL *__restrict__ dy, REAL *__restrict__ dx,
                                         bool add) {
    size_t row = own_row();
    if (row >= rows) return;
    y += row * c, dy += row * c, dx += row * c;
    REAL sum = 0;
    for (int k = threadIdx.x; k < c; k += WARP) sum += y[k] * dy[k];
    sum = warp_sum(sum);
    for (int k = threadIdx.x; k < c; k += WARP) kernel_put(dx + k, y[k] * (dy[k] - sum), add);
}

static size_t rows_of(Shape s) { return (size_t)s.n * s.h * s.w; }

static unsigned blocks_of(size_t rows) { return cuda_small((rows + WARPS - 1) / WARPS); }

void CUDA(softmax_forward)(const Call *c) {
    Shape s = c->in[0].shape;
    size_t rows = rows_of(s);
    if (rows)
        LAUNCH(softmax_values, blocks_of(rows), dim3(WARP, WARPS), 0, rows, s.c,
               cuda_data(&c->in[0]), cuda_data(&c->out[0]));
}

void CUDA(softmax_backward)(const Call *c) {
    Shape s = c->in[0].shape;
    size_t rows = rows_of(s);
    if (rows)
        LAUNCH(softmax_gradients, blocks_of(rows), dim3(WARP, WARPS), 0, rows, s.c,
               cuda_data(&c->out[0]), cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
