#include "crowdrec/cover.h"

#include <math.h>
#include <string.h>

/* Sample (i, j) of the picture lies at (i, j). */
typedef struct {
    double x, y;
} Place;

/* Samples x0 .. x1, y0 .. y1, both ends included. */
typedef struct {
    int x0, y0, x1, y1;
} Window;

/* What happens at a covered sample: index counts from the window's corner, row by row. */
typedef void Visit(void *context, size_t index, float near);

#define INLINED static inline __attribute__((always_inline))

INLINED Place place(const CoverPoint *p) {
    double middle = 0.5 * (COVER_SIDE - 1);
    return (Place){(double)p->x * COVER_SIDE + middle, (double)p->y * COVER_SIDE + middle};
}

INLINED double least(double a, double b, double c) {
    double m = a < b ? a : b;
    return m < c ? m : c;
}

INLINED double most(double a, double b, double c) {
    double m = a > b ? a : b;
    return m > c ? m : c;
}

/* Of the edge a-b: twice the area of the triangle with a sample is row - dy x, row = r + dx y. */
typedef struct {
    double dx, dy, r;
} Edge;

INLINED Edge edge(Place a, Place b) {
    double dx = b.x - a.x, dy = b.y - a.y;
    return (Edge){dx, dy, dy * a.x - dx * a.y};
}

/* The samples of a triangle inside the window.  Every number depends on triangle and sample alone,
 * so that windows agree. */
INLINED void scan(const CoverMesh *m, int f, Window w, Visit *visit, void *context) {
    const int32_t *face = m->face + 3 * (size_t)f;
    const CoverPoint *v[3] = {m->point + face[0], m->point + face[2], m->point + face[1]};
    Place p[3] = {place(v[0]), place(v[1]), place(v[2])};
    double low_y = ceil(least(p[0].y, p[1].y, p[2].y)), high_y = most(p[0].y, p[1].y, p[2].y);
    double low_x = ceil(least(p[0].x, p[1].x, p[2].x)), high_x = most(p[0].x, p[1].x, p[2].x);
    if (!(low_y <= high_y && low_x <= high_x)) return;
    if (low_y > w.y1 || high_y < w.y0 || low_x > w.x1 || high_x < w.x0) return;
    Edge e[3] = {edge(p[1], p[2]), edge(p[2], p[0]), edge(p[0], p[1])};
    double whole = e[2].dx * (p[2].y - p[0].y) - e[2].dy * (p[2].x - p[0].x);
    if (!(whole > 0)) return;
    double n[3];
    for (int k = 0; k < 3; k++) n[k] = (double)v[k]->near / whole;
    int x0 = low_x > w.x0 ? (int)low_x : w.x0, x1 = high_x < w.x1 ? (int)high_x : w.x1;
    int y0 = low_y > w.y0 ? (int)low_y : w.y0, y1 = high_y < w.y1 ? (int)high_y : w.y1;
    size_t pitch = (size_t)(w.x1 - w.x0) + 1;
    for (int y = y0; y <= y1; y++) {
        double r0 = e[0].r + e[0].dx * y, r1 = e[1].r + e[1].dx * y, r2 = e[2].r + e[2].dx * y;
        size_t row = (size_t)(y - w.y0) * pitch;
        for (int x = x0; x <= x1; x++) {
            double a = r0 - e[0].dy * x, b = r1 - e[1].dy * x, c = r2 - e[2].dy * x;
            if (a < 0 || b < 0 || c < 0) continue;
            visit(context, row + (size_t)(x - w.x0), (float)(a * n[0] + b * n[1] + c * n[2]));
        }
    }
}

void cover_bound(CoverMesh *mesh) {
    mesh->x0 = mesh->y0 = INFINITY, mesh->x1 = mesh->y1 = -INFINITY;
    for (int i = 0; i < mesh->points; i++) {
        const CoverPoint *p = &mesh->point[i];
        if (p->x < mesh->x0) mesh->x0 = p->x;
        if (p->x > mesh->x1) mesh->x1 = p->x;
        if (p->y < mesh->y0) mesh->y0 = p->y;
        if (p->y > mesh->y1) mesh->y1 = p->y;
    }
}

