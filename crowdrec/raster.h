/* Raster: shaded triangles drawn into a picture through a z-buffer, four samples a pixel.
 *
 *     RasterMesh mesh = {.vertex = v, .face = body->face, .faces = body->faces,
 *                        .vertices = body->vertices, .rgb = {120, 150, 190}};
 *     TRY(raster_draw(&picture, &mesh, 1, 0.9));
 *
 * Rows are drawn in bands, each by one thread, so memory is bounded by the picture's width and the
 * result does not depend on the number of threads.
 */
#ifndef CROWDREC_RASTER_H
#define CROWDREC_RASTER_H

#include "crowdrec/image.h"

typedef struct {
    float x, y;     /* pixels, centres at whole numbers; any number, NaN hides its triangles */
    float nearness; /* larger hides smaller; linear over the screen (1/z in perspective) */
    float shade;    /* factor of the colour */
} RasterVertex;

typedef struct {
    const RasterVertex *vertex;
    int vertices;
    const int32_t *face; /* [faces,3] */
    int faces;
    uint8_t rgb[3];
} RasterMesh;

/* Draws the meshes over the picture with opacity 0..1.  Of equally near surfaces the earlier mesh
 * stays.  ERR_MEMORY leaves the picture as it was. */
Status raster_draw(Image *picture, const RasterMesh *mesh, int count, double opacity);

#endif
