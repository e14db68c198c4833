/* Posenms: people of a photo who are found twice, or whom the 2D pose network does not see.
 *
 *     posenms_run(&crowd, &(PoseNms){.overlap = 0.3, .confidence = 0.5});
 *
 * Of two people whose keypoints are too similar (COCO's object keypoint similarity over the mean of
 * their boxes' areas) the weaker one goes, the one with the smaller crowd_strength: non-maximum
 * suppression by pose (Papandreou et al. 2017), which tells people behind each other from one who
 * has two boxes better than the boxes do.
 */
#ifndef CROWDREC_POSENMS_H
#define CROWDREC_POSENMS_H

#include "crowdrec/crowd.h"

typedef struct {
    double overlap;    /* similarity above which the weaker one goes, 0: none goes */
    double confidence; /* least crowd_confidence of those who stay */
} PoseNms;

/* Drops people, those without keypoints only for their confidence of 0; order and ids stay. */
void posenms_run(Crowd *crowd, const PoseNms *rule);

#endif
