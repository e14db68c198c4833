#include "kernels/peak.h"

#include "tensor/parallel.h"
#include "tensor/seconds.h"

#include <stddef.h>

enum { CHAINS = 12, ROUNDS = 200000, MAX_THREADS = 256 };

/* CHAINS independent sums keep the pipelines full: a chain waits four cycles for its last sum. They
 * start from different numbers, or a compiler would make one of them. */
#define MULTIPLY_ADD(name, bytes, attribute)                          \
    attribute static float name(float factor) {                       \
        typedef float Lanes __attribute__((vector_size(bytes)));      \
        Lanes sum[CHAINS], a = {factor}, b = {factor};                \
        for (int i = 0; i < CHAINS; i++) sum[i] = a * (float)i;       \
        for (int k = 0; k < ROUNDS; k++) {                            \
            for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * a + b; \
        }                                                             \
        float total = 0;                                              \
        for (int i = 0; i < CHAINS; i++) total += sum[i][0];          \
        return total;                                                 \
    }

typedef struct {
    float (*run)(float factor);
    int lanes;
} MultiplyAdd;

#ifdef __x86_64__
MULTIPLY_ADD(with_avx512, 64, __attribute__((target("avx512f"))))
MULTIPLY_ADD(with_avx2, 32, __attribute__((target("avx2,fma"))))
#endif
MULTIPLY_ADD(portable, 16, )

static MultiplyAdd choose(void) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) return (MultiplyAdd){with_avx512, 16};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (MultiplyAdd){with_avx2, 8};
#endif
    return (MultiplyAdd){portable, 4};
}

double peak_flops(void) {
    MultiplyAdd kernel = choose();
    int threads = parallel_threads() < MAX_THREADS ? parallel_threads() : MAX_THREADS;
    float results[MAX_THREADS];
    double best = 0, end = seconds_now() + 0.2;
    while (seconds_now() < end) {
        double begin = seconds_now();
        PARALLEL_FOR
        for (int i = 0; i < threads; i++) results[i] = kernel.run(0.5f);
        double rate = 2.0 * CHAINS * kernel.lanes * ROUNDS * threads / (seconds_now() - begin);
        /* A sum is about 1: the comparison keeps the compiler from dropping the loop. */
        if (results[0] >= 0 && rate > best) best = rate;
    }
    return best;
}
