#include "smpl/remesh.h"

#include "tensor/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

/* Of a body, square metres; only where the search for the length begins. */
static const double AREA = 3;

enum { RING = 40, MOST_NEIGHBOURS = 18, ROUNDS = 16 };

/* The faces around a vertex, in no order. */
typedef struct {
    int count, face[RING];
} Ring;

typedef struct {
    const Solid *solid;
    double (*at)[3];
    int (*face)[3]; /* [0] is -1 where the face is gone */
    Ring *ring;     /* of each vertex; count 0 where it is gone */
    bool *border;
    int vertices, faces, room; /* room for vertices; twice that for faces */
    double length;             /* of an edge where the body is plain */
} Net;

/* ---- sizes ---- */

static double ramp(double x, double from, double to) {
    double t = fmax(0, fmin(1, (x - from) / (to - from)));
    return t * t * (3 - 2 * t);
}

static double mix(double a, double b, double share) { return a + share * (b - a); }

/* The wanted length of edges at a place: head, hands and feet have the detail. */
static double wanted(const Net *n, const double p[3]) {
    double factor = mix(1, 0.62, ramp(p[1], 0.28, 0.40));
    factor = mix(factor, 0.31, ramp(p[1], 0.32, 0.36) * ramp(p[2], 0.03, 0.09));
    factor = mix(factor, 0.88, ramp(p[0], 0.16, 0.30));
    factor = mix(factor, 0.46, ramp(p[0], 0.66, 0.75));
    factor = mix(factor, 0.28, ramp(p[0], 0.75, 0.82));
    factor = mix(factor, 0.88, ramp(-p[1], 0.60, 0.75));
    factor = mix(factor, 0.68, ramp(-p[1], 1.00, 1.08));
    factor = mix(factor, 0.40, ramp(-p[1], 1.06, 1.10) * ramp(p[2], 0.07, 0.14));
    return n->length * factor;
}

static double distance(const Net *n, int a, int b) {
    double d[3];
    for (int k = 0; k < 3; k++) d[k] = n->at[b][k] - n->at[a][k];
    return sqrt(geom_dot(d, d));
}

static void middle(const Net *n, int a, int b, double out[3]) {
    for (int k = 0; k < 3; k++) out[k] = (n->at[a][k] + n->at[b][k]) / 2;
}

/* An edge's length by the wanted one. */
static double stretch(const Net *n, int a, int b) {
    double p[3];
    middle(n, a, b, p);
    return distance(n, a, b) / wanted(n, p);
}

/* ---- topology ---- */

static bool has(const int face[3], int v) { return face[0] == v || face[1] == v || face[2] == v; }

/* The corner of a face that is neither a nor b. */
static int third(const int face[3], int a, int b) {
    for (int k = 0; k < 2; k++)
        if (face[k] != a && face[k] != b) return face[k];
    return face[2];
}

static void join(Net *n, int v, int face) {
    Ring *r = &n->ring[v];
    CHECK(r->count < RING, "vertex %d has too many faces", v);
    r->face[r->count++] = face;
}

static void leave(Net *n, int v, int face) {
    Ring *r = &n->ring[v];
    for (int i = 0; i < r->count; i++)
        if (r->face[i] == face) {
            r->face[i] = r->face[--r->count];
            return;
        }
}

static void drop_face(Net *n, int f) {
    for (int k = 0; k < 3; k++) leave(n, n->face[f][k], f);
    n->face[f][0] = -1;
}

static void put_face(Net *n, int f, int a, int b, int c) {
    n->face[f][0] = a, n->face[f][1] = b, n->face[f][2] = c;
    for (int k = 0; k < 3; k++) join(n, n->face[f][k], f);
}

static void add_face(Net *n, int a, int b, int c) {
    CHECK(n->faces < 2 * n->room, "no room for faces");
    put_face(n, n->faces++, a, b, c);
}

static void replace(Net *n, int f, int old, int new) {
    for (int k = 0; k < 3; k++)
        if (n->face[f][k] == old) n->face[f][k] = new;
    leave(n, old, f);
    join(n, new, f);
}

