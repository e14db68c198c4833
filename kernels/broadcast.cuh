/* Tensors that share one shape but for repeated axes (broadcast.h) in kernels.
 *
 *     Broadcast w = broadcast_make(y.shape, 2, shapes);
 *     EACH(i, count) {                                    // packs of N numbers of the full shape
 *         Pack<N> p = broadcast_load<N>(w, 0, a, i);      // what operand 0 has there
 *
 * For sums into an operand see sum.cuh.
 */
#ifndef KERNELS_BROADCAST_CUH
#define KERNELS_BROADCAST_CUH

#include "kernels/cuda.cuh"
extern "C" {
#include "kernels/broadcast.h"
}

/* Where operand k has what goes with number i of the full shape. */
static inline __device__ size_t broadcast_offset(const Broadcast &b, int k, unsigned i) {
    size_t at = 0;
    for (int axis = 3; axis >= 0; axis--) {
        if (i == 0) break;
        at += i % (unsigned)b.size[axis] * b.step[k][axis];
        i /= (unsigned)b.size[axis];
    }
    return at;
}

/* The N numbers of operand k, from p, that go with pack i of the full shape; NULL gives zeros.  N
 * divides the last axis. */
template <int N>
static inline __device__ Pack<N> broadcast_load(const Broadcast &b, int k, const REAL *p,
                                                size_t i) {
    Pack<N> values = {};
    if (!p) return values;
    size_t at = broadcast_offset(b, k, (unsigned)i * N);
    if (b.step[k][3]) return *(const Pack<N> *)(p + at);
    for (int l = 0; l < N; l++) values.v[l] = p[at];
    return values;
}

#endif
