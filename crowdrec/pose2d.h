/* Pose2d: 26 keypoints (Halpe order) for each box, by FastPose or HRNet, told apart by the weights.
 *
 *     Pose2d *pose;
 *     TRY(pose2d_open("halpe26_fast_res50_256x192.pth", &(Pose2dOptions){0}, &pose));
 *     TRY(pose2d_run(pose, &photo, &crowd));
 *     pose2d_close(pose);
 *
 * A COCO-17 network fills keypoints 0..16; the others keep confidence 0.  A keypoint is the
 * heatmap's maximum moved a quarter pixel towards the larger neighbour; its confidence is the
 * maximum, 0 where that is not positive.
 */
#ifndef CROWDREC_POSE2D_H
#define CROWDREC_POSE2D_H

#include "crowdrec/crop.h"
#include "crowdrec/crowd.h"
#include "crowdrec/image.h"
#include "kernels/backend.h"

typedef struct {
    const Backend *backend; /* NULL: cpu */
    int batch;              /* people per run, 0: 8 */
    bool flip;              /* average with the mirrored crop's heatmaps (twice the time) */
} Pose2dOptions;

typedef struct Pose2d Pose2d;

/* weights: a path, or "rule:NET:SEED[:GAIN]".  ERR_MODEL for a file that is no pose network. */
Status pose2d_open(const char *weights, const Pose2dOptions *options, Pose2d **out);
void pose2d_close(Pose2d *pose); /* NULL is allowed */

/* Fills keypoints and PERSON_HAS_KEYPOINTS of every person.  A person whose box cannot be cropped
 * (crop_usable) gets none, and the log says how many. */
Status pose2d_run(Pose2d *pose, const Image *photo, Crowd *crowd);

/* One person's heatmaps [h,w,joints] -> x, y in photo pixels and the maximum, for each joint.  crop
 * maps heatmap pixels (crop_around with h, w).  Of equal maxima the first in row-major order
 * counts; where none is positive the point is heatmap pixel (0, 0). */
void pose2d_decode(const float *heat, int h, int w, int joints, const Crop *crop, bool quarter,
                   float (*keypoint)[3]);

/* Averages heat with the heatmaps of the mirrored crop: mirrored back, left and right joints
 * exchanged, shifted right by one column.  17 or 26 joints. */
void pose2d_merge_flip(float *heat, const float *mirrored, int h, int w, int joints);

#endif
