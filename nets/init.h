/* Init: the parameters that a network begins its training with.
 *
 *     net_declare(&spec, params);
 *     TRY(params_alloc(params));
 *     init_fill(&spec, seed, params);
 *
 * Convolutions before a norm: normal, variance 2 / fan_in (He et al. 2015).  Last layers and linear
 * ones: uniform in +-1/sqrt(fan_in).  CLIFF's decoders: a hundredth of that, about the mean body.
 * HRNet's heatmaps begin near 0, YOLOX's scores near 0.01 (Lin et al. 2017).  Norms are the
 * identity.
 */
#ifndef NETS_INIT_H
#define NETS_INIT_H

#include "nets/net.h"

void init_fill(const NetSpec *spec, uint64_t seed, Params *params);

#endif
