/* Plane: the normal of the ground that points lie on, in C and in CUDA.
 *
 *     PlaneSums s = {0};
 *     for (...) plane_sum_point(&s, x, y, z);
 *     for (...) plane_sum_square(&s, x, y, z);
 *     plane_normal(&s, up, prior, normal);
 */
#ifndef KERNELS_PLANE_H
#define KERNELS_PLANE_H

#include "tensor/inline.h"

#include <math.h>

/* Sums are made in double, whatever the backend. */
typedef struct {
    double count, point[3]; /* sums of 1 and of the points */
    double square[6];       /* of (p - mean)(p - mean)^T: xx, xy, xz, yy, yz, zz */
} PlaneSums;

INLINE void plane_sum_point(PlaneSums *s, double x, double y, double z) {
    s->count += 1, s->point[0] += x, s->point[1] += y, s->point[2] += z;
}

/* After all points have been summed. */
INLINE void plane_sum_square(PlaneSums *s, double x, double y, double z) {
    x -= s->point[0] / s->count, y -= s->point[1] / s->count, z -= s->point[2] / s->count;
    s->square[0] += x * x, s->square[1] += x * y, s->square[2] += x * z;
    s->square[3] += y * y, s->square[4] += y * z, s->square[5] += z * z;
}

/* The n of least sum (n . (p - mean))^2 + prior |n - up|^2, made a unit vector: n solves
 * (C + prior I) n = prior up, here by the adjugate of the matrix.  0 where up is. */
INLINE void plane_normal(const PlaneSums *s, const double up[3], double prior, double normal[3]) {
    double xx = s->square[0] + prior, xy = s->square[1], xz = s->square[2];
    double yy = s->square[3] + prior, yz = s->square[4], zz = s->square[5] + prior;
    double x =
        (yy * zz - yz * yz) * up[0] + (xz * yz - xy * zz) * up[1] + (xy * yz - xz * yy) * up[2];
    double y =
        (xz * yz - xy * zz) * up[0] + (xx * zz - xz * xz) * up[1] + (xy * xz - xx * yz) * up[2];
    double z =
        (xy * yz - xz * yy) * up[0] + (xy * xz - xx * yz) * up[1] + (xx * yy - xy * xy) * up[2];
    double length = sqrt(x * x + y * y + z * z);
    if (length == 0) length = 1;
    normal[0] = x / length, normal[1] = y / length, normal[2] = z / length;
}

#endif
