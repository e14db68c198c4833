/* What every own kernel includes.  A C kernel file is compiled twice: as float it is part of
 * backend `cpu`, as double (KERNEL_DOUBLE) of `ref`, the proof.  CUDA files include cuda.cuh, which
 * defines REAL and KERNEL first.
 *
 *     void KERNEL(focus_forward)(const Call *c) {
 *         const REAL *x = c->in[0].data;  // [n,h,w,c]
 *
 * In a file that is compiled per instruction set (isa.h) KERNEL names the float kernel of one.
 *
 * Math functions come from tgmath (in CUDA they are overloaded), so exp(x) is expf for float.
 */
#ifndef KERNELS_KERNEL_H
#define KERNELS_KERNEL_H

#include "kernels/backend.h"
#include "kernels/isa.h"
#include "tensor/inline.h"
#include "tensor/parallel.h"

#include <math.h>
#include <string.h>
#ifndef __cplusplus
#include <tgmath.h>
#endif

#ifndef KERNEL
#ifdef KERNEL_DOUBLE
#define REAL double
#define KERNEL(name) name##_ref
#define KERNEL_IS_FLOAT 0
#else
#define REAL float
#ifdef ISA
#define KERNEL(name) ISA_NAME(name)
#else
#define KERNEL(name) name##_cpu
#endif
#define KERNEL_IS_FLOAT 1 /* vectors of floats may do the work */
#endif
#endif

#define FORWARD(name) void KERNEL(name##_forward)(const Call *c);
#define PLAIN(name) FORWARD(name) void KERNEL(name##_backward)(const Call *c);
#define FORWARD_PREPARED(name)                            \
    FORWARD(name)                                         \
    void KERNEL(name##_prepare)(Call * c, bool backward); \
    void KERNEL(name##_drop)(Call * c);
#define PREPARED(name) FORWARD_PREPARED(name) void KERNEL(name##_backward)(const Call *c);
#define OP(name, Attr, n_in, n_out, grads, reads, kernels) kernels(name)
#include "kernels/ops.def"
#undef OP
#undef FORWARD
#undef PLAIN
#undef FORWARD_PREPARED
#undef PREPARED

/* Where gradient i goes: overwritten or added to. */
INLINE void kernel_put(REAL *place, REAL value, bool add) { *place = add ? *place + value : value; }

#endif
