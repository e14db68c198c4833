/* Rotations, cameras and boxes: each formula once, for one person or joint, with its derivative.  C
 * kernels include it as float and as double; cuda.cuh defines GEOM for both host and device first.
 *
 *     REAL R[9], dr[3];
 *     geom_rodrigues(r, R);
 *     geom_rodrigues_backward(r, dR, dr);
 *
 * Matrices are row-major.  Backward functions take the inputs of the forward function and the
 * gradient of its output, and overwrite the gradient of the input.  REAL and the math functions for
 * it (tgmath in C, overloads in CUDA) come from the file that includes this one.
 */
#ifndef KERNELS_GEOM_H
#define KERNELS_GEOM_H

#ifndef GEOM
#define GEOM static inline
#endif

GEOM REAL geom_dot(const REAL *a, const REAL *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

GEOM void geom_cross(const REAL *a, const REAL *b, REAL *out) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

/* out = M v, and out = M^T v. */
GEOM void geom_apply(const REAL *m, const REAL *v, REAL *out) {
    for (int i = 0; i < 3; i++) out[i] = geom_dot(m + 3 * i, v);
}

GEOM void geom_apply_transposed(const REAL *m, const REAL *v, REAL *out) {
    for (int i = 0; i < 3; i++) out[i] = m[i] * v[0] + m[3 + i] * v[1] + m[6 + i] * v[2];
}

/* out = A B. */
GEOM void geom_multiply(const REAL *a, const REAL *b, REAL *out) {
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
}

/* out += A B^T, and out += A^T B: the gradients of A B by A and by B. */
GEOM void geom_add_product_bt(const REAL *a, const REAL *b, REAL *out) {
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) out[3 * i + j] += geom_dot(a + 3 * i, b + 3 * j);
}

GEOM void geom_add_product_at(const REAL *a, const REAL *b, REAL *out) {
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[3 * i + j] += a[i] * b[j] + a[3 + i] * b[3 + j] + a[6 + i] * b[6 + j];
}

/* out += a b^T. */
GEOM void geom_add_outer(const REAL *a, const REAL *b, REAL *out) {
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) out[3 * i + j] += a[i] * b[j];
}

/* b = a / max(|a|, 1e-12); returns the divisor. */
GEOM REAL geom_normalise(const REAL *a, REAL *b) {
    const REAL least = (REAL)1e-12;
    REAL norm = sqrt(geom_dot(a, a));
    if (norm < least) norm = least;
    for (int i = 0; i < 3; i++) b[i] = a[i] / norm;
    return norm;
}

/* The gradient of b = a / norm; a clamped norm is a constant. */
GEOM void geom_normalise_backward(const REAL *b, REAL norm, const REAL *db, REAL *da) {
    REAL along = norm > (REAL)1e-12 ? geom_dot(b, db) : 0;
    for (int i = 0; i < 3; i++) da[i] = (db[i] - along * b[i]) / norm;
}

/* The orthonormal columns b[0], b[1], b[2] of a 6D rotation x (Zhou et al. 2019), the two divisors,
 * and second = a2 - (b0 . a2) b0 before it is divided. */
typedef struct {
    REAL a2[3], b[3][3], norm[2];
} GeomFrame;

GEOM GeomFrame geom_frame(const REAL *x) {
    GeomFrame f;
    REAL a1[3], second[3];
    for (int i = 0; i < 3; i++) a1[i] = x[2 * i], f.a2[i] = x[2 * i + 1];
    f.norm[0] = geom_normalise(a1, f.b[0]);
    REAL along = geom_dot(f.b[0], f.a2);
    for (int i = 0; i < 3; i++) second[i] = f.a2[i] - along * f.b[0][i];
    f.norm[1] = geom_normalise(second, f.b[1]);
    geom_cross(f.b[0], f.b[1], f.b[2]);
    return f;
}

GEOM void geom_rot6d(const REAL *x, REAL *R) {
    GeomFrame f = geom_frame(x);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) R[3 * i + j] = f.b[j][i];
}

GEOM void geom_rot6d_backward(const REAL *x, const REAL *dR, REAL *dx) {
    GeomFrame f = geom_frame(x);
    REAL db[3][3], from_b2[3], dsecond[3], da1[3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) db[j][i] = dR[3 * i + j];
    geom_cross(db[2], f.b[0], from_b2);
    for (int i = 0; i < 3; i++) db[1][i] += from_b2[i];
    geom_cross(f.b[1], db[2], from_b2);
    geom_normalise_backward(f.b[1], f.norm[1], db[1], dsecond);
    REAL along = geom_dot(f.b[0], f.a2), dalong = -geom_dot(dsecond, f.b[0]);
    for (int i = 0; i < 3; i++) {
        db[0][i] += from_b2[i] - along * dsecond[i] + dalong * f.a2[i];
        dx[2 * i + 1] = dsecond[i] + dalong * f.b[0][i];
    }
    geom_normalise_backward(f.b[0], f.norm[0], db[0], da1);
    for (int i = 0; i < 3; i++) dx[2 * i] = da1[i];
}

