/* Vector: as many floats as the instruction set of a kernels/<name>.isa.c takes at once.
 *
 *     for (int k = 0; k < c; k += LANES) {
 *         int lanes = vector_lanes(c - k);
 *         vector_store(y + k, vector_silu(vector_load(x + k, lanes)), lanes);
 *     }
 *
 * The last numbers of a row fill a vector's front and run through the same instructions as all
 * others: a value does not depend on where in a row it stands.  Arithmetic is the compiler's own on
 * vectors; a product and the sum that takes it become one fused instruction where there is one.
 * For files that are compiled per instruction set (isa.h) only.
 */
#ifndef KERNELS_VECTOR_H
#define KERNELS_VECTOR_H

#include "kernels/attr.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#if defined __AVX512F__
#define VECTOR_BYTES 64
#elif defined __AVX2__
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

enum { LANES = VECTOR_BYTES / sizeof(float) };

typedef float Vector __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t Bits __attribute__((vector_size(VECTOR_BYTES)));

/* A vector anywhere in memory. */
typedef float VectorPlace
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(float)), may_alias));

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE int vector_lanes(int left) { return left < LANES ? left : LANES; }

/* The first `lanes` numbers at p, zeros behind them. */
VECTOR_INLINE Vector vector_load(const float *p, int lanes) {
    if (lanes == LANES) return *(const VectorPlace *)(const void *)p;
    float whole[LANES] = {0};
    memcpy(whole, p, (size_t)lanes * sizeof *p);
    return *(const VectorPlace *)(const void *)whole;
}

VECTOR_INLINE void vector_store(float *p, Vector v, int lanes) {
    if (lanes == LANES)
        *(VectorPlace *)(void *)p = v;
    else
        memcpy(p, &v, (size_t)lanes * sizeof *p);
}

/* Four rows of four numbers, `from_row` apart, become columns. */
enum { QUAD = 4 };
VECTOR_INLINE void vector_transpose_quad(const float *from, size_t from_row, float *to,
                                         size_t to_row) {
#ifdef __x86_64__
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_row);
    __m128 c = _mm_loadu_ps(from + 2 * from_row), d = _mm_loadu_ps(from + 3 * from_row);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a), _mm_storeu_ps(to + to_row, b);
    _mm_storeu_ps(to + 2 * to_row, c), _mm_storeu_ps(to + 3 * to_row, d);
#else
    for (int i = 0; i < QUAD; i++)
        for (int j = 0; j < QUAD; j++) to[(size_t)j * to_row + i] = from[(size_t)i * from_row + j];
#endif
}

VECTOR_INLINE Vector vector_of(float value) { return (Vector){0} + value; }

/* a where mask is all ones, b where it is 0. */
VECTOR_INLINE Vector vector_select(Bits mask, Vector a, Vector b) {
    return (Vector)(((Bits)a & mask) | ((Bits)b & ~mask));
}

/* x, at least low, at most high, the square root; NaN stays NaN. */
#if defined __AVX512F__
VECTOR_INLINE Vector vector_max(Vector x, Vector low) { return _mm512_max_ps(low, x); }
VECTOR_INLINE Vector vector_min(Vector x, Vector high) { return _mm512_min_ps(high, x); }
VECTOR_INLINE Vector vector_sqrt(Vector x) { return _mm512_sqrt_ps(x); }
#elif defined __AVX2__
VECTOR_INLINE Vector vector_max(Vector x, Vector low) { return _mm256_max_ps(low, x); }
VECTOR_INLINE Vector vector_min(Vector x, Vector high) { return _mm256_min_ps(high, x); }
VECTOR_INLINE Vector vector_sqrt(Vector x) { return _mm256_sqrt_ps(x); }
#elif defined __x86_64__
VECTOR_INLINE Vector vector_max(Vector x, Vector low) { return _mm_max_ps(low, x); }
VECTOR_INLINE Vector vector_min(Vector x, Vector high) { return _mm_min_ps(high, x); }
VECTOR_INLINE Vector vector_sqrt(Vector x) { return _mm_sqrt_ps(x); }
#else
VECTOR_INLINE Vector vector_max(Vector x, Vector low) { return vector_select(x < low, low, x); }
VECTOR_INLINE Vector vector_min(Vector x, Vector high) { return vector_select(x > high, high, x); }
VECTOR_INLINE Vector vector_sqrt(Vector x) {
    for (int l = 0; l < LANES; l++) x[l] = sqrtf(x[l]);
    return x;
}
#endif

/* e^x = 2^n e^r with |r| <= log(2)/2; e^r = 1 + r + r^2 q(r), q of the smallest largest relative
 * error (1.3e-9).  Within 2 units in the last place; 0 and infinity where floats end; NaN stays
 * NaN. */
VECTOR_INLINE Vector vector_exp(Vector x) {
    const Vector low = vector_of(-105), high = vector_of(90);
    const Vector magic = vector_of(0x1.8p23f); /* a sum with it is whole, in its lowest bits */
    x = vector_min(vector_max(x, low), high);
    Vector shifted = x * 0x1.715476p0f + magic, n = shifted - magic;
    Vector r = x - n * 0x1.62e4p-1f;
    r = r - n * 0x1.7f7d1cp-20f;
    Vector q = vector_of(1.9789266e-4f);
    q = q * r + 1.3945752e-3f;
    q = q * r + 8.3335042e-3f;
    q = q * r + 4.1666280e-2f;
    q = q * r + 0.16666666f;
    q = q * r + 0.5f;
    Bits whole = (Bits)shifted - (Bits)magic, half = whole >> 1;
    Vector first = (Vector)((half + 127) << 23), second = (Vector)((whole - half + 127) << 23);
    return (1 + (r + r * r * q)) * first * second;
}

VECTOR_INLINE Vector vector_sigmoid(Vector x) { return 1 / (1 + vector_exp(-x)); }

VECTOR_INLINE Vector vector_silu(Vector x) { return x / (1 + vector_exp(-x)); }

VECTOR_INLINE Vector vector_activate(Vector z, Act act, float slope) {
    switch (act) {
    case ACT_RELU: return vector_max(z, (Vector){0});
    case ACT_LEAKY: return vector_select(z > 0, z, slope * z);
    case ACT_SILU: return vector_silu(z);
    case ACT_NONE: break;
    }
    return z;
}

VECTOR_INLINE Vector vector_silu_slope(Vector x) {
    Vector s = vector_sigmoid(x);
    return s * (1 + x * (1 - s));
}

#endif
