#include "crowdrec/metrics.h"

#include "tensor/error.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

/* ---- points ---- */

static void centre_of(const double (*p)[3], int n, double centre[3]) {
    for (int k = 0; k < 3; k++) centre[k] = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) centre[k] += p[i][k] / n;
}

static double distance(const double *a, const double *b) {
    double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
    return sqrt(geom_dot(d, d));
}

/* Jacobi's method: rotates the symmetric m until it is diagonal; v's columns become the
 * eigenvectors. */
static void diagonalise(double m[4][4], double v[4][4]) {
    enum { SWEEPS = 50 };
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) v[i][j] = i == j;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (int p = 0; p < 3; p++)
            for (int q = p + 1; q < 4; q++) {
                if (m[p][q] == 0) continue;
                double theta = (m[q][q] - m[p][p]) / (2 * m[p][q]);
                double t = copysign(1, theta) / (fabs(theta) + hypot(theta, 1));
                double c = 1 / hypot(t, 1), s = t * c;
                for (int k = 0; k < 4; k++) {
                    double a = m[k][p], b = m[k][q];
                    m[k][p] = c * a - s * b, m[k][q] = s * a + c * b;
                }
                for (int k = 0; k < 4; k++) {
                    double a = m[p][k], b = m[q][k], x = v[k][p], y = v[k][q];
                    m[p][k] = c * a - s * b, m[q][k] = s * a + c * b;
                    v[k][p] = c * x - s * y, v[k][q] = s * x + c * y;
                }
                m[p][q] = m[q][p] = 0;
            }
    }
}

/* The rotation R with the largest trace(R K): its quaternion is the eigenvector of the largest
 * eigenvalue of a symmetric 4x4 matrix made of K (Horn 1987), so no mirror image can come out. */
static void best_rotation(const double k[3][3], double R[9]) {
    double m[4][4] = {
        {k[0][0] + k[1][1] + k[2][2], k[1][2] - k[2][1], k[2][0] - k[0][2], k[0][1] - k[1][0]},
        {0, k[0][0] - k[1][1] - k[2][2], k[0][1] + k[1][0], k[2][0] + k[0][2]},
        {0, 0, k[1][1] - k[0][0] - k[2][2], k[1][2] + k[2][1]},
        {0, 0, 0, k[2][2] - k[0][0] - k[1][1]},
    };
    double v[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++) m[i][j] = m[j][i];
    diagonalise(m, v);
    int top = 0;
    for (int i = 1; i < 4; i++)
        if (m[i][i] > m[top][top]) top = i;
    double w = v[0][top], x = v[1][top], y = v[2][top], z = v[3][top];
    const double rotation[9] = {w * w + x * x - y * y - z * z, 2 * (x * y - w * z),
                                2 * (x * z + w * y),           2 * (x * y + w * z),
                                w * w - x * x + y * y - z * z, 2 * (y * z - w * x),
                                2 * (x * z - w * y),           2 * (y * z + w * x),
                                w * w - x * x - y * y + z * z};
    memcpy(R, rotation, sizeof rotation);
}

MetricsSimilarity metrics_procrustes(const double (*from)[3], const double (*to)[3], int n) {
    MetricsSimilarity s = {0};
    double a[3], b[3], k[3][3] = {{0}}, variance = 0, moved[3];
    CHECK(n > 0, "no points");
    centre_of(from, n, a);
    centre_of(to, n, b);
    for (int i = 0; i < n; i++)
        for (int r = 0; r < 3; r++) {
            variance += (from[i][r] - a[r]) * (from[i][r] - a[r]);
            for (int c = 0; c < 3; c++) k[r][c] += (from[i][r] - a[r]) * (to[i][c] - b[c]);
        }
    best_rotation(k, s.rotation);
    double trace = 0;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) trace += s.rotation[3 * r + c] * k[c][r];
    s.scale = variance > 0 ? trace / variance : 0;
    geom_apply(s.rotation, a, moved);
    for (int r = 0; r < 3; r++) s.shift[r] = b[r] - s.scale * moved[r];
    return s;
}

