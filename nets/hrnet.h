/* HRNet (Sun et al. 2019; Wang et al. 2020): branches of strides 4, 8, 16, 32 kept side by side and
 * fused again and again.
 *
 *     Tensor *heatmaps = hrnet_pose(&m, x, spec);
 *     Tensor *map = hrnet_encoder(at(&m, "encoder"), x, spec);
 */
#ifndef NETS_HRNET_H
#define NETS_HRNET_H

#include "nets/net.h"

/* x [n,h,w,3], h and w multiples of 32 -> heatmaps [n,h/4,w/4,joints].  Of the spec channels (of
 * the finest branch), size and joints are read. */
Tensor *hrnet_pose(const Scope *m, Tensor *x, const NetSpec *s);

/* The classification network without its last layer: x as above -> map [n,h/32,w/32,feature]. */
Tensor *hrnet_encoder(const Scope *m, Tensor *x, const NetSpec *s);

#endif
