/* axisangle: rotation matrix to axis-angle. */
#include "kernels/kernel.h"
#include "kernels/geom.h"

void KERNEL(axisangle_forward)(const Call *c) {
    const REAL *x = c->in[0].data, *near = c->in[1].data;
    REAL *y = c->out[0].data;
    size_t rows = shape_size(c->in[0].shape) / 9;
    PARALLEL_FOR
    for (size_t i = 0; i < rows; i++)
        geom_axisangle(x + 9 * i, near ? near + 3 * i : NULL, y + 3 * i);
}

void KERNEL(axisangle_backward)(const Call *c) {
    const REAL *x = c->in[0].data, *near = c->in[1].data, *dy = c->dout[0].data;
    REAL *dx = c->din[0].data;
    size_t rows = shape_size(c->in[0].shape) / 9;
    PARALLEL_FOR
    for (size_t i = 0; i < rows; i++) {
        REAL g[9];
        geom_axisangle_backward(x + 9 * i, near ? near + 3 * i : NULL, dy + 3 * i, g);
        for (int k = 0; k < 9; k++) kernel_put(dx + 9 * i + k, g[k], c->add[0]);
    }
}
