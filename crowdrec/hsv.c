#include "crowdrec/hsv.h"

#include "tensor/rng.h"

#include <math.h>
#include <stddef.h>

static float part(uint64_t stream, uint64_t i, float range) {
    return rng_uniform(stream, 2 * i) < 0.5f ? 0 : range * rng_signed(stream, 2 * i + 1);
}

double hsv_strength(double hue, int k) {
    double distance = fabs(fmod(hue + (3 - k) / 3.0, 1) * 6 - 3); /* 3 at the pure colour */
    return fmin(1, fmax(0, 2 - fabs(3 - distance)));
}

HsvShift hsv_draw(uint64_t key) {
    uint64_t stream = rng_stream("hsv", key);
    return (HsvShift){part(stream, 0, 10), part(stream, 1, 30), part(stream, 2, 30)};
}

static float within(float x) { return fminf(fmaxf(x, 0), 255); }

/* In sixths of the circle, red 0, green 2, blue 4; spread > 0. */
static float hue_of(const float *bgr, float most, float spread) {
    float b = bgr[0], g = bgr[1], r = bgr[2];
    if (most == r) return (g - b) / spread;
    return most == g ? 2 + (b - r) / spread : 4 + (r - g) / spread;
}

/* Share of the chroma that a colour channel lacks at `distance` sixths from its own hue. */
static float lacking(float hue, float own) {
    float distance = fabsf(hue - own);
    distance = fminf(distance, 6 - distance);
    return fminf(fmaxf(distance - 1, 0), 1);
}

static void move(const HsvShift *s, float *bgr) {
    float most = fmaxf(bgr[0], fmaxf(bgr[1], bgr[2])), least = fminf(bgr[0], fminf(bgr[1], bgr[2]));
    float spread = most - least, value = within(most + s->value);
    if (!(spread > 0)) {
        bgr[0] = bgr[1] = bgr[2] = value;
        return;
    }
    float hue = hue_of(bgr, most, spread) + s->hue / 60;
    float chroma = value * within(255 * spread / most + s->saturation) / 255;
    hue -= 6 * floorf(hue / 6);
    for (int k = 0; k < 3; k++) bgr[k] = value - chroma * lacking(hue, (float)(4 - 2 * k));
}

void hsv_move(const HsvShift *shift, float *bgr, int pixels) {
    for (int i = 0; i < pixels; i++) move(shift, bgr + 3 * (size_t)i);
}
