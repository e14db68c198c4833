/* Landmarks: a Halpe-26 regressor for bodies that bring none.
 *
 * Shoulders to ankles and the neck are rows of the body's own J_regressor, the hip is the middle of
 * the two hips.  The points of head and feet are single vertices: for the SMPL topology (6890
 * vertices, 13776 faces) the ids that the smplx package and SMPLify list as facts, for every other
 * body extremes of the template (x left, y up, z forward) within what head or foot moves.
 */
#ifndef SMPL_LANDMARKS_H
#define SMPL_LANDMARKS_H

#include "smpl/body.h"

/* Fills regressor [26,v], which is zero.  Returns how the vertices were found, for reports. */
const char *landmarks_halpe(const Body *body, float *regressor);

#endif
