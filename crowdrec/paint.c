#include "crowdrec/paint.h"

#include "crowdrec/noise.h"
#include "crowdrec/scenemesh.h"
#include "tensor/parallel.h"

#include <stdlib.h>
#include <string.h>

/* One band at work. */
typedef struct {
    const Scene *scene;
    const SceneMeshes *meshes;
    CoverBand cover;
    float *open; /* share of the sky over the ground, a number a pixel */
    Image *photo;
} Band;

static void to_ray(const Scene *s, double x, double y, float ray[3]) {
    ray[0] = (float)((x - s->cx) / s->focal), ray[1] = (float)((y - s->cy) / s->focal), ray[2] = 1;
}

static float dot(const float a[3], const float b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* ---- contact with the ground ---- */

/* Whether the first sample of a pixel shows the plane. */
static bool shows_plane(const Band *b, const CoverPlane *plane, bool open, int x, int y) {
    const CoverSample *s = cover_at(&b->cover, x, y, 0);
    double here = plane->a * x + plane->b * y + plane->c;
    if (s->mesh == COVER_NONE) return open;
    return fabs((double)s->near - here) < 2e-3 * here;
}

/* Less sky close to what stands there. */
static void add_blob(const Band *b, const SceneBlob *blob) {
    const Scene *s = b->scene;
    const ScenePlane *plane = &s->plane[blob->plane];
    const CoverPlane *near = &b->meshes->plane[blob->plane];
    float reach = (float)s->focal * blob->radius / blob->at[2], ray[3];
    double cx = s->focal * (double)(blob->at[0] / blob->at[2]) + s->cx;
    double cy = s->focal * (double)(blob->at[1] / blob->at[2]) + s->cy;
    int x0 = (int)fmax(0, cx - (double)reach), x1 = (int)fmin(s->width - 1, cx + (double)reach);
    int y0 = (int)fmax(b->cover.first, cy - (double)reach);
    int y1 = (int)fmin(b->cover.last - 1, cy + (double)reach);
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            if (!shows_plane(b, near, !blob->plane, x, y)) continue;
            to_ray(s, x, y, ray);
            float t = plane->offset / dot(plane->normal, ray), square = 0;
            for (int k = 0; k < 3; k++) {
                float away = t * ray[k] - blob->at[k];
                square += away * away;
            }
            float inside = 1 - square / (blob->radius * blob->radius);
            float *open = &b->open[(size_t)(y - b->cover.first) * (size_t)s->width + (size_t)x];
            if (inside > 0) *open *= 1 - 0.6f * inside * inside;
        }
}

/* ---- colours ---- */

/* Shares of a face's corners at a point of the picture, right in perspective. */
static void corner_shares(const CoverMesh *m, const int32_t *face, double x, double y,
                          float share[3]) {
    const CoverPoint *p[3];
    double area[3], sum = 0;
    for (int k = 0; k < 3; k++) p[k] = &m->point[face[k]];
    for (int k = 0; k < 3; k++) {
        const CoverPoint *a = p[(k + 1) % 3], *b = p[(k + 2) % 3];
        double ax = (double)a->x - x, ay = (double)a->y - y;
        area[k] = ax * ((double)b->y - y) - ay * ((double)b->x - x);
        area[k] *= (double)p[k]->near;
        sum += area[k];
    }
    for (int k = 0; k < 3; k++) share[k] = (float)(area[k] / sum);
}

static void unit(float v[3]) {
    float length = sqrtf(dot(v, v));
    for (int k = 0; k < 3 && length > 0; k++) v[k] /= length;
}

static void person_color(const Band *b, int person, const int32_t *face, const float share[3],
                         float depth, float rgb[3]) {
    const SceneMesh *m = &b->meshes->mesh[person];
    float rest[3] = {0}, normal[3] = {0};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            rest[k] += share[i] * b->meshes->rest[3 * (size_t)face[i] + (size_t)k];
            normal[k] += share[i] * (float)m->normal[face[i]][k];
        }
    unit(normal);
    outfit_color(&b->scene->person[person].outfit, rest, depth / (float)b->scene->focal, rgb);
    light_fall(&b->scene->light, normal, 1, 0.9f, rgb);
}

