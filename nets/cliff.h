/* CLIFF (Li et al. 2022): an encoder's feature and the crop's place in the photo, and a head that
 * corrects the mean body's parameters three times.
 *
 *     NetOutput y = cliff_build(&m, spec, x, bbox_info);
 *     Tensor *rotations = rot6d(&m, y.pose6d);
 */
#ifndef NETS_CLIFF_H
#define NETS_CLIFF_H

#include "nets/net.h"

/* Sizes of the head: 24 joints of 6 numbers, betas, crop camera. */
enum { CLIFF_POSE = 144, CLIFF_BETAS = 10, CLIFF_CAM = 3, CLIFF_BOX = 3 };

/* x [n,h,w,3], h and w multiples of 32; bbox_info [n,1,1,3].  In training, dropout (p = 0.5) makes
 * the input `seed` of the output; its masks' keys are "drop1.iter0" and so on. */
NetOutput cliff_build(const Scope *m, const NetSpec *s, Tensor *x, Tensor *bbox_info);

/* The encoder alone: -> feature [n,1,1,size.feature], the mean over the last map. */
Tensor *cliff_encoder(const Scope *m, const NetSpec *s, Tensor *x);

#endif
