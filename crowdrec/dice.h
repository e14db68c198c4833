/* Dice: draws one after another from a counter-based stream (tensor/rng.h).
 *
 *     Dice d = dice_new("crowd", seed);
 *     double height = dice_range(&d, 1.5, 2);
 *     Dice own = dice_child(&d, i);          // independent of what is drawn from d and when
 */
#ifndef CROWDREC_DICE_H
#define CROWDREC_DICE_H

#include "tensor/rng.h"

#include <math.h>
#include <stdbool.h>

typedef struct {
    uint64_t stream, next;
} Dice;

static inline Dice dice_new(const char *key, uint64_t seed) {
    return (Dice){rng_splitmix(rng_stream(key, seed)), 0};
}

static inline Dice dice_child(const Dice *d, uint64_t i) {
    return (Dice){rng_splitmix(d->stream ^ rng_splitmix(i + 1)), 0};
}

/* Uniform in [0, 1), and in [low, high). */
static inline double dice_uniform(Dice *d) { return (double)rng_uniform(d->stream, d->next++); }

static inline double dice_range(Dice *d, double low, double high) {
    return low + (high - low) * dice_uniform(d);
}

/* Uniform in the logarithm. */
static inline double dice_log_range(Dice *d, double low, double high) {
    return low * pow(high / low, dice_uniform(d));
}

/* Uniform among 0 .. count - 1. */
static inline int dice_pick(Dice *d, int count) { return (int)(dice_uniform(d) * count); }

static inline bool dice_chance(Dice *d, double probability) {
    return dice_uniform(d) < probability;
}

/* Normal with mean 0, cut to three deviations. */
static inline double dice_normal(Dice *d, double deviation) {
    double a = 1 - dice_uniform(d), b = dice_uniform(d);
    double z = sqrt(-2 * log(a)) * cos(2 * M_PI * b);
    return deviation * fmax(-3, fmin(3, z));
}

#endif
