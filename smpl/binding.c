#include "smpl/binding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

/* ---- weights ---- */

/* Where flesh passes from the parent's bone to a joint's: over `width` metres on both sides of a
 * plane through a point near the joint.  Directions need no unit length. */
typedef struct {
    double point[3], direction[3], width;
} Border;

static const Border BORDER[BODY_JOINTS] = {
    [SMPL24_L_HIP] = {{0.085, -0.268, -0.005}, {0.55, -0.80, 0.22}, 0.078},
    [SMPL24_SPINE1] = {{0, -0.110, 0}, {0, 1, 0}, 0.065},
    [SMPL24_SPINE2] = {{0, 0.010, 0}, {0, 1, 0}, 0.060},
    [SMPL24_SPINE3] = {{0, 0.100, 0}, {0, 1, 0}, 0.055},
    [SMPL24_NECK] = {{0, 0.300, -0.025}, {0, 1, 0.25}, 0.040},
    [SMPL24_HEAD] = {{0, 0.358, 0}, {0, 0.926, 0.376}, 0.025},
    [SMPL24_L_COLLAR] = {{0.090, 0.205, 0}, {0.80, 0.60, 0}, 0.070},
    [SMPL24_L_SHOULDER] = {{0.180, 0.208, 0}, {0.90, 0.42, 0}, 0.076},
    [SMPL24_L_ELBOW] = {{0.448, 0.220, 0}, {1, 0, 0}, 0.045},
    [SMPL24_L_WRIST] = {{0.695, 0.217, 0}, {1, 0, 0}, 0.028},
    [SMPL24_L_HAND] = {{0.775, 0.214, 0}, {1, 0, 0}, 0.022},
    [SMPL24_L_KNEE] = {{0.092, -0.656, 0}, {0, -1, 0}, 0.055},
    [SMPL24_L_ANKLE] = {{0.090, -1.066, -0.030}, {0, -0.92, 0.38}, 0.036},
    [SMPL24_L_FOOT] = {{0.108, -1.120, 0.098}, {0.1, 0, 1}, 0.026},
};

/* Hips and collars of both sides part in the middle, and end below waist and neck. */
static const double MIDDLE_WIDTH = 0.018;
static const Border WAIST = {{0, -0.130, 0}, {0, 1, 0}, 0.050};
static const Border THROAT = {{0, 0.312, -0.020}, {0, 1, 0.2}, 0.034};

static double ramp(double x, double width) {
    double t = fmax(0, fmin(1, 0.5 + x / (2 * width)));
    return t * t * (3 - 2 * t);
}

/* From 0 before a border to 1 behind it. */
static double behind(const Border *b, const double p[3]) {
    double offset[3], direction[3];
    for (int k = 0; k < 3; k++) offset[k] = p[k] - b->point[k];
    geom_normalise(b->direction, direction);
    return ramp(geom_dot(offset, direction), b->width);
}

/* The share of the parent's flesh that goes on to a joint. */
static double share_of(int joint, const double p[3]) {
    int mirrored = joints_order(JOINTS_SMPL24)->joint[joint].flip;
    bool right = mirrored < joint;
    const double q[3] = {right ? -p[0] : p[0], p[1], p[2]};
    int left = right ? mirrored : joint;
    double share = behind(&BORDER[left], q);
    if (left == SMPL24_L_HIP) share *= ramp(q[0], MIDDLE_WIDTH) * (1 - behind(&WAIST, q));
    if (left == SMPL24_L_COLLAR) share *= ramp(q[0], MIDDLE_WIDTH) * (1 - behind(&THROAT, q));
    return share;
}

/* Keeps the four largest. */
static void keep_four(double w[BODY_JOINTS]) {
    enum { BONES = 4 };
    double sum = 0;
    int kept = 0;
    for (int j = 0; j < BODY_JOINTS; j++) kept += w[j] > 0;
    for (; kept > BONES; kept--) {
        int least = 0;
        for (int j = 1; j < BODY_JOINTS; j++)
            if (w[j] > 0 && (!(w[least] > 0) || w[j] < w[least])) least = j;
        w[least] = 0;
    }
    for (int j = 0; j < BODY_JOINTS; j++) sum += w[j];
    for (int j = 0; j < BODY_JOINTS; j++) w[j] /= sum;
}

/* Weight flows from the root along the tree: each joint keeps what it does not hand on to its
 * children.  Where several children ask, the limbs come before the trunk. */
