/* Forward: one pass of one network, outputs and inner values written for comparison.
 *
 *     TRY(forward_run(&(CrowdrecForward){.net = "yolox_nano", .rule = "1", .output = "out.npz",
 *                                        .input = "rule:1:2,3,96,160"}, stdout));
 */
#ifndef CROWDREC_FORWARD_H
#define CROWDREC_FORWARD_H

#include "crowdrec/crowdrec.h"
#include "tensor/error.h"

/* As crowdrec_forward. */
Status forward_run(const CrowdrecForward *options, FILE *report);

#endif
