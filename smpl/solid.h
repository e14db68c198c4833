/* Solid: a figure's flesh as an implicit surface, the zero level of one function of space.
 *
 *     Solid *s = solid_new(&figure);
 *     double depth = -solid_distance(s, point);
 *     solid_project(s, point);        // onto the skin
 *     solid_free(s);
 *
 * It is a smooth union of tubes: rows of elliptic cross-sections with rounded ends (anatomy.h).
 * The function is negative inside and near the skin about the distance to it in metres.  It is
 * symmetric about x = 0.
 */
#ifndef SMPL_SOLID_H
#define SMPL_SOLID_H

#include "smpl/figure.h"

typedef struct Solid Solid;

Solid *solid_new(const Figure *figure);
void solid_free(Solid *solid);

double solid_distance(const Solid *solid, const double point[3]);

/* The gradient of solid_distance, by central differences. */
void solid_gradient(const Solid *solid, const double point[3], double gradient[3]);

/* Moves a point that is near the skin onto it, along the gradient. */
void solid_project(const Solid *solid, double point[3]);

/* A box with x >= 0 that holds the left half: low, high corner. */
void solid_bounds(const Solid *solid, double low[3], double high[3]);

#endif