void binding_weights(const double vertex[3], double weights[BODY_JOINTS]) {
    const Joint *tree = joints_order(JOINTS_SMPL24)->joint;
    double inflow[BODY_JOINTS] = {1}, limbs[BODY_JOINTS] = {0};
    for (int j = 1; j < BODY_JOINTS; j++)
        if (tree[j].flip != j) limbs[tree[j].parent] += share_of(j, vertex);
    memset(weights, 0, BODY_JOINTS * sizeof *weights);
    weights[0] = 1;
    for (int j = 1; j < BODY_JOINTS; j++) {
        int parent = tree[j].parent;
        bool trunk = tree[j].flip == j;
        inflow[j] = inflow[parent] * share_of(j, vertex) * (trunk ? 1 - limbs[parent] : 1);
        weights[j] += inflow[j];
        weights[parent] -= inflow[j];
    }
    for (int j = 0; j < BODY_JOINTS; j++)
        if (weights[j] < 1e-4) weights[j] = 0;
    keep_four(weights);
}

/* ---- regressor ---- */

enum { MOMENTS = 3 + 3 * BODY_BETAS, SUPPORT = 160 };

/* What a row must bring to 0 for the joint to be met: offset from the joint, and what each beta
 * adds to that offset. */
static void moments(const double *vertex, const double *shape, const double joint[3],
                    const double joint_shape[3][BODY_BETAS], double out[MOMENTS]) {
    for (int k = 0; k < 3; k++) {
        *out++ = vertex[k] - joint[k];
        for (int b = 0; b < BODY_BETAS; b++) *out++ = shape[k * BODY_BETAS + b] - joint_shape[k][b];
    }
}

/* Solves the symmetric positive definite a x = b by Cholesky's factors, made in place. */
static void solve(double a[MOMENTS][MOMENTS], double x[MOMENTS]) {
    for (int i = 0; i < MOMENTS; i++)
        for (int j = 0; j <= i; j++) {
            for (int k = 0; k < j; k++) a[i][j] -= a[i][k] * a[j][k];
            a[i][j] = i == j ? sqrt(a[i][i]) : a[i][j] / a[j][j];
        }
    for (int i = 0; i < MOMENTS; i++) {
        for (int k = 0; k < i; k++) x[i] -= a[i][k] * x[k];
        x[i] /= a[i][i];
    }
    for (int i = MOMENTS - 1; i >= 0; i--) {
        for (int k = i + 1; k < MOMENTS; k++) x[i] -= a[k][i] * x[k];
        x[i] /= a[i][i];
    }
}

typedef struct {
    double distance;
    int vertex;
} Near;

static int by_distance(const void *a, const void *b) {
    const Near *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->vertex - y->vertex;
}

static void find_near(int vertices, const double *vertex, const double joint[3],
                      Near out[SUPPORT]) {
    Near *all = malloc((size_t)vertices * sizeof *all);
    CHECK(all, "out of memory");
    for (int v = 0; v < vertices; v++) {
        double d[3];
        for (int k = 0; k < 3; k++) d[k] = vertex[3 * v + k] - joint[k];
        all[v] = (Near){sqrt(geom_dot(d, d)), v};
    }
    qsort(all, (size_t)vertices, sizeof *all, by_distance);
    memcpy(out, all, SUPPORT * sizeof *out);
    free(all);
}

/* With D the preferences and C the moments as rows over vertices, the row that is least in
 * r^T D^-1 r + |C r|^2 / e among those of sum 1 is D (1 - C^T y) up to its sum, where
 * (C D C^T + e I) y = C D 1. */
void binding_regressor(int vertices, const double *vertex, const double *shape,
                       const double joint[3], const double joint_shape[3][BODY_BETAS],
                       const double *preference, double *row) {
    static const double E = 1e-9;
    Near near[SUPPORT];
    double c[SUPPORT][MOMENTS], d[SUPPORT], a[MOMENTS][MOMENTS] = {{0}}, y[MOMENTS] = {0};
    double sum = 0;
    find_near(vertices, vertex, joint, near);
    for (int i = 0; i < SUPPORT; i++) {
        size_t v = (size_t)near[i].vertex;
        double far = near[i].distance / near[SUPPORT / 3].distance;
        d[i] = exp(-far * far) * preference[v];
        moments(vertex + 3 * v, shape + 3 * BODY_BETAS * v, joint, joint_shape, c[i]);
        for (int k = 0; k < MOMENTS; k++) {
            y[k] += c[i][k] * d[i];
            for (int m = 0; m < MOMENTS; m++) a[k][m] += c[i][k] * d[i] * c[i][m];
        }
    }
    for (int k = 0; k < MOMENTS; k++) a[k][k] += E;
    solve(a, y);
    for (int i = 0; i < SUPPORT; i++) {
        double dot = 0;
        for (int k = 0; k < MOMENTS; k++) dot += c[i][k] * y[k];
        d[i] *= 1 - dot;
        sum += d[i];
    }
    for (int i = 0; i < SUPPORT; i++) row[near[i].vertex] = d[i] / sum;
}
