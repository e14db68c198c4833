/* Trainpose: HRNet's heatmaps of 26 keypoints (Sun et al. 2019).
 *
 *     TrainTask task;
 *     TRY(trainpose_open(options, &task));
 *
 * A joint's target is a Gaussian about its exact place (Zhang et al. 2020), the loss the mean
 * squared difference of the joints that are labelled, at first with more weight where the joint is.
 * A network of 17 joints learns COCO's.
 */
#ifndef CROWDREC_TRAINPOSE_H
#define CROWDREC_TRAINPOSE_H

#include "crowdrec/train.h"

Status trainpose_open(const TrainOptions *options, TrainTask *out);

/* (1/J) sum over joints of half the mean over images and pixels of (1 + emphasis t) (w p - w t)^2.
 * heatmaps and target [n,h,w,j], weight [n,1,1,j], emphasis [n,1,1,1] or NULL: 0, as HRNet was
 * published.  With 0 a fresh network learns to answer 0 everywhere first, for of 768 pixels a joint
 * takes a dozen; with more, heatmaps tell more certainty than there is.  So the trainer's emphasis
 * falls to 0 along half a cosine. */
Tensor *trainpose_loss(const Scope *m, Tensor *heatmaps, Tensor *target, Tensor *weight,
                       Tensor *emphasis);

/* One joint's target: joint j of [h,w,joints], a Gaussian of that deviation about x, y in heatmap
 * pixels, 0 beyond three deviations.  Returns whether any of it lies inside. */
bool trainpose_target(double x, double y, double deviation, int h, int w, int joints, int j,
                      float *target);

#endif
