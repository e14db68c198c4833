/* Light: what falls on a surface outdoors, and a few words for colours.
 *
 *     float rgb[3];
 *     color_set(rgb, 0.5f, 0.3f, 0.2f);                 // albedo
 *     light_fall(&light, normal, lit, open, rgb);       // what comes back to the camera
 *
 * Colours are linear in light, albedos 0 to 1, white in full sun about 1.  Directions are of the
 * camera frame (x right, y down, z forward), unit length.
 */
#ifndef CROWDREC_LIGHT_H
#define CROWDREC_LIGHT_H

#include "crowdrec/dice.h"

typedef struct {
    float to_sun[3], up[3];
    float sun[3], sky[3], earth[3]; /* of the sun face on; of the sky and of what lies below */
} Light;

static inline void color_set(float rgb[3], float r, float g, float b) {
    rgb[0] = r, rgb[1] = g, rgb[2] = b;
}

static inline void color_scale(float rgb[3], float factor) {
    for (int k = 0; k < 3; k++) rgb[k] *= factor;
}

/* rgb moves towards other by the share, 0 to 1. */
static inline void color_blend(float rgb[3], const float other[3], float share) {
    for (int k = 0; k < 3; k++) rgb[k] += (other[k] - rgb[k]) * share;
}

/* From 0 to 1 around x = 0, over the given width. */
static inline float color_edge(float x, float width) {
    float t = x / width + 0.5f;
    return t < 0 ? 0 : t > 1 ? 1 : t;
}

/* A hue 0..1 with saturation and lightness 0..1, in linear light. */
void color_hue(float rgb[3], double hue, double saturation, double lightness);

/* Weather: from clear noon to an overcast sky, by the dice.  up: the ground's normal. */
Light light_make(Dice *dice, const float up[3], const float right[3], const float forward[3]);

/* Turns an albedo into light.  lit: share of the sun that reaches the place; open: share of the
 * sky. */
static inline void light_fall(const Light *l, const float normal[3], float lit, float open,
                              float rgb[3]) {
    float facing = 0, upward = 0;
    for (int k = 0; k < 3; k++) {
        facing += normal[k] * l->to_sun[k];
        upward += normal[k] * l->up[k];
    }
    float direct = facing > 0 ? facing * lit : 0, above = 0.5f + 0.5f * upward;
    for (int k = 0; k < 3; k++)
        rgb[k] *= direct * l->sun[k] + open * (above * l->sky[k] + (1 - above) * l->earth[k]);
}

#endif
