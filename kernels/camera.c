/* camera: a crop's camera to the person's translation in the photo's camera frame. */
#include "kernels/kernel.h"
#include "kernels/geom.h"

void KERNEL(camera_forward)(const Call *c) {
    const REAL *crop = c->in[0].data, *box = c->in[1].data;
    REAL *t = c->out[0].data;
    for (int i = 0; i < c->in[0].shape.n; i++) geom_camera(crop + 3 * i, box + 6 * i, t + 3 * i);
}

void KERNEL(camera_backward)(const Call *c) {
    const REAL *crop = c->in[0].data, *box = c->in[1].data, *dt = c->dout[0].data;
    REAL *dcrop = c->din[0].data;
    for (int i = 0; i < c->in[0].shape.n; i++) {
        REAL g[3];
        geom_camera_backward(crop + 3 * i, box + 6 * i, dt + 3 * i, g);
        for (int k = 0; k < 3; k++) kernel_put(dcrop + 3 * i + k, g[k], c->add[0]);
    }
}
