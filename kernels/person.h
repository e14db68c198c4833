/* One person of a body: what skin and joints compute of every person before they come to points, on
 * every backend.  body.h has the C kernels' way of doing it for many people, person.cuh CUDA's.
 *
 * A person's numbers, and the gradients of them, lie in this order:
 *
 *     betas [b], pose feature [9*(j-1)] = R_1 - I .. R_(j-1) - I, matrices [j][12]
 *
 * A matrix is A (3x3, row-major) and s of the skinning transform x -> A_j x + s_j with
 * s_j = t_j - A_j J_j; A_j, t_j and J_j are the chain's (geom.h).  A Point is three rows linear in
 * (1, betas, feature): a vertex before it is posed, or P_kj of a regressed joint.
 */
#ifndef KERNELS_PERSON_H
#define KERNELS_PERSON_H

#include "kernels/geom.h"
#include "kernels/op.h"
#include "tensor/inline.h"

/* Points [p]: base [p][stride] (its first three numbers), shape part [p][3][b], pose part
 * [p][3][9*(j-1)] or NULL. */
typedef struct {
    const REAL *base, *shape, *pose;
    size_t stride, betas, features;
} BodyPoints;

typedef struct {
    int people, joints, betas, features; /* features 0 without pose directions */
    int matrices, size; /* of a person's numbers: where the matrices begin, how many in all */
    SkinAttr tree;
    const REAL *rotation, *shape, *joint_template, *joint_shapedirs;
    BodyPoints points;
} Body;

/* Inputs 0 and 1; the joints' template and shape directions at inputs j and j + 1; the points at
 * inputs p, p + 1 and p + 2. */
static inline Body person_body(const Call *c, int j, int p) {
    Body b;
    b.people = c->in[0].shape.n;
    b.joints = c->in[0].shape.w;
    b.betas = c->in[1].shape.c;
    b.features = shape_size(c->in[p + 2].shape) > 0 ? 9 * (b.joints - 1) : 0;
    b.matrices = b.betas + b.features;
    b.size = b.matrices + 12 * b.joints;
    b.tree = *(const SkinAttr *)c->attr;
    b.rotation = (const REAL *)c->in[0].data;
    b.shape = (const REAL *)c->in[1].data;
    b.joint_template = (const REAL *)c->in[j].data;
    b.joint_shapedirs = (const REAL *)c->in[j + 1].data;
    b.points.base = (const REAL *)c->in[p].data;
    b.points.shape = (const REAL *)c->in[p + 1].data;
    b.points.pose = (const REAL *)c->in[p + 2].data;
    b.points.stride = (size_t)c->in[p].shape.c;
    b.points.betas = (size_t)b.betas;
    b.points.features = (size_t)b.features;
    return b;
}

static inline Body person_of_skin(const Call *c) { return person_body(c, 5, 2); }
static inline Body person_of_joints(const Call *c) { return person_body(c, 2, 4); }

/* Number i of the joints at rest [j,3]. */
INLINE REAL person_rest(const Body *b, const REAL *beta, int i) {
    REAL sum = b->joint_template[i];
    for (int k = 0; k < b->betas; k++)
        sum += b->joint_shapedirs[(size_t)i * (size_t)b->betas + (size_t)k] * beta[k];
    return sum;
}

/* Number k of the pose feature from a person's rotations. */
INLINE REAL person_feature(const REAL *R, int k) { return R[9 + k] - (k % 9 % 4 == 0 ? 1 : 0); }

/* Whether point p of the joints op takes part. */
INLINE bool person_uses(const BodyPoints *points, size_t p) {
    const REAL *c = points->base + points->stride * p;
    return c[0] != 0 || c[1] != 0 || c[2] != 0 || c[3] != 0;
}

/* The matrix of a joint: A and s. */
INLINE void person_matrix(const REAL *A, const REAL *J, const REAL *t, REAL *matrix) {
    REAL rest[3];
    geom_apply(A, J, rest);
    for (int i = 0; i < 9; i++) matrix[i] = A[i];
    for (int i = 0; i < 3; i++) matrix[9 + i] = t[i] - rest[i];
}

/* Overwrites the gradients of A, J and t. */
INLINE void person_matrix_backward(const REAL *A, const REAL *J, const REAL *dmatrix, REAL *dA,
                                   REAL *dJ, REAL *dt) {
    const REAL *ds = dmatrix + 9;
    for (int i = 0; i < 3; i++) {
        dt[i] = ds[i];
        for (int k = 0; k < 3; k++) dA[3 * i + k] = dmatrix[3 * i + k] - ds[i] * J[k];
    }
    geom_apply_transposed(A, ds, dJ);
    for (int i = 0; i < 3; i++) dJ[i] = -dJ[i];
}

/* The gradient of beta k: what comes through the points, and what through the joints at rest. */
INLINE REAL person_beta_backward(const Body *b, int k, REAL through_points, const REAL *dJ) {
    REAL sum = through_points;
    for (int i = 0; i < 3 * b->joints; i++)
        sum += b->joint_shapedirs[(size_t)i * (size_t)b->betas + (size_t)k] * dJ[i];
    return sum;
}

#endif
