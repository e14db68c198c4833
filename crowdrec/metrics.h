/* Metrics: how far a result is from the truth, for one person or one frame.
 *
 *     MetricsPair pair[64];
 *     int n = metrics_match(truth_boxes, people, found_boxes, found, pair);
 *     double rp = metrics_rp(n, found);
 *     double error = 1000 * metrics_mpjpe(found_lsp14, true_lsp14, NULL);     // millimetres
 *
 * Points are [n][3], errors in the points' own unit.  A metric that is not defined (too few people,
 * no visible joint) is NaN, and metrics_mean leaves it out.  The definitions are those of public
 * evaluation code; PPDS, PA-PPDS, SS and RP are this project's reading of the GigaCrowd challenge
 * (paper, section 2) and may differ from its scorer.
 */
#ifndef CROWDREC_METRICS_H
#define CROWDREC_METRICS_H

#include "smpl/joints.h"

#include <stdbool.h>

/* p -> scale * rotation p + shift. */
typedef struct {
    double scale, rotation[9], shift[3];
} MetricsSimilarity;

/* The similarity (no mirror image) that brings `from` onto `to` with the least squared distance
 * (Umeyama 1991).  Points that coincide get scale 0; n is at least 1. */
MetricsSimilarity metrics_procrustes(const double (*from)[3], const double (*to)[3], int n);
void metrics_transform(const MetricsSimilarity *s, const double (*in)[3], int n, double (*out)[3]);

/* Mean distance of points after subtracting the origins; NULL origins are zero.  With a weight per
 * point, or NULL: sum of weight * distance / sum of weights.  Over vertices this is PVE. */
double metrics_distance(const double (*found)[3], const double *found_origin,
                        const double (*truth)[3], const double *true_origin, const double *weight,
                        int n);

/* MPJPE of LSP-14 joints, both aligned at the middle of their hips. */
double metrics_mpjpe(const double found[LSP14_COUNT][3], const double truth[LSP14_COUNT][3],
                     const double *weight);

/* MPJPE of n joints after a similarity Procrustes of this person alone. */
double metrics_pa_mpjpe(const double (*found)[3], const double (*truth)[3], int n);

/* COCO's object keypoint similarity.  found x, y; truth x, y and v (> 0: labelled) in pixels; area
 * of the person; box x, y, width, height, which counts when no joint is labelled. */
double metrics_oks(const double found[COCO17_COUNT][2], const double truth[COCO17_COUNT][3],
                   double area, const double box[4]);

/* Share of the pairs of people whose depth order is right, or whose depths differ by less than the
 * limit in both (GroupRec; customary 0.3 m). */
double metrics_pcod(const double *found_depth, const double *true_depth, int n, double limit);

/* Pair-wise position: mean over pairs of max(0, 1 - |d - d_found| / d), d the roots' distance.
 * PA: after one similarity Procrustes of all the frame's roots. */
double metrics_ppds(const double (*found_root)[3], const double (*true_root)[3], int n);
double metrics_pa_ppds(const double (*found_root)[3], const double (*true_root)[3], int n);

/* Size: mean over people of min/max of true height and scale * found height. */
double metrics_ss(const double *found_height, const double *true_height, int n, double scale);

/* Height of unposed vertices [n,3]: largest minus smallest y. */
double metrics_height(const float *vertices, int n);

/* Of boxes x0, y0, x1, y1: the area, and that of what two have in common. */
double metrics_area(const double box[4]);
double metrics_common(const double a[4], const double b[4]);

/* One to one pairs of boxes x0, y0, x1, y1, greedily by falling IoU of 0.5 or more (ties: lower
 * indices first).  Returns how many; pair has room for the smaller of both counts. */
typedef struct {
    int truth, found;
    double iou;
} MetricsPair;
int metrics_match(const double (*truth)[4], int truths, const double (*found)[4], int founds,
                  MetricsPair *pair);

/* Redundant people: unmatched / found, 0 when nothing was found. */
double metrics_rp(int matched, int found);

/* Mean of the values that are not NaN; NaN when there are none. */
double metrics_mean(const double *value, int n);

#endif
