/* Contour: a solid's left half as triangles, by marching tetrahedra. */
#ifndef SMPL_CONTOUR_H
#define SMPL_CONTOUR_H

#include "smpl/solid.h"

/* Corners counter-clockwise seen from outside. */
typedef struct {
    double (*vertex)[3];
    int (*face)[3];
    int vertices, faces;
} Surface;

/* The surface at x >= 0 on a grid of that step: a manifold whose only border lies on x = 0, where
 * border vertices are exactly.  The arena owns it. */
Surface contour_half(const Solid *solid, double step, Arena *arena);

#endif
