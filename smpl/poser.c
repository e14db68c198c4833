#include "smpl/poser.h"

#include "smpl/kinematics.h"

#include <string.h>

/* x, y, z and a fourth number, so that columns are added in one vector instruction. */
enum { LANES = 4, FEATURES = 9 };

/* The pose blend shapes of one joint for one vertex. */
typedef struct {
    int joint;
    float column[FEATURES][LANES];
} Block;

typedef struct {
    int joint;
    float share;
} Weight;

/* A vertex's blocks and weights end where the next one's begin. */
typedef struct {
    float point[LANES], shape[BODY_BETAS][LANES];
    int block, weight;
} Vertex;

struct Poser {
    Arena *arena;
    const Body *body;
    Vertex *vertex; /* one more than the body has */
    Block *block;
    Weight *weight;
};

/* Of each joint: columns 0 to 2 turn, column 3 moves; in SMPL's terms G_j - [0 | G_j J_j]. */
typedef struct {
    float column[BODY_JOINTS][LANES][LANES];
    float feature[BODY_JOINTS][FEATURES];
} Chain;

/* ---- making it ---- */

/* A joint's columns in one vertex's three rows of posedirs; NULL where they are all zero. */
static const float *block_of(const Body *body, int v, int joint) {
    if (!body->posedirs || !joint) return NULL;
    const float *row = body->posedirs + (size_t)v * 3 * BODY_FEATURES + FEATURES * (joint - 1);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < FEATURES; i++)
            if (row[(size_t)k * BODY_FEATURES + i] != 0) return row;
    return NULL;
}

static void count(const Body *body, size_t *blocks, size_t *weights) {
    *blocks = *weights = 0;
    for (int v = 0; v < body->vertices; v++)
        for (int j = 0; j < BODY_JOINTS; j++) {
            *blocks += block_of(body, v, j) != NULL;
            *weights += body->weights[(size_t)v * BODY_JOINTS + j] != 0;
        }
}

static void set_vertex(const Body *body, int v, Vertex *out) {
    for (int k = 0; k < 3; k++) {
        out->point[k] = body->v_template[3 * (size_t)v + k];
        for (int b = 0; b < BODY_BETAS; b++)
            out->shape[b][k] = body->shapedirs[(3 * (size_t)v + k) * BODY_BETAS + b];
    }
}

static void set_block(const float *row, int joint, Block *out) {
    out->joint = joint;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < FEATURES; i++) out->column[i][k] = row[(size_t)k * BODY_FEATURES + i];
}

Poser *poser_new(const Body *body) {
    Arena *arena = arena_new();
    Poser *p = arena_alloc(arena, sizeof *p);
    size_t blocks, weights;
    int block = 0, weight = 0;
    count(body, &blocks, &weights);
    *p = (Poser){arena, body, arena_alloc(arena, ((size_t)body->vertices + 1) * sizeof(Vertex)),
                 arena_alloc(arena, (blocks + 1) * sizeof(Block)),
                 arena_alloc(arena, (weights + 1) * sizeof(Weight))};
    for (int v = 0; v < body->vertices; v++) {
        set_vertex(body, v, &p->vertex[v]);
        for (int j = 0; j < BODY_JOINTS; j++) {
            const float *row = block_of(body, v, j);
            float share = body->weights[(size_t)v * BODY_JOINTS + j];
            if (row) set_block(row, j, &p->block[block++]);
            if (share != 0) p->weight[weight++] = (Weight){j, share};
        }
        p->vertex[v + 1].block = block, p->vertex[v + 1].weight = weight;
    }
    return p;
}

void poser_free(Poser *poser) {
    if (poser) arena_free(poser->arena);
}

const Body *poser_body(const Poser *poser) { return poser->body; }

/* ---- posing ---- */

static void rest_joints(const Body *body, const float *betas, double rest[BODY_JOINTS][3]) {
    for (int i = 0; i < BODY_ROWS; i++) {
        rest[i / 3][i % 3] = body->joint_template[i];
        for (int b = 0; b < BODY_BETAS; b++)
            rest[i / 3][i % 3] += (double)(body->joint_shapedirs[i * BODY_BETAS + b] * betas[b]);
    }
}

static void set_chain(const Body *body, const float *pose, const float *betas,
                      const float *translation, Chain *c, float *joints) {
    double rest[BODY_JOINTS][3];
    rest_joints(body, betas, rest);
    const Kinematics p = kinematics_of(&body->tree, (const double(*)[3])rest, pose);
    memset(c, 0, sizeof *c);
    for (int j = 0; j < BODY_JOINTS; j++)
        for (int k = 0; k < 3; k++) {
            double moved = (double)translation[k];
            for (int i = 0; i < 3; i++) c->column[j][i][k] = (float)p.turn[j][3 * k + i];
            c->column[j][3][k] = (float)(p.shift[j][k] + moved);
            if (joints) joints[3 * j + k] = (float)(p.joint[j][k] + moved);
        }
    for (int j = 1; j < BODY_JOINTS; j++)
        for (int k = 0; k < FEATURES; k++)
            c->feature[j][k] = (float)p.feature[FEATURES * (j - 1) + k];
}

static void accumulate(float sum[LANES], const float column[LANES], float factor) {
    for (int k = 0; k < LANES; k++) sum[k] += factor * column[k];
}

static void pose_vertex(const Poser *p, const Chain *c, const float *betas, const Vertex *v,
                        float *out) {
    float point[LANES], blend[LANES][LANES] = {{0}}, sum[LANES];
    memcpy(point, v->point, sizeof point);
    for (int b = 0; b < BODY_BETAS; b++) accumulate(point, v->shape[b], betas[b]);
    for (const Block *b = p->block + v->block; b < p->block + v[1].block; b++)
        for (int i = 0; i < FEATURES; i++) accumulate(point, b->column[i], c->feature[b->joint][i]);
    for (const Weight *w = p->weight + v->weight; w < p->weight + v[1].weight; w++)
        for (int i = 0; i < LANES; i++) accumulate(blend[i], c->column[w->joint][i], w->share);
    memcpy(sum, blend[3], sizeof sum);
    for (int i = 0; i < 3; i++) accumulate(sum, blend[i], point[i]);
    memcpy(out, sum, 3 * sizeof *out);
}

void poser_run(const Poser *poser, const float pose[3 * BODY_JOINTS], const float betas[BODY_BETAS],
               const float translation[3], float *vertices, float *joints) {
    Chain chain;
    set_chain(poser->body, pose, betas, translation, &chain, joints);
    for (int v = 0; v < poser->body->vertices; v++)
        pose_vertex(poser, &chain, betas, &poser->vertex[v], vertices + 3 * (size_t)v);
}
