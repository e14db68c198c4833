/* project: points of the camera frame to pixels, one camera per person.  The camera's gradient is
 * not needed. */
#include "kernels/kernel.h"
#include "kernels/geom.h"

void KERNEL(project_forward)(const Call *c) {
    const REAL *p = c->in[0].data, *camera = c->in[1].data;
    REAL *pixel = c->out[0].data;
    size_t people = (size_t)c->in[0].shape.n;
    size_t points = people ? shape_size(c->in[0].shape) / people / 3 : 0;
    PARALLEL_FOR
    for (size_t i = 0; i < people * points; i++)
        geom_project(p + 3 * i, camera + 3 * (i / points), pixel + 2 * i);
}

void KERNEL(project_backward)(const Call *c) {
    const REAL *p = c->in[0].data, *camera = c->in[1].data, *dpixel = c->dout[0].data;
    REAL *dp = c->din[0].data;
    size_t people = (size_t)c->in[0].shape.n;
    size_t points = people ? shape_size(c->in[0].shape) / people / 3 : 0;
    PARALLEL_FOR
    for (size_t i = 0; i < people * points; i++) {
        REAL g[3];
        geom_project_backward(p + 3 * i, camera + 3 * (i / points), dpixel + 2 * i, g);
        for (int k = 0; k < 3; k++) kernel_put(dp + 3 * i + k, g[k], c->add[0]);
    }
}
