/* iouloss: how far boxes are from their targets. */
#include "kernels/cuda.cuh"
#include "kernels/box.h"

static __global__ void iou_values(size_t rows, const REAL *__restrict__ p,
                                  const REAL *__restrict__ t, const REAL *__restrict__ weight,
                                  REAL *__restrict__ y) {
    EACH(i, rows) {
        REAL w = weight ? weight[i] : 1;
        y[i] = w != 0 ? w * box_loss(p + 4 * i, t + 4 * i) : 0;
    }
}

static __global__ void iou_gradients(size_t rows, const REAL *__restrict__ p,
                                     const REAL *__restrict__ t, const REAL *__restrict__ weight,
                                     const REAL *__restrict__ dy, REAL *__restrict__ dp, bool add) {
    EACH(i, rows) {
        REAL slope[4] = {}, w = weight ? weight[i] : 1;
        if (w != 0) box_loss_slope(p + 4 * i, t + 4 * i, slope);
        for (int k = 0; k < 4; k++) kernel_put(dp + 4 * i + k, w * dy[i] * slope[k], add);
    }
}

void CUDA(iouloss_forward)(const Call *c) {
    LAUNCH_EACH(iou_values, shape_size(c->out[0].shape), cuda_data(&c->in[0]), cuda_data(&c->in[1]),
                cuda_data(&c->in[2]), cuda_data(&c->out[0]));
}

void CUDA(iouloss_backward)(const Call *c) {
    LAUNCH_EACH(iou_gradients, shape_size(c->dout[0].shape), cuda_data(&c->in[0]),
                cuda_data(&c->in[1]), cuda_data(&c->in[2]), cuda_data(&c->dout[0]),
                cuda_data(&c->din[0]), c->add[0]);
}