/* The faces at an edge, at most two. */
static int faces_at(const Net *n, int a, int b, int out[2]) {
    int count = 0;
    const Ring *r = &n->ring[a];
    for (int i = 0; i < r->count && count < 2; i++)
        if (has(n->face[r->face[i]], b)) out[count++] = r->face[i];
    return count;
}

static int neighbours(const Net *n, int v, int out[2 * RING]) {
    int count = 0;
    const Ring *r = &n->ring[v];
    for (int i = 0; i < r->count; i++)
        for (int k = 0; k < 3; k++) {
            int w = n->face[r->face[i]][k];
            bool known = w == v;
            for (int j = 0; j < count && !known; j++) known = out[j] == w;
            if (!known) out[count++] = w;
        }
    return count;
}

static bool adjacent(const Net *n, int a, int b) {
    int f[2];
    return faces_at(n, a, b, f) > 0;
}

/* The face's normal when corner `moved` lies at p; its length is twice the area. */
static void normal_with(const Net *n, const int face[3], int moved, const double *p,
                        double out[3]) {
    const double *c[3];
    double u[3], v[3];
    for (int k = 0; k < 3; k++) c[k] = face[k] == moved ? p : n->at[face[k]];
    for (int k = 0; k < 3; k++) u[k] = c[1][k] - c[0][k], v[k] = c[2][k] - c[0][k];
    geom_cross(u, v, out);
}

static void normal_of(const Net *n, const int face[3], double out[3]) {
    normal_with(n, face, face[0], n->at[face[0]], out);
}

static double cosine(const double a[3], const double b[3]) {
    double size = sqrt(geom_dot(a, a) * geom_dot(b, b));
    return size > 0 ? geom_dot(a, b) / size : 0;
}

/* ---- split ---- */

static void settle(const Net *n, int v) {
    solid_project(n->solid, n->at[v]);
    if (n->border[v]) n->at[v][0] = 0;
}

static void split(Net *n, int a, int b) {
    int f[2], count = faces_at(n, a, b, f);
    if (n->vertices == n->room || n->faces + 2 > 2 * n->room) return;
    int v = n->vertices++;
    middle(n, a, b, n->at[v]);
    n->border[v] = count == 1;
    for (int i = 0; i < count; i++) {
        int corner[3];
        memcpy(corner, n->face[f[i]], sizeof corner);
        for (int k = 0; k < 3; k++)
            if (corner[k] == a) corner[k] = v;
        replace(n, f[i], b, v);
        add_face(n, corner[0], corner[1], corner[2]);
    }
    settle(n, v);
}

static void split_long(Net *n) {
    int faces = n->faces;
    for (int f = 0; f < faces; f++)
        for (int k = 0; k < 3 && n->face[f][0] >= 0; k++) {
            int a = n->face[f][k], b = n->face[f][(k + 1) % 3];
            if (stretch(n, a, b) > 4.0 / 3) split(n, a, b);
        }
}

/* ---- collapse ---- */

/* Whether v may go to p without turning over one of its faces that stay, or making an edge that
 * would be split again. */
static bool may_move(const Net *n, int v, int other, const double p[3]) {
    const Ring *r = &n->ring[v];
    for (int i = 0; i < r->count; i++) {
        const int *face = n->face[r->face[i]];
        double before[3], after[3];
        if (has(face, other)) continue;
        normal_of(n, face, before);
        normal_with(n, face, v, p, after);
        double size = sqrt(geom_dot(after, after)), longest = 0;
        for (int k = 0; k < 3; k++) {
            double d[3];
            if (face[k] == v) continue;
            for (int j = 0; j < 3; j++) d[j] = n->at[face[k]][j] - p[j];
            longest = fmax(longest, sqrt(geom_dot(d, d)));
        }
        if (cosine(before, after) < 0.5 || size < 0.02 * longest * longest) return false;
        if (longest > 4.0 / 3 * wanted(n, p)) return false;
    }
    return true;
}