/* smplx adds 1e-8 to each component of r before it takes the angle, which makes r = 0 safe. */
#define GEOM_RODRIGUES_EPS ((REAL)1e-8)

/* Rodrigues: R = I + s K + q K^2 with K the cross-product matrix of r, s = sin(a)/a and
 * q = (1 - cos(a))/a^2 in a form that keeps its digits near 0. */
GEOM void geom_angle(const REAL *r, REAL *a, REAL *s, REAL *q) {
    REAL square = 0;
    for (int i = 0; i < 3; i++) square += (r[i] + GEOM_RODRIGUES_EPS) * (r[i] + GEOM_RODRIGUES_EPS);
    *a = sqrt(square);
    REAL half = sin(*a / 2) / (*a / 2);
    *s = sin(*a) / *a;
    *q = half * half / 2;
}

GEOM void geom_rodrigues(const REAL *r, REAL *R) {
    REAL a, s, q, square = geom_dot(r, r);
    geom_angle(r, &a, &s, &q);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) R[3 * i + j] = q * r[i] * r[j] + (i == j ? 1 - q * square : 0);
    R[1] -= s * r[2], R[3] += s * r[2];
    R[2] += s * r[1], R[6] -= s * r[1];
    R[5] -= s * r[0], R[7] += s * r[0];
}

GEOM void geom_rodrigues_backward(const REAL *r, const REAL *dR, REAL *dr) {
    REAL a, s, q, to_row[3], to_column[3], trace = dR[0] + dR[4] + dR[8];
    const REAL twist[3] = {dR[7] - dR[5], dR[2] - dR[6], dR[3] - dR[1]};
    geom_angle(r, &a, &s, &q);
    geom_apply(dR, r, to_row);
    geom_apply_transposed(dR, r, to_column);
    REAL ds = geom_dot(r, twist), dq = geom_dot(r, to_row) - geom_dot(r, r) * trace;
    REAL da = ds * (cos(a) - s) / a + dq * (s - 2 * q) / a;
    for (int i = 0; i < 3; i++)
        dr[i] = s * twist[i] + q * (to_row[i] + to_column[i] - 2 * r[i] * trace) +
                da * (r[i] + GEOM_RODRIGUES_EPS) / a;
}

/* The quaternion w, x, y, z of a rotation matrix, scaled by its own largest component: t is four
 * times that component's square, `sum` four times its products with all components.  For any matrix
 * the four candidates of t sum to 4, so the largest is at least 1. */
typedef struct {
    int largest;
    REAL root, sum[4]; /* root = sqrt(t); quaternion = sum / (2 root) */
} GeomQuaternion;

/* Signs of the diagonal in t, and the off-diagonal pairs (plus a entry, sign of the other). */
GEOM REAL geom_candidate(const REAL *R, int k) {
    return 1 + (k < 2 ? R[0] : -R[0]) + (k == 0 || k == 2 ? R[4] : -R[4]) +
           (k == 0 || k == 3 ? R[8] : -R[8]);
}

GEOM GeomQuaternion geom_quaternion(const REAL *R) {
    const REAL twist[3] = {R[7] - R[5], R[2] - R[6], R[3] - R[1]};
    const REAL pair[3] = {R[7] + R[5], R[2] + R[6], R[3] + R[1]};
    GeomQuaternion q;
    q.largest = 0;
    for (int k = 1; k < 4; k++)
        if (geom_candidate(R, k) > geom_candidate(R, q.largest)) q.largest = k;
    int axis = q.largest - 1;
    q.sum[0] = axis < 0 ? 0 : twist[axis];
    for (int i = 0; i < 3; i++)
        q.sum[i + 1] = axis < 0 ? twist[i] : i == axis ? 0 : pair[3 - axis - i];
    q.sum[q.largest] = geom_candidate(R, q.largest);
    q.root = sqrt(q.sum[q.largest]);
    return q;
}

/* r = factor * (x, y, z) with factor = 2 atan2(n, w) L / n, n = |(x, y, z)|, L = |(w, x, y, z)|;
 * the derivatives are by n, divided by n, and by w.  A small n has a positive w. */
typedef struct {
    REAL factor, by_n, by_w;
} GeomTurn;

