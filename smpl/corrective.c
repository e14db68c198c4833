#include "smpl/corrective.h"

#include "tensor/parallel.h"

#include <math.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

enum { FEATURES = 9, AXES = 13, ANGLES = 6, SAMPLES = 2 * AXES * ANGLES };

/* Turns that the fit sees: around the directions to a cube's faces, edges and corners, both ways,
 * in steps of 25 degrees. */
static const double AXIS[AXES][3] = {{1, 0, 0},  {0, 1, 0},  {0, 0, 1}, {1, 1, 0},  {1, -1, 0},
                                     {1, 0, 1},  {1, 0, -1}, {0, 1, 1}, {0, 1, -1}, {1, 1, 1},
                                     {1, 1, -1}, {1, -1, 1}, {-1, 1, 1}};
static const double ANGLE_STEP = 25 * M_PI / 180;

/* Keeps the fit away from features that no turn tells apart. */
static const double RIDGE = 1e-3;

typedef struct {
    double axis[3], angle;
    double fit[FEATURES]; /* what a value at this turn adds to the nine columns */
} Turn;

/* R - I. */
static void set_feature(const Turn *t, double feature[FEATURES]) {
    double vector[3];
    for (int k = 0; k < 3; k++) vector[k] = t->angle * t->axis[k];
    geom_rodrigues(vector, feature);
    for (int k = 0; k < FEATURES; k += 4) feature[k] -= 1;
}

/* b := a^-1 b for each column of b by Gauss and Jordan; a is positive definite. */
static void solve(double a[FEATURES][FEATURES], double b[FEATURES][SAMPLES]) {
    for (int i = 0; i < FEATURES; i++) {
        double pivot = a[i][i];
        for (int k = 0; k < FEATURES; k++) a[i][k] /= pivot;
        for (int k = 0; k < SAMPLES; k++) b[i][k] /= pivot;
        for (int j = 0; j < FEATURES; j++) {
            double factor = a[j][i];
            if (j == i) continue;
            for (int k = 0; k < FEATURES; k++) a[j][k] -= factor * a[i][k];
            for (int k = 0; k < SAMPLES; k++) b[j][k] -= factor * b[i][k];
        }
    }
}

/* Weighted least squares: fit = (F^T W F + ridge)^-1 F^T W, W = |m|^2 at s = 1/2, by which skinning
 * shrinks what is added in the rest pose. */
static void make_turns(Turn turn[SAMPLES]) {
    double gram[FEATURES][FEATURES] = {{0}}, right[FEATURES][SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        Turn *t = &turn[i];
        double feature[FEATURES];
        geom_normalise(AXIS[i / 2 % AXES], t->axis);
        t->angle = (i % 2 ? -1 : 1) * (1 + i / (2 * AXES)) * ANGLE_STEP;
        set_feature(t, feature);
        double weight = pow(cos(t->angle / 2), 2);
        for (int k = 0; k < FEATURES; k++) {
            right[k][i] = weight * feature[k];
            for (int m = 0; m < FEATURES; m++) gram[k][m] += weight * feature[k] * feature[m];
        }
    }
    for (int k = 0; k < FEATURES; k++) gram[k][k] += RIDGE * SAMPLES;
    solve(gram, right);
    for (int i = 0; i < SAMPLES; i++)
        for (int k = 0; k < FEATURES; k++) turn[i].fit[k] = right[k][i];
}

/* The nine columns of one joint: columns [3,207] from its first one on. */
static void fit_joint(const Turn turn[SAMPLES], const double offset[3], double share,
                      float *columns) {
    double sum[3][FEATURES] = {{0}};
    for (int i = 0; i < SAMPLES; i++) {
        const Turn *t = &turn[i];
        double along = geom_dot(offset, t->axis);
        double m = sqrt(1 - 2 * share * (1 - share) * (1 - cos(t->angle)));
        for (int k = 0; k < 3; k++) {
            double wanted = (1 / m - 1) * (offset[k] - along * t->axis[k]);
            for (int c = 0; c < FEATURES; c++) sum[k][c] += wanted * t->fit[c];
        }
    }
    for (int k = 0; k < 3; k++)
        for (int c = 0; c < FEATURES; c++) columns[k * BODY_FEATURES + c] = (float)sum[k][c];
}

/* How much of a vertex follows each joint, and with the joint all behind it. */
static void sum_shares(const float *weights, double share[BODY_JOINTS]) {
    const Joint *tree = joints_order(JOINTS_SMPL24)->joint;
    for (int j = 0; j < BODY_JOINTS; j++) share[j] = (double)weights[j];
    for (int j = BODY_JOINTS - 1; j > 0; j--) share[tree[j].parent] += share[j];
}

/* Where several children of a joint pull at a vertex, both thighs say, each counts by its part. */
static double part_of(int joint, const double share[BODY_JOINTS]) {
    const Joint *tree = joints_order(JOINTS_SMPL24)->joint;
    double sum = 0;
    for (int j = 1; j < BODY_JOINTS; j++)
        if (tree[j].parent == tree[joint].parent) sum += share[j];
    return share[joint] / sum;
}

void corrective_fit(int vertices, const double *vertex, const double joint[BODY_JOINTS][3],
                    const float *weights, float *posedirs) {
    Turn turn[SAMPLES];
    make_turns(turn);
    PARALLEL_FOR
    for (int v = 0; v < vertices; v++) {
        double share[BODY_JOINTS], offset[3];
        sum_shares(weights + (size_t)v * BODY_JOINTS, share);
        for (int j = 1; j < BODY_JOINTS; j++) {
            if (share[j] < 1e-3 || share[j] > 1 - 1e-3) continue;
            double part = part_of(j, share);
            for (int k = 0; k < 3; k++) offset[k] = part * (vertex[3 * v + k] - joint[j][k]);
            fit_joint(turn, offset, share[j],
                      posedirs + (size_t)v * 3 * BODY_FEATURES + FEATURES * (j - 1));
        }
    }
}
