#include "crowdrec/meshes.h"

#include "crowdrec/render.h"
#include "tensor/parallel.h"

#include <math.h>
#include <stdlib.h>

/* Metres from the camera, along an axis, beyond which nobody is drawn. */
#define FARTHEST 1e6f

/* A vertex in the view's frame: right, down, away, metres. */
typedef struct {
    float p[3], shade;
} Point;

typedef struct {
    Point *point;
    int32_t *face; /* NULL: the body's, nothing is clipped */
    int points, faces;
} Solid;

bool meshes_vertices(const Person *person, const Body *body, float *vertices) {
    if (!(person->flags & PERSON_HAS_BODY) || person->flags & PERSON_BEHIND_CAMERA) return false;
    body_pose(body, person->pose, person->betas, person->trans, vertices, NULL, NULL);
    for (size_t i = 0; i < 3 * (size_t)body->vertices; i++)
        if (!(fabsf(vertices[i]) <= FARTHEST)) return false;
    return true;
}

static void to_view(const MeshesView *view, const float *vertex, float out[3]) {
    for (int i = 0; i < 3; i++) {
        const double *axis = view->axes[i];
        out[i] = (float)(axis[0] * vertex[0] + axis[1] * vertex[1] + axis[2] * vertex[2]);
    }
}

/* Adds each face's normal, as long as twice its area, to its corners. */
static void add_normals(const Body *body, const Point *point, float (*normal)[3]) {
    for (int f = 0; f < body->faces; f++) {
        const int32_t *face = body->face + 3 * (size_t)f;
        const float *a = point[face[0]].p, *b = point[face[1]].p, *c = point[face[2]].p;
        float u[3], v[3];
        for (int k = 0; k < 3; k++) u[k] = b[k] - a[k], v[k] = c[k] - a[k];
        for (int k = 0; k < 3; k++) {
            int i = (k + 1) % 3, j = (k + 2) % 3;
            float n = u[i] * v[j] - u[j] * v[i];
            for (int corner = 0; corner < 3; corner++) normal[face[corner]][k] += n;
        }
    }
}

/* Light from behind the viewer, above and to the left; surfaces are seen from either side. */
static float shade(const float normal[3], const float toward[3]) {
    static const float light[3] = {-0.36f, -0.48f, -0.8f};
    float length = sqrtf(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]);
    if (!(length > 0)) return 1;
    float facing = 0, lit = 0;
    for (int k = 0; k < 3; k++) facing += normal[k] * toward[k], lit += normal[k] * light[k];
    lit = (facing < 0 ? -lit : lit) / length;
    return 0.5f + 0.6f * fmaxf(0, lit);
}

static bool solid_shade(const Body *body, const MeshesView *view, Solid *solid) {
    float(*normal)[3] = calloc((size_t)body->vertices, sizeof *normal);
    if (!normal) return false;
    add_normals(body, solid->point, normal);
    for (int i = 0; i < body->vertices; i++) {
        const float *p = solid->point[i].p, outside[3] = {0, 0, -1};
        const float seen[3] = {-p[0], -p[1], -p[2]};
        solid->point[i].shade = shade(normal[i], view->perspective ? seen : outside);
    }
    free(normal);
    return true;
}

static bool in_front(const Point *p) { return p->p[2] >= (float)MESHES_NEAR; }

/* Where the edge a-b passes the near plane. */
static Point crossing(const Point *a, const Point *b) {
    float t = ((float)MESHES_NEAR - a->p[2]) / (b->p[2] - a->p[2]);
    Point c = {
        {a->p[0] + t * (b->p[0] - a->p[0]), a->p[1] + t * (b->p[1] - a->p[1]), (float)MESHES_NEAR},
        a->shade + t * (b->shade - a->shade)};
    return c;
}

static void add_face(Solid *s, int32_t a, int32_t b, int32_t c) {
    int32_t *face = s->face + 3 * (size_t)s->faces++;
    face[0] = a, face[1] = b, face[2] = c;
}

/* Keeps the part of a face in front of the near plane: none, itself, or a triangle or two. */
static void clip_face(Solid *s, const int32_t face[3]) {
    int32_t kept[4];
    int count = 0;
    for (int k = 0; k < 3; k++) {
        int32_t from = face[k], to = face[(k + 1) % 3];
        if (in_front(&s->point[from])) kept[count++] = from;
        if (in_front(&s->point[from]) == in_front(&s->point[to])) continue;
        s->point[s->points] = crossing(&s->point[from], &s->point[to]);
        kept[count++] = s->points++;
    }
    for (int k = 2; k < count; k++) add_face(s, kept[0], kept[k - 1], kept[k]);
}

