/* Cocoset: people of a COCO person_keypoints file as a dataset: boxes, keypoints with their
 * visibility, crowd regions.  crowdrec/coco.h reads such files as one stage's results instead. */
#ifndef CROWDREC_COCOSET_H
#define CROWDREC_COCOSET_H

#include "crowdrec/annotations.h"

/* Adds everybody of the category "person".  Of `halpe_keypoints` (26) and `keypoints` (17 or 26)
 * the former counts; `visible` is the share of the body that is seen.  An annotation whose box has
 * no area is passed over.  ERR_INPUT names the entry. */
Status cocoset_read(const char *path, Annotations *a);

#endif
