/* Cover: what a picture's samples show: which triangle of which mesh lies nearest, and where
 * shadows fall.
 *
 *     CoverBand band = {.sample = samples, .shadow = bits, .width = 1280, .first = 0, .last = 64};
 *     cover_clear(&band);
 *     cover_draw(&band, &mesh, 0);               // mesh 0, then 1, ...
 *     cover_shadow(&band, &flat, &plane, open);  // once everything is drawn
 *
 * A pixel has four samples.  A picture is drawn in bands of rows, and a triangle covers the same
 * samples whichever band or window it is drawn in: silhouettes that are counted alone
 * (cover_silhouette) and shares that are counted in the picture fit to the sample.  Colours come
 * later, once a pixel, for what is seen (paint.h); raster.h is for shaded meshes over a photo.
 *
 * Triangles are counter-clockwise seen from outside; those that show their back are passed over:
 * meshes are closed.
 */
#ifndef CROWDREC_COVER_H
#define CROWDREC_COVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COVER_SIDE = 2, COVER_SAMPLES = COVER_SIDE * COVER_SIDE, COVER_NONE = 0xffff };

typedef struct {
    float x, y; /* pixels, centres at whole numbers */
    float near; /* 1 / depth, linear over the picture */
} CoverPoint;

typedef struct {
    const CoverPoint *point;
    const int32_t *face;  /* [faces,3] */
    int points, faces;    /* up to 65535 faces */
    float x0, y0, x1, y1; /* around all points: cover_bound */
} CoverMesh;

typedef struct {
    float near; /* 0 where nothing is */
    uint16_t mesh, face;
} CoverSample;

/* Rows first .. last - 1 of the picture. */
typedef struct {
    CoverSample *sample; /* [(last-first)*2][width*2] */
    uint8_t *shadow;     /* the same, 1 where the sun does not reach */
    int width, first, last;
} CoverBand;

/* A plane as nearness over the picture: near = a x + b y + c. */
typedef struct {
    double a, b, c;
} CoverPlane;

void cover_bound(CoverMesh *mesh);

void cover_clear(CoverBand *band);

/* mesh: 0 .. 65534; of equally near surfaces the earlier one stays. */
void cover_draw(CoverBand *band, const CoverMesh *mesh, int number);

/* Darkens the samples that the mesh covers and whose surface lies in the plane.  The mesh is one
 * that was flattened onto the plane; open: the plane goes on where nothing was drawn. */
void cover_shadow(CoverBand *band, const CoverMesh *mesh, const CoverPlane *plane, bool open);

/* Samples that the mesh alone would cover, in the picture or beside it.  scratch holds at least
 * cover_scratch(mesh) bytes. */
long cover_silhouette(const CoverMesh *mesh, uint8_t *scratch);
size_t cover_scratch(const CoverMesh *mesh);

static inline const CoverSample *cover_at(const CoverBand *b, int x, int y, int sample) {
    size_t row = (size_t)(y - b->first) * COVER_SIDE + (size_t)(sample / COVER_SIDE);
    return b->sample + (row * (size_t)b->width + (size_t)x) * COVER_SIDE + sample % COVER_SIDE;
}

#endif
