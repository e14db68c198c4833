#include "tests/madeset.h"

#include "tests/smallbody.h"
#include "tests/support.h"

#include "crowdrec/crowd.h"
#include "crowdrec/image.h"
#include "smpl/body.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 96, HEIGHT = 128, NAME = 16, DOT = 3 };

static const float FOCAL = 160;

/* Rows of the file, one a person. */
typedef struct {
    char name[NAME];
    float center[2], scale, box[4], pose[CROWD_POSE], betas[CROWD_BETAS], trans[3], focal;
    float points[CROWD_KEYPOINTS][3], joints[CROWD_KEYPOINTS][4];
} Row;

static void must(Status status) {
    if (status != OK) fail_msg("%s", error_reason());
}

/* Upright, facing the camera, limbs a little bent. */
static void make_pose(Row *r, int i) {
    uint64_t s = rng_stream("madeset", (uint64_t)i);
    for (int k = 3; k < CROWD_POSE; k++) r->pose[k] = 0.3f * rng_signed(s, (uint64_t)k);
    r->pose[0] = 3.0f;
    for (int k = 0; k < CROWD_BETAS; k++) r->betas[k] = rng_signed(s, 200 + (uint64_t)k);
    r->trans[0] = 0.1f * rng_signed(s, 300);
    r->trans[1] = 0.1f * rng_signed(s, 301);
    r->trans[2] = 3.5f;
    r->focal = FOCAL;
}

static void project_joints(Row *r, const Body *body) {
    float joint[CROWD_KEYPOINTS][3], low[2] = {INFINITY, INFINITY},
                                     high[2] = {-INFINITY, -INFINITY};
    const float middle[2] = {0.5f * WIDTH, 0.5f * HEIGHT};
    body_pose(body, r->pose, r->betas, r->trans, NULL, NULL, &joint[0][0]);
    for (int j = 0; j < CROWD_KEYPOINTS; j++) {
        for (int k = 0; k < 3; k++) r->joints[j][k] = joint[j][k];
        r->joints[j][3] = 1, r->points[j][2] = 2;
        for (int k = 0; k < 2; k++) {
            r->points[j][k] = FOCAL * joint[j][k] / joint[j][2] + middle[k];
            low[k] = fminf(low[k], r->points[j][k]), high[k] = fmaxf(high[k], r->points[j][k]);
        }
    }
    for (int k = 0; k < 2; k++) {
        r->box[k] = low[k] - 4, r->box[2 + k] = high[k] + 4;
        r->center[k] = 0.5f * (r->box[k] + r->box[2 + k]);
    }
    r->scale = (r->box[3] - r->box[1]) / 200;
}

static void draw(const Row *r, const char *path) {
    Image image;
    must(image_new(WIDTH, HEIGHT, &image));
    memset(image.rgb, 40, (size_t)WIDTH * HEIGHT * 3);
    for (int j = 0; j < CROWD_KEYPOINTS; j++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                for (int k = 0; k < 3; k++)
                    if (hypotf((float)x - r->points[j][0], (float)y - r->points[j][1]) < DOT)
                        image.rgb[3 * (y * WIDTH + x) + k] =
                            (uint8_t)(60 + j * (37 + 50 * k) % 190);
    must(image_write_png(path, &image));
    image_free(&image);
}

/* One field of all rows. */
static Array column(Arena *arena, const char *name, const Row *row, int n, size_t place, int size) {
    float *data = arena_alloc(arena, (size_t)n * (size_t)size * sizeof *data);
    for (int i = 0; i < n; i++)
        memcpy(data + i * size, (const char *)&row[i] + place, (size_t)size * sizeof *data);
    return (Array){.name = name, .dtype = F32, .dims = 2, .dim = {n, size}, .data = data};
}

static void write_rows(const char *folder, const Row *row, int n) {
    Arena *arena = arena_new();
    char *names = arena_alloc(arena, (size_t)n * NAME), path[256];
    for (int i = 0; i < n; i++) memcpy(names + i * NAME, row[i].name, NAME);
#define COLUMN(name, field, size) column(arena, name, row, n, offsetof(Row, field), size)
    const Array array[] = {
        {.name = "imgname", .dtype = U8, .dims = 2, .dim = {n, NAME}, .data = names},
        COLUMN("center", center, 2),
        COLUMN("scale", scale, 1),
        COLUMN("bbox", box, 4),
        COLUMN("pose", pose, CROWD_POSE),
        COLUMN("shape", betas, CROWD_BETAS),
        COLUMN("global_t", trans, 3),
        COLUMN("focal_l", focal, 1),
        COLUMN("halpe_2d", points, 3 * CROWD_KEYPOINTS),
        COLUMN("halpe_3d", joints, 4 * CROWD_KEYPOINTS),
    };
#undef COLUMN
    snprintf(path, sizeof path, "%s/people.npz", folder);
    must(file_write_npz(path, array, sizeof array / sizeof *array));
    arena_free(arena);
}

void madeset_write(const char *folder, int people) {
    char path[256];
    Body *body;
    SmallBody *small = smallbody_new(60, 40);
    snprintf(path, sizeof path, "%s/body.npz", folder);
    smallbody_write(small, path);
    smallbody_free(small);
    must(body_load(path, NULL, &body));
    snprintf(path, sizeof path, "%s/images", folder);
    must(file_make_folder(path));
    Row *row = calloc((size_t)people, sizeof *row);
    assert_non_null(row);
    for (int i = 0; i < people; i++) {
        snprintf(row[i].name, NAME, "%04d.png", i);
        make_pose(&row[i], i);
        project_joints(&row[i], body);
        snprintf(path, sizeof path, "%s/images/%s", folder, row[i].name);
        draw(&row[i], path);
    }
    write_rows(folder, row, people);
    free(row);
    body_free(body);
}
