/* Backdrop: the ground without end, what stands at its far edge, and the sky.
 *
 *     Backdrop b = backdrop_make(&dice, &frame, height);
 *     backdrop_color(&b, &light, ray, pixel, lit, open, rgb);    // light, not albedo
 *
 * The frame is the camera's (x right, y down, z forward) with the ground's directions in it.
 */
#ifndef CROWDREC_BACKDROP_H
#define CROWDREC_BACKDROP_H

#include "crowdrec/light.h"

/* Unit vectors of the camera frame. */
typedef struct {
    float up[3], right[3], forward[3];
} Frame;

typedef enum {
    GROUND_TILES,
    GROUND_GRASS,
    GROUND_TRACK,
    GROUND_ASPHALT,
    GROUND_SAND,
    GROUND_COBBLES,
    GROUNDS
} Ground;

typedef struct {
    Frame frame;
    Ground ground;
    uint32_t seed;
    float height;  /* of the camera over the ground, metres */
    float far;     /* where the ground ends, metres */
    float turn[2]; /* cosine and sine of the pattern's direction on the ground */
    float size;    /* of tiles */
    float first[3], second[3], line[3];
    float zenith[3], horizon[3], cloud;
    float brick[3], plaster[3], leaf[3];
    float town, wood; /* shares of the skyline */
    float haze;       /* 1 / metres */
} Backdrop;

Backdrop backdrop_make(Dice *dice, const Frame *frame, float height, const Light *light);

/* What a ray with depth 1 (z = 1) brings back.  pixel: what a pixel spans at depth 1; lit and open:
 * shares of sun and sky that reach the ground there. */
void backdrop_color(const Backdrop *b, const Light *light, const float ray[3], float pixel,
                    float lit, float open, float rgb[3]);

/* Distance takes colour away: moves rgb towards the horizon's light. */
void backdrop_haze(const Backdrop *b, float distance, float rgb[3]);

#endif
