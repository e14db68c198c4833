#include "crowdrec/scenemesh.h"

#include "tensor/parallel.h"

#include <stdlib.h>
#include <string.h>

/* Sunlight below this share casts no shadow that is seen. */
static const float FAINT = 0.12f;

static CoverPoint to_pixel(const Scene *s, const float at[3]) {
    double near = 1 / (double)at[2];
    return (CoverPoint){(float)(s->focal * (double)at[0] * near + s->cx),
                        (float)(s->focal * (double)at[1] * near + s->cy), (float)near};
}

static CoverPoint *to_pixels(const Scene *s, const float *at, int count) {
    CoverPoint *point = malloc((size_t)count * sizeof *point);
    for (int i = 0; point && i < count; i++) point[i] = to_pixel(s, at + 3 * (size_t)i);
    return point;
}

/* ---- shadows ---- */

/* Each point along the sun's rays to the plane; false where that is behind the camera. */
static bool flatten(const Scene *s, const ScenePlane *plane, const float *at, int count,
                    CoverPoint *out) {
    const float *sun = s->light.to_sun, *n = plane->normal;
    float slope = n[0] * sun[0] + n[1] * sun[1] + n[2] * sun[2];
    for (int i = 0; i < count; i++) {
        const float *p = at + 3 * (size_t)i;
        float t = (n[0] * p[0] + n[1] * p[1] + n[2] * p[2] - plane->offset) / slope;
        float flat[3] = {p[0] - t * sun[0], p[1] - t * sun[1], p[2] - t * sun[2]};
        if (!(flat[2] > 0.3f)) return false;
        out[i] = to_pixel(s, flat);
    }
    return true;
}

static bool add_shadow(const Scene *s, const float *at, SceneMesh *m) {
    if (s->light.sun[0] < FAINT) return true;
    CoverPoint *point = malloc((size_t)m->cover.points * sizeof *point);
    if (!point) return false;
    if (!flatten(s, &s->plane[m->plane], at, m->cover.points, point)) return free(point), true;
    m->shadow = m->cover;
    m->shadow.point = point;
    cover_bound(&m->shadow);
    return true;
}

static CoverPlane plane_nearness(const Scene *s, const ScenePlane *p) {
    double f = s->focal * (double)p->offset;
    CoverPlane c = {(double)p->normal[0] / f, (double)p->normal[1] / f, 0};
    c.c = (double)p->normal[2] / (double)p->offset - c.a * s->cx - c.b * s->cy;
    return c;
}

/* ---- people ---- */

/* Normals of the vertices, from the faces around them, weighted by area. */
static bool add_normals(const Body *body, const float *at, SceneMesh *m) {
    float(*sum)[4] = calloc((size_t)body->vertices, sizeof *sum);
    m->normal = malloc((size_t)body->vertices * sizeof *m->normal);
    for (int f = 0; sum && m->normal && f < body->faces; f++) {
        const int32_t *face = body->face + 3 * (size_t)f;
        const float *a = at + 3 * (size_t)face[0], *b = at + 3 * (size_t)face[1];
        const float *c = at + 3 * (size_t)face[2];
        float u[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
        float v[3] = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
        float n[3] = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2],
                      u[0] * v[1] - u[1] * v[0]};
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++) sum[face[i]][k] += n[k];
    }
    for (int i = 0; sum && m->normal && i < body->vertices; i++) {
        const float *n = sum[i];
        float length = sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        for (int k = 0; k < 3; k++)
            m->normal[i][k] = (int8_t)(length > 0 ? lrintf(127 * n[k] / length) : 0);
    }
    free(sum);
    return sum && m->normal;
}

static bool count_silhouette(SceneMesh *m) {
    uint8_t *scratch = malloc(cover_scratch(&m->cover));
    bool made = scratch;
    if (made) m->silhouette = cover_silhouette(&m->cover, scratch);
    free(scratch);
    return made;
}

static void set_truth(const Scene *s, const Body *body, const CoverMesh *cover, ScenePerson *p) {
    memcpy(p->box, (float[]){cover->x0, cover->y0, cover->x1, cover->y1}, sizeof p->box);
    body_pose(body, p->pose, p->betas, p->trans, NULL, NULL, p->joints[0]);
    for (int i = 0; i < CROWD_KEYPOINTS; i++) {
        CoverPoint at = to_pixel(s, p->joints[i]);
        p->keypoints[i][0] = at.x, p->keypoints[i][1] = at.y, p->keypoints[i][2] = 0;
    }
}

