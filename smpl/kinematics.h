/* Kinematics: one person's joints in a pose, on the host and in double precision.
 *
 *     Kinematics k = kinematics_of(&body->tree, rest, pose);     // rest: joints in a T
 *
 * The kinematic chain is geom.h's.
 */
#ifndef SMPL_KINEMATICS_H
#define SMPL_KINEMATICS_H

#include "smpl/body.h"

typedef struct {
    double feature[BODY_FEATURES]; /* R_1 - I, ..., R_23 - I */
    double turn[BODY_JOINTS][9];   /* of G_j, the product along the chain */
    double shift[BODY_JOINTS][3];  /* of G_j - [0 | G_j J_j] */
    double joint[BODY_JOINTS][3];  /* of G_j: where the joint is */
} Kinematics;

/* rest: metres; pose: axis-angle, root first. */
Kinematics kinematics_of(const SkinAttr *tree, const double rest[BODY_JOINTS][3],
                         const float pose[3 * BODY_JOINTS]);

#endif