/* Brings a into b where the surface stays a manifold. */
static void collapse(Net *n, int a, int b) {
    int f[2], near_a[2 * RING], near_b[2 * RING], common = 0;
    int count = faces_at(n, a, b, f);
    if (n->border[a] && (!n->border[b] || count == 2)) return;
    int of_a = neighbours(n, a, near_a), of_b = neighbours(n, b, near_b);
    for (int i = 0; i < of_a; i++)
        for (int j = 0; j < of_b; j++) common += near_a[i] == near_b[j];
    if (common != count || of_a + of_b - 2 - common > MOST_NEIGHBOURS) return;
    double p[3];
    if (n->border[a] == n->border[b])
        middle(n, a, b, p);
    else
        memcpy(p, n->at[b], sizeof p);
    if (!may_move(n, a, b, p) || !may_move(n, b, a, p)) return;
    for (int i = 0; i < count; i++) drop_face(n, f[i]);
    while (n->ring[a].count) replace(n, n->ring[a].face[0], a, b);
    memcpy(n->at[b], p, sizeof p);
    settle(n, b);
}

static void collapse_short(Net *n) {
    for (int f = 0; f < n->faces; f++)
        for (int k = 0; k < 3 && n->face[f][0] >= 0; k++) {
            int a = n->face[f][k], b = n->face[f][(k + 1) % 3];
            if (stretch(n, a, b) > 4.0 / 5) continue;
            if (n->border[a]) {
                int swap = a;
                a = b, b = swap;
            }
            collapse(n, a, b);
        }
}

/* ---- flip ---- */

static int excess(const Net *n, int v, int change) {
    int d = n->ring[v].count + change - (n->border[v] ? 3 : 6);
    return d * d;
}

/* The edge a b of faces (a,b,c) and (b,a,d) becomes c d. */
static void flip(Net *n, int a, int b) {
    int f[2];
    if (faces_at(n, a, b, f) != 2) return;
    int *first = n->face[f[0]], *second = n->face[f[1]];
    bool forward = false;
    for (int k = 0; k < 3; k++) forward = forward || (first[k] == a && first[(k + 1) % 3] == b);
    if (!forward) {
        int *swap = first;
        first = second, second = swap;
    }
    int c = third(first, a, b), d = third(second, a, b);
    int now = excess(n, a, 0) + excess(n, b, 0) + excess(n, c, 0) + excess(n, d, 0);
    int then = excess(n, a, -1) + excess(n, b, -1) + excess(n, c, 1) + excess(n, d, 1);
    if (then >= now || c == d || adjacent(n, c, d)) return;
    double one[3], two[3], upper[3], lower[3];
    normal_of(n, first, one);
    normal_of(n, second, two);
    normal_of(n, (int[]){a, d, c}, upper);
    normal_of(n, (int[]){d, b, c}, lower);
    if (cosine(one, two) < 0.6 || cosine(upper, one) < 0.5 || cosine(lower, two) < 0.5 ||
        cosine(upper, two) < 0.5 || cosine(lower, one) < 0.5)
        return;
    int kept = (int)(first - n->face[0]) / 3, other = (int)(second - n->face[0]) / 3;
    drop_face(n, kept);
    drop_face(n, other);
    put_face(n, kept, a, d, c);
    put_face(n, other, d, b, c);
}

static void flip_edges(Net *n) {
    for (int f = 0; f < n->faces; f++)
        for (int k = 0; k < 3 && n->face[f][0] >= 0; k++)
            if (n->face[f][k] < n->face[f][(k + 1) % 3])
                flip(n, n->face[f][k], n->face[f][(k + 1) % 3]);
}

/* ---- relax ---- */

/* The middle of the neighbours; of those on the border for a vertex on it. */
static bool middle_of_ring(const Net *n, int v, double out[3]) {
    int near[2 * RING], count = neighbours(n, v, near), used = 0;
    double sum[3] = {0};
    for (int i = 0; i < count; i++) {
        int f[2];
        if (n->border[v] && (!n->border[near[i]] || faces_at(n, v, near[i], f) != 1)) continue;
        for (int k = 0; k < 3; k++) sum[k] += n->at[near[i]][k];
        used++;
    }
    for (int k = 0; k < 3 && used; k++) out[k] = sum[k] / used;
    return used > 0;
}

