/* Trainmesh: CLIFF (Li et al. 2022), trained with the paper's losses (section 1.2, eqs. 2 to 6).
 *
 *     TrainTask task;
 *     TRY(trainmesh_open(options, &task));
 *
 * A turned or mirrored crop is one of the photo turned about its optical axis, or mirrored through
 * it, so that place in the photo, camera and body stay those of one picture.
 */
#ifndef CROWDREC_TRAINMESH_H
#define CROWDREC_TRAINMESH_H

#include "crowdrec/augment.h"

Status trainmesh_open(const TrainOptions *options, TrainTask *out);

/* SMPL's pose (axis-angle, radians) in the augmented photo -> rotation matrices [24,9]: left and
 * right exchanged when mirrored, the root turned. */
void trainmesh_pose(const Augment *a, const float pose[CROWD_POSE], float *rotations);

#endif
