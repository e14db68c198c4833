/* Bodies side by side: what skin and joints share.
 *
 * People are taken in blocks of BODY_LANES, one to a lane of a vector register; a number of every
 * person of a block is a Lane.  A block's Lanes, and the gradients of them, lie in this order:
 *
 *     betas [b], pose feature [9*(j-1)] = R_1 - I .. R_(j-1) - I, matrices [j][12]
 *
 * A matrix is A (3x3, row-major) and s of the skinning transform x -> A_j x + s_j with
 * s_j = t_j - A_j J_j; A_j, t_j and J_j are the chain's (geom.h).  A Point is three rows linear in
 * (1, betas, feature): a vertex before it is posed, or P_kj of a regressed joint.
 */
#ifndef KERNELS_BODY_H
#define KERNELS_BODY_H

#include "kernels/kernel.h"
#include "kernels/geom.h"

enum { BODY_BYTES = 64, BODY_LANES = BODY_BYTES / sizeof(REAL) };

typedef REAL Lane __attribute__((vector_size(BODY_BYTES)));

/* Functions that do most of the arithmetic are compiled for several processors, and the fitting one
 * is taken at run time; what they call must become part of them.  Their names need KERNEL()
 * although they are static, because clang's choosers are global. */
#if defined(__x86_64__) && defined(__linux__) && !defined(__FMA__)
#define BODY_HOT __attribute__((target_clones("avx512f", "fma", "default")))
#else
#define BODY_HOT
#endif
#define BODY_INLINE static inline __attribute__((always_inline))

typedef struct {
    int people, joints, betas, features; /* features 0 without pose directions */
    const int8_t *parent;
    const REAL *rotation, *shape, *joint_template, *joint_shapedirs;
} Body;

/* Inputs 0 and 1, and the joints' template and shape directions at inputs j and j + 1. */
static inline Body body_of(const Call *c, int j, bool posed) {
    int joints = c->in[0].shape.w;
    return (Body){
        .people = c->in[0].shape.n,
        .joints = joints,
        .betas = c->in[1].shape.c,
        .features = posed ? 9 * (joints - 1) : 0,
        .parent = ((const SkinAttr *)c->attr)->parent,
        .rotation = c->in[0].data,
        .shape = c->in[1].data,
        .joint_template = c->in[j].data,
        .joint_shapedirs = c->in[j + 1].data,
    };
}

static inline int body_blocks(const Body *b) { return (b->people + BODY_LANES - 1) / BODY_LANES; }

static inline size_t body_matrices(const Body *b) { return (size_t)(b->betas + b->features); }

/* Lanes of one block. */
static inline size_t body_size(const Body *b) { return body_matrices(b) + 12 * (size_t)b->joints; }

/* One person's joints at rest and chain. */
typedef struct {
    REAL J[3 * SKIN_JOINTS], A[9 * SKIN_JOINTS], t[3 * SKIN_JOINTS];
} BodyChain;

static inline void body_chain(const Body *b, int person, BodyChain *chain) {
    const REAL *beta = b->shape + (size_t)person * (size_t)b->betas;
    for (int i = 0; i < 3 * b->joints; i++) {
        chain->J[i] = b->joint_template[i];
        for (int k = 0; k < b->betas; k++)
            chain->J[i] += b->joint_shapedirs[(size_t)i * (size_t)b->betas + (size_t)k] * beta[k];
    }
    geom_chain(b->joints, b->parent, b->rotation + (size_t)person * 9 * (size_t)b->joints, chain->J,
               chain->A, chain->t);
}

/* Writes a person into its lane; joints [j,3], if wanted, get t. */
static inline void body_put(const Body *b, int person, Lane *block, REAL *joints) {
    const REAL *beta = b->shape + (size_t)person * (size_t)b->betas;
    const REAL *R = b->rotation + (size_t)person * 9 * (size_t)b->joints;
    int lane = person % BODY_LANES;
    BodyChain chain;
    body_chain(b, person, &chain);
    for (int k = 0; k < b->betas; k++) block[k][lane] = beta[k];
    for (int k = 0; k < b->features; k++)
        block[b->betas + k][lane] = R[9 + k] - (k % 9 % 4 == 0 ? 1 : 0);
    for (int j = 0; j < b->joints; j++) {
        const REAL *A = chain.A + 9 * j;
        Lane *matrix = block + body_matrices(b) + 12 * j;
        REAL rest[3];
        geom_apply(A, chain.J + 3 * j, rest);
        for (int i = 0; i < 9; i++) matrix[i][lane] = A[i];
        for (int i = 0; i < 3; i++) matrix[9 + i][lane] = chain.t[3 * j + i] - rest[i];
    }
    if (joints) memcpy(joints, chain.t, 3 * (size_t)b->joints * sizeof *joints);
}

