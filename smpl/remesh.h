/* Remesh: even triangles of wanted size on a solid's skin (Botsch and Kobbelt, A remeshing approach
 * to multiresolution modeling, 2004): long edges are split, short ones collapsed, edges flipped
 * towards six neighbours, vertices moved along the skin towards their neighbours' middle. */
#ifndef SMPL_REMESH_H
#define SMPL_REMESH_H

#include "smpl/contour.h"

/* The left half anew, finer where the body has detail, so that the whole body has about that many
 * vertices.  Vertices of the border stay on x = 0.  The arena owns the result. */
Surface remesh_half(const Solid *solid, const Surface *half, int vertices, Arena *arena);

#endif
