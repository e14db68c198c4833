#include "smpl/procedural.h"

#include "smpl/binding.h"
#include "smpl/corrective.h"
#include "smpl/landmarks.h"
#include "smpl/remesh.h"
#include "tensor/file.h"
#include "tensor/parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Step of the first triangles, metres: fine enough for ears and fingers. */
static const double GRID_STEP = 0.007;

/* The whole mean body in double precision. */
typedef struct {
    Arena *arena;
    int vertices, faces;
    double (*at)[3];
    int *mirror; /* the vertex on the other side; itself in the middle */
    int32_t *face;
    double *shape; /* [v,3,10] */
} Made;

/* ---- surface ---- */

static Made mirror_half(const Surface *half, Arena *arena) {
    Made m = {.arena = arena, .faces = 2 * half->faces};
    m.at = arena_alloc(arena, 2 * (size_t)half->vertices * sizeof *m.at);
    m.mirror = arena_alloc(arena, 2 * (size_t)half->vertices * sizeof *m.mirror);
    m.face = arena_alloc(arena, 3 * (size_t)m.faces * sizeof *m.face);
    m.vertices = half->vertices;
    for (int v = 0; v < half->vertices; v++) {
        memcpy(m.at[v], half->vertex[v], sizeof *m.at);
        m.mirror[v] = v;
        if (m.at[v][0] == 0) continue;
        int other = m.vertices++;
        memcpy(m.at[other], m.at[v], sizeof *m.at);
        m.at[other][0] = -m.at[v][0];
        m.mirror[v] = other, m.mirror[other] = v;
    }
    for (int f = 0; f < half->faces; f++)
        for (int k = 0; k < 3; k++) {
            m.face[3 * f + k] = half->face[f][k];
            m.face[3 * (half->faces + f) + k] = m.mirror[half->face[f][2 - k]];
        }
    return m;
}

static Made make_surface(int vertices, Arena *arena) {
    static const double NO_BETAS[BODY_BETAS] = {0};
    Arena *scratch = arena_new();
    const Figure mean = figure_make(NO_BETAS);
    Solid *solid = solid_new(&mean);
    Surface fine = contour_half(solid, GRID_STEP, scratch);
    Surface half = remesh_half(solid, &fine, vertices, scratch);
    Made m = mirror_half(&half, arena);
    solid_free(solid);
    arena_free(scratch);
    return m;
}

/* ---- shape ---- */

/* A vertex of the mean body in another figure: carried by its joints, then set onto the skin. */
static void place(const Figure *f, const Solid *solid, const double vertex[3], double out[3]) {
    double weight[BODY_JOINTS], moved[3];
    binding_weights(vertex, weight);
    for (int k = 0; k < 3; k++) out[k] = 0;
    for (int j = 0; j < BODY_JOINTS; j++) {
        if (weight[j] == 0) continue;
        figure_carry(f, j, vertex, moved);
        for (int k = 0; k < 3; k++) out[k] += weight[j] * moved[k];
    }
    solid_project(solid, out);
}

static void add_direction(const Made *m, int beta, double sign) {
    double betas[BODY_BETAS] = {0};
    betas[beta] = sign;
    const Figure figure = figure_make(betas);
    Solid *solid = solid_new(&figure);
    PARALLEL_FOR
    for (int v = 0; v < m->vertices; v++) {
        double out[3];
        if (m->at[v][0] < 0) continue;
        place(&figure, solid, m->at[v], out);
        if (m->mirror[v] == v) out[0] = 0;
        for (int k = 0; k < 3; k++) {
            double part = sign * out[k] / 2;
            m->shape[(3 * v + k) * BODY_BETAS + beta] += part;
            if (m->mirror[v] != v)
                m->shape[(3 * m->mirror[v] + k) * BODY_BETAS + beta] += k ? part : -part;
        }
    }
    solid_free(solid);
}

static void make_shape(Made *m) {
    m->shape = arena_alloc(m->arena, (size_t)m->vertices * 3 * BODY_BETAS * sizeof *m->shape);
    for (int beta = 0; beta < BODY_BETAS; beta++) {
        add_direction(m, beta, 1);
        add_direction(m, beta, -1);
    }
}

