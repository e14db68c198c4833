/* concat: each input is a band of every row of the output. */
#include "kernels/axis.cuh"

void CUDA(concat_forward)(const Call *c) {
    Axis axis = ((const AxisAttr *)c->attr)->axis;
    AxisView out = axis_view(c->out[0].shape, axis);
    Stored y = stored_of(&c->out[0]);
    for (int i = 0; i < OP_MAX_IN && shape_size(c->in[i].shape); i++) {
        size_t band = axis_view(c->in[i].shape, axis).size * out.inner;
        axis_launch(y, out.size * out.inner, stored_of(&c->in[i]), band, out.outer, band, false);
        y = stored_from(y, band);
    }
}

void CUDA(concat_backward)(const Call *c) {
    Axis axis = ((const AxisAttr *)c->attr)->axis;
    AxisView out = axis_view(c->dout[0].shape, axis);
    Stored dy = stored_of(&c->dout[0]);
    for (int i = 0; i < OP_MAX_IN && shape_size(c->in[i].shape); i++) {
        size_t band = axis_view(c->in[i].shape, axis).size * out.inner;
        Stored dx = stored_of(&c->din[i]);
        if (dx.data) axis_launch(dx, band, dy, out.size * out.inner, out.outer, band, c->add[i]);
        dy = stored_from(dy, band);
    }
}