/* ---- the picture ---- */

static Window window(const CoverBand *b) {
    return (Window){0, b->first * COVER_SIDE, b->width * COVER_SIDE - 1, b->last * COVER_SIDE - 1};
}

static bool meets(const CoverBand *b, const CoverMesh *m) {
    return m->y1 > (float)b->first - 1 && m->y0 < (float)b->last && m->x1 > -1 &&
           m->x0 < (float)b->width;
}

static size_t samples(const CoverBand *b) {
    return (size_t)(b->last - b->first) * COVER_SAMPLES * (size_t)b->width;
}

void cover_clear(CoverBand *band) {
    size_t count = samples(band);
    for (size_t i = 0; i < count; i++) band->sample[i] = (CoverSample){0, COVER_NONE, 0};
    memset(band->shadow, 0, count);
}

typedef struct {
    CoverSample *sample, now;
} Draw;

INLINED void draw(void *context, size_t index, float near) {
    Draw *d = context;
    if (!(near > d->sample[index].near)) return;
    d->now.near = near;
    d->sample[index] = d->now;
}

void cover_draw(CoverBand *band, const CoverMesh *mesh, int number) {
    if (!meets(band, mesh)) return;
    Draw d = {band->sample, {.mesh = (uint16_t)number}};
    Window w = window(band);
    for (int f = 0; f < mesh->faces; f++) {
        d.now.face = (uint16_t)f;
        scan(mesh, f, w, draw, &d);
    }
}

typedef struct {
    const CoverBand *band;
    const CoverPlane *plane;
    bool open;
} Cast;

INLINED void cast(void *context, size_t index, float near) {
    const Cast *c = context;
    (void)near;
    size_t pitch = (size_t)c->band->width * COVER_SIDE;
    double x = ((double)(index % pitch) - 0.5) / COVER_SIDE;
    double y = ((double)(index / pitch) - 0.5) / COVER_SIDE + c->band->first;
    const CoverSample *s = &c->band->sample[index];
    double here = c->plane->a * x + c->plane->b * y + c->plane->c;
    bool on =
        s->mesh == COVER_NONE ? c->open && here > 0 : fabs((double)s->near - here) < 1e-3 * here;
    if (on) c->band->shadow[index] = 1;
}

/* Flattening may turn a mesh over; either half of its faces covers the whole shadow. */
void cover_shadow(CoverBand *band, const CoverMesh *mesh, const CoverPlane *plane, bool open) {
    if (!meets(band, mesh)) return;
    Cast c = {band, plane, open};
    Window w = window(band);
    for (int f = 0; f < mesh->faces; f++) scan(mesh, f, w, cast, &c);
}

/* ---- one mesh alone ---- */

static Window around(const CoverMesh *m) {
    return (Window){(int)floorf(m->x0 * COVER_SIDE), (int)floorf(m->y0 * COVER_SIDE),
                    (int)ceilf(m->x1 * COVER_SIDE) + 1, (int)ceilf(m->y1 * COVER_SIDE) + 1};
}

size_t cover_scratch(const CoverMesh *mesh) {
    Window w = around(mesh);
    return (size_t)(w.x1 - w.x0 + 1) * (size_t)(w.y1 - w.y0 + 1);
}

INLINED void mark(void *context, size_t index, float near) {
    (void)near;
    ((uint8_t *)context)[index] = 1;
}

long cover_silhouette(const CoverMesh *mesh, uint8_t *scratch) {
    Window w = around(mesh);
    size_t size = cover_scratch(mesh);
    long count = 0;
    memset(scratch, 0, size);
    for (int f = 0; f < mesh->faces; f++) scan(mesh, f, w, mark, scratch);
    for (size_t i = 0; i < size; i++) count += scratch[i];
    return count;
}
