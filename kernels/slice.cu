/* slice: a band of every row of the input. */
#include "kernels/axis.cuh"

void CUDA(slice_forward)(const Call *c) {
    const SliceAttr *a = (const SliceAttr *)c->attr;
    AxisView in = axis_view(c->in[0].shape, a->axis);
    size_t band = (size_t)a->size * in.inner;
    Stored from = stored_from(stored_of(&c->in[0]), (size_t)a->start * in.inner);
    axis_launch(stored_of(&c->out[0]), band, from, in.size * in.inner, in.outer, band, false);
}

/* The band gets dy, the rest of a row of `step` packs 0. */
template <int N>
static __global__ void slice_gradients(size_t count, const REAL *__restrict__ dy, unsigned start,
                                       unsigned band, unsigned step, REAL *__restrict__ dx) {
    EACH(i, count) {
        unsigned row = (unsigned)i / step, at = (unsigned)i % step - start;
        bool inside = at < band;
        pack_put<N>(dx, i, pack_load<N>(inside ? dy : NULL, (size_t)row * band + at), false);
    }
}

void CUDA(slice_backward)(const Call *c) {
    const SliceAttr *a = (const SliceAttr *)c->attr;
    AxisView in = axis_view(c->din[0].shape, a->axis);
    const REAL *dy = cuda_data(&c->dout[0]);
    REAL *dx = cuda_data(&c->din[0]);
    size_t start = (size_t)a->start * in.inner, band = (size_t)a->size * in.inner;
    size_t step = in.size * in.inner;
    unsigned size = cuda_small(shape_size(c->din[0].shape)), first = (unsigned)start;
    unsigned width = (unsigned)band, row = (unsigned)step;
    if (c->add[0])
        axis_launch(stored_from(stored_of(&c->din[0]), start), step, stored_of(&c->dout[0]), band,
                    in.outer, band, true);
    else if (cuda_fours(start | band | step, dy, dx))
        LAUNCH_EACH(slice_gradients<4>, size / 4, dy, first / 4, width / 4, row / 4, dx);
    else
        LAUNCH_EACH(slice_gradients<1>, size, dy, first, width, row, dx);
}
