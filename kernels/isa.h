/* Isa: code that is compiled once per instruction set and chosen at run time.
 *
 *     // product.isa.c, compiled with -DISA=portable, -DISA=avx2 and -DISA=avx512
 *     void ISA_NAME(product)(...) { ... }
 *
 *     // product.c
 *     ISA_DECLARE(void, product, (int n, const float *x));
 *     isa_pick(product)(n, x);
 *
 * Every kernels/<name>.isa.c is made into one object a set, and so are the float kernels of skin.c
 * and joints.c (body.c picks one); on other processors than x86-64 there is only the portable one.
 * Such files hold no global symbol that is not named by ISA_NAME and call no inline function of
 * other headers that a linker could take from the wrong object (static inline is safe).
 */
#ifndef KERNELS_ISA_H
#define KERNELS_ISA_H

#define ISA_JOIN_(name, isa) name##_##isa
#define ISA_JOIN(name, isa) ISA_JOIN_(name, isa)
#ifdef ISA
#define ISA_NAME(name) ISA_JOIN(name, ISA)
#endif

#include <stddef.h>

typedef enum { ISA_PORTABLE, ISA_AVX2, ISA_AVX512 } Isa;

/* The widest set that processor and build have, or the lesser one that $CROWDREC_ISA names
 * ("portable", "avx2", "avx512"); an unknown or unavailable word is ignored. */
Isa isa_best(void);
const char *isa_name(Isa isa);

/* "AMD EPYC, family 23 model 1", "unknown" where the system does not say. */
void isa_processor(char *text, size_t size);

#ifdef __x86_64__
#define ISA_DECLARE(type, name, arguments) \
    type name##_portable arguments;        \
    type name##_avx2 arguments;            \
    type name##_avx512 arguments
#define isa_pick(name)                        \
    (isa_best() == ISA_AVX512 ? name##_avx512 \
     : isa_best() == ISA_AVX2 ? name##_avx2   \
                              : name##_portable)
#else
#define ISA_DECLARE(type, name, arguments) type name##_portable arguments
#define isa_pick(name) name##_portable
#endif

#endif