static bool needs_clipping(const Body *body, const MeshesView *view, const Solid *s) {
    for (int i = 0; view->perspective && i < body->vertices; i++)
        if (!in_front(&s->point[i])) return true;
    return false;
}

/* Room for two further points and one further face for each face. */
static bool clip(const Body *body, Solid *s) {
    size_t faces = (size_t)body->faces, points = (size_t)body->vertices + 2 * faces;
    Point *point = realloc(s->point, (points + 1) * sizeof *point);
    if (point) s->point = point;
    s->face = malloc((6 * faces + 1) * sizeof *s->face);
    if (!point || !s->face) return false;
    for (size_t f = 0; f < faces; f++) clip_face(s, body->face + 3 * f);
    return true;
}

static RasterVertex on_screen(const MeshesView *view, const Point *p) {
    double depth = view->perspective ? p->p[2] : 1;
    return (RasterVertex){(float)(view->scale * p->p[0] / depth + view->center[0]),
                          (float)(view->scale * p->p[1] / depth + view->center[1]),
                          view->perspective ? 1 / p->p[2] : -p->p[2], p->shade};
}

/* Hands the solid's faces, or the body's where nothing was clipped, to the mesh. */
static bool make_mesh(Solid *solid, const Body *body, const MeshesView *view, RasterMesh *mesh) {
    RasterVertex *vertex = malloc(((size_t)solid->points + 1) * sizeof *vertex);
    if (!vertex) return false;
    for (int i = 0; i < solid->points; i++)
        vertex[i] = view->perspective && !in_front(&solid->point[i])
                        ? (RasterVertex){NAN, NAN, NAN, NAN}
                        : on_screen(view, &solid->point[i]);
    mesh->vertex = vertex, mesh->vertices = solid->points;
    mesh->face = solid->face ? solid->face : body->face;
    mesh->faces = solid->face ? solid->faces : body->faces;
    solid->face = NULL;
    return true;
}

static bool solid_mesh(const float *vertex, const Body *body, const MeshesView *view, Solid *s,
                       RasterMesh *mesh) {
    for (int i = 0; i < body->vertices; i++) to_view(view, vertex + 3 * i, s->point[i].p);
    if (!solid_shade(body, view, s)) return false;
    if (needs_clipping(body, view, s) && !clip(body, s)) return false;
    return make_mesh(s, body, view, mesh);
}

/* False when there is not enough memory; a person who is not drawn gives an empty mesh. */
static bool person_mesh(const Person *person, const Body *body, const MeshesView *view,
                        RasterMesh *mesh) {
    size_t vertices = (size_t)body->vertices;
    float *vertex = malloc(3 * vertices * sizeof *vertex);
    Solid s = {.point = malloc(vertices * sizeof *s.point), .points = body->vertices};
    bool room = vertex && s.point;
    if (room && meshes_vertices(person, body, vertex))
        room = solid_mesh(vertex, body, view, &s, mesh);
    free(vertex);
    free(s.point);
    free(s.face);
    return room;
}

Status meshes_new(const Crowd *crowd, const Body *body, const MeshesView *view, Meshes *out) {
    *out = (Meshes){calloc((size_t)crowd->count + 1, sizeof *out->mesh), crowd->count, body->face};
    if (!out->mesh) return fail(ERR_MEMORY, "no memory for %d meshes", crowd->count);
    int missing = 0;
    PARALLEL_FOR_DYNAMIC
    for (int i = 0; i < crowd->count; i++) {
        render_color(i, out->mesh[i].rgb);
        bool made = person_mesh(&crowd->person[i], body, view, &out->mesh[i]);
        if (!made) __atomic_store_n(&missing, 1, __ATOMIC_RELAXED);
    }
    if (!missing) return OK;
    meshes_free(out);
    return fail(ERR_MEMORY, "no memory for %d meshes", crowd->count);
}

void meshes_free(Meshes *meshes) {
    for (int i = 0; i < meshes->count; i++) {
        free((void *)meshes->mesh[i].vertex);
        if (meshes->mesh[i].face != meshes->shared) free((void *)meshes->mesh[i].face);
    }
    free(meshes->mesh);
    *meshes = (Meshes){0};
}