/* What a beta adds to each joint; figures are linear. */
static void joint_directions(double out[BODY_JOINTS][3][BODY_BETAS]) {
    for (int b = 0; b < BODY_BETAS; b++) {
        double betas[BODY_BETAS] = {0};
        betas[b] = 1;
        const Figure f = figure_make(betas);
        for (int j = 0; j < BODY_JOINTS; j++)
            for (int k = 0; k < 3; k++) out[j][k][b] = f.joint[j][k] - FIGURE_JOINT[j][k];
    }
}

/* ---- arrays ---- */

static float *floats(Arena *arena, const double *values, size_t count) {
    float *out = arena_alloc(arena, count * sizeof *out);
    for (size_t i = 0; i < count; i++) out[i] = (float)values[i];
    return out;
}

/* Prefers what follows the joint or its parent, so that other limbs' poses do not move it. */
static void set_preference(const Made *m, const float *weights, int joint, double *preference) {
    int parent = joints_order(JOINTS_SMPL24)->joint[joint].parent;
    for (int v = 0; v < m->vertices; v++) {
        const float *w = weights + (size_t)v * BODY_JOINTS;
        double own = (double)(w[joint] + (parent < 0 ? 0 : w[parent]));
        preference[v] = pow(own, 8);
    }
}

/* Left and right joints are each other's image, and so are both halves of a middle joint's row. */
static float *make_regressor(const Made *m, const float *weights) {
    const Joint *tree = joints_order(JOINTS_SMPL24)->joint;
    size_t size = (size_t)m->vertices;
    double direction[BODY_JOINTS][3][BODY_BETAS];
    double *row = arena_alloc(m->arena, size * sizeof *row);
    double *preference = arena_alloc(m->arena, size * sizeof *preference);
    float *out = arena_alloc(m->arena, BODY_JOINTS * size * sizeof *out);
    joint_directions(direction);
    for (int j = 0; j < BODY_JOINTS; j++) {
        int other = tree[j].flip;
        if (other < j) continue;
        memset(row, 0, size * sizeof *row);
        set_preference(m, weights, j, preference);
        binding_regressor(m->vertices, m->at[0], m->shape, FIGURE_JOINT[j], direction[j],
                          preference, row);
        for (size_t v = 0; v < size; v++) {
            size_t image = (size_t)m->mirror[v];
            double value = other == j ? (row[v] + row[image]) / 2 : row[v];
            out[(size_t)j * size + v] = (float)value;
            out[(size_t)other * size + image] = (float)value;
        }
    }
    return out;
}

static float *make_weights(const Made *m) {
    float *out = arena_alloc(m->arena, (size_t)m->vertices * BODY_JOINTS * sizeof *out);
    for (int v = 0; v < m->vertices; v++) {
        double weight[BODY_JOINTS];
        binding_weights(m->at[v], weight);
        for (int j = 0; j < BODY_JOINTS; j++) out[v * BODY_JOINTS + j] = (float)weight[j];
    }
    return out;
}

/* Halpe joints on the skin of the mean body; those of the right side mirror them. */
static const struct {
    int halpe;
    double point[3];
} MARK[] = {
    {HALPE26_NOSE, {0, 0.414, 0.124}},          {HALPE26_L_EYE, {0.032, 0.450, 0.094}},
    {HALPE26_L_EAR, {0.086, 0.434, 0.004}},     {HALPE26_HEAD, {0, 0.561, 0.005}},
    {HALPE26_L_BIG_TOE, {0.086, -1.115, 0.17}}, {HALPE26_L_SMALL_TOE, {0.153, -1.125, 0.132}},
    {HALPE26_L_HEEL, {0.086, -1.120, -0.09}},
};
enum { MARKS = sizeof MARK / sizeof *MARK };

static int nearest(const Made *m, const double point[3]) {
    int best = 0;
    double least = INFINITY;
    for (int v = 0; v < m->vertices; v++) {
        double sum = 0;
        for (int k = 0; k < 3; k++) sum += pow(m->at[v][k] - point[k], 2);
        if (sum < least) best = v, least = sum;
    }
    return best;
}

