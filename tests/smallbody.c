#include "tests/smallbody.h"

#include "smpl/body.h"
#include "tensor/file.h"
#include "tensor/rng.h"

#include <stdlib.h>
#include <string.h>

/* SMPL's joints of a T pose, metres, to about a decimetre. */
static const float PLACE[BODY_JOINTS][3] = {
    {0, -0.2f, 0},    {0.1f, -0.3f, 0},     {-0.1f, -0.3f, 0},
    {0, -0.1f, 0},    {0.1f, -0.7f, 0},     {-0.1f, -0.7f, 0},
    {0, 0, 0},        {0.1f, -1.1f, 0},     {-0.1f, -1.1f, 0},
    {0, 0.1f, 0},     {0.1f, -1.15f, 0.1f}, {-0.1f, -1.15f, 0.1f},
    {0, 0.3f, 0},     {0.1f, 0.2f, 0},      {-0.1f, 0.2f, 0},
    {0, 0.4f, 0.05f}, {0.2f, 0.2f, 0},      {-0.2f, 0.2f, 0},
    {0.45f, 0.2f, 0}, {-0.45f, 0.2f, 0},    {0.7f, 0.2f, 0},
    {-0.7f, 0.2f, 0}, {0.8f, 0.2f, 0},      {-0.8f, 0.2f, 0}};

static float draw(const char *key, size_t i) { return rng_signed(rng_stream(key, 1), i); }

static Array *add_array(SmallBody *s, const char *name, Dtype dtype, int a, int b, int c) {
    CHECK(s->count < SMALLBODY_ARRAYS, "no room for %s", name);
    Array *array = &s->array[s->count++];
    *array = (Array){.name = name, .dtype = dtype, .dims = 1 + !!b + !!c, .dim = {a, b, c}};
    array->data = arena_alloc(s->arena, array_size(array) * dtype_size(dtype) + 1);
    return array;
}

static void add_noise(SmallBody *s, const char *name, float size, int a, int b, int c) {
    Array *array = smallbody_add(s, name, a, b, c);
    float *x = array->data;
    for (size_t i = 0; i < array_size(array); i++) x[i] = size * draw(name, i);
}

/* Vertex v follows joint v mod 24 and a little its parent. */
static void add_skin(SmallBody *s, int vertices) {
    const Joint *joint = joints_order(JOINTS_SMPL24)->joint;
    float *at = smallbody_add(s, "v_template", vertices, 3, 0)->data;
    float *weight = smallbody_add(s, "weights", vertices, BODY_JOINTS, 0)->data;
    for (int v = 0; v < vertices; v++) {
        int own = v % BODY_JOINTS, parent = joint[own].parent < 0 ? 0 : joint[own].parent;
        for (size_t k = 0; k < 3; k++) {
            size_t i = 3 * (size_t)v + k;
            at[i] = PLACE[own][k] + 0.08f * draw("v_template", i);
        }
        weight[v * BODY_JOINTS + own] += 0.75f;
        weight[v * BODY_JOINTS + parent] += 0.25f;
    }
}

static void add_regressor(SmallBody *s, int vertices) {
    float *row = smallbody_add(s, "J_regressor", BODY_JOINTS, vertices, 0)->data;
    for (int j = 0; j < BODY_JOINTS; j++)
        for (int i = 0; i < 4; i++) row[j * vertices + (j + i * BODY_JOINTS) % vertices] += 0.25f;
}

static void add_tree(SmallBody *s) {
    int64_t *tree = add_array(s, "kintree_table", I64, 2, BODY_JOINTS, 0)->data;
    for (int j = 0; j < BODY_JOINTS; j++) {
        tree[j] = j ? joints_order(JOINTS_SMPL24)->joint[j].parent : 4294967295;
        tree[BODY_JOINTS + j] = j;
    }
}

SmallBody *smallbody_new(int vertices, int faces) {
    Arena *arena = arena_new();
    SmallBody *s = arena_alloc(arena, sizeof *s);
    s->arena = arena;
    add_skin(s, vertices);
    add_noise(s, "shapedirs", 0.02f, vertices, 3, BODY_BETAS);
    add_noise(s, "posedirs", 0.01f, vertices, 3, BODY_FEATURES);
    add_regressor(s, vertices);
    add_tree(s);
    int32_t *face = add_array(s, "f", I32, faces, 3, 0)->data;
    for (int i = 0; i < 3 * faces; i++) face[i] = (i / 3 + i % 3) % vertices;
    return s;
}

void smallbody_free(SmallBody *s) { arena_free(s->arena); }

Array *smallbody_array(SmallBody *s, const char *name) {
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->array[i].name, name)) return &s->array[i];
    CHECK(false, "no array %s", name);
}

void smallbody_set(SmallBody *s, const char *name, size_t i, double value) {
    Array *a = smallbody_array(s, name);
    CHECK(i < array_size(a), "%s has no number %zu", name, i);
    if (a->dtype == F32) ((float *)a->data)[i] = (float)value;
    if (a->dtype == I32) ((int32_t *)a->data)[i] = (int32_t)value;
    if (a->dtype == I64) ((int64_t *)a->data)[i] = (int64_t)value;
}

void smallbody_remove(SmallBody *s, const char *name) {
    Array *a = smallbody_array(s, name);
    *a = s->array[--s->count];
}

Array *smallbody_add(SmallBody *s, const char *name, int a, int b, int c) {
    return add_array(s, name, F32, a, b, c);
}

void smallbody_write(const SmallBody *s, const char *path) {
    CHECK(file_write_npz(path, s->array, s->count) == OK, "%s", error_reason());
}