GEOM GeomTurn geom_turn(const REAL *q) {
    GeomTurn t;
    REAL w = q[0], n = sqrt(geom_dot(q + 1, q + 1)), length = sqrt(w * w + n * n);
    if (n < (REAL)1e-4 * length) {
        REAL ratio = n / w;
        t.factor = 2 + ratio * ratio / 3;
        t.by_n = 2 / (3 * w * w);
        t.by_w = -2 * ratio * ratio / (3 * w);
        return t;
    }
    REAL half = atan2(n, w);
    t.factor = 2 * half * length / n;
    t.by_n = 2 * (w / (length * n) + half / length - half * length / (n * n)) / n;
    t.by_w = 2 * (half * w / n - 1) / length;
    return t;
}

/* The axis-angles of one rotation are r and what is whole turns further along it.  Whether the one
 * a turn back is nearer to `near`; NULL, or next to no rotation: no. */
GEOM bool geom_turned_back(const REAL *r, const REAL *near) {
    REAL angle = sqrt(geom_dot(r, r)), here = 0, back = 0;
    if (!near || !(angle > (REAL)1e-3)) return false;
    for (int i = 0; i < 3; i++) {
        REAL other = r[i] - r[i] / angle * (REAL)6.283185307179586;
        here += (r[i] - near[i]) * (r[i] - near[i]);
        back += (other - near[i]) * (other - near[i]);
    }
    return back < here;
}

/* The quaternion whose axis-angle is wanted, and the matrix's own. */
typedef struct {
    GeomQuaternion s;
    REAL q[4], sign; /* q = sign times the matrix's */
    GeomTurn turn;   /* of q */
} GeomAxis;

GEOM GeomAxis geom_axis(const REAL *R, const REAL *near) {
    GeomAxis a;
    REAL r[3];
    a.s = geom_quaternion(R), a.sign = 1;
    for (int i = 0; i < 4; i++) a.q[i] = a.s.sum[i] / (2 * a.s.root);
    a.turn = geom_turn(a.q);
    for (int i = 0; i < 3; i++) r[i] = a.turn.factor * a.q[i + 1];
    if (!geom_turned_back(r, near)) return a;
    a.sign = -1;
    for (int i = 0; i < 4; i++) a.q[i] = -a.q[i];
    a.turn = geom_turn(a.q);
    return a;
}

/* Axis-angle of a rotation matrix: the largest component of the quaternion is positive, so angles
 * up to 2 pi come out, and a rotation that moves on may jump by a turn; with `near` [3] that one or
 * the one a turn back, whichever is nearer to it. */
GEOM void geom_axisangle(const REAL *R, const REAL *near, REAL *r) {
    GeomAxis a = geom_axis(R, near);
    for (int i = 0; i < 3; i++) r[i] = a.turn.factor * a.q[i + 1];
}

GEOM void geom_axisangle_backward(const REAL *R, const REAL *near, const REAL *dr, REAL *dR) {
    GeomAxis a = geom_axis(R, near);
    GeomQuaternion s = a.s;
    GeomTurn t = a.turn;
    REAL q[4], dq[4], droot = 0, along = geom_dot(a.q + 1, dr);
    dq[0] = a.sign * t.by_w * along;
    for (int i = 0; i < 3; i++)
        dq[i + 1] = a.sign * (t.factor * dr[i] + t.by_n * along * a.q[i + 1]);
    for (int i = 0; i < 4; i++) q[i] = a.sign * a.q[i];
    for (int i = 0; i < 4; i++) droot += (i == s.largest ? 1 : -1) * dq[i] * q[i] / s.root;
    REAL dt = droot / (2 * s.root), dtwist[3] = {0, 0, 0}, dpair[3] = {0, 0, 0};
    int axis = s.largest - 1;
    for (int i = 0; i < 3; i++) {
        if (axis < 0)
            dtwist[i] = dq[i + 1] / (2 * s.root);
        else if (i != axis)
            dpair[3 - axis - i] = dq[i + 1] / (2 * s.root);
    }
    if (axis >= 0) dtwist[axis] = dq[0] / (2 * s.root);
    dR[0] = axis < 1 ? dt : -dt;
    dR[4] = axis == -1 || axis == 1 ? dt : -dt;
    dR[8] = axis == -1 || axis == 2 ? dt : -dt;
    dR[7] = dpair[0] + dtwist[0], dR[5] = dpair[0] - dtwist[0];
    dR[2] = dpair[1] + dtwist[1], dR[6] = dpair[1] - dtwist[1];
    dR[3] = dpair[2] + dtwist[2], dR[1] = dpair[2] - dtwist[2];
}

/* The kinematic chain of one person (Loper et al. 2015): A_j = A_p R_j and t_j = A_p (J_j - J_p) +
 * t_p for parent p, R_j and J_j without one (p < 0).  R, A [joints][9], J, t [joints][3].  Joint j
 * comes after p, and on the way back before it. */
