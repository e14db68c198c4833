/* Bodies side by side: how the C kernels of skin and joints take many people.
 *
 * People are taken in blocks of BODY_LANES, one to a lane of a vector register; a number of every
 * person of a block is a Lane.  A block's Lanes, and the gradients of them, lie in the order of
 * person.h.  For skin.c and joints.c alone, which are compiled once per instruction set (isa.h) and
 * once as double.
 */
#ifndef KERNELS_BODY_H
#define KERNELS_BODY_H

#include "kernels/kernel.h"
#include "kernels/person.h"
#include "kernels/vector.h"

/* BODY_GROUP: points at a time, so that a Lane that is read serves all their sums. */
enum { BODY_LANES = VECTOR_BYTES / sizeof(REAL), BODY_GROUP = 2 };

typedef REAL Lane __attribute__((vector_size(VECTOR_BYTES)));

static inline int body_blocks(const Body *b) { return (b->people + BODY_LANES - 1) / BODY_LANES; }

/* Lanes of all blocks. */
static inline size_t body_lanes(const Body *b) { return (size_t)b->size * (size_t)body_blocks(b); }

/* One person's joints at rest and chain. */
typedef struct {
    REAL J[3 * SKIN_JOINTS], A[9 * SKIN_JOINTS], t[3 * SKIN_JOINTS];
} BodyChain;

static inline void body_chain(const Body *b, int person, BodyChain *chain) {
    const REAL *beta = b->shape + (size_t)person * (size_t)b->betas;
    for (int i = 0; i < 3 * b->joints; i++) chain->J[i] = person_rest(b, beta, i);
    geom_chain(b->joints, b->tree.parent, b->rotation + (size_t)person * 9 * (size_t)b->joints,
               chain->J, chain->A, chain->t);
}

/* Writes a person into its lane; joints [j,3], if wanted, get t. */
static inline void body_put(const Body *b, int person, Lane *block, REAL *joints) {
    const REAL *beta = b->shape + (size_t)person * (size_t)b->betas;
    const REAL *R = b->rotation + (size_t)person * 9 * (size_t)b->joints;
    int lane = person % BODY_LANES;
    BodyChain chain;
    body_chain(b, person, &chain);
    for (int k = 0; k < b->betas; k++) block[k][lane] = beta[k];
    for (int k = 0; k < b->features; k++) block[b->betas + k][lane] = person_feature(R, k);
    for (int j = 0; j < b->joints; j++) {
        REAL matrix[12];
        person_matrix(chain.A + 9 * j, chain.J + 3 * j, chain.t + 3 * j, matrix);
        for (int i = 0; i < 12; i++) block[b->matrices + 12 * j + i][lane] = matrix[i];
    }
    if (joints) memcpy(joints, chain.t, 3 * (size_t)b->joints * sizeof *joints);
}

/* All blocks; lanes without a person are 0. */
static inline void body_fill(const Body *b, Lane *blocks, REAL *joints) {
    size_t size = (size_t)b->size, row = 3 * (size_t)b->joints;
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
        REAL dmatrix[12];
        for (int i = 0; i < 12; i++) dmatrix[i] = gradient[b->matrices + 12 * j + i][lane];
        person_matrix_backward(chain.A + 9 * j, chain.J + 3 * j, dmatrix, dA + 9 * j, dJ + 3 * j,
                               dt + 3 * j);
        for (int i = 0; djoints && i < 3; i++) dt[3 * j + i] += djoints[3 * j + i];
    }
    geom_chain_backward(b->joints, b->tree.parent,
                        b->rotation + (size_t)person * 9 * (size_t)b->joints, chain.J, chain.A, dA,
                        dt, rotations, dJ);
    for (int k = 0; k < b->features; k++) rotations[9 + k] += gradient[b->betas + k][lane];
    for (int i = 0; dR && i < 9 * b->joints; i++) kernel_put(dR + i, rotations[i], add_R);
    for (int k = 0; dbeta && k < b->betas; k++)
        kernel_put(dbeta + k, person_beta_backward(b, k, gradient[k][lane], dJ), add_beta);
}

/* Sums the gradients of `parts` parts into the first (each holds all blocks), then ends the chain:
 * dR and dbetas of c, which has rotations and betas as inputs 0 and 1. */
