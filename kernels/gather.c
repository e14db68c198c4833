/* gather: entries of one axis by index. */
#include "kernels/axis.h"

static void check_indices(const int32_t *index, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++)
        CHECK(index[i] >= 0 && (size_t)index[i] < size, "gather: index %d of %zu entries", index[i],
              size);
}

void KERNEL(gather_forward)(const Call *c) {
    AxisView in = axis_view(c->in[0].shape, ((const AxisAttr *)c->attr)->axis);
    const REAL *x = c->in[0].data;
    const int32_t *index = c->in[1].data;
    REAL *y = c->out[0].data;
    size_t count = (size_t)c->in[1].shape.c;
    check_indices(index, count, in.size);
    PARALLEL_FOR
    for (size_t i = 0; i < in.outer * count; i++) {
        size_t row = i / count, entry = (size_t)index[i % count];
        axis_put_piece(y + i * in.inner, x + (row * in.size + entry) * in.inner, in.inner, false);
    }
}

/* An index may repeat, so the entries of one row are added in the order of the list. */
void KERNEL(gather_backward)(const Call *c) {
    AxisView in = axis_view(c->din[0].shape, ((const AxisAttr *)c->attr)->axis);
    const REAL *dy = c->dout[0].data;
    const int32_t *index = c->in[1].data;
    REAL *dx = c->din[0].data;
    size_t count = (size_t)c->in[1].shape.c;
    PARALLEL_FOR
    for (size_t row = 0; row < in.outer; row++) {
        REAL *to = dx + row * in.size * in.inner;
        if (!c->add[0]) memset(to, 0, in.size * in.inner * sizeof *to);
        for (size_t i = 0; i < count; i++)
            axis_put_piece(to + (size_t)index[i] * in.inner, dy + (row * count + i) * in.inner,
                           in.inner, true);
    }
}
