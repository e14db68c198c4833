/* Sketch: the photo with what is known of the people before they have bodies. */
#ifndef CROWDREC_SKETCH_H
#define CROWDREC_SKETCH_H

#include "crowdrec/crowd.h"
#include "crowdrec/image.h"

/* Everybody's box and score, and the skeletons of those who have keypoints: Halpe-26, or COCO-17 of
 * who has no others; keypoints whose confidence is below a tenth are left out.  Colours are
 * render.h's.  ERR_MEMORY. */
Status sketch_people(const Image *photo, const Crowd *crowd, Image *out);

#endif
