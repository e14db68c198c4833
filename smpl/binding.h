/* Binding: which vertex of a made-up body follows which joints, and which vertices tell where a
 * joint is. */
#ifndef SMPL_BINDING_H
#define SMPL_BINDING_H

#include "smpl/figure.h"

/* The skinning weights of a vertex of the mean figure: smooth in the vertex, at most four are not
 * 0, their sum is 1. */
void binding_weights(const double vertex[3], double weights[BODY_JOINTS]);

/* One row of J_regressor: weights over all vertices, few of them not 0, with sum 1, that give the
 * joint from the vertices for every betas.  vertex [v,3]; shape [v,3,10] is what the betas add to
 * vertices, joint_shape [3,10] what they add to the joint.  Of all such rows it is the shortest in
 * a norm that prefers near vertices, and by `preference` [v], which is 0 to 1. */
void binding_regressor(int vertices, const double *vertex, const double *shape,
                       const double joint[3], const double joint_shape[3][BODY_BETAS],
                       const double *preference, double *row);

#endif
