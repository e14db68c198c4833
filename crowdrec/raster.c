#include "crowdrec/raster.h"

#include "crowdrec/span.h"
#include "tensor/parallel.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BAND = 32, SIDE = 2 }; /* rows of a band; samples along a pixel's side */

typedef struct {
    float nearness; /* -INFINITY: nothing drawn */
    uint8_t rgb[3];
} Sample;

/* The samples of rows first_row .. first_row + BAND - 1 of the picture. */
typedef struct {
    Sample *sample; /* [BAND*SIDE][width*SIDE] */
    int width, first_row;
} Band;

typedef struct {
    double x, y;
} Point;

/* Sample (i, j) of the band lies at (i, j). */
static Point in_band(const Band *b, const RasterVertex *v) {
    double middle = 0.5 * (SIDE - 1);
    return (Point){(double)v->x * SIDE + middle, ((double)v->y - b->first_row) * SIDE + middle};
}

/* Twice the signed area of a, b, c. */
static double area(Point a, Point b, Point c) {
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

static uint8_t level(double value) { return (uint8_t)fmin(255, fmax(0, value + 0.5)); }

static void put(Sample *s, float nearness, double shade, const uint8_t rgb[3]) {
    if (!(nearness > s->nearness)) return;
    s->nearness = nearness;
    for (int k = 0; k < 3; k++) s->rgb[k] = level(rgb[k] * shade);
}

static void draw_triangle(const Band *band, const RasterVertex *const v[3], const uint8_t rgb[3]) {
    Point p[3];
    for (int k = 0; k < 3; k++) p[k] = in_band(band, v[k]);
    double whole = area(p[0], p[1], p[2]);
    if (!isfinite(whole) || whole == 0) return;
    int x0, x1, y0, y1, width = band->width * SIDE;
    span_whole(fmin(p[0].x, fmin(p[1].x, p[2].x)), fmax(p[0].x, fmax(p[1].x, p[2].x)), width, &x0,
               &x1);
    span_whole(fmin(p[0].y, fmin(p[1].y, p[2].y)), fmax(p[0].y, fmax(p[1].y, p[2].y)), BAND * SIDE,
               &y0, &y1);
    for (int y = y0; y <= y1; y++) {
        Sample *row = band->sample + (size_t)y * width;
        for (int x = x0; x <= x1; x++) {
            Point s = {x, y};
            double a = area(p[1], p[2], s) / whole, b = area(p[2], p[0], s) / whole;
            double c = 1 - a - b;
            if (a < 0 || b < 0 || c < 0) continue;
            double near = a * v[0]->nearness + b * v[1]->nearness + c * v[2]->nearness;
            double shade = a * v[0]->shade + b * v[1]->shade + c * v[2]->shade;
            put(&row[x], (float)near, shade, rgb);
        }
    }
}

static void draw_mesh(const Band *band, const RasterMesh *mesh) {
    for (int f = 0; f < mesh->faces; f++) {
        const int32_t *face = mesh->face + 3 * (size_t)f;
        const RasterVertex *v[3];
        for (int k = 0; k < 3; k++) v[k] = &mesh->vertex[face[k]];
        float top = fminf(v[0]->y, fminf(v[1]->y, v[2]->y));
        float low = fmaxf(v[0]->y, fmaxf(v[1]->y, v[2]->y));
        if (low < band->first_row - 1 || top > band->first_row + BAND) continue;
        draw_triangle(band, v, mesh->rgb);
    }
}

/* A pixel is the mean of its samples, each either the picture or a blend with the mesh. */
static void resolve(const Band *band, Image *picture, double opacity) {
    int rows = picture->height - band->first_row;
    for (int y = 0; y < (rows < BAND ? rows : BAND); y++) {
        uint8_t *to = picture->rgb + 3 * (size_t)(band->first_row + y) * picture->width;
        for (int x = 0; x < picture->width; x++, to += 3) {
            int covered = 0, sum[3] = {0};
            for (int i = 0; i < SIDE * SIDE; i++) {
                size_t row = (size_t)y * SIDE + i / SIDE;
                const Sample *s = &band->sample[(row * band->width + x) * SIDE + i % SIDE];
                if (s->nearness == -INFINITY) continue;
                covered++;
                for (int k = 0; k < 3; k++) sum[k] += s->rgb[k];
            }
            double share = opacity / (SIDE * SIDE);
            for (int k = 0; k < 3 && covered; k++)
                to[k] = level(to[k] * (1 - share * covered) + share * sum[k]);
        }
    }
}

/* Rows that a mesh may touch. */
typedef struct {
    float top, low;
} Rows;

static Rows rows_of(const RasterMesh *mesh) {
    Rows r = {INFINITY, -INFINITY};
    for (int i = 0; i < mesh->vertices; i++) {
        r.top = fminf(r.top, mesh->vertex[i].y);
        r.low = fmaxf(r.low, mesh->vertex[i].y);
    }
    return r;
}

static void draw_band(const Band *band, Image *picture, const RasterMesh *mesh, const Rows *rows,
                      int count, double opacity) {
    size_t samples = (size_t)band->width * SIDE * BAND * SIDE;
    bool cleared = false;
    for (int i = 0; i < count; i++) {
        if (rows[i].low < band->first_row - 1 || rows[i].top > band->first_row + BAND) continue;
        for (size_t s = 0; !cleared && s < samples; s++) band->sample[s].nearness = -INFINITY;
        cleared = true;
        draw_mesh(band, &mesh[i]);
    }
    if (cleared) resolve(band, picture, opacity);
}

Status raster_draw(Image *picture, const RasterMesh *mesh, int count, double opacity) {
    size_t samples = (size_t)picture->width * SIDE * BAND * SIDE, threads = parallel_threads();
    Sample *sample = malloc(threads * samples * sizeof *sample);
    Rows *rows = malloc(((size_t)count + 1) * sizeof *rows);
    if (sample && rows) {
        for (int i = 0; i < count; i++) rows[i] = rows_of(&mesh[i]);
        PARALLEL_FOR_DYNAMIC
        for (int band = 0; band < (picture->height + BAND - 1) / BAND; band++) {
            Band b = {sample + parallel_thread() * samples, picture->width, band * BAND};
            draw_band(&b, picture, mesh, rows, count, opacity);
        }
    }
    bool drawn = sample && rows;
    free(sample);
    free(rows);
    return drawn ? OK : fail(ERR_MEMORY, "no memory to draw %d people", count);
}
