/* shuffle: out[y*r+i][x*r+j][k] = in[y][x][k*r*r + i*r + j].  Threads follow the input, whose
 * neighbours go to r*r pixels, so that whole sectors are read and written on both sides. */
#include "kernels/cuda.cuh"

/* Of the input; its lines are those of all images. */
typedef struct {
    unsigned r, w, c;
} Shuffle;

static Shuffle describe(const Call *c, Shape x) {
    Shuffle s = {(unsigned)((const ShuffleAttr *)c->attr)->r, (unsigned)x.w, (unsigned)x.c};
    return s;
}

/* Where number i of the input is in the output. */
static __device__ size_t target(const Shuffle &s, unsigned i) {
    unsigned channel = i % s.c, pixel = i / s.c, block = s.r * s.r;
    unsigned k = channel / block, q = channel % block, column = pixel % s.w, line = pixel / s.w;
    size_t row = (size_t)line * s.r + q / s.r;
    return ((row * s.w + column) * s.r + q % s.r) * (s.c / block) + k;
}

static __global__ void shuffle_values(size_t count, Shuffle s, const REAL *__restrict__ x,
                                      REAL *__restrict__ y) {
    EACH(i, count) y[target(s, (unsigned)i)] = x[i];
}

static __global__ void shuffle_gradients(size_t count, Shuffle s, const REAL *__restrict__ dy,
                                         REAL *__restrict__ dx, bool add) {
    EACH(i, count) kernel_put(dx + i, dy[target(s, (unsigned)i)], add);
}

void CUDA(shuffle_forward)(const Call *c) {
    Shape x = c->in[0].shape;
    LAUNCH_EACH(shuffle_values, cuda_small(shape_size(x)), describe(c, x), cuda_data(&c->in[0]),
                cuda_data(&c->out[0]));
}

void CUDA(shuffle_backward)(const Call *c) {
    Shape x = c->din[0].shape;
    LAUNCH_EACH(shuffle_gradients, cuda_small(shape_size(x)), describe(c, x),
                cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
