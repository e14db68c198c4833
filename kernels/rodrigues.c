/* rodrigues: axis-angle to a rotation matrix. */
#include "kernels/kernel.h"
#include "kernels/geom.h"

void KERNEL(rodrigues_forward)(const Call *c) {
    const REAL *x = c->in[0].data;
    REAL *y = c->out[0].data;
    size_t rows = shape_size(c->in[0].shape) / 3;
    PARALLEL_FOR
    for (size_t i = 0; i < rows; i++) geom_rodrigues(x + 3 * i, y + 9 * i);
}

void KERNEL(rodrigues_backward)(const Call *c) {
    const REAL *x = c->in[0].data, *dy = c->dout[0].data;
    REAL *dx = c->din[0].data;
    size_t rows = shape_size(c->in[0].shape) / 3;
    PARALLEL_FOR
    for (size_t i = 0; i < rows; i++) {
        REAL g[3];
        geom_rodrigues_backward(x + 3 * i, dy + 9 * i, g);
        for (int k = 0; k < 3; k++) kernel_put(dx + 3 * i + k, g[k], c->add[0]);
    }
}
