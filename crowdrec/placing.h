/* Placing: finds room for people and things in a scene, so that nobody stands in another. */
#ifndef CROWDREC_PLACING_H
#define CROWDREC_PLACING_H

#include "crowdrec/scene.h"

/* Adds about `count` people to the scene, and seats for those who sit.  deep: their least and
 * greatest depth, metres. */
void placing_people(Scene *scene, const Poser *poser, Dice *dice, int count, const double deep[2]);

/* Adds up to count things to the ground; before the people. */
void placing_things(Scene *scene, Dice *dice, int count, const double deep[2]);

#endif