static void thing_color(const Band *b, const ScenePlaced *t, const int32_t *face,
                        const float share[3], float lit, float open, float depth, float rgb[3]) {
    float at[3] = {0}, normal[3] = {0}, grain = depth / (float)b->scene->focal;
    for (int k = 0; k < 3; k++) rgb[k] = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            const ThingPoint *p = &t->thing.point[face[i]];
            at[k] += share[i] * p->at[k], rgb[k] += share[i] * p->rgb[k];
            normal[k] += share[i] * t->normal[face[i]][k];
        }
    float size = t->thing.leafy ? 0.11f : 0.25f, strength = t->thing.leafy ? 0.7f : 0.12f;
    float fade = noise_max(0, 1 - grain / size);
    uint32_t seed = (uint32_t)t->thing.points;
    float rough = fade * noise_at3(seed, at[0] / size, at[1] / size, at[2] / size);
    if (grain < 0.02f) rough += 0.5f * noise_at3(seed, at[0] * 30, at[1] * 30, at[2] * 30);
    color_scale(rgb, noise_max(0.1f, 1 + strength * rough));
    unit(normal);
    light_fall(&b->scene->light, normal, lit, open, rgb);
}

/* The samples of a pixel that show one mesh. */
typedef struct {
    const CoverSample *sample;
    int first, count, lit;
} Group;

static void group_color(const Band *b, int x, int y, const Group *g, float rgb[3]) {
    const Scene *s = b->scene;
    const SceneMeshes *meshes = b->meshes;
    double sx = x + 0.5 * (g->first % COVER_SIDE) - 0.25,
           sy = y + 0.5 * (g->first / COVER_SIDE) - 0.25;
    float open = b->open[(size_t)(y - b->cover.first) * (size_t)s->width + (size_t)x];
    float lit = (float)g->lit / (float)g->count, ray[3], share[3];
    if (g->sample->mesh == COVER_NONE) {
        to_ray(s, x, y, ray);
        backdrop_color(&s->backdrop, &s->light, ray, (float)(1 / s->focal), lit, open, rgb);
        return;
    }
    const SceneMesh *m = &meshes->mesh[g->sample->mesh];
    const int32_t *face = m->cover.face + 3 * (size_t)g->sample->face;
    float depth = 1 / g->sample->near;
    corner_shares(&m->cover, face, sx, sy, share);
    if (g->sample->mesh < s->people)
        person_color(b, g->sample->mesh, face, share, depth, rgb);
    else
        thing_color(b, &s->thing[g->sample->mesh - s->people], face, share, lit, open, depth, rgb);
    backdrop_haze(&s->backdrop, depth, rgb);
}

static int groups_of(const Band *b, int x, int y, Group group[COVER_SAMPLES]) {
    int groups = 0;
    for (int i = 0; i < COVER_SAMPLES; i++) {
        const CoverSample *s = cover_at(&b->cover, x, y, i);
        int lit = !b->cover.shadow[s - b->cover.sample], at = 0;
        while (at < groups && group[at].sample->mesh != s->mesh) at++;
        if (at == groups) group[groups++] = (Group){s, i, 0, 0};
        group[at].count++, group[at].lit += lit;
    }
    return groups;
}

/* Light to levels: the square root is close to what displays undo. */
static void put(const Scene *s, const float light[3], uint8_t out[3]) {
    for (int k = 0; k < 3; k++) {
        float level = 255 * sqrtf(noise_max(0, light[k] * s->gain[k]));
        out[k] = (uint8_t)noise_min(255, level + 0.5f);
    }
}

static void shade(const Band *b) {
    const Scene *s = b->scene;
    for (int y = b->cover.first; y < b->cover.last; y++)
        for (int x = 0; x < s->width; x++) {
            Group group[COVER_SAMPLES];
            float sum[3] = {0}, rgb[3];
            int groups = groups_of(b, x, y, group);
            for (int i = 0; i < groups; i++) {
                group_color(b, x, y, &group[i], rgb);
                for (int k = 0; k < 3; k++)
                    sum[k] += rgb[k] * (float)group[i].count / COVER_SAMPLES;
            }
            put(s, sum, b->photo->rgb + 3 * ((size_t)y * (size_t)s->width + (size_t)x));
        }
}

/* ---- truth ---- */

static void count_seen(const Band *b, long *seen) {
    size_t count =
        (size_t)(b->cover.last - b->cover.first) * COVER_SAMPLES * (size_t)b->scene->width;
    const CoverSample *s = b->cover.sample, *end = s + count;
    while (s < end) {
        const CoverSample *first = s;
        while (s < end && s->mesh == first->mesh) s++;
        if (first->mesh < b->scene->people)
            __atomic_fetch_add(&seen[first->mesh], s - first, __ATOMIC_RELAXED);
    }
}

