/* Poser: many bodies posed fast and without a graph.
 *
 *     Poser *poser = poser_new(body);
 *     poser_run(poser, pose, betas, trans, vertices, joints);   // [v,3]; any thread
 *     poser_free(poser);                                    // before the body
 *
 * Does what body_pose does, in single precision and over the numbers that are not zero: a vertex
 * follows few joints, and few joints have pose blend shapes for it.  For one body in a picture of
 * hundreds that is ten times as fast; vertices differ by rounding, some micrometres.
 */
#ifndef SMPL_POSER_H
#define SMPL_POSER_H

#include "smpl/body.h"

typedef struct Poser Poser;

Poser *poser_new(const Body *body);
void poser_free(Poser *poser); /* NULL is allowed */
const Body *poser_body(const Poser *poser);

/* Axis-angle pose, betas and translation -> vertices [v,3], and where not NULL chain joints
 * [24,3]. */
void poser_run(const Poser *poser, const float pose[3 * BODY_JOINTS], const float betas[BODY_BETAS],
               const float translation[3], float *vertices, float *joints);

#endif
