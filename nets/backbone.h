/* Backbone: the first part of a network out of another network's file, as CLIFF begins with an
 * encoder that was trained on 2D poses or on ImageNet.
 *
 *     int taken;
 *     TRY(backbone_load("pose.safetensors", params, &taken));
 */
#ifndef NETS_BACKBONE_H
#define NETS_BACKBONE_H

#include "autograd/params.h"

/* Copies every parameter and buffer that the file (as for net_open) has under the same name,
 * "encoder." in front or not, and in the same shape; the others stay as they are.  *taken: how
 * many. ERR_MODEL when there is none. */
Status backbone_load(const char *weights, Params *to, int *taken);

#endif