static void relax(Net *n, double (*next)[3]) {
    PARALLEL_FOR
    for (int v = 0; v < n->vertices; v++) {
        double normal[3], aim[3];
        memcpy(next[v], n->at[v], sizeof next[v]);
        if (!n->ring[v].count || !middle_of_ring(n, v, aim)) continue;
        solid_gradient(n->solid, n->at[v], normal);
        geom_normalise(normal, normal);
        for (int k = 0; k < 3; k++) aim[k] = 0.6 * (aim[k] - n->at[v][k]);
        double along = geom_dot(aim, normal);
        for (int k = 0; k < 3; k++) next[v][k] += aim[k] - along * normal[k];
        if (n->border[v]) next[v][0] = 0;
        solid_project(n->solid, next[v]);
        if (n->border[v]) next[v][0] = 0;
        if (!n->border[v] && next[v][0] < 0) next[v][0] = 1e-4;
    }
    memcpy(n->at, next, (size_t)n->vertices * sizeof *next);
}

/* ---- whole ---- */

/* Vertices of the whole body. */
static int living(const Net *n) {
    int count = 0;
    for (int v = 0; v < n->vertices; v++)
        if (n->ring[v].count) count += n->border[v] ? 1 : 2;
    return count;
}

static Net begin(const Solid *solid, const Surface *s, Arena *arena) {
    int room = 2 * s->vertices + 1024;
    size_t size = (size_t)room;
    Net n = {solid,
             arena_alloc(arena, size * sizeof *n.at),
             arena_alloc(arena, 2 * size * sizeof *n.face),
             arena_alloc(arena, size * sizeof *n.ring),
             arena_alloc(arena, size * sizeof *n.border),
             s->vertices,
             0,
             room,
             0};
    memcpy(n.at, s->vertex, (size_t)s->vertices * sizeof *n.at);
    for (int v = 0; v < s->vertices; v++) n.border[v] = n.at[v][0] == 0;
    for (int f = 0; f < s->faces; f++) add_face(&n, s->face[f][0], s->face[f][1], s->face[f][2]);
    return n;
}

/* Leaves out what is gone. */
static Surface finish(const Net *n, Arena *arena) {
    int *number = arena_alloc(arena, (size_t)n->vertices * sizeof *number);
    Surface s = {arena_alloc(arena, (size_t)n->vertices * sizeof *s.vertex),
                 arena_alloc(arena, (size_t)n->faces * sizeof *s.face), 0, 0};
    for (int v = 0; v < n->vertices; v++) {
        if (!n->ring[v].count) continue;
        memcpy(s.vertex[s.vertices], n->at[v], sizeof *s.vertex);
        number[v] = s.vertices++;
    }
    for (int f = 0; f < n->faces; f++) {
        if (n->face[f][0] < 0) continue;
        for (int k = 0; k < 3; k++) s.face[s.faces][k] = number[n->face[f][k]];
        s.faces++;
    }
    return s;
}

Surface remesh_half(const Solid *solid, const Surface *half, int vertices, Arena *arena) {
    Arena *scratch = arena_new();
    Net n = begin(solid, half, scratch);
    double(*next)[3] = arena_alloc(scratch, (size_t)n.room * sizeof *next);
    n.length = sqrt(AREA / vertices);
    for (int round = 0; round < ROUNDS; round++) {
        split_long(&n);
        collapse_short(&n);
        flip_edges(&n);
        relax(&n, next);
        relax(&n, next);
        double surplus = (double)living(&n) / vertices;
        if (round > 2 && round < ROUNDS - 2) n.length *= pow(surplus, 0.3);
    }
    Surface result = finish(&n, arena);
    arena_free(scratch);
    return result;
}
