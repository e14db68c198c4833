#include "smpl/kinematics.h"

#include <math.h>

#define REAL double
#include "kernels/geom.h"

Kinematics kinematics_of(const SkinAttr *tree, const double rest[BODY_JOINTS][3],
                         const float pose[3 * BODY_JOINTS]) {
    Kinematics p = {0};
    double own[BODY_JOINTS][9];
    for (int j = 0; j < BODY_JOINTS; j++) {
        double axis[3];
        for (int k = 0; k < 3; k++) axis[k] = (double)pose[3 * j + k];
        geom_rodrigues(axis, own[j]);
        for (int k = 0; j && k < 9; k++) p.feature[9 * (j - 1) + k] = own[j][k] - (k % 4 == 0);
    }
    geom_chain(BODY_JOINTS, tree->parent, own[0], rest[0], p.turn[0], p.joint[0]);
    for (int j = 0; j < BODY_JOINTS; j++) {
        double moved[3];
        geom_apply(p.turn[j], rest[j], moved);
        for (int k = 0; k < 3; k++) p.shift[j][k] = p.joint[j][k] - moved[k];
    }
    return p;
}