GEOM void geom_chain_joint(int j, int p, const REAL *R, const REAL *J, REAL *A, REAL *t) {
    for (int i = 0; p < 0 && i < 9; i++) A[9 * j + i] = R[9 * j + i];
    for (int i = 0; p < 0 && i < 3; i++) t[3 * j + i] = J[3 * j + i];
    if (p < 0) return;
    REAL bone[3];
    for (int i = 0; i < 3; i++) bone[i] = J[3 * j + i] - J[3 * p + i];
    geom_multiply(A + 9 * p, R + 9 * j, A + 9 * j);
    geom_apply(A + 9 * p, bone, t + 3 * j);
    for (int i = 0; i < 3; i++) t[3 * j + i] += t[3 * p + i];
}

/* Takes the joint's dA and dt, adds to its parent's; writes the joint's dR, adds to dJ of both. */
GEOM void geom_chain_joint_backward(int j, int p, const REAL *R, const REAL *J, const REAL *A,
                                    REAL *dA, REAL *dt, REAL *dR, REAL *dJ) {
    for (int i = 0; i < 9; i++) dR[9 * j + i] = p < 0 ? dA[9 * j + i] : 0;
    for (int i = 0; p < 0 && i < 3; i++) dJ[3 * j + i] += dt[3 * j + i];
    if (p < 0) return;
    REAL bone[3], dbone[3];
    for (int i = 0; i < 3; i++) bone[i] = J[3 * j + i] - J[3 * p + i];
    geom_add_product_at(A + 9 * p, dA + 9 * j, dR + 9 * j);
    geom_add_product_bt(dA + 9 * j, R + 9 * j, dA + 9 * p);
    geom_add_outer(dt + 3 * j, bone, dA + 9 * p);
    geom_apply_transposed(A + 9 * p, dt + 3 * j, dbone);
    for (int i = 0; i < 3; i++) {
        dt[3 * p + i] += dt[3 * j + i];
        dJ[3 * j + i] += dbone[i];
        dJ[3 * p + i] -= dbone[i];
    }
}

/* The whole chain, one joint after the other; parents come before children. */
GEOM void geom_chain(int joints, const signed char *parent, const REAL *R, const REAL *J, REAL *A,
                     REAL *t) {
    for (int j = 0; j < joints; j++) geom_chain_joint(j, parent[j], R, J, A, t);
}

/* Takes dA and dt, changes both; writes dR, adds to dJ. */
GEOM void geom_chain_backward(int joints, const signed char *parent, const REAL *R, const REAL *J,
                              const REAL *A, REAL *dA, REAL *dt, REAL *dR, REAL *dJ) {
    for (int j = joints - 1; j >= 0; j--)
        geom_chain_joint_backward(j, parent[j], R, J, A, dA, dt, dR, dJ);
}

/* camera = f, cx, cy (pixels); p in the camera frame (metres); Z is not clamped. */
GEOM void geom_project(const REAL *p, const REAL *camera, REAL *pixel) {
    pixel[0] = camera[0] * p[0] / p[2] + camera[1];
    pixel[1] = camera[0] * p[1] / p[2] + camera[2];
}

GEOM void geom_project_backward(const REAL *p, const REAL *camera, const REAL *dpixel, REAL *dp) {
    REAL scale = camera[0] / p[2];
    dp[0] = scale * dpixel[0];
    dp[1] = scale * dpixel[1];
    dp[2] = -(dp[0] * p[0] + dp[1] * p[1]) / p[2];
}

/* Crop camera (s, tx, ty) to translation in metres (paper eq. 1); box = centre x, centre y, height,
 * image width, image height, focal length in pixels.  The 1e-9 is the public code's; s may have any
 * sign. */
GEOM void geom_camera(const REAL *crop, const REAL *box, REAL *t) {
    REAL size = box[2] * crop[0] + (REAL)1e-9;
    t[0] = (2 * box[0] - box[3]) / size + crop[1];
    t[1] = (2 * box[1] - box[4]) / size + crop[2];
    t[2] = 2 * box[5] / size;
}

GEOM void geom_camera_backward(const REAL *crop, const REAL *box, const REAL *dt, REAL *dcrop) {
    REAL size = box[2] * crop[0] + (REAL)1e-9;
    REAL sum = dt[0] * (2 * box[0] - box[3]) + dt[1] * (2 * box[1] - box[4]) + dt[2] * 2 * box[5];
    dcrop[0] = -sum / (size * size) * box[2];
    dcrop[1] = dt[0];
    dcrop[2] = dt[1];
}

#endif
