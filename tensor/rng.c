#include "tensor/rng.h"

#include <math.h>

uint64_t rng_fnv1a(const char *text) {
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        h = (h ^ *p) * 0x100000001b3u;
    return h;
}

uint64_t rng_stream(const char *key, uint64_t seed) { return rng_stream_of(rng_fnv1a(key), seed); }

double rng_normal(uint64_t stream, uint64_t i) {
    double u = 1 - (double)rng_uniform(stream, 2 * i), v = rng_uniform(stream, 2 * i + 1);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}
