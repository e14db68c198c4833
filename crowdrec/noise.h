/* Noise: smooth random textures that are functions of a place alone.
 *
 *     float grain = noise_at2(seed, x / 0.05f, y / 0.05f);     // lumps of about 5 cm, -1 to 1
 *
 * Value noise: random numbers on a grid of whole numbers, joined by cubic steps.
 */
#ifndef CROWDREC_NOISE_H
#define CROWDREC_NOISE_H

#include <stdint.h>

/* Rounded down; the library's floorf is a call where the processor is not known. */
static inline int noise_floor(float x) {
    int i = (int)x;
    return i - ((float)i > x);
}

static inline float noise_min(float a, float b) { return a < b ? a : b; }
static inline float noise_max(float a, float b) { return a > b ? a : b; }

static inline uint32_t noise_hash(uint32_t seed, int x, int y, int z) {
    uint32_t h =
        seed ^ (uint32_t)x * 0x8DA6B343u ^ (uint32_t)y * 0xD8163841u ^ (uint32_t)z * 0xCB1AB31Fu;
    h *= 0x2C1B3C6Du;
    h = (h ^ (h >> 15)) * 0x297A2D39u;
    return h ^ (h >> 15);
}

/* Uniform in [0, 1), one number a cell. */
static inline float noise_cell(uint32_t seed, int x, int y) {
    return (float)(noise_hash(seed, x, y, 0) >> 8) * 0x1p-24f;
}

static inline float noise_step(float t) { return t * t * (3 - 2 * t); }

static inline float noise_corner(uint32_t seed, int x, int y, int z) {
    return (float)(noise_hash(seed, x, y, z) >> 8) * 0x1p-23f - 1;
}

static inline float noise_mix(float a, float b, float t) { return a + (b - a) * t; }

/* Coordinates up to a million; -1 to 1. */
static inline float noise_at2(uint32_t seed, float x, float y) {
    int i = noise_floor(x), j = noise_floor(y);
    float u = noise_step(x - (float)i), v = noise_step(y - (float)j);
    float low = noise_mix(noise_corner(seed, i, j, 0), noise_corner(seed, i + 1, j, 0), u);
    float high = noise_mix(noise_corner(seed, i, j + 1, 0), noise_corner(seed, i + 1, j + 1, 0), u);
    return noise_mix(low, high, v);
}

static inline float noise_at3(uint32_t seed, float x, float y, float z) {
    int i = noise_floor(x), j = noise_floor(y), k = noise_floor(z);
    float u = noise_step(x - (float)i), v = noise_step(y - (float)j), plane[2];
    for (int n = 0; n < 2; n++) {
        float low =
            noise_mix(noise_corner(seed, i, j, k + n), noise_corner(seed, i + 1, j, k + n), u);
        float high = noise_mix(noise_corner(seed, i, j + 1, k + n),
                               noise_corner(seed, i + 1, j + 1, k + n), u);
        plane[n] = noise_mix(low, high, v);
    }
    return noise_mix(plane[0], plane[1], noise_step(z - (float)k));
}

#endif
