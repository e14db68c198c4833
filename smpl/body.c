#include "smpl/body.h"

#include "smpl/bodyfile.h"
#include "smpl/contract.h"
#include "smpl/kinematics.h"
#include "tensor/file.h"
#include "tensor/parallel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

Status body_read(const ArrayFile *file, const char *name, const char *halpe_regressor, Body **out) {
    Arena *arena = arena_new(), *scratch = arena_new();
    Body *b = arena_alloc(arena, sizeof *b);
    const float *halpe;
    b->arena = arena;
    Status status = bodyfile_read(file, name, halpe_regressor, scratch, b, &halpe);
    if (status) {
        arena_free(arena);
    } else {
        b->halpe = contract_regressor(b, arena, halpe, HALPE26_COUNT);
        *out = b;
    }
    arena_free(scratch);
    return status;
}

Status body_load(const char *path, const char *halpe_regressor, Body **out) {
    ArrayFile file;
    TRY(file_load(path, &file));
    Status status = body_read(&file, path, halpe_regressor, out);
    array_file_free(&file);
    return status;
}

void body_free(Body *body) {
    if (body) arena_free(body->arena);
}

/* ---- in a graph ---- */

/* A table as a constant; the same tensor when the graph already has it. */
static Tensor *table(Graph *g, const char *name, const char *part, Shape shape,
                     const float *values) {
    char full[96];
    if (!values) return NULL;
    snprintf(full, sizeof full, "body.%s%s", name, part);
    Tensor *t = graph_find(g, full);
    if (t && graph_role(g, t) == TENSOR_CONSTANT && shape_equal(t->shape, shape) &&
        !memcmp(graph_constant_values(g, t), values, shape_size(shape) * sizeof *values))
        return t;
    return graph_constant(g, full, F32, shape, values);
}

/* A table in double precision: floats plus what they lost.  On float backends the sum is the
 * floats. */
static Tensor *fine_table(const Scope *m, const char *name, const char *part, Shape shape,
                          const double *values) {
    char rest[16];
    size_t size = shape_size(shape);
    float *high = malloc(2 * size * sizeof *high);
    CHECK(high, "out of memory");
    float *low = high + size;
    for (size_t i = 0; i < size; i++) {
        high[i] = (float)values[i];
        low[i] = (float)(values[i] - (double)high[i]);
    }
    snprintf(rest, sizeof rest, "%s.low", part);
    Tensor *t = table(m->graph, name, part, shape, high);
    t = add(m, t, table(m->graph, name, rest, shape, low));
    free(high);
    return t;
}

static Tensor *joint_template(const Scope *m, const Body *b) {
    return fine_table(m, "joint_template", "", (Shape){1, 1, BODY_JOINTS, 3}, b->joint_template);
}

static Tensor *joint_shapedirs(Graph *g, const Body *b) {
    return table(g, "joint_shapedirs", "", (Shape){1, BODY_JOINTS, 3, BODY_BETAS},
                 b->joint_shapedirs);
}

Tensor *body_vertices(const Scope *m, const Body *body, Tensor *rotations, Tensor *betas) {
    Graph *g = m->graph;
    int v = body->vertices;
    Tensor *in[] = {
        rotations,
        betas,
        table(g, "v_template", "", (Shape){1, 1, v, 3}, body->v_template),
        table(g, "shapedirs", "", (Shape){1, v, 3, BODY_BETAS}, body->shapedirs),
        table(g, "posedirs", "", (Shape){1, v, 3, BODY_FEATURES}, body->posedirs),
        joint_template(m, body),
        joint_shapedirs(g, body),
        table(g, "weights", "", (Shape){1, 1, v, BODY_JOINTS}, body->weights),
    };
    return graph_add(g, OP_skin, &body->tree, in, 8, WHERE);
}

Tensor *body_regressed(const Scope *m, const Body *body, const BodyTables *tables, const char *name,
                       Tensor *rotations, Tensor *betas) {
    Graph *g = m->graph;
    int k = tables->rows;
    Tensor *in[] = {
        rotations,
        betas,
        joint_template(m, body),
        joint_shapedirs(g, body),
        fine_table(m, name, ".constant", (Shape){1, k, BODY_JOINTS, 4}, tables->constant),
        table(g, name, ".shape", (Shape){1, k, BODY_ROWS, BODY_BETAS}, tables->shape),
        table(g, name, ".pose", (Shape){1, k, BODY_ROWS, BODY_FEATURES}, tables->pose),
    };
    return graph_add(g, OP_joints, &body->tree, in, 7, WHERE);
}

