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

/* Joint k's points that take part, and the matrices that move them. */
typedef struct {
    size_t point[SKIN_JOINTS], matrix[SKIN_JOINTS], count;
} Movers;

static Movers movers_of(const Body *b, size_t k) {
    Movers m = {.count = 0};
    for (size_t j = 0; j < (size_t)b->joints; j++) {
        size_t point = (size_t)b->joints * k + j;
        if (!person_uses(&b->points, point)) continue;
        m.point[m.count] = point;
        m.matrix[m.count++] = (size_t)b->matrices + 12 * j;
    }
    return m;
}

/* Adds what movers i .. i+count-1 are to the joint. */
VECTOR_INLINE void add_points(const Body *b, const Movers *m, size_t i, size_t count,
                              const Lane *block, Lane *sum) {
    Lane p[3 * BODY_GROUP], moved[3];
    body_points(&b->points, m->point + i, count, block, p);
    for (size_t q = 0; q < count; q++) {
        REAL scale = b->points.base[4 * m->point[i + q] + 3];
        body_transform(block + m->matrix[i + q], p + 3 * q, scale, moved);
        for (int axis = 0; axis < 3; axis++) sum[axis] += moved[axis];
    }
}

/* Joint k of the people of block i. */
static void joint(const Body *b, const Movers *m, size_t k, int i, const Lane *block, REAL *out,
                  size_t step) {
    Lane sum[3] = {{0}, {0}, {0}};
    size_t j = 0;
    for (; j + BODY_GROUP <= m->count; j += BODY_GROUP) add_points(b, m, j, BODY_GROUP, block, sum);
    for (; j < m->count; j++) add_points(b, m, j, 1, block, sum);
    body_store(b, i, sum, out + 3 * k, step);
}

/* Adds movers i .. i+count-1 of a joint, whose gradient is d, to the gradient of a block. */
VECTOR_INLINE void add_points_back(const Body *b, const Movers *m, size_t i, size_t count,
                                   const Lane *d, const Lane *block, Lane *gradient) {
    Lane p[3 * BODY_GROUP], dp[3 * BODY_GROUP];
    body_points(&b->points, m->point + i, count, block, p);
    for (size_t q = 0; q < count; q++) {
        REAL scale = b->points.base[4 * m->point[i + q] + 3];
        size_t matrix = m->matrix[i + q];
        body_transform_back(block + matrix, d, dp + 3 * q);
        body_matrix_back(1, d, p + 3 * q, scale, gradient + matrix);
    }
    body_points_back(&b->points, m->point + i, count, dp, gradient);
}

/* Adds joint k to the gradient of block i. */
static void joint_back(const Body *b, const Movers *m, size_t k, int i, const REAL *dout,
                       size_t step, const Lane *block, Lane *gradient) {
    Lane d[3];
    size_t j = 0;
    body_load(b, i, dout + 3 * k, step, d);
    for (; j + BODY_GROUP <= m->count; j += BODY_GROUP)
        add_points_back(b, m, j, BODY_GROUP, d, block, gradient);
    for (; j < m->count; j++) add_points_back(b, m, j, 1, d, block, gradient);
}

void KERNEL(joints_forward)(const Call *c) {
    Body b = person_of_joints(c);
    Lane *blocks = c->workspace;
    size_t size = (size_t)b.size, count = (size_t)c->in[4].shape.h;
    body_fill(&b, blocks, NULL);
    PARALLEL_FOR
    for (size_t k = 0; k < count; k++) {
        Movers movers = movers_of(&b, k);
        for (int i = 0; i < body_blocks(&b); i++)
            joint(&b, &movers, k, i, blocks + (size_t)i * size, c->out[0].data, 3 * count);
    }
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
        for (size_t k = count * part / PARTS; k < count * (part + 1) / PARTS; k++) {
            Movers movers = movers_of(&b, k);
            for (int i = 0; i < body_blocks(&b); i++)
                joint_back(&b, &movers, k, i, c->dout[0].data, 3 * count, blocks + (size_t)i * size,
                           parts + part * all + (size_t)i * size);
        }
    body_end(&b, c, parts, PARTS, NULL);
}
