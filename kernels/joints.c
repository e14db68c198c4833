/* joints: regressed joints without the mesh, joint_k = sum_j A_j P_kj + c_kj s_j. */
#include "kernels/body.h"

/* Parts over which the gradient is summed, whatever the number of threads. */
enum { PARTS = 8 };

void KERNEL(joints_prepare)(Call *c, bool backward) {
    Body b = person_of_joints(c);
    size_t blocks = body_lanes(&b) * sizeof(Lane);
    c->workspace_size = backward ? (1 + PARTS) * blocks : blocks;
}

void KERNEL(joints_drop)(Call *c) { (void)c; }

/* Joint k of the people of block i. */
BODY_HOT static void KERNEL(joint_forward)(const Body *b, const BodyPoints *points, size_t k, int i,
                                           const Lane *block, REAL *out, size_t step) {
    Lane sum[3] = {{0}, {0}, {0}};
    for (size_t j = 0; j < (size_t)b->joints; j++) {
        size_t point = (size_t)b->joints * k + j;
        Lane p[3], moved[3];
        body_point(points, point, block, p);
        body_transform(block + b->matrices + 12 * j, p, points->base[4 * point + 3], moved);
        for (int axis = 0; axis < 3; axis++) sum[axis] += moved[axis];
    }
    body_store(b, i, sum, out + 3 * k, step);
}

/* Adds the part of joint k to the gradient of block i. */
BODY_HOT static void KERNEL(joint_backward)(const Body *b, const BodyPoints *points, size_t k,
                                            int i, const REAL *dout, size_t step, const Lane *block,
                                            Lane *gradient) {
    Lane d[3];
    body_load(b, i, dout + 3 * k, step, d);
    for (size_t j = 0; j < (size_t)b->joints; j++) {
        size_t point = (size_t)b->joints * k + j, matrix = (size_t)b->matrices + 12 * j;
        Lane p[3], dp[3];
        body_point(points, point, block, p);
        body_transform_back(block + matrix, d, dp);
        body_point_back(points, point, dp, gradient);
        body_matrix_back(1, d, p, points->base[4 * point + 3], gradient + matrix);
    }
}

void KERNEL(joints_forward)(const Call *c) {
    Body b = person_of_joints(c);
    Lane *blocks = c->workspace;
    size_t size = (size_t)b.size, count = (size_t)c->in[4].shape.h;
    body_fill(&b, blocks, NULL);
    PARALLEL_FOR
    for (size_t k = 0; k < count; k++)
        for (int i = 0; i < body_blocks(&b); i++) KERNEL(joint_forward)
    (&b, &b.points, k, i, blocks + (size_t)i * size, c->out[0].data, 3 * count);
}

void KERNEL(joints_backward)(const Call *c) {
    Body b = person_of_joints(c);
    size_t size = (size_t)b.size, all = body_lanes(&b);
    size_t count = (size_t)c->in[4].shape.h;
    Lane *blocks = c->workspace, *parts = blocks + all;
    body_fill(&b, blocks, NULL);
    memset(parts, 0, PARTS * all * sizeof *parts);
    PARALLEL_FOR
    for (size_t part = 0; part < PARTS; part++)
        for (size_t k = count * part / PARTS; k < count * (part + 1) / PARTS; k++)
            for (int i = 0; i < body_blocks(&b); i++) KERNEL(joint_backward)
    (&b, &b.points, k, i, c->dout[0].data, 3 * count, blocks + (size_t)i * size,
     parts + part * all + (size_t)i * size);
    body_end(&b, c, parts, PARTS, NULL);
}
