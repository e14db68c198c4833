/* avgpool: means of windows, padding counted. */
#include "kernels/pixel.cuh"
extern "C" {
#include "kernels/pool.h"
}

static __device__ PoolRange reach(const Pool *p, int at, int size, bool back) {
    return back ? pool_windows(p, at, size) : pool_inputs(p, at, size);
}

/* Backward is the same sum with the two sides exchanged: over the windows that hold an input, in
 * place of a window's inputs. */
template <int N>
static __global__ void avgpool_sums(size_t count, Pool p, bool back, const REAL *__restrict__ from,
                                    REAL *__restrict__ to, bool add) {
    unsigned packs = (unsigned)p.c / N;
    int rows = back ? p.h : p.ho, columns = back ? p.w : p.wo;
    int from_rows = back ? p.ho : p.h, from_columns = back ? p.wo : p.w;
    REAL scale = 1 / (REAL)(p.k * p.k);
    EACH(i, count) {
        Pixel at = pixel_at((unsigned)i, rows, columns, packs);
        PoolRange h = reach(&p, at.row, from_rows, back);
        PoolRange w = reach(&p, at.column, from_columns, back);
        Pack<N> sum = {};
        for (int a = h.begin; a < h.end; a++)
            for (int b = w.begin; b < w.end; b++)
                add_scaled<N>(
                    sum, pack_load<N>(from, pixel_pack(at, from_rows, from_columns, packs, a, b)),
                    scale);
        pack_put<N>(to, i, sum, add);
    }
}

static void sum_windows(const Call *c, const Tensor *x, const Tensor *y, bool back) {
    Pool p = pool_describe((const PoolAttr *)c->attr, x->shape, y->shape);
    const Tensor *made = back ? x : y;
    const REAL *from = cuda_data(back ? y : x);
    REAL *to = cuda_data(made);
    unsigned size = cuda_small(shape_size(made->shape));
    LAUNCH_PACKS(cuda_fours((size_t)p.c, from, to), avgpool_sums, size, p, back, from, to,
                 back && c->add[0]);
}

void CUDA(avgpool_forward)(const Call *c) { sum_windows(c, &c->in[0], &c->out[0], false); }
void CUDA(avgpool_backward)(const Call *c) { sum_windows(c, &c->din[0], &c->dout[0], true); }
