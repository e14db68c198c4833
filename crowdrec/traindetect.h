/* Traindetect: YOLOX on photos of crowds (Ge et al. 2021), one class: people.
 *
 *     TrainTask task;
 *     TRY(traindetect_open(options, &task));
 *
 * A sample is detsample.h's, a mosaic until the last 15 % of the training, in which the loss has
 * its L1 term.  An epoch has ratio times the photos of each set.  Weights of 80 classes keep them;
 * only the first, COCO's person, has examples then.
 */
#ifndef CROWDREC_TRAINDETECT_H
#define CROWDREC_TRAINDETECT_H

#include "crowdrec/train.h"

Status traindetect_open(const TrainOptions *options, TrainTask *out);

/* Average precision of boxes in whole photos at full size, at IoU 0.5 and as mean over 0.50 ..
 * 0.95, of a YOLOX as it is now.  Who does not count (score_counts) need not be found.  Truth is
 * cut off at the photo's edges.  ERR_INPUT when nobody needs to be found.
 */
Status traindetect_score(const NetSpec *spec, Params *params, Dataset *set, TrainMetrics *out);

#endif
