/* body: skin.c and joints.c for floats, in the widest vectors that the processor has. */
#include "kernels/isa.h"
#include "kernels/kernel.h"

#define OP_OF_BODY(op)                                                                          \
    ISA_DECLARE(void, op##_prepare, (Call * c, bool backward));                                 \
    ISA_DECLARE(void, op##_drop, (Call * c));                                                   \
    ISA_DECLARE(void, op##_forward, (const Call *c));                                           \
    ISA_DECLARE(void, op##_backward, (const Call *c));                                          \
    void KERNEL(op##_prepare)(Call * c, bool backward) { isa_pick(op##_prepare)(c, backward); } \
    void KERNEL(op##_drop)(Call * c) { isa_pick(op##_drop)(c); }                                \
    void KERNEL(op##_forward)(const Call *c) { isa_pick(op##_forward)(c); }                     \
    void KERNEL(op##_backward)(const Call *c) { isa_pick(op##_backward)(c); }

OP_OF_BODY(skin)
OP_OF_BODY(joints)
