/* What every own .cu includes: the C kernels' headers, launches, and what small kernels share.
 *
 *     static __global__ void double_up(size_t count, const REAL *x, REAL *y) {
 *         EACH(i, count) y[i] = 2 * x[i];
 *     }
 *
 *     void CUDA(twice_forward)(const Call *c) {
 *         LAUNCH_EACH(double_up, shape_size(c->in[0].shape), cuda_data(&c->in[0]),
 *                     cuda_data(&c->out[0]));
 *     }
 *
 * Calls hold addresses of the device.  A launch function only launches: it allocates nothing, reads
 * nothing back and waits for nothing, so that a plan can be captured; attributes and shapes reach
 * kernels by value.  Sums are made in an order that depends on nothing but shapes: no atomics on
 * floats.
 *
 * The files have two readings: nvcc's, and with CUDA_EMULATION the host's C++ compiler's, which is
 * told what the language of kernels means by -include tests/emulate/emulate.h.
 */
#ifndef KERNELS_CUDA_CUH
#define KERNELS_CUDA_CUH

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tensor/parallel.h"
#ifndef CUDA_EMULATION
#include <cuda_runtime.h>
#endif

#define REAL float
#define CUDA(name) name##_cuda
#define KERNEL CUDA
#define GEOM static inline __host__ __device__

extern "C" {
#include "kernels/kernel.h"

#ifndef CUDA_EMULATION
/* The stream of backend `cuda` in which work goes now. */
cudaStream_t cuda_stream(void);

/* Two parts of an op that do not need each other: what is launched between cuda_beside and
 * cuda_ahead runs beside what is launched between cuda_ahead and cuda_together; what follows waits
 * for both.  They share no workspace. */
void cuda_beside(void);
void cuda_ahead(void);
void cuda_together(void);

/* Ends the program, naming the kernel, when its launch failed. */
void cuda_launched(const char *kernel);

/* Ends the program: `what` failed on the device. */
void cuda_broken(const char *what, const char *why) __attribute__((noreturn));
#else
static inline void cuda_beside(void) {}
static inline void cuda_ahead(void) {}
static inline void cuda_together(void) {}
#endif
}

/* LAUNCH(kernel, blocks, threads, bytes of dynamic shared memory, arguments...).  Threads are a
 * multiple of 32; blocks are at least one. */
#ifndef CUDA_EMULATION
#define LAUNCH(kernel, blocks, threads, shared, ...)                           \
    do {                                                                       \
        kernel<<<(blocks), (threads), (shared), cuda_stream()>>>(__VA_ARGS__); \
        cuda_launched(#kernel);                                                \
    } while (0)
#define LAUNCH_APART LAUNCH

/* Dynamic shared memory. */
#define SHARED(type, name) extern __shared__ type name[]

/* Memory between the launches of one op.  It is a file's own; op_keeps_numbers tells of the op, for
 * two of its calls must not run side by side. */
#define SCRATCH(type, name, size) static __device__ type name[size]
#endif

/* LAUNCH_EACH(kernel, count, arguments...) is for kernels that take the count first, walk it with
 * EACH, and whose threads know nothing of each other: no __syncthreads, no shuffles. */
enum { EACH_THREADS = 256 };
#ifdef CUDA_EMULATION
enum { EACH_BLOCKS = 3 }; /* so that threads take several turns */
#else
enum { EACH_BLOCKS = 4096 };
#endif

#define LAUNCH_EACH(kernel, count, ...)                                                \
    do {                                                                               \
        size_t each_count = (count);                                                   \
        if (each_count)                                                                \
            LAUNCH_APART(kernel, cuda_blocks(each_count), EACH_THREADS, 0, each_count, \
                         __VA_ARGS__);                                                 \
    } while (0)

#define EACH(i, count)                                                          \
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < (count); \
         i += (size_t)gridDim.x * blockDim.x)

static inline unsigned cuda_blocks(size_t count) {
    size_t blocks = (count + EACH_THREADS - 1) / EACH_THREADS;
    return blocks < EACH_BLOCKS ? (unsigned)blocks : (unsigned)EACH_BLOCKS;
}

/* For kernels that count in 32 bits, because divisions are several times faster then. */
static inline unsigned cuda_small(size_t count) {
    CHECK(count <= UINT32_MAX, "%zu numbers in one tensor", count);
    return (unsigned)count;
}

/* A tensor's numbers; NULL if it is absent. */
static inline REAL *cuda_data(const Tensor *t) { return (REAL *)t->data; }

/* A call's workspace at an address that libraries take; prepare asks for CUDA_ALIGN bytes more. */
enum { CUDA_ALIGN = 256 };
static inline char *cuda_workspace(const Call *c) {
    return (char *)(((uintptr_t)c->workspace + CUDA_ALIGN - 1) / CUDA_ALIGN * CUDA_ALIGN);
}

/* N numbers that a thread loads or stores at once. */
template <int N> struct alignas(N * sizeof(REAL)) Pack { REAL v[N]; };

/* Pack i of p; NULL gives zeros. */
template <int N> static inline __device__ Pack<N> pack_load(const REAL *p, size_t i) {
    return p ? ((const Pack<N> *)p)[i] : Pack<N>();
}

/* Where a gradient goes: overwritten or added to. */
template <int N>
static inline __device__ void pack_put(REAL *p, size_t i, Pack<N> value, bool add) {
    Pack<N> *place = (Pack<N> *)p + i;
    if (add) {
        Pack<N> there = *place;
        for (int l = 0; l < N; l++) value.v[l] += there.v[l];
    }
    *place = value;
}

/* Whether packs of four can be taken: `run` numbers lie together, and all addresses allow it. */
static inline bool cuda_fours(size_t run, const void *a, const void *b = NULL, const void *c = NULL,
                              const void *d = NULL) {
    uintptr_t all = (uintptr_t)a | (uintptr_t)b | (uintptr_t)c | (uintptr_t)d;
    return run % 4 == 0 && all % (4 * sizeof(REAL)) == 0;
}

/* LAUNCH_EACH of kernel<4> or kernel<1>; count is in numbers. */
#define LAUNCH_PACKS(fours, kernel, count, ...)               \
    do {                                                      \
        if (fours)                                            \
            LAUNCH_EACH(kernel<4>, (count) / 4, __VA_ARGS__); \
        else                                                  \
            LAUNCH_EACH(kernel<1>, count, __VA_ARGS__);       \
    } while (0)

#endif