static inline void body_end(const Body *b, const Call *c, Lane *parts, int count,
                            const REAL *djoints) {
    size_t size = (size_t)b->size, all = body_lanes(b), row = (size_t)b->joints;
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

/* y [count][3] += three rows [n] of each point times x; count is a constant, so that the sums
 * become registers. */
VECTOR_INLINE void body_rows(const REAL *rows, size_t n, const size_t *point, size_t count,
                             const Lane *x, Lane *y) {
    const REAL *row[3 * BODY_GROUP];
    Lane sum[3 * BODY_GROUP];
    for (size_t r = 0; r < 3 * count; r++) row[r] = rows + (3 * point[r / 3] + r % 3) * n;
    for (size_t r = 0; r < 3 * count; r++) sum[r] = y[r];
    for (size_t k = 0; k < n; k++)
        for (size_t r = 0; r < 3 * count; r++) sum[r] += row[r][k] * x[k];
    for (size_t r = 0; r < 3 * count; r++) y[r] = sum[r];
}

/* dx += the same rows transposed times dy. */
VECTOR_INLINE void body_rows_back(const REAL *rows, size_t n, const size_t *point, size_t count,
                                  const Lane *dy, Lane *dx) {
    const REAL *row[3 * BODY_GROUP];
    Lane d[3 * BODY_GROUP];
    for (size_t r = 0; r < 3 * count; r++) row[r] = rows + (3 * point[r / 3] + r % 3) * n;
    for (size_t r = 0; r < 3 * count; r++) d[r] = dy[r];
    for (size_t k = 0; k < n; k++) {
        Lane sum = dx[k];
        for (size_t r = 0; r < 3 * count; r++) sum += row[r][k] * d[r];
        dx[k] = sum;
    }
}

/* At most BODY_GROUP points: y [count][3]. */
VECTOR_INLINE void body_points(const BodyPoints *p, const size_t *point, size_t count,
                               const Lane *block, Lane *y) {
    for (size_t k = 0; k < 3 * count; k++)
        y[k] = (Lane){0} + p->base[p->stride * point[k / 3] + k % 3];
    body_rows(p->shape, p->betas, point, count, block, y);
    if (p->features) body_rows(p->pose, p->features, point, count, block + p->betas, y);
}

/* Adds to the gradient of betas and feature. */
VECTOR_INLINE void body_points_back(const BodyPoints *p, const size_t *point, size_t count,
                                    const Lane *dy, Lane *gradient) {
    body_rows_back(p->shape, p->betas, point, count, dy, gradient);
    if (p->features) body_rows_back(p->pose, p->features, point, count, dy, gradient + p->betas);
}

/* out = A x + s * scale for a matrix of 12 Lanes. */
VECTOR_INLINE void body_transform(const Lane *m, const Lane *x, REAL scale, Lane *out) {
    for (int i = 0; i < 3; i++)
        out[i] = m[3 * i] * x[0] + m[3 * i + 1] * x[1] + m[3 * i + 2] * x[2] + scale * m[9 + i];
}

/* dx = A^T dy. */
VECTOR_INLINE void body_transform_back(const Lane *m, const Lane *dy, Lane *dx) {
    for (int i = 0; i < 3; i++) dx[i] = m[i] * dy[0] + m[3 + i] * dy[1] + m[6 + i] * dy[2];
}

/* dM += weight * [dy x^T | scale dy]. */
VECTOR_INLINE void body_matrix_back(REAL weight, const Lane *dy, const Lane *x, REAL scale,
                                    Lane *dm) {
    for (int i = 0; i < 3; i++) {
        Lane d = weight * dy[i];
        for (int k = 0; k < 3; k++) dm[3 * i + k] += d * x[k];
        dm[9 + i] += scale * d;
    }
}

/* Three numbers of every person of a block, from or to rows [people][step]. */
VECTOR_INLINE void body_load(const Body *b, int block, const REAL *rows, size_t step, Lane *out) {
    memset(out, 0, 3 * sizeof *out);
    for (int lane = 0; lane < BODY_LANES && block * BODY_LANES + lane < b->people; lane++)
        for (int i = 0; i < 3; i++)
            out[i][lane] = rows[(size_t)(block * BODY_LANES + lane) * step + (size_t)i];
}

VECTOR_INLINE void body_store(const Body *b, int block, const Lane *values, REAL *rows,
                              size_t step) {
    for (int lane = 0; lane < BODY_LANES && block * BODY_LANES + lane < b->people; lane++)
        for (int i = 0; i < 3; i++)
            rows[(size_t)(block * BODY_LANES + lane) * step + (size_t)i] = values[i][lane];
}

#endif
