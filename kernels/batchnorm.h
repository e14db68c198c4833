/* Batchnorm: the passes of batchnorm over the pixels of floats, for vectors of channels.
 *
 *     isa_pick(batchnorm_moments)(pixels, c, x, before, mean, squares);
 *
 * x is [pixels][c]; a pass reads each number from memory once, in the order in which it lies there.
 */
#ifndef KERNELS_BATCHNORM_H
#define KERNELS_BATCHNORM_H

#include "kernels/isa.h"

#include <stdbool.h>
#include <stddef.h>

/* Mean and sum of squared distances from it, per channel, of `before` pixels and these. */
ISA_DECLARE(void, batchnorm_moments,
            (size_t pixels, int c, const float *x, size_t before, double *mean, double *squares));

/* y = (x - mean)*inverse*gamma + beta. */
ISA_DECLARE(void, batchnorm_apply,
            (size_t pixels, int c, const float *x, const float *mean, const float *inverse,
             const float *gamma, const float *beta, float *y));

/* sum += dy, product += dy*(x - mean), over the pixels. */
ISA_DECLARE(void, batchnorm_sums,
            (size_t pixels, int c, const float *x, const float *dy, const float *mean, double *sum,
             double *product));

/* dx = or += scale*(dy - shift - (x - mean)*tilt). */
ISA_DECLARE(void, batchnorm_gradient,
            (size_t pixels, int c, const float *x, const float *dy, const float *mean,
             const float *scale, const float *shift, const float *tilt, float *dx, bool add));

#endif
