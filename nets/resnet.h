/* ResNet-50 (He et al. 2016), the stride of a block on its 3x3 convolution, and its bottleneck,
 * which HRNet uses as well.
 *
 *     x = resnet_build(at(&m, "encoder"), x, false);       // [n,h/32,w/32,2048]
 */
#ifndef NETS_RESNET_H
#define NETS_RESNET_H

#include "nets/net.h"

/* 1x1, 3x3 and 1x1 convolutions and the shortcut: [n,h,w,c] -> [n,h/stride,w/stride,4*width].
 * squeeze: a squeeze-and-excitation gate (Hu et al. 2018; reduction 1) before the addition. */
Tensor *resnet_bottleneck(const Scope *m, Tensor *x, int width, int stride, bool squeeze);

/* x [n,h,w,3], h and w multiples of 32 -> the last map [n,h/32,w/32,2048].  squeeze: gates in the
 * first block of each stage (FastPose). */
Tensor *resnet_build(const Scope *m, Tensor *x, bool squeeze);

/* Names the output that a stem's convolution of stride 2 has before its norm.  The norm is folded
 * away, so this is a node of its own; a plan computes it only when it is kept. */
void resnet_tap(const Scope *m, const char *name, Tensor *x, int out, int k);

#endif