/* All blocks; lanes without a person are 0. */
static inline void body_fill(const Body *b, Lane *blocks, REAL *joints) {
    size_t size = body_size(b), row = 3 * (size_t)b->joints;
    PARALLEL_FOR
    for (int i = 0; i < body_blocks(b); i++) {
        int first = i * BODY_LANES, end = first + BODY_LANES;
        Lane *block = blocks + (size_t)i * size;
        memset(block, 0, size * sizeof *block);
        for (int person = first; person < end && person < b->people; person++)
            body_put(b, person, block, joints ? joints + (size_t)person * row : NULL);
    }
}

/* Gradient of a person's rotations dR [j,9] and betas from a block's gradient and djoints [j,3]
 * (NULL: none); either result may be NULL. */
static inline void body_back(const Body *b, int person, const Lane *gradient, const REAL *djoints,
                             REAL *dR, bool add_R, REAL *dbeta, bool add_beta) {
    REAL dA[9 * SKIN_JOINTS], dt[3 * SKIN_JOINTS], dJ[3 * SKIN_JOINTS], rotations[9 * SKIN_JOINTS];
    int lane = person % BODY_LANES;
    BodyChain chain;
    body_chain(b, person, &chain);
    for (int j = 0; j < b->joints; j++) {
        const Lane *matrix = gradient + body_matrices(b) + 12 * j;
        const REAL *J = chain.J + 3 * j;
        REAL ds[3];
        for (int i = 0; i < 3; i++) {
            ds[i] = matrix[9 + i][lane];
            dt[3 * j + i] = ds[i] + (djoints ? djoints[3 * j + i] : 0);
            for (int k = 0; k < 3; k++)
                dA[9 * j + 3 * i + k] = matrix[3 * i + k][lane] - ds[i] * J[k];
        }
        geom_apply_transposed(chain.A + 9 * j, ds, dJ + 3 * j);
        for (int i = 0; i < 3; i++) dJ[3 * j + i] = -dJ[3 * j + i];
    }
    geom_chain_backward(b->joints, b->parent, b->rotation + (size_t)person * 9 * (size_t)b->joints,
                        chain.J, chain.A, dA, dt, rotations, dJ);
    for (int k = 0; k < b->features; k++) rotations[9 + k] += gradient[b->betas + k][lane];
    for (int i = 0; dR && i < 9 * b->joints; i++) kernel_put(dR + i, rotations[i], add_R);
    for (int k = 0; dbeta && k < b->betas; k++) {
        REAL sum = gradient[k][lane];
        for (int i = 0; i < 3 * b->joints; i++) sum += b->joint_shapedirs[i * b->betas + k] * dJ[i];
        kernel_put(dbeta + k, sum, add_beta);
    }
}

/* Sums the gradients of `parts` parts into the first (each holds all blocks), then ends the chain:
 * dR and dbetas of c, which has rotations and betas as inputs 0 and 1. */
static inline void body_end(const Body *b, const Call *c, Lane *parts, int count,
                            const REAL *djoints) {
    size_t size = body_size(b), all = size * (size_t)body_blocks(b), row = (size_t)b->joints;
    REAL *dR = c->din[0].data, *dbeta = c->din[1].data;
    PARALLEL_FOR
    for (size_t i = 0; i < all; i++)
        for (int part = 1; part < count; part++) parts[i] += parts[(size_t)part * all + i];
    PARALLEL_FOR
    for (int i = 0; i < b->people; i++) {
        size_t n = (size_t)i;
        body_back(b, i, parts + n / BODY_LANES * size, djoints ? djoints + 3 * row * n : NULL,
                  dR ? dR + 9 * row * n : NULL, c->add[0],
                  dbeta ? dbeta + (size_t)b->betas * n : NULL, c->add[1]);
    }
}

