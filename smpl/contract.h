/* Contract: regressors folded into tables, so that regressed joints need no vertices.
 *
 *     BodyTables h36m = contract_regressor(body, arena, regressor, 17);
 *     Tensor *joints = body_regressed(m, body, &h36m, "h36m", rotations, betas);
 *
 * A regressed vertex sum is linear in (1, betas, pose feature) before the joints move it, so
 * sum_v r_v sum_j w_vj G_j v_posed_v = sum_j G_j [P_j; c_j] exactly, with P_j = sum_v r_v w_vj
 * v_posed_v and c_j = sum_v r_v w_vj.
 */
#ifndef SMPL_CONTRACT_H
#define SMPL_CONTRACT_H

#include "smpl/body.h"

/* Tables of the joints that the rows of a regressor [rows,v] make of the posed vertices. */
BodyTables contract_regressor(const Body *body, Arena *arena, const float *regressor, int rows);

#endif
