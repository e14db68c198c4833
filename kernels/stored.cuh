/* Numbers in memory as float or, where a plan keeps them in half the bytes, as bfloat16; arithmetic
 * is in REAL either way.
 *
 *     Stored x = stored_of(&c->in[0]);
 *     LAUNCH_PACKS(stored_fours(size, x, y), kernel, size, x, y);
 *     ... Pack<N> from = stored_load<N>(x, i);
 *     ... stored_put<N>(y, i, from, false);
 */
#ifndef KERNELS_STORED_CUH
#define KERNELS_STORED_CUH

#include "kernels/cuda.cuh"

typedef struct {
    uint16_t bits; /* the upper half of a float's */
} Half;

static inline __device__ REAL half_number(Half value) {
    uint32_t bits = (uint32_t)value.bits << 16;
    REAL number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* To the nearest, of two equally near ones to the even; a NaN stays one. */
static inline __device__ Half half_of(REAL value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bool nan = (bits & 0x7fffffff) > 0x7f800000;
    Half half = {(uint16_t)(nan ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
    return half;
}

typedef struct {
    void *data; /* NULL: absent */
    bool half;
} Stored;

static inline Stored stored_make(void *data, bool half) {
    Stored s = {data, half};
    return s;
}

static inline bool stored_half(const Tensor *t) { return t->dtype == BF16; }
static inline Stored stored_of(const Tensor *t) { return stored_make(t->data, stored_half(t)); }

static inline size_t stored_bytes(size_t count, bool half) {
    return count * (half ? sizeof(Half) : sizeof(REAL));
}

/* From number i on. */
static inline Stored stored_from(Stored s, size_t i) {
    if (s.data) s.data = (char *)s.data + stored_bytes(i, s.half);
    return s;
}

template <int N> struct alignas(N * sizeof(Half)) HalfPack { Half v[N]; };

/* Pack i; zeros where s is absent. */
template <int N> static inline __device__ Pack<N> stored_load(Stored s, size_t i) {
    if (!s.half) return pack_load<N>((const REAL *)s.data, i);
    Pack<N> pack = {};
    if (!s.data) return pack;
    HalfPack<N> half = ((const HalfPack<N> *)s.data)[i];
    for (int l = 0; l < N; l++) pack.v[l] = half_number(half.v[l]);
    return pack;
}

static inline __device__ REAL stored_get(Stored s, size_t i) { return stored_load<1>(s, i).v[0]; }

template <int N>
static inline __device__ void stored_put(Stored s, size_t i, Pack<N> value, bool add) {
    if (!s.half) {
        pack_put<N>((REAL *)s.data, i, value, add);
        return;
    }
    HalfPack<N> half;
    if (add) {
        Pack<N> there = stored_load<N>(s, i);
        for (int l = 0; l < N; l++) value.v[l] += there.v[l];
    }
    for (int l = 0; l < N; l++) half.v[l] = half_of(value.v[l]);
    ((HalfPack<N> *)s.data)[i] = half;
}

static inline __device__ void stored_put_one(Stored s, size_t i, REAL value, bool add) {
    Pack<1> one = {{value}};
    stored_put<1>(s, i, one, add);
}

static inline bool stored_aligned(Stored s) {
    return (uintptr_t)s.data % stored_bytes(4, s.half) == 0;
}

/* Whether packs of four can be taken: `run` numbers lie together, and all addresses allow it. */
static inline bool stored_fours(size_t run, Stored a, Stored b = {}, Stored c = {}, Stored d = {}) {
    return run % 4 == 0 && stored_aligned(a) && stored_aligned(b) && stored_aligned(c) &&
           stored_aligned(d);
}

template <int N>
static __global__ void stored_copy(size_t count, Stored from, Stored to, bool add) {
    EACH(i, count) stored_put<N>(to, i, stored_load<N>(from, i), add);
}

/* count numbers to another place, in the form they have there, or added to what is there. */
static inline void stored_move(size_t count, Stored from, Stored to, bool add) {
    LAUNCH_PACKS(stored_fours(count, from, to), stored_copy, count, from, to, add);
}

#endif