/* Joints as landmarks.h has them, marks on their own vertices. */
static float *make_halpe(const Made *m, const Body *body) {
    const Joint *order = joints_order(JOINTS_HALPE26)->joint;
    size_t size = (size_t)m->vertices;
    float *out = arena_alloc(m->arena, HALPE26_COUNT * size * sizeof *out);
    landmarks_halpe(body, out);
    for (int i = 0; i < MARKS; i++) {
        int v = nearest(m, MARK[i].point), halpe = MARK[i].halpe, other = order[halpe].flip;
        memset(out + (size_t)halpe * size, 0, size * sizeof *out);
        memset(out + (size_t)other * size, 0, size * sizeof *out);
        float part = other == halpe ? 0.5f : 1;
        out[(size_t)halpe * size + (size_t)v] += part;
        out[(size_t)other * size + (size_t)m->mirror[v]] += part;
    }
    return out;
}

static int64_t *make_tree(Arena *arena) {
    const Joint *tree = joints_order(JOINTS_SMPL24)->joint;
    int64_t *out = arena_alloc(arena, 2 * (size_t)BODY_JOINTS * sizeof *out);
    for (int j = 0; j < BODY_JOINTS; j++) out[j] = tree[j].parent, out[BODY_JOINTS + j] = j;
    return out;
}

static ArrayFile arrays(const Made *m) {
    size_t v = (size_t)m->vertices;
    float *posedirs = arena_alloc(m->arena, v * 3 * BODY_FEATURES * sizeof *posedirs);
    float *shapedirs = floats(m->arena, m->shape, v * 3 * BODY_BETAS);
    float *vertex = floats(m->arena, m->at[0], 3 * v);
    float *weights = make_weights(m), *regressor = make_regressor(m, weights);
    corrective_fit(m->vertices, m->at[0], FIGURE_JOINT, weights, posedirs);
    const Body body = {.vertices = m->vertices,
                       .faces = m->faces,
                       .v_template = vertex,
                       .weights = weights,
                       .joint_regressor = regressor};
    int n = m->vertices;
    const Array array[] = {
        {"v_template", F32, 2, {n, 3}, vertex},
        {"shapedirs", F32, 3, {n, 3, BODY_BETAS}, shapedirs},
        {"posedirs", F32, 3, {n, 3, BODY_FEATURES}, posedirs},
        {"J_regressor", F32, 2, {BODY_JOINTS, n}, regressor},
        {"J_regressor_halpe", F32, 2, {HALPE26_COUNT, n}, make_halpe(m, &body)},
        {"weights", F32, 2, {n, BODY_JOINTS}, weights},
        {"kintree_table", I64, 2, {2, BODY_JOINTS}, make_tree(m->arena)},
        {"f", I32, 2, {m->faces, 3}, m->face},
    };
    ArrayFile f = {.arena = m->arena, .kind = "made up"};
    f.count = sizeof array / sizeof *array;
    f.array = arena_alloc(m->arena, sizeof array);
    memcpy(f.array, array, sizeof array);
    return f;
}

static ArrayFile make(int vertices) {
    Made m = make_surface(vertices, arena_new());
    make_shape(&m);
    return arrays(&m);
}

Status procedural_write(const char *path, int vertices, ProceduralSize *made) {
    if (!vertices) vertices = PROCEDURAL_VERTICES;
    if (vertices < PROCEDURAL_LEAST || vertices > PROCEDURAL_MOST)
        return fail(ERR_USAGE, "a body of %d vertices is not possible, expected %d to %d", vertices,
                    PROCEDURAL_LEAST, PROCEDURAL_MOST);
    ArrayFile f = make(vertices);
    Status status = file_write_npz(path, f.array, f.count);
    const Array *vertex = array_find(&f, "v_template"), *face = array_find(&f, "f");
    if (made) *made = (ProceduralSize){(int)vertex->dim[0], (int)face->dim[0]};
    array_file_free(&f);
    return status;
}

Status procedural_body(Body **out) {
    ArrayFile f = make(PROCEDURAL_VERTICES);
    Status status = body_read(&f, "the made-up body", NULL, out);
    array_file_free(&f);
    return status;
}
