/* Activation: the functions with an exponential, for rows of floats, with the widest vectors that
 * the processor has.
 *
 *     isa_pick(activation_silu)(y, x, size);                  // y = x/(1 + e^-x)
 *     isa_pick(activation_silu_slope)(dx, dy, x, size, add);  // dx = (or +=) dy*silu'(x)
 *
 * Results may take the place of operands.  e^x is within 2 units in the last place, sigmoid and
 * silu within 4 from -87 on (below, within 1e-36); a value does not depend on where in a row it
 * stands.
 */
#ifndef KERNELS_ACTIVATION_H
#define KERNELS_ACTIVATION_H

#include "kernels/isa.h"

#include <stdbool.h>
#include <stddef.h>

ISA_DECLARE(void, activation_exp, (float *y, const float *x, size_t size));
ISA_DECLARE(void, activation_sigmoid, (float *y, const float *x, size_t size));
ISA_DECLARE(void, activation_silu, (float *y, const float *x, size_t size));
ISA_DECLARE(void, activation_silu_slope,
            (float *dx, const float *dy, const float *x, size_t size, bool add));

#endif
