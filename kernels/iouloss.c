/* iouloss: how far boxes are from their targets (Yu et al. 2016, squared as in YOLOX). */
#include "kernels/kernel.h"
#include "kernels/box.h"

/* Of row i; 1 without weights. */
static REAL weight_at(const Call *c, size_t i) {
    const REAL *weight = c->in[2].data;
    return weight ? weight[i] : 1;
}

void KERNEL(iouloss_forward)(const Call *c) {
    const REAL *p = c->in[0].data, *t = c->in[1].data;
    REAL *y = c->out[0].data;
    size_t rows = shape_size(c->out[0].shape);
    PARALLEL_FOR
    for (size_t i = 0; i < rows; i++) {
        REAL weight = weight_at(c, i);
        y[i] = weight != 0 ? weight * box_loss(p + 4 * i, t + 4 * i) : 0;
    }
}

void KERNEL(iouloss_backward)(const Call *c) {
    const REAL *p = c->in[0].data, *t = c->in[1].data, *dy = c->dout[0].data;
    REAL *dp = c->din[0].data;
    size_t rows = shape_size(c->dout[0].shape);
    PARALLEL_FOR
    for (size_t i = 0; i < rows; i++) {
        REAL slope[4] = {0}, weight = weight_at(c, i);
        if (weight != 0) box_loss_slope(p + 4 * i, t + 4 * i, slope);
        for (int k = 0; k < 4; k++)
            kernel_put(dp + 4 * i + k, weight * dy[i] * slope[k], c->add[0]);
    }
}
