/* Pipeline: photos in, crowds out: detect, pose2d, regress, refine, or any of them from a file.
 *
 *     CrowdrecOptions o = {.output = "out", .detector = "yolox_x.pth", ...};
 *     Status status = pipeline_run((const char *[]){"crowd.jpg"}, 1, &o);
 *
 * Options, models and the output folder are checked before the first photo is read.  A photo that
 * fails does not keep the others from being done.
 */
#ifndef CROWDREC_PIPELINE_H
#define CROWDREC_PIPELINE_H

#include "crowdrec/crowdrec.h"
#include "tensor/error.h"

/* As crowdrec_run. */
Status pipeline_run(const char *const *paths, int count, const CrowdrecOptions *options);

#endif
