/* The language of CUDA kernels on the host, so that every own .cu is tested without a device.
 *
 *     c++ -x c++ -DCUDA_EMULATION -include tests/emulate/emulate.h -I. -c kernels/reduce.cu
 *
 * A launch runs its blocks one after the other.  Threads of a block are fibers that change at
 * __syncthreads, __syncwarp and shuffles (fibers.h); those of LAUNCH_EACH never wait for each other
 * and are plain calls.  Every launch runs twice, with blocks and threads in rising and in falling
 * order, from the same memory (memory.h), and must leave the same bits.  Shared memory is filled
 * with NaN before each block.  Complaints are:
 *
 *     - the order of threads shows in the result (a race, a missing __syncthreads),
 *     - threads of a block wait at different places or end while others wait,
 *     - dynamic shared memory is written out of bounds,
 *     - threads of LAUNCH_EACH wait; a grid without blocks; a warp that is not whole.
 *
 * Writes out of bounds elsewhere are found by opblock.h's guards and the address sanitizer.  There
 * are no atomics on floats on purpose.
 */
#ifndef TESTS_EMULATE_EMULATE_H
#define TESTS_EMULATE_EMULATE_H

#include "tests/emulate/streams.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    unsigned x, y, z;
} uint3;

/* Where the running thread is. */
typedef struct {
    uint3 thread, block, block_size, grid_size;
} EmulatePlace;
extern EmulatePlace emulate_place;

typedef struct {
    const char *kernel;
    uint3 blocks, threads;
    size_t shared;                     /* bytes of dynamic shared memory */
    bool apart;                        /* threads never wait for each other */
    void (*body)(const void *context); /* one thread */
    const void *context;
} EmulateLaunch;

void emulate_launch(const EmulateLaunch *launch);

/* What the running thread waits for.  A shuffle gives the bits of the warp's thread `lane`, a vote
 * one bit for each thread of the warp. */
void emulate_sync_block(int line);
void emulate_sync_warp(int line);
uint64_t emulate_shuffle(unsigned mask, uint64_t bits, unsigned lane, int line);
unsigned emulate_vote(unsigned mask, bool value, int line);
unsigned emulate_lane(void);

/* Dynamic shared memory of the running block. */
void *emulate_shared(void);

/* Keeps the first complaint since emulate_complaint, which gives it (or NULL) and forgets it. */
void emulate_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *emulate_complaint(void);

/* Launches so far. */
long emulate_launches(void);

#ifdef __cplusplus
}

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __constant__ static
#define __shared__ static __attribute__((section("kernel_shared")))
#define SHARED(type, name) type *const name = (type *)emulate_shared()
#define SCRATCH(type, name, size) static __attribute__((section("kernel_scratch"))) type name[size]

#define threadIdx emulate_place.thread
#define blockIdx emulate_place.block
#define blockDim emulate_place.block_size
#define gridDim emulate_place.grid_size
enum { warpSize = 32 };

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned width = 1, unsigned height = 1, unsigned depth = 1)
        : x(width), y(height), z(depth) {}
};

template <class Body>
static inline void emulate_run(const char *kernel, dim3 blocks, dim3 threads, size_t shared,
                               bool apart, const Body &body) {
    void (*run)(const void *) = [](const void *context) { (*(const Body *)context)(); };
    EmulateLaunch launch = {kernel,
                            {blocks.x, blocks.y, blocks.z},
                            {threads.x, threads.y, threads.z},
                            shared,
                            apart,
                            run,
                            &body};
    emulate_launch(&launch);
}

#define LAUNCH(kernel, blocks, threads, shared, ...) \
    emulate_run(#kernel, blocks, threads, shared, false, [&] { kernel(__VA_ARGS__); })
#define LAUNCH_APART(kernel, blocks, threads, shared, ...) \
    emulate_run(#kernel, blocks, threads, shared, true, [&] { kernel(__VA_ARGS__); })

#define __syncthreads() emulate_sync_block(__LINE__)
#define __syncwarp(...) emulate_sync_warp(__LINE__)
#define __ballot_sync(mask, value) emulate_vote(mask, value, __LINE__)
#define __any_sync(mask, value) (emulate_vote(mask, value, __LINE__) != 0)
#define __all_sync(mask, value) (emulate_vote(mask, value, __LINE__) == ~0u)
#define __shfl_sync(mask, value, ...) emulate_shfl(mask, value, __LINE__, __VA_ARGS__)
#define __shfl_xor_sync(mask, value, ...) emulate_shfl_xor(mask, value, __LINE__, __VA_ARGS__)
#define __shfl_up_sync(mask, value, ...) emulate_shfl_up(mask, value, __LINE__, __VA_ARGS__)
#define __shfl_down_sync(mask, value, ...) emulate_shfl_down(mask, value, __LINE__, __VA_ARGS__)

/* The value of `lane`, or the thread's own where that lies outside of its group of `width`. */
template <class T>
static inline T emulate_exchange(unsigned mask, T value, int line, unsigned lane, unsigned width) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "shuffles move up to 8 bytes");
    unsigned own = emulate_lane();
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emulate_shuffle(mask, bits, lane / width == own / width ? lane : own, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T>
static inline T emulate_shfl(unsigned mask, T value, int line, unsigned lane,
                             unsigned width = warpSize) {
    unsigned group = emulate_lane() / width * width;
    return emulate_exchange(mask, value, line, group + lane % width, width);
}

template <class T>
static inline T emulate_shfl_xor(unsigned mask, T value, int line, unsigned by,
                                 unsigned width = warpSize) {
    return emulate_exchange(mask, value, line, emulate_lane() ^ by, width);
}

template <class T>
static inline T emulate_shfl_up(unsigned mask, T value, int line, unsigned by,
                                unsigned width = warpSize) {
    return emulate_exchange(mask, value, line, emulate_lane() - by, width);
}

template <class T>
static inline T emulate_shfl_down(unsigned mask, T value, int line, unsigned by,
                                  unsigned width = warpSize) {
    return emulate_exchange(mask, value, line, emulate_lane() + by, width);
}

/* Whole numbers only. */
#define EMULATE_ATOMIC(T)                                      \
    static inline T atomicAdd(T *place, T value) {             \
        T old = *place;                                        \
        *place = (T)(old + value);                             \
        return old;                                            \
    }                                                          \
    static inline T atomicMax(T *place, T value) {             \
        T old = *place;                                        \
        if (value > old) *place = value;                       \
        return old;                                            \
    }                                                          \
    static inline T atomicCAS(T *place, T expected, T value) { \
        T old = *place;                                        \
        if (old == expected) *place = value;                   \
        return old;                                            \
    }
EMULATE_ATOMIC(int)
EMULATE_ATOMIC(unsigned)
EMULATE_ATOMIC(unsigned long long)
#undef EMULATE_ATOMIC

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <class T> static inline T __ldg(const T *place) { return *place; }
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }
static inline float rsqrt(float x) { return 1 / sqrtf(x); }
static inline double rsqrt(double x) { return 1 / sqrt(x); }
static inline void __threadfence(void) {}
static inline void __trap(void) { abort(); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
#endif

#endif