Tensor *body_halpe(const Scope *m, const Body *body, Tensor *rotations, Tensor *betas) {
    return body_regressed(m, body, &body->halpe, "halpe", rotations, betas);
}

/* ---- one person, no graph ---- */

typedef struct {
    Kinematics chain;
    double betas[BODY_BETAS];
} Shaped;

static double dot(const float *a, const double *b, int n) {
    enum { LANES = 4 };
    double sum[LANES] = {0};
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) sum[k] += (double)a[i + k] * b[i + k];
    for (; i < n; i++) sum[0] += (double)a[i] * b[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static Shaped shaped(const Body *b, const float *pose, const float *betas) {
    Shaped p;
    double rest[BODY_JOINTS][3];
    for (int i = 0; i < BODY_BETAS; i++) p.betas[i] = (double)betas[i];
    for (int i = 0; i < BODY_ROWS; i++)
        rest[i / 3][i % 3] =
            b->joint_template[i] + dot(b->joint_shapedirs + i * BODY_BETAS, p.betas, BODY_BETAS);
    p.chain = kinematics_of(&b->tree, (const double(*)[3])rest, pose);
    return p;
}

/* Coordinate i before the joints move it: base + shapes . betas + correctives . feature. */
static double coordinate(const Shaped *p, double base, const float *shape, const float *pose,
                         size_t i) {
    double x = base + dot(shape + i * BODY_BETAS, p->betas, BODY_BETAS);
    return pose ? x + dot(pose + i * BODY_FEATURES, p->chain.feature, BODY_FEATURES) : x;
}

/* sum += share * turn_j point + weight * shift_j. */
static void carry(const Kinematics *p, size_t j, const double *point, double share, double weight,
                  double *sum) {
    double moved[3];
    geom_apply(p->turn[j], point, moved);
    for (int k = 0; k < 3; k++) sum[k] += share * moved[k] + weight * p->shift[j][k];
}

static void put(const double *point, const float *translation, float *out) {
    for (int k = 0; k < 3; k++) out[k] = (float)(point[k] + (double)translation[k]);
}

static void pose_vertex(const Body *b, const Shaped *p, size_t v, const float *translation,
                        float *out) {
    double point[3], sum[3] = {0};
    const float *weight = b->weights + v * BODY_JOINTS;
    for (size_t k = 0; k < 3; k++)
        point[k] =
            coordinate(p, (double)b->v_template[3 * v + k], b->shapedirs, b->posedirs, 3 * v + k);
    for (size_t j = 0; j < BODY_JOINTS; j++)
        if (weight[j] != 0) carry(&p->chain, j, point, (double)weight[j], (double)weight[j], sum);
    put(sum, translation, out);
}

static void pose_row(const BodyTables *t, const Shaped *p, size_t row, const float *translation,
                     float *out) {
    double sum[3] = {0};
    for (size_t j = 0; j < BODY_JOINTS; j++) {
        const double *constant = t->constant + (row * BODY_JOINTS + j) * 4;
        double point[3];
        for (size_t k = 0; k < 3; k++)
            point[k] = coordinate(p, constant[k], t->shape, t->pose, row * BODY_ROWS + 3 * j + k);
        carry(&p->chain, j, point, 1, constant[3], sum);
    }
    put(sum, translation, out);
}

void body_pose(const Body *body, const float pose[3 * BODY_JOINTS], const float betas[BODY_BETAS],
               const float translation[3], float *vertices, float *joints, float *halpe) {
    const Shaped p = shaped(body, pose, betas);
    if (vertices) {
        PARALLEL_FOR
        for (int v = 0; v < body->vertices; v++)
            pose_vertex(body, &p, (size_t)v, translation, vertices + 3 * (size_t)v);
    }
    for (int i = 0; joints && i < BODY_ROWS; i++)
        joints[i] = (float)(p.chain.joint[i / 3][i % 3] + (double)translation[i % 3]);
    for (size_t k = 0; halpe && k < HALPE26_COUNT; k++)
        pose_row(&body->halpe, &p, k, translation, halpe + 3 * k);
}
