/* concat: each input is a band of every row of the output. */
#include "kernels/axis.h"

void KERNEL(concat_forward)(const Call *c) {
    Axis axis = ((const AxisAttr *)c->attr)->axis;
    AxisView out = axis_view(c->out[0].shape, axis);
    REAL *y = c->out[0].data;
    for (int i = 0; i < OP_MAX_IN && shape_size(c->in[i].shape); i++) {
        size_t band = axis_view(c->in[i].shape, axis).size * out.inner;
        axis_put(y, out.size * out.inner, c->in[i].data, band, out.outer, band, false);
        y += band;
    }
}

void KERNEL(concat_backward)(const Call *c) {
    Axis axis = ((const AxisAttr *)c->attr)->axis;
    AxisView out = axis_view(c->dout[0].shape, axis);
    const REAL *dy = c->dout[0].data;
    for (int i = 0; i < OP_MAX_IN && shape_size(c->in[i].shape); i++) {
        size_t band = axis_view(c->in[i].shape, axis).size * out.inner;
        if (c->din[i].data)
            axis_put(c->din[i].data, band, dy, out.size * out.inner, out.outer, band, c->add[i]);
        dy += band;
    }
}