void metrics_transform(const MetricsSimilarity *s, const double (*in)[3], int n, double (*out)[3]) {
    for (int i = 0; i < n; i++) {
        double moved[3];
        geom_apply(s->rotation, in[i], moved);
        for (int k = 0; k < 3; k++) out[i][k] = s->scale * moved[k] + s->shift[k];
    }
}

/* ---- one person ---- */

static const double ORIGIN[3] = {0, 0, 0};

double metrics_distance(const double (*found)[3], const double *found_origin,
                        const double (*truth)[3], const double *true_origin, const double *weight,
                        int n) {
    const double *a = found_origin ? found_origin : ORIGIN, *b = true_origin ? true_origin : ORIGIN;
    double sum = 0, weights = 0;
    for (int i = 0; i < n; i++) {
        double p[3], q[3], w = weight ? weight[i] : 1;
        for (int k = 0; k < 3; k++) p[k] = found[i][k] - a[k], q[k] = truth[i][k] - b[k];
        sum += w * distance(p, q);
        weights += w;
    }
    return weights > 0 ? sum / weights : NAN;
}

static void mid_hip(const double joints[LSP14_COUNT][3], double out[3]) {
    for (int k = 0; k < 3; k++) out[k] = (joints[LSP14_L_HIP][k] + joints[LSP14_R_HIP][k]) / 2;
}

double metrics_mpjpe(const double found[LSP14_COUNT][3], const double truth[LSP14_COUNT][3],
                     const double *weight) {
    double a[3], b[3];
    mid_hip(found, a);
    mid_hip(truth, b);
    return metrics_distance(found, a, truth, b, weight, LSP14_COUNT);
}

double metrics_pa_mpjpe(const double (*found)[3], const double (*truth)[3], int n) {
    MetricsSimilarity s = metrics_procrustes(found, truth, n);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double aligned[1][3];
        metrics_transform(&s, found + i, 1, aligned);
        sum += distance(aligned[0], truth[i]);
    }
    return sum / n;
}

/* How far x lies outside low..high. */
static double outside(double x, double low, double high) {
    return fmax(0, low - x) + fmax(0, x - high);
}

double metrics_oks(const double found[COCO17_COUNT][2], const double truth[COCO17_COUNT][3],
                   double area, const double box[4]) {
    /* pycocotools' kpt_oks_sigmas */
    static const double SIGMA[COCO17_COUNT] = {0.026, 0.025, 0.025, 0.035, 0.035, 0.079,
                                               0.079, 0.072, 0.072, 0.062, 0.062, 0.107,
                                               0.107, 0.087, 0.087, 0.089, 0.089};
    int labelled = 0;
    double sum = 0;
    for (int i = 0; i < COCO17_COUNT; i++) labelled += truth[i][2] > 0;
    for (int i = 0; i < COCO17_COUNT; i++) {
        if (labelled && !(truth[i][2] > 0)) continue;
        double d[2], width = 2 * SIGMA[i];
        for (int k = 0; k < 2; k++)
            d[k] = labelled ? found[i][k] - truth[i][k]
                            : outside(found[i][k], box[k] - box[2 + k], box[k] + 2 * box[2 + k]);
        sum += exp(-(d[0] * d[0] + d[1] * d[1]) / (width * width) / (area + DBL_EPSILON) / 2);
    }
    return sum / (labelled ? labelled : COCO17_COUNT);
}

double metrics_height(const float *vertices, int n) {
    float low = INFINITY, high = -INFINITY;
    for (int i = 0; i < n; i++) {
        low = fminf(low, vertices[3 * (size_t)i + 1]);
        high = fmaxf(high, vertices[3 * (size_t)i + 1]);
    }
    return (double)high - (double)low;
}

/* ---- one frame ---- */

double metrics_pcod(const double *found_depth, const double *true_depth, int n, double limit) {
    double right = 0, pairs = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            double found = found_depth[i] - found_depth[j], truth = true_depth[i] - true_depth[j];
            right += found * truth > 0 || (fabs(found) < limit && fabs(truth) < limit);
            pairs++;
        }
    return pairs > 0 ? right / pairs : NAN;
}

