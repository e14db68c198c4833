/* slice: a band of every row of the input. */
#include "kernels/axis.h"

void KERNEL(slice_forward)(const Call *c) {
    const SliceAttr *a = c->attr;
    AxisView in = axis_view(c->in[0].shape, a->axis);
    const REAL *x = c->in[0].data;
    size_t band = (size_t)a->size * in.inner;
    axis_put(c->out[0].data, band, x + (size_t)a->start * in.inner, in.size * in.inner, in.outer,
             band, false);
}

void KERNEL(slice_backward)(const Call *c) {
    const SliceAttr *a = c->attr;
    AxisView in = axis_view(c->din[0].shape, a->axis);
    REAL *dx = c->din[0].data;
    if (!c->add[0]) memset(dx, 0, shape_size(c->din[0].shape) * sizeof *dx);
    size_t band = (size_t)a->size * in.inner;
    axis_put(dx + (size_t)a->start * in.inner, in.size * in.inner, c->dout[0].data, band, in.outer,
             band, true);
}
