/* Meshes: a crowd's bodies as shaded triangles on a screen, for raster.h.
 *
 *     Meshes meshes;
 *     TRY(meshes_new(&crowd, body, &view, &meshes));
 *     TRY(raster_draw(&picture, meshes.mesh, meshes.count, 1));
 *     meshes_free(&meshes);                     // before the body
 */
#ifndef CROWDREC_MESHES_H
#define CROWDREC_MESHES_H

#include "crowdrec/crowd.h"
#include "crowdrec/raster.h"
#include "smpl/body.h"

/* How points of the camera frame come to the screen.  Rows of `axes` are the screen's right, down
 * and away directions; then perspective: pixel = scale*p/depth + center, cut at MESHES_NEAR; or
 * parallel: pixel = scale*p + center. */
typedef struct {
    double axes[3][3];
    double scale, center[2];
    bool perspective;
} MeshesView;

/* Metres from the camera below which a triangle is cut off. */
#define MESHES_NEAR 0.1

typedef struct {
    RasterMesh *mesh; /* one for each person of the crowd; without faces where left out */
    int count;
    const int32_t *shared; /* the body's faces, which most meshes use */
} Meshes;

Status meshes_new(const Crowd *crowd, const Body *body, const MeshesView *view, Meshes *out);
void meshes_free(Meshes *meshes); /* zeroes it */

/* The body's vertices in the camera frame; false for a person that is not drawn. */
bool meshes_vertices(const Person *person, const Body *body, float *vertices);

#endif