double metrics_ppds(const double (*found_root)[3], const double (*true_root)[3], int n) {
    double sum = 0, pairs = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            double d = distance(true_root[i], true_root[j]);
            if (!(d > 0)) continue;
            sum += fmax(0, 1 - fabs(d - distance(found_root[i], found_root[j])) / d);
            pairs++;
        }
    return pairs > 0 ? sum / pairs : NAN;
}

double metrics_pa_ppds(const double (*found_root)[3], const double (*true_root)[3], int n) {
    if (n < 2) return NAN;
    double(*aligned)[3] = malloc((size_t)n * sizeof *aligned);
    CHECK(aligned, "out of memory");
    MetricsSimilarity s = metrics_procrustes(found_root, true_root, n);
    metrics_transform(&s, found_root, n, aligned);
    double score = metrics_ppds((const double(*)[3])aligned, true_root, n);
    free(aligned);
    return score;
}

double metrics_ss(const double *found_height, const double *true_height, int n, double scale) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double found = scale * found_height[i], truth = true_height[i];
        if (found > 0 && truth > 0) sum += fmin(found, truth) / fmax(found, truth);
    }
    return n > 0 ? sum / n : NAN;
}

/* ---- boxes ---- */

double metrics_area(const double box[4]) { return (box[2] - box[0]) * (box[3] - box[1]); }

double metrics_common(const double a[4], const double b[4]) {
    double w = fmin(a[2], b[2]) - fmax(a[0], b[0]), h = fmin(a[3], b[3]) - fmax(a[1], b[1]);
    return w > 0 && h > 0 ? w * h : 0;
}

static double iou(const double *a, const double *b) {
    double common = metrics_common(a, b);
    return common > 0 ? common / (metrics_area(a) + metrics_area(b) - common) : 0;
}

static int compare_pairs(const void *a, const void *b) {
    const MetricsPair *p = a, *q = b;
    if (p->iou != q->iou) return p->iou > q->iou ? -1 : 1;
    if (p->truth != q->truth) return p->truth < q->truth ? -1 : 1;
    return (p->found > q->found) - (p->found < q->found);
}

/* All pairs that overlap enough, best first; free them. */
static MetricsPair *candidates(const double (*truth)[4], int truths, const double (*found)[4],
                               int founds, size_t *count) {
    MetricsPair *list = NULL;
    size_t capacity = 0;
    *count = 0;
    for (int i = 0; i < truths; i++)
        for (int j = 0; j < founds; j++) {
            MetricsPair pair = {i, j, iou(truth[i], found[j])};
            if (!(pair.iou >= 0.5)) continue;
            if (*count == capacity) {
                capacity = capacity ? 2 * capacity : 64;
                MetricsPair *longer = realloc(list, capacity * sizeof *list);
                CHECK(longer, "out of memory");
                list = longer;
            }
            list[(*count)++] = pair;
        }
    if (*count) qsort(list, *count, sizeof *list, compare_pairs);
    return list;
}

int metrics_match(const double (*truth)[4], int truths, const double (*found)[4], int founds,
                  MetricsPair *pair) {
    size_t count;
    int matched = 0;
    MetricsPair *list = candidates(truth, truths, found, founds, &count);
    bool *taken = calloc((size_t)truths + (size_t)founds + 1, sizeof *taken);
    CHECK(taken, "out of memory");
    for (size_t i = 0; i < count; i++) {
        bool *first = &taken[list[i].truth], *second = &taken[truths + list[i].found];
        if (*first || *second) continue;
        *first = *second = true;
        pair[matched++] = list[i];
    }
    free(taken);
    free(list);
    return matched;
}

double metrics_rp(int matched, int found) { return found ? (double)(found - matched) / found : 0; }

double metrics_mean(const double *value, int n) {
    double sum = 0, count = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(value[i])) sum += value[i], count++;
    return count > 0 ? sum / count : NAN;
}
