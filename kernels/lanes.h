/* Lanes: the vectors of *.isa.c files, as wide as the instruction set that the file is compiled
 * for.
 *
 *     for (int i = 0; i < n; i += LANES) {
 *         int count = lanes_count(n - i);
 *         lanes_store(y + i, count, lanes_load(x + i, count) * 2);
 *     }
 *
 * Arithmetic is the compiler's own on vectors; a product and the sum that takes it become one
 * fused instruction where there is one.  For *.isa.c files only.
 */
#ifndef KERNELS_LANES_H
#define KERNELS_LANES_H

#include <string.h>

/* TILE_ROWS x TILE_VECTORS sums, the vectors of one step and a factor fill the registers. */
#if defined __AVX512F__
enum { LANES = 16, TILE_ROWS = 8, TILE_VECTORS = 3 };
#elif defined __AVX2__
enum { LANES = 8, TILE_ROWS = 6, TILE_VECTORS = 2 };
#else
enum { LANES = 4, TILE_ROWS = 6, TILE_VECTORS = 2 };
#endif

typedef float Lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int LaneInts __attribute__((vector_size(LANES * sizeof(int))));
typedef float LanesAt __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

static inline int lanes_count(int left) { return left < LANES ? left : LANES; }

static inline Lanes lanes_all(float value) { return value - (Lanes){0}; }

/* `count` numbers from anywhere in memory, zeros behind them. */
static inline Lanes lanes_load(const float *from, int count) {
    if (count == LANES) return *(const LanesAt *)from;
    float part[LANES] = {0};
    for (int i = 0; i < count; i++) part[i] = from[i];
    return *(const LanesAt *)part;
}

static inline void lanes_store(float *to, int count, Lanes value) {
    if (count == LANES) {
        *(LanesAt *)to = value;
        return;
    }
    float part[LANES];
    *(LanesAt *)part = value;
    for (int i = 0; i < count; i++) to[i] = part[i];
}

/* a where a number of `where` is -1, b where it is 0. */
static inline Lanes lanes_choose(LaneInts where, Lanes a, Lanes b) {
    return (Lanes)(((LaneInts)a & where) | ((LaneInts)b & ~where));
}

/* e^x to 2 units in the last place between -87 and 88, held there outside; NaN stays NaN. */
static inline Lanes lanes_exp(Lanes x) {
    const float shift = 0x1.8p23f; /* a float of this size has no room for fractions */
    x = lanes_choose(x > 88.f, lanes_all(88), lanes_choose(x < -87.f, lanes_all(-87), x));
    Lanes whole = (x * 0x1.715476p0f + shift) - shift;
    Lanes r = x - whole * 0x1.62e4p-1f - whole * 0x1.7f7d1cp-20f;
    Lanes p = r * 0x1.6c16c2p-10f + 0x1.111112p-7f;
    p = p * r + 0x1.555556p-5f;
    p = p * r + 0x1.555556p-3f;
    p = p * r + 0.5f;
    p = p * r + 1;
    p = p * r + 1;
    LaneInts exponent = (__builtin_convertvector(whole, LaneInts) + 127) << 23;
    return p * (Lanes)exponent;
}

#endif
