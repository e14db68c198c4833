/* rot6d: six numbers to a rotation matrix. */
#include "kernels/kernel.h"
#include "kernels/geom.h"

void KERNEL(rot6d_forward)(const Call *c) {
    const REAL *x = c->in[0].data;
    REAL *y = c->out[0].data;
    size_t rows = shape_size(c->in[0].shape) / 6;
    PARALLEL_FOR
    for (size_t i = 0; i < rows; i++) geom_rot6d(x + 6 * i, y + 9 * i);
}

void KERNEL(rot6d_backward)(const Call *c) {
    const REAL *x = c->in[0].data, *dy = c->dout[0].data;
    REAL *dx = c->din[0].data;
    size_t rows = shape_size(c->in[0].shape) / 6;
    PARALLEL_FOR
    for (size_t i = 0; i < rows; i++) {
        REAL g[6];
        geom_rot6d_backward(x + 6 * i, dy + 9 * i, g);
        for (int k = 0; k < 6; k++) kernel_put(dx + 6 * i + k, g[k], c->add[0]);
    }
}
