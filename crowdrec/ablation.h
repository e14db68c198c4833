/* Ablation: the paper's table 1 on photos with truth: how many iterations of refinement and which
 * least score of a detection give which result.
 *
 *     CrowdrecAblation o = {.data = "world", .run = {.output = "out", .detector = ...}};
 *     Status status = ablation_run(&o, stdout);
 *
 * Boxes and keypoints are found once for each least score; every number of iterations is a run of
 * its own, because the learning rate's schedule depends on it, and stops there whether it has
 * converged or not.
 */
#ifndef CROWDREC_ABLATION_H
#define CROWDREC_ABLATION_H

#include "crowdrec/crowdrec.h"
#include "tensor/error.h"

Status ablation_run(const CrowdrecAblation *options, FILE *report);

#endif