/* Points [p]: base [p][stride] (its first three numbers), shape part [p][3][b], pose part
 * [p][3][9*(j-1)] or NULL. */
typedef struct {
    const REAL *base, *shape, *pose;
    size_t stride, betas, features;
} BodyPoints;

/* y += rows [3][n] times x. */
BODY_INLINE void body_rows(const REAL *rows, size_t n, const Lane *x, Lane *y) {
    const REAL *second = rows + n, *third = second + n;
    Lane a0 = y[0], a1 = y[1], a2 = y[2], b0 = {0}, b1 = {0}, b2 = {0};
    size_t k = 0;
    for (; k + 1 < n; k += 2) {
        a0 += rows[k] * x[k], b0 += rows[k + 1] * x[k + 1];
        a1 += second[k] * x[k], b1 += second[k + 1] * x[k + 1];
        a2 += third[k] * x[k], b2 += third[k + 1] * x[k + 1];
    }
    if (k < n) a0 += rows[k] * x[k], a1 += second[k] * x[k], a2 += third[k] * x[k];
    y[0] = a0 + b0, y[1] = a1 + b1, y[2] = a2 + b2;
}

/* dx += rows [3][n] transposed times dy. */
BODY_INLINE void body_rows_back(const REAL *rows, size_t n, const Lane *dy, Lane *dx) {
    const REAL *second = rows + n, *third = second + n;
    Lane d0 = dy[0], d1 = dy[1], d2 = dy[2];
    for (size_t k = 0; k < n; k++) dx[k] += rows[k] * d0 + second[k] * d1 + third[k] * d2;
}

BODY_INLINE void body_point(const BodyPoints *p, size_t i, const Lane *block, Lane *y) {
    for (int k = 0; k < 3; k++) y[k] = (Lane){0} + p->base[p->stride * i + (size_t)k];
    body_rows(p->shape + 3 * p->betas * i, p->betas, block, y);
    if (p->features) body_rows(p->pose + 3 * p->features * i, p->features, block + p->betas, y);
}

BODY_INLINE void body_point_back(const BodyPoints *p, size_t i, const Lane *dy, Lane *gradient) {
    body_rows_back(p->shape + 3 * p->betas * i, p->betas, dy, gradient);
    if (p->features)
        body_rows_back(p->pose + 3 * p->features * i, p->features, dy, gradient + p->betas);
}

/* out = A x + s * scale for a matrix of 12 Lanes. */
BODY_INLINE void body_transform(const Lane *m, const Lane *x, REAL scale, Lane *out) {
    for (int i = 0; i < 3; i++)
        out[i] = m[3 * i] * x[0] + m[3 * i + 1] * x[1] + m[3 * i + 2] * x[2] + scale * m[9 + i];
}

/* dx = A^T dy. */
BODY_INLINE void body_transform_back(const Lane *m, const Lane *dy, Lane *dx) {
    for (int i = 0; i < 3; i++) dx[i] = m[i] * dy[0] + m[3 + i] * dy[1] + m[6 + i] * dy[2];
}

/* dM += weight * [dy x^T | scale dy]. */
BODY_INLINE void body_matrix_back(REAL weight, const Lane *dy, const Lane *x, REAL scale,
                                  Lane *dm) {
    for (int i = 0; i < 3; i++) {
        Lane d = weight * dy[i];
        for (int k = 0; k < 3; k++) dm[3 * i + k] += d * x[k];
        dm[9 + i] += scale * d;
    }
}

/* Three numbers of every person of a block, from or to rows [people][step]. */
BODY_INLINE void body_load(const Body *b, int block, const REAL *rows, size_t step, Lane *out) {
    memset(out, 0, 3 * sizeof *out);
    for (int lane = 0; lane < BODY_LANES && block * BODY_LANES + lane < b->people; lane++)
        for (int i = 0; i < 3; i++)
            out[i][lane] = rows[(size_t)(block * BODY_LANES + lane) * step + (size_t)i];
}

BODY_INLINE void body_store(const Body *b, int block, const Lane *values, REAL *rows, size_t step) {
    for (int lane = 0; lane < BODY_LANES && block * BODY_LANES + lane < b->people; lane++)
        for (int i = 0; i < 3; i++)
            rows[(size_t)(block * BODY_LANES + lane) * step + (size_t)i] = values[i][lane];
}

#endif
