/* Posture: natural poses of people in public places.
 *
 *     float pose[CROWD_POSE];
 *     Dice dice = dice_new("posture", 7);
 *     posture_make(POSTURE_WALK, &dice, pose);
 *
 * A pose is SMPL's axis-angles of a figure that faces along z with y up; the root only leans, so
 * that the caller turns it where it should look.  Every joint carries a little noise, no joint
 * leaves its natural range, and raised arms turn the collars along.
 */
#ifndef CROWDREC_POSTURE_H
#define CROWDREC_POSTURE_H

#include "crowdrec/crowd.h"
#include "crowdrec/dice.h"

typedef enum {
    POSTURE_STAND,
    POSTURE_REST, /* weight on one leg */
    POSTURE_WALK,
    POSTURE_RUN,
    POSTURE_SIT, /* thighs level: wants a seat */
    POSTURE_WAVE,
    POSTURE_PHONE,
    POSTURE_CROSS, /* arms in front of the chest */
    POSTURE_CHEER,
    POSTURE_POINT,
    POSTURE_BEND,
    POSTURES
} Posture;

void posture_make(Posture kind, Dice *dice, float pose[CROWD_POSE]);

/* One of them, as often as in a crowd; never POSTURE_SIT. */
Posture posture_draw(Dice *dice);

#endif
