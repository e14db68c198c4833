/* plane: the normal of the plane near some points. */
#include "kernels/kernel.h"
#include "kernels/plane.h"

void KERNEL(plane_forward)(const Call *c) {
    const REAL *p = c->in[0].data, *axis = c->in[1].data;
    int n = c->in[0].shape.n;
    PlaneSums s = {0};
    for (int i = 0; i < n; i++)
        plane_sum_point(&s, (double)p[3 * i], (double)p[3 * i + 1], (double)p[3 * i + 2]);
    for (int i = 0; i < n; i++)
        plane_sum_square(&s, (double)p[3 * i], (double)p[3 * i + 1], (double)p[3 * i + 2]);
    double up[3] = {(double)axis[0], (double)axis[1], (double)axis[2]}, normal[3];
    plane_normal(&s, up, (double)((const PlaneAttr *)c->attr)->prior, normal);
    for (int k = 0; k < 3; k++) ((REAL *)c->out[0].data)[k] = (REAL)normal[k];
}
