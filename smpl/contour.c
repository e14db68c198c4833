#include "smpl/contour.h"

#include "tensor/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const Solid *solid;
    double origin[3], step;
    int size[3];   /* grid points along x, y, z */
    double *value; /* of each grid point, never 0 */
    int (*cut)[8]; /* per grid point and edge (bits: which axes it spans) 1 + vertex */
    Surface *out;
    int vertex_room, face_room;
} Grid;

static size_t index_of(const Grid *g, int x, int y, int z) {
    return ((size_t)z * (size_t)g->size[1] + (size_t)y) * (size_t)g->size[0] + (size_t)x;
}

static void place_of(const Grid *g, size_t i, double out[3]) {
    size_t width = (size_t)g->size[0], height = (size_t)g->size[1];
    out[0] = g->origin[0] + g->step * (double)(i % width);
    out[1] = g->origin[1] + g->step * (double)(i / width % height);
    out[2] = g->origin[2] + g->step * (double)(i / width / height);
}

static void sample(Grid *g) {
    PARALLEL_FOR_DYNAMIC
    for (int z = 0; z < g->size[2]; z++) {
        size_t first = index_of(g, 0, 0, z), count = index_of(g, 0, 0, z + 1) - first;
        for (size_t i = first; i < first + count; i++) {
            double at[3];
            place_of(g, i, at);
            double value = solid_distance(g->solid, at);
            g->value[i] = fabs(value) < 1e-9 ? 1e-9 : value;
        }
    }
}

/* ---- growing lists ---- */

static void *grown(void *list, int *room, size_t size) {
    *room = *room ? 2 * *room : 1 << 14;
    list = realloc(list, (size_t)*room * size);
    CHECK(list, "out of memory");
    return list;
}

static int add_vertex(Grid *g, const double at[3]) {
    Surface *s = g->out;
    if (s->vertices == g->vertex_room)
        s->vertex = grown(s->vertex, &g->vertex_room, sizeof *s->vertex);
    memcpy(s->vertex[s->vertices], at, 3 * sizeof *at);
    return s->vertices++;
}

static void add_face(Grid *g, int a, int b, int c) {
    Surface *s = g->out;
    if (s->faces == g->face_room) s->face = grown(s->face, &g->face_room, sizeof *s->face);
    int *face = s->face[s->faces++];
    face[0] = a, face[1] = b, face[2] = c;
}

/* ---- tetrahedra ---- */

/* A grid point and which corner of the cell it is: bit k says whether it is ahead along axis k. */
typedef struct {
    size_t point;
    int corner;
} Corner;

/* The vertex where the surface cuts the edge between two corners, made at first use. */
static int cut(Grid *g, Corner a, Corner b) {
    if (a.corner > b.corner) {
        Corner swap = a;
        a = b, b = swap;
    }
    int *known = &g->cut[a.point][b.corner - a.corner];
    if (!*known) {
        double from[3], to[3], at[3];
        double share = g->value[a.point] / (g->value[a.point] - g->value[b.point]);
        place_of(g, a.point, from);
        place_of(g, b.point, to);
        for (int k = 0; k < 3; k++) at[k] = from[k] + share * (to[k] - from[k]);
        *known = 1 + add_vertex(g, at);
    }
    return *known - 1;
}

/* Four corners in right-handed order.  Even permutations bring the inner ones to the front. */
static void march(Grid *g, const Corner corner[4]) {
    static const int EVEN[12][4] = {{0, 1, 2, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {1, 0, 3, 2},
                                    {1, 2, 0, 3}, {1, 3, 2, 0}, {2, 0, 1, 3}, {2, 1, 3, 0},
                                    {2, 3, 0, 1}, {3, 0, 2, 1}, {3, 1, 0, 2}, {3, 2, 1, 0}};
    bool inner[4];
    int count = 0, row = 0;
    for (int i = 0; i < 4; i++) count += inner[i] = g->value[corner[i].point] < 0;
    if (count == 0 || count == 4) return;
    for (; row < 11; row++) { /* one row fits: if no other, the last */
        bool sorted = true;
        for (int i = 0; i < 4; i++) sorted = sorted && inner[EVEN[row][i]] == (i < count);
        if (sorted) break;
    }
    Corner a = corner[EVEN[row][0]], b = corner[EVEN[row][1]];
    Corner c = corner[EVEN[row][2]], d = corner[EVEN[row][3]];
    if (count == 1) add_face(g, cut(g, a, b), cut(g, a, c), cut(g, a, d));
    if (count == 3) add_face(g, cut(g, d, a), cut(g, d, b), cut(g, d, c));
    if (count == 2) {
        int ac = cut(g, a, c), ad = cut(g, a, d), bd = cut(g, b, d), bc = cut(g, b, c);
        add_face(g, ac, ad, bd);
        add_face(g, ac, bd, bc);
    }
}

/* Six tetrahedra around the cell's diagonal (Kuhn); neighbouring cells share their faces. */
static void march_cell(Grid *g, int x, int y, int z) {
    static const int PATH[6][2] = {{1, 2}, {2, 4}, {4, 1}, {2, 1}, {4, 2}, {1, 4}};
    Corner corner[8];
    bool inside = false, outside = false;
    for (int i = 0; i < 8; i++) {
        corner[i] = (Corner){index_of(g, x + (i & 1), y + (i >> 1 & 1), z + (i >> 2)), i};
        if (g->value[corner[i].point] < 0)
            inside = true;
        else
            outside = true;
    }
    for (int i = 0; i < 6 && inside && outside; i++) {
        int first = PATH[i][0], second = first + PATH[i][1];
        bool right = i < 3;
        Corner tetrahedron[4] = {corner[0], corner[right ? first : second],
                                 corner[right ? second : first], corner[7]};
        march(g, tetrahedron);
    }
}

Surface contour_half(const Solid *solid, double step, Arena *arena) {
    Surface s = {0};
    Grid g = {.solid = solid, .step = step, .out = &s};
    double low[3], high[3];
    solid_bounds(solid, low, high);
    size_t points = 1;
    for (int k = 0; k < 3; k++) {
        int margin = k ? 1 : 0; /* x begins at 0 exactly */
        g.origin[k] = low[k] - margin * step;
        g.size[k] = (int)ceil((high[k] - low[k]) / step) + 2 + margin;
        points *= (size_t)g.size[k];
    }
    g.value = malloc(points * sizeof *g.value);
    g.cut = calloc(points, sizeof *g.cut);
    CHECK(g.value && g.cut, "out of memory");
    sample(&g);
    for (int z = 0; z + 1 < g.size[2]; z++)
        for (int y = 0; y + 1 < g.size[1]; y++)
            for (int x = 0; x + 1 < g.size[0]; x++) march_cell(&g, x, y, z);
    free(g.value);
    free(g.cut);
    Surface kept = {arena_alloc(arena, (size_t)s.vertices * sizeof *s.vertex),
                    arena_alloc(arena, (size_t)s.faces * sizeof *s.face), s.vertices, s.faces};
    memcpy(kept.vertex, s.vertex, (size_t)s.vertices * sizeof *s.vertex);
    memcpy(kept.face, s.face, (size_t)s.faces * sizeof *s.face);
    free(s.vertex);
    free(s.face);
    return kept;
}
