/* concat: each input is a band of every row of the output. */
#include "kernels/axis.cuh"

void CUDA(concat_forward)(const Call *c) {
    Axis axis = ((const AxisAttr *)c->attr)->axis;
    AxisView out = axis_view(c->out[0].shape, axis);
    REAL *y = cuda_data(&c->out[0]);
    for (int i = 0; i < OP_MAX_IN && shape_size(c->in[i].shape); i++) {
        size_t band = axis_view(c->in[i].shape, axis).size * out.inner;
        axis_launch(y, out.size * out.inner, cuda_data(&c->in[i]), band, out.outer, band, false);
        y += band;
    }
}

void CUDA(concat_backward)(const Call *c) {
    Axis axis = ((const AxisAttr *)c->attr)->axis;
    AxisView out = axis_view(c->dout[0].shape, axis);
    const REAL *dy = cuda_data(&c->dout[0]);
    for (int i = 0; i < OP_MAX_IN && shape_size(c->in[i].shape); i++) {
        size_t band = axis_view(c->in[i].shape, axis).size * out.inner;
        REAL *dx = cuda_data(&c->din[i]);
        if (dx) axis_launch(dx, band, dy, out.size * out.inner, out.outer, band, c->add[i]);
        dy += band;
    }
}
