/* Gigacrowd: predict.json, the result form of the GigaCrowd challenge:
 *
 *     {"NAME.jpg": {"Intrinsic_matrix": [[f,0,cx],[0,f,cy],[0,0,1]],
 *                   "person_list": [{"pose": [72], "shape": [10], "trans_cam": [3],
 *                                    "scale_smpl": 1.0, "gender": "neutral"}, ...]}, ...}
 */
#ifndef CROWDREC_GIGACROWD_H
#define CROWDREC_GIGACROWD_H

#include "crowdrec/crowd.h"

#include <jansson.h>

/* Everybody who has a body, in the crowds' order.  A new reference. */
json_t *gigacrowd_json(const Crowd *crowd, int count);

#endif
