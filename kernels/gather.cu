/* gather: entries of one axis by index. */
#include "kernels/cuda.cuh"
extern "C" {
#include "kernels/axis.h"
}

/* x [outer][size][inner], index [count]; an index outside of the axis is bad code. */
typedef struct {
    unsigned size, inner, count;
    const int32_t *index;
} Gather;

static Gather describe(const Call *c, AxisView in) {
    Gather g = {(unsigned)in.size, (unsigned)in.inner, (unsigned)c->in[1].shape.c,
                (const int32_t *)c->in[1].data};
    return g;
}

static __global__ void gather_values(size_t count, Gather g, const REAL *__restrict__ x,
                                     REAL *__restrict__ y) {
    EACH(i, count) {
        unsigned at = (unsigned)i % g.inner, row = (unsigned)i / g.inner;
        unsigned entry = (unsigned)g.index[row % g.count];
        if (entry >= g.size) __trap();
        y[i] = x[((size_t)(row / g.count) * g.size + entry) * g.inner + at];
    }
}

/* An index may repeat, so an entry looks for itself in the list. */
static __global__ void gather_gradients(size_t count, Gather g, const REAL *__restrict__ dy,
                                        REAL *__restrict__ dx, bool add) {
    EACH(i, count) {
        unsigned at = (unsigned)i % g.inner, row = (unsigned)i / g.inner, entry = row % g.size;
        const REAL *from = dy + (size_t)(row / g.size) * g.count * g.inner + at;
        REAL sum = 0;
        for (unsigned k = 0; k < g.count; k++)
            if ((unsigned)g.index[k] == entry) sum += from[(size_t)k * g.inner];
        kernel_put(dx + i, sum, add);
    }
}

void CUDA(gather_forward)(const Call *c) {
    AxisView in = axis_view(c->in[0].shape, ((const AxisAttr *)c->attr)->axis);
    LAUNCH_EACH(gather_values, cuda_small(shape_size(c->out[0].shape)), describe(c, in),
                cuda_data(&c->in[0]), cuda_data(&c->out[0]));
}

void CUDA(gather_backward)(const Call *c) {
    AxisView in = axis_view(c->din[0].shape, ((const AxisAttr *)c->attr)->axis);
    LAUNCH_EACH(gather_gradients, cuda_small(shape_size(c->din[0].shape)), describe(c, in),
                cuda_data(&c->dout[0]), cuda_data(&c->din[0]), c->add[0]);
}
