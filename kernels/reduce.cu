/* reduce: sum, mean and standard deviation over axes; sums are made in double. */
#include "kernels/sum.cuh"

/* scale * sum of x; a deviation's second pass squares x - mean first and takes the root. */
struct Reduction {
    typedef double Value;
    const REAL *x;
    REAL *y;
    double scale;
    bool deviation; /* y holds the mean */

    __device__ double term(unsigned at, unsigned m) const {
        double d = deviation ? (double)x[at] - (double)y[m] : 0;
        return deviation ? d * d : (double)x[at];
    }
    __device__ void put(unsigned m, double sum) const {
        y[m] = (REAL)(deviation ? sqrt(scale * sum) : scale * sum);
    }
};

static __global__ void clear(size_t count, REAL *y) { EACH(i, count) y[i] = 0; }

static size_t reduced_count(Shape in, Shape out) {
    size_t kept = shape_size(out);
    return kept ? shape_size(in) / kept : 0;
}

void CUDA(reduce_forward)(const Call *c) {
    ReduceKind kind = ((const ReduceAttr *)c->attr)->kind;
    Shape in = c->in[0].shape, out = c->out[0].shape;
    Broadcast w = broadcast_make(in, 1, &out);
    size_t count = reduced_count(in, out);
    Reduction job = {cuda_data(&c->in[0]), cuda_data(&c->out[0]), 1, false};
    cuda_small(shape_size(in));
    if (kind == REDUCE_STD && count < 2) {
        LAUNCH_EACH(clear, shape_size(out), job.y);
        return;
    }
    if (kind != REDUCE_SUM && count) job.scale = 1 / (double)count;
    sum_launch(&w, 0, job);
    if (kind != REDUCE_STD) return;
    job.scale = 1 / (double)(count - 1), job.deviation = true;
    sum_launch(&w, 0, job);
}

template <int N>
static __global__ void spread(size_t count, Broadcast w, const REAL *__restrict__ dy, REAL scale,
                              REAL *__restrict__ dx, bool add) {
    EACH(i, count) {
        Pack<N> d = broadcast_load<N>(w, 0, dy, i);
        for (int l = 0; l < N; l++) d.v[l] *= scale;
        pack_put<N>(dx, i, d, add);
    }
}

/* dx = dy (x - mean) / ((count-1) y); the mean is made again. */
static __global__ void deviation_gradients(Sum s, Reduction job, const REAL *dy, REAL *dx,
                                           bool add) {
    SumPlace p = sum_place(s);
    unsigned m = blockIdx.x * s.wide + p.column;
    double mean = sum_column(s.wide, s.deep, p, sum_rows(s, job, p, m, 0, s.rows)) / s.rows;
    if (m >= s.outputs) return;
    double deviation = job.y[m], scale = deviation > 0 ? dy[m] / ((s.rows - 1) * deviation) : 0;
    unsigned begin = sum_walk(s.kept, m);
    for (unsigned row = p.row; row < s.rows; row += s.deep) {
        unsigned at = begin + sum_walk(s.summed, row);
        kernel_put(dx + at, (REAL)(scale * ((double)job.x[at] - mean)), add);
    }
}

static void deviation_backward(const Call *c, const Broadcast *w) {
    Sum s = sum_make(w, 0);
    Reduction job = {cuda_data(&c->in[0]), cuda_data(&c->out[0]), 1, false};
    s.parts = 1;
    if (s.outputs)
        LAUNCH(deviation_gradients, sum_grid(&s), SUM_THREADS, 0, s, job, cuda_data(&c->dout[0]),
               cuda_data(&c->din[0]), c->add[0]);
}

void CUDA(reduce_backward)(const Call *c) {
    ReduceKind kind = ((const ReduceAttr *)c->attr)->kind;
    Shape in = c->din[0].shape, out = c->dout[0].shape;
    Broadcast w = broadcast_make(in, 1, &out);
    const REAL *dy = cuda_data(&c->dout[0]);
    REAL *dx = cuda_data(&c->din[0]);
    size_t size = cuda_small(shape_size(in)), count = reduced_count(in, out);
    REAL scale = kind == REDUCE_MEAN && count ? (REAL)(1 / (double)count) : 1;
    if (kind != REDUCE_STD)
        LAUNCH_PACKS(cuda_fours((size_t)w.size[3], dy, dx), spread, size, w, dy, scale, dx,
                     c->add[0]);
    else if (count > 1)
        deviation_backward(c, &w);
    else if (!c->add[0])
        LAUNCH_EACH(clear, size, dx);
}
