/* Corrective: pose blend shapes against the collapse of linear skinning. */
#ifndef SMPL_CORRECTIVE_H
#define SMPL_CORRECTIVE_H

#include "smpl/body.h"

/* Fills posedirs [v,3,207] from vertices [v,3], joints and weights [v,24].
 *
 * When a joint turns, a vertex that follows it by the share s goes to the chord between its places
 * before and after, nearer to the joint's axis than both: by |m|, m = 1 - s + s e^(i angle).  What
 * brings it back to its distance (as dual quaternions do: Kavan et al. 2008) is, in the rest pose,
 * (1/|m| - 1) times its offset from the axis.  Each joint's nine columns are the least-squares fit
 * of that over turns of up to 150 degrees around axes of all directions. */
void corrective_fit(int vertices, const double *vertex, const double joint[BODY_JOINTS][3],
                    const float *weights, float *posedirs);

#endif
