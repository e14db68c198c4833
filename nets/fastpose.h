/* FastPose (Fang et al. 2022, AlphaPose): SE-ResNet-50 and three steps of dense upsampling.
 *
 *     Tensor *heatmaps = fastpose_build(&m, x, 26);
 */
#ifndef NETS_FASTPOSE_H
#define NETS_FASTPOSE_H

#include "nets/net.h"

/* x [n,h,w,3], h and w multiples of 32 -> heatmaps [n,h/4,w/4,joints]. */
Tensor *fastpose_build(const Scope *m, Tensor *x, int joints);

#endif
