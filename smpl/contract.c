#include "smpl/contract.h"

#include "tensor/parallel.h"

#include <stdlib.h>
#include <string.h>

/* to += factor * from. */
static void accumulate(double *to, double factor, const float *from, int n) {
    for (int i = 0; i < n; i++) to[i] += factor * (double)from[i];
}

static void to_floats(const double *from, float *to, int n) {
    for (int i = 0; i < n; i++) to[i] = (float)from[i];
}

/* One row's sums over the vertices: what multiplies 1, the betas and the pose feature in P_j, and
 * c_j as the constant's fourth column. */
typedef struct {
    double constant[BODY_JOINTS][4];
    double shape[BODY_JOINTS][3 * BODY_BETAS];
    double pose[BODY_JOINTS][3 * BODY_FEATURES];
    bool moves[BODY_JOINTS]; /* some of the row's vertices */
} RowSums;

/* Far below what a float adds to anything, and not 0. */
static const double NEXT_TO_NOTHING = 1e-30;

/* The joints op leaves points out whose constants are all 0 (attr.h).  Of a joint that moves
 * vertices they are that only where its shares cancel out, and its betas and pose still count. */
static void keep_moving(RowSums *s) {
    for (int j = 0; j < BODY_JOINTS; j++) {
        const double *c = s->constant[j];
        bool zero = c[0] == 0 && c[1] == 0 && c[2] == 0 && c[3] == 0;
        if (s->moves[j] && zero) s->constant[j][3] = NEXT_TO_NOTHING;
    }
}

static void sum_row(const Body *b, const float *row, RowSums *s) {
    for (size_t v = 0; v < (size_t)b->vertices; v++) {
        if (row[v] == 0) continue;
        for (int j = 0; j < BODY_JOINTS; j++) {
            double share = (double)row[v] * (double)b->weights[v * BODY_JOINTS + (size_t)j];
            if (share == 0) continue;
            s->moves[j] = true;
            accumulate(s->constant[j], share, b->v_template + 3 * v, 3);
            s->constant[j][3] += share;
            accumulate(s->shape[j], share, b->shapedirs + v * 3 * BODY_BETAS, 3 * BODY_BETAS);
            if (b->posedirs)
                accumulate(s->pose[j], share, b->posedirs + v * 3 * BODY_FEATURES,
                           3 * BODY_FEATURES);
        }
    }
    keep_moving(s);
}

BodyTables contract_regressor(const Body *body, Arena *arena, const float *regressor, int rows) {
    enum {
        CONSTANT = 4 * BODY_JOINTS,
        SHAPE = BODY_ROWS * BODY_BETAS,
        POSE = BODY_ROWS * BODY_FEATURES
    };
    size_t count = (size_t)rows;
    double *constant = arena_alloc(arena, count * CONSTANT * sizeof *constant);
    float *shape = arena_alloc(arena, count * SHAPE * sizeof *shape);
    float *pose = body->posedirs ? arena_alloc(arena, count * POSE * sizeof *pose) : NULL;
    PARALLEL_FOR_DYNAMIC
    for (int k = 0; k < rows; k++) {
        RowSums *sums = calloc(1, sizeof *sums);
        CHECK(sums, "out of memory");
        sum_row(body, regressor + (size_t)k * (size_t)body->vertices, sums);
        memcpy(constant + (size_t)k * CONSTANT, sums->constant, sizeof sums->constant);
        to_floats(&sums->shape[0][0], shape + (size_t)k * SHAPE, SHAPE);
        if (pose) to_floats(&sums->pose[0][0], pose + (size_t)k * POSE, POSE);
        free(sums);
    }
    return (BodyTables){rows, constant, shape, pose};
}
