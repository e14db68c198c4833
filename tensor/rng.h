/* Counter-based random numbers: a value is a function of (key, seed, index), never of a state, so
 * any thread can make any element and every run gives the same bytes.
 *
 *     uint64_t stream = rng_stream("dropout", seed);
 *     float v = rng_signed(stream, i);             // element i, uniform in [-1, 1)
 *
 * The hash is FNV-1a over the key, mixed by splitmix64 (Steele, Lea, Flood 2014).
 */
#ifndef TENSOR_RNG_H
#define TENSOR_RNG_H

#include "tensor/inline.h"

#include <stdint.h>

uint64_t rng_fnv1a(const char *text);
uint64_t rng_stream(const char *key, uint64_t seed);

/* The same for a key that is known by its hash only. */
INLINE uint64_t rng_stream_of(uint64_t hash, uint64_t seed) {
    return hash ^ seed * 0x9E3779B97F4A7C15u;
}

INLINE uint64_t rng_splitmix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* Uniform in [0, 1) with 24 bits: exact in float. */
INLINE float rng_uniform(uint64_t stream, uint64_t i) {
    return (float)(rng_splitmix(stream + i) >> 40) * 0x1p-24f;
}

/* Uniform in [-1, 1), exact in float. */
INLINE float rng_signed(uint64_t stream, uint64_t i) { return 2 * rng_uniform(stream, i) - 1; }

/* Standard normal (Box-Muller over elements 2i and 2i+1 of the stream). */
double rng_normal(uint64_t stream, uint64_t i);

#endif