/* How deep a joint lies under the skin that shows it, metres. */
static float depth_under_skin(int joint) {
    switch (joint) {
    case HALPE26_NOSE:
    case HALPE26_L_EYE:
    case HALPE26_R_EYE:
    case HALPE26_L_EAR:
    case HALPE26_R_EAR:
    case HALPE26_L_BIG_TOE:
    case HALPE26_R_BIG_TOE:
    case HALPE26_L_SMALL_TOE:
    case HALPE26_R_SMALL_TOE:
    case HALPE26_L_HEEL:
    case HALPE26_R_HEEL: return 0.05f;
    case HALPE26_L_HIP:
    case HALPE26_R_HIP:
    case HALPE26_HIP: return 0.18f;
    case HALPE26_NECK:
    case HALPE26_L_SHOULDER:
    case HALPE26_R_SHOULDER: return 0.13f;
    case HALPE26_L_KNEE:
    case HALPE26_R_KNEE: return 0.11f;
    default: return 0.09f;
    }
}

/* Seen where the person shows within a pixel of the joint, at a depth that is the joint's. */
static bool joint_seen(const Band *b, int person, float depth, float under, int x, int y) {
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++) {
            int i = x + dx, j = y + dy;
            if (i < 0 || i >= b->scene->width || j < b->cover.first || j >= b->cover.last) continue;
            for (int k = 0; k < COVER_SAMPLES; k++) {
                const CoverSample *s = cover_at(&b->cover, i, j, k);
                if (s->mesh == person && 1 / s->near > depth - under) return true;
            }
        }
    return false;
}

/* A joint belongs to the band with its pixel, so no two bands touch the same one. */
static void mark_joints(const Band *b, ScenePerson *people) {
    for (int i = 0; i < b->scene->people; i++)
        for (int j = 0; j < CROWD_KEYPOINTS; j++) {
            float *p = people[i].keypoints[j];
            float x = rintf(p[0]), y = rintf(p[1]);
            if (!(x >= 0 && x < (float)b->scene->width)) continue;
            if (!(y >= (float)b->cover.first && y < (float)b->cover.last)) continue;
            bool seen =
                joint_seen(b, i, people[i].joints[j][2], depth_under_skin(j), (int)x, (int)y);
            p[2] = seen ? 2 : 1;
        }
}

/* ---- the photo ---- */

static void paint_band(Band *b, ScenePerson *people, long *seen) {
    const SceneMeshes *meshes = b->meshes;
    size_t pixels = (size_t)(b->cover.last - b->cover.first) * (size_t)b->scene->width;
    cover_clear(&b->cover);
    for (int i = 0; i < meshes->count; i++) cover_draw(&b->cover, &meshes->mesh[i].cover, i);
    for (int i = 0; i < meshes->count; i++) {
        const SceneMesh *m = &meshes->mesh[i];
        if (m->shadow.points)
            cover_shadow(&b->cover, &m->shadow, &meshes->plane[m->plane], !m->plane);
    }
    for (size_t i = 0; i < pixels; i++) b->open[i] = 1;
    for (int i = 0; i < meshes->blobs; i++) add_blob(b, &meshes->blob[i]);
    count_seen(b, seen);
    mark_joints(b, people);
    shade(b);
}

static bool paint_rows(Scene *scene, const SceneMeshes *meshes, int first, Image *photo,
                       long *seen) {
    int last = first + PAINT_BAND < scene->height ? first + PAINT_BAND : scene->height;
    size_t pixels = (size_t)(last - first) * (size_t)scene->width, samples = pixels * COVER_SAMPLES;
    Band b = {.scene = scene, .meshes = meshes, .photo = photo};
    b.cover = (CoverBand){malloc(samples * sizeof *b.cover.sample), malloc(samples), scene->width,
                          first, last};
    b.open = malloc(pixels * sizeof *b.open);
    bool room = b.cover.sample && b.cover.shadow && b.open;
    if (room) paint_band(&b, scene->person, seen);
    free(b.cover.sample);
    free(b.cover.shadow);
    free(b.open);
    return room;
}

Status paint_scene(Scene *scene, const Poser *poser, Image *out) {
    SceneMeshes meshes;
    TRY(scenemesh_new(scene, poser, &meshes));
    Status status = image_new(scene->width, scene->height, out);
    long *seen = calloc((size_t)scene->people + 1, sizeof *seen);
    int missing = !seen;
    if (status == OK && !missing) {
        PARALLEL_FOR_DYNAMIC
        for (int band = 0; band < (scene->height + PAINT_BAND - 1) / PAINT_BAND; band++)
            if (!paint_rows(scene, &meshes, band * PAINT_BAND, out, seen))
                __atomic_store_n(&missing, 1, __ATOMIC_RELAXED);
    }
    if (status == OK && missing) {
        status = fail(ERR_MEMORY, "no memory to paint %d x %d pixels", scene->width, scene->height);
        image_free(out);
    }
    for (int i = 0; status == OK && seen && i < scene->people; i++) {
        scene->person[i].seen = seen[i];
        scene->person[i].visible = (float)((double)seen[i] / (double)meshes.mesh[i].silhouette);
    }
    free(seen);
    scenemesh_free(&meshes);
    return status;
}
