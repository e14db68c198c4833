/* Pose2d: 26 keypoints (Halpe order) for each box, by FastPose or HRNet, told apart by the weights.
 *
 *     Pose2d *pose;
 *     TRY(pose2d_open("halpe26_fast_res50_256x192.pth", &(Pose2dOptions){0}, &pose));
 *     TRY(pose2d_run(pose, &photo, &crowd));
 *     pose2d_close(pose);
 *
 * A COCO-17 network fills keypoints 0..16; the others keep confidence 0.  A keypoint lies where
 * pose2d_peaks says; its confidence is the heatmap's maximum, 0 where that is not positive.
 */
#ifndef CROWDREC_POSE2D_H
#define CROWDREC_POSE2D_H

#include "autograd/build.h"
#include "crowdrec/crop.h"
#include "crowdrec/crowd.h"
#include "crowdrec/image.h"
#include "kernels/backend.h"

typedef struct {
    const Backend *backend; /* NULL: cpu */
    int batch;              /* people per run, 0: 8 */
    bool flip;              /* average with the mirrored crop's heatmaps (twice the time) */
    bool fit;               /* pose2d_peaks */
    const volatile int *interrupted; /* not 0: pose2d_run ends between batches; may be NULL */
} Pose2dOptions;

typedef struct Pose2d Pose2d;

/* weights: a path, or "rule:NET:SEED[:GAIN]".  ERR_MODEL for a file that is no pose network. */
Status pose2d_open(const char *weights, const Pose2dOptions *options, Pose2d **out);
void pose2d_close(Pose2d *pose); /* NULL is allowed */

/* Fills keypoints and PERSON_HAS_KEYPOINTS of every person of whom a joint is seen.  A person whose
 * box cannot be cropped (crop_usable) gets none, and the log says how many.  ERR_INTERRUPTED leaves
 * some without. */
Status pose2d_run(Pose2d *pose, const Image *photo, Crowd *crowd);

/* Where the joints of heat [n,h,w,joints] are: [n,1,joints,3] = x, y in heatmap pixels, maximum.
 * fit: where a Gaussian a third wider than the one that this program trains towards fits best, else
 * the maximum moved a quarter of a pixel towards its larger neighbours, as FastPose and HRNet do.
 */
Tensor *pose2d_peaks(const Scope *m, Tensor *heat, bool fit);

/* What pose2d_peaks found, x and y in heatmap pixels -> keypoints in photo pixels.  crop
 * maps heatmap pixels (crop_around with the heatmaps' height and width). */
void pose2d_place(const float (*peak)[3], int joints, const Crop *crop, float (*keypoint)[3]);

/* The mean of heat [n,h,w,joints] and the heatmaps of the mirrored crops: mirrored back, left and
 * right joints exchanged, shifted right by one column.  17 or 26 joints. */
Tensor *pose2d_merge_flip(const Scope *m, Tensor *heat, Tensor *mirrored);

#endif
