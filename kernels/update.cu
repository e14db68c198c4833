/* update: the optimisers, one launch for each part of the slabs that has a gradient. */
#include "kernels/cuda.cuh"
#include "kernels/sum.cuh"
#include "kernels/update.h"

/* The slabs, from the first number of a part on; m and v may be NULL where the rule has none. */
typedef struct {
    REAL *w, *m, *v;
    const REAL *g;
} Slabs;

/* The learning rate and the step's number lie on the device, so that a captured step can be run
 * again. */
static __global__ void update_part(size_t count, UpdateAttr a, const REAL *__restrict__ hyper,
                                   int rows, const REAL *__restrict__ cursor, Slabs p) {
    __shared__ UpdateStep step;
    if (threadIdx.x == 0) step = update_step(&a, hyper + UPDATE_HYPER * update_row(cursor, rows));
    __syncthreads();
    if (step.scale == 0) return;
    EACH(i, count) {
        if (a.kind == UPDATE_AVERAGE)
            update_average(&step, p.w + i, p.g[i]);
        else if (a.kind == UPDATE_SGD)
            update_sgd(&step, p.w + i, p.g[i], p.m ? p.m + i : NULL);
        else
            update_adam(&step, p.w + i, p.g[i], p.m + i, p.v + i);
    }
}

/* The norm of the gradient's parts so far, into the row in force: the first part begins, the others
 * add to it.  Its square may be more than a float holds. */
struct Squares {
    typedef double Value;
    const REAL *g;
    REAL *hyper;
    int rows;
    const REAL *cursor;
    bool first;

    __device__ double term(unsigned at, unsigned) const { return (double)g[at] * (double)g[at]; }
    __device__ void put(unsigned, double sum) const {
        REAL *norm = hyper + UPDATE_HYPER * update_row(cursor, rows) + 3;
        double before = first ? 0 : (double)*norm;
        *norm = (REAL)sqrt(sum + before * before);
    }
};

static void sum_squares(const Call *c, const REAL *g, size_t size, bool first) {
    const Shape all = {1, 1, 1, (int)cuda_small(size)}, one = {1, 1, 1, 1};
    Broadcast w = broadcast_make(all, 1, &one);
    Squares job = {g, cuda_data(&c->in[4]), c->in[4].shape.n, cuda_data(&c->in[5]), first};
    sum_launch(&w, 0, job);
}

void CUDA(update_forward)(const Call *c) {
    const UpdateAttr *a = (const UpdateAttr *)c->attr;
    REAL *w = cuda_data(&c->in[0]), *g = cuda_data(&c->in[1]);
    REAL *m = cuda_data(&c->in[2]), *v = cuda_data(&c->in[3]);
    bool first = true;
    for (int r = 0; r < a->ranges && a->clip > 0; r++) {
        if (!a->range[r].size) continue;
        sum_squares(c, g + a->range[r].offset, a->range[r].size, first);
        first = false;
    }
    for (int r = 0; r < a->ranges; r++) {
        size_t at = a->range[r].offset, size = a->range[r].size;
        Slabs part = {w + at, m ? m + at : NULL, v ? v + at : NULL, g + at};
        if (size)
            LAUNCH(update_part, cuda_blocks(size), EACH_THREADS, 0, size, *a, cuda_data(&c->in[4]),
                   c->in[4].shape.n, cuda_data(&c->in[5]), part);
    }
}
