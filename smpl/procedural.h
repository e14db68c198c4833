/* Procedural: a human body in SMPL's format that is made, not measured, and so free to ship.
 *
 *     TRY(procedural_write("body.npz", 0, NULL));
 *     TRY(body_load("body.npz", NULL, &body));          // like any other
 *
 * How: figure.h gives skeleton and measures, anatomy.h the flesh around it; solid.h makes one
 * implicit surface of it, contour.h and remesh.h triangles of its left half, which is mirrored.
 * binding.h makes skinning weights and regressors.  A beta's shape direction is half the difference
 * of the bodies at +1 and -1, whose vertices are the mean body's, carried by the skeleton and set
 * onto the skin.  corrective.h makes the pose blend shapes.  Nothing is random.
 */
#ifndef SMPL_PROCEDURAL_H
#define SMPL_PROCEDURAL_H

#include "smpl/body.h"

enum { PROCEDURAL_VERTICES = 6900, PROCEDURAL_LEAST = 2000, PROCEDURAL_MOST = 40000 };

/* The counts that came out. */
typedef struct {
    int vertices, faces;
} ProceduralSize;

/* Writes an npz with all arrays of SMPL's format and J_regressor_halpe.  vertices: about that many,
 * 0 for the default.  Equal bytes on every call.  made may be NULL. */
Status procedural_write(const char *path, int vertices, ProceduralSize *made);

/* The default one, as body_load would read it. */
Status procedural_body(Body **out);

#endif
