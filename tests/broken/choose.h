/* Which kernel misbehaves: the one that $CROWDREC_BREAK names, and only that op's tests run.
 *
 *     static void nan_at_the_end(Kernel *real, const Call *c) ...
 *     BREAK(matmul_forward_cpu, nan_at_the_end)         // linked with --wrap=matmul_forward_cpu
 */
#ifndef TESTS_BROKEN_CHOOSE_H
#define TESTS_BROKEN_CHOOSE_H

#include "kernels/op.h"

typedef void Kernel(const Call *call);

bool choose_broken(const char *kernel);

#define BREAK(name, how)                 \
    Kernel __real_##name, __wrap_##name; \
    void __wrap_##name(const Call *c) {  \
        if (choose_broken(#name))        \
            how(__real_##name, c);       \
        else                             \
            __real_##name(c);            \
    }

#endif