static bool mesh_person(Scene *s, const Poser *poser, ScenePerson *p, SceneMesh *m) {
    const Body *body = poser_body(poser);
    float *at = malloc(3 * (size_t)body->vertices * sizeof *at);
    if (!at) return false;
    poser_run(poser, p->pose, p->betas, p->trans, at, NULL);
    m->plane = p->plane;
    m->cover = (CoverMesh){
        to_pixels(s, at, body->vertices), body->face, body->vertices, body->faces, 0, 0, 0, 0};
    bool made = m->cover.point;
    if (made) cover_bound(&m->cover);
    made = made && add_normals(body, at, m) && add_shadow(s, at, m) && count_silhouette(m);
    if (made) set_truth(s, body, &m->cover, p);
    free(at);
    return made;
}

/* ---- things ---- */

static bool mesh_thing(const Scene *s, const ScenePlaced *t, SceneMesh *m) {
    m->plane = t->thing.kind == THING_STEP ? 0 : t->plane;
    m->cover = (CoverMesh){to_pixels(s, t->at[0], t->thing.points),
                           t->thing.face,
                           t->thing.points,
                           t->thing.faces,
                           0,
                           0,
                           0,
                           0};
    if (!m->cover.point) return false;
    cover_bound(&m->cover);
    for (int i = 0; i < t->thing.points; i++)
        if (!(t->at[i][2] > 0.3f)) return m->cover.faces = 0, true;
    return add_shadow(s, t->at[0], m);
}

/* Both feet of everybody, and the middle of every thing. */
static void set_blobs(const Scene *s, SceneMeshes *meshes) {
    static const int foot[2][2] = {{HALPE26_L_HEEL, HALPE26_L_BIG_TOE},
                                   {HALPE26_R_HEEL, HALPE26_R_BIG_TOE}};
    for (int i = 0; i < 2 * s->people; i++) {
        const ScenePerson *p = &s->person[i / 2];
        const float *heel = p->joints[foot[i % 2][0]], *toe = p->joints[foot[i % 2][1]];
        SceneBlob *blob = &meshes->blob[meshes->blobs++];
        *blob = (SceneBlob){.radius = 0.24f, .plane = p->plane};
        for (int k = 0; k < 3; k++) blob->at[k] = (heel[k] + toe[k]) / 2;
    }
    for (const ScenePlaced *t = s->thing; t < s->thing + s->things; t++) {
        if (t->thing.kind == THING_STEP) continue;
        SceneBlob *blob = &meshes->blob[meshes->blobs++];
        *blob = (SceneBlob){.radius = 0.3f + t->thing.radius, .plane = t->plane};
        for (int k = 0; k < 3; k++) blob->at[k] = (float)t->foot[k];
    }
}

Status scenemesh_new(Scene *scene, const Poser *poser, SceneMeshes *out) {
    int people = scene->people, count = people + scene->things, missing = 0;
    *out = (SceneMeshes){.count = count, .rest = poser_body(poser)->v_template};
    out->mesh = calloc((size_t)count + 1, sizeof *out->mesh);
    out->blob = calloc(2 * (size_t)count + 1, sizeof *out->blob);
    if (!out->mesh || !out->blob) missing = 1;
    for (int i = 0; i < scene->planes; i++) out->plane[i] = plane_nearness(scene, &scene->plane[i]);
    PARALLEL_FOR_DYNAMIC
    for (int i = 0; i < (missing ? 0 : count); i++) {
        SceneMesh *m = &out->mesh[i];
        bool made = i < people ? mesh_person(scene, poser, &scene->person[i], m)
                               : mesh_thing(scene, &scene->thing[i - people], m);
        if (!made) __atomic_store_n(&missing, 1, __ATOMIC_RELAXED);
    }
    if (!missing) return set_blobs(scene, out), OK;
    scenemesh_free(out);
    return fail(ERR_MEMORY, "no memory for %d meshes", count);
}

void scenemesh_free(SceneMeshes *meshes) {
    for (int i = 0; meshes->mesh && i < meshes->count; i++) {
        free((void *)meshes->mesh[i].cover.point);
        free((void *)meshes->mesh[i].shadow.point);
        free(meshes->mesh[i].normal);
    }
    free(meshes->mesh);
    free(meshes->blob);
    *meshes = (SceneMeshes){0};
}
