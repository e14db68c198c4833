/* YOLOX (Ge et al. 2021): CSP-Darknet, path-aggregation pyramid, decoupled anchor-free head.
 *
 *     Tensor *decoded, *raw = yolox_build(&m, spec, x, &decoded);
 *
 * Batch norms have eps 1e-3 and momentum 0.03, whatever the scope says.
 */
#ifndef NETS_YOLOX_H
#define NETS_YOLOX_H

#include "nets/net.h"

/* x [n,h,w,3], h and w multiples of 32 -> raw [n,a,1,5+classes] = x, y, w, h, objectness, classes;
 * anchors of strides 8, 16, 32, each map row-major.  decoded: the same in input pixels, with the
 * sigmoid on the scores. */
Tensor *yolox_build(const Scope *m, const NetSpec *s, Tensor *x, Tensor **decoded);

#endif
