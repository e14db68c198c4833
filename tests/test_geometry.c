/* Rotations, camera and projection against geometry.npz, in double and in float. */
#include "tests/support.h"
#include "tests/oprun.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

enum { DEGENERATE = 5 }; /* last rows of rot6d_in */

static const struct {
    const Backend *b;
    double tolerance, rodrigues; /* the second where its 1e-8 enters */
} BACKENDS[] = {{&backend_ref, 1e-9, 1e-7}, {&backend_cpu, 1e-5, 1e-5}};
enum { BACKEND_COUNT = sizeof BACKENDS / sizeof *BACKENDS };

static const char *const FILE_NAME = "fixtures_body/geometry/geometry.npz";

/* Relative for numbers above 1, absolute below. */
static void close_each(const char *name, const double *got, const double *want, size_t n,
                       double tolerance) {
    double *a = malloc((n + 1) * sizeof *a), *b = malloc((n + 1) * sizeof *b);
    assert_non_null(a);
    assert_non_null(b);
    for (size_t i = 0; i < n; i++) {
        double scale = fmax(1, fabs(want[i]));
        a[i] = got[i] / scale;
        b[i] = want[i] / scale;
    }
    support_close64(name, a, b, n, tolerance);
    free(a);
    free(b);
}

static void close_largest(const char *name, const double *got, const double *want, size_t n,
                          double tolerance) {
    double largest = 1;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
    support_close64(name, got, want, n, tolerance * largest);
}

static int rows_of(const ArrayFile *f, const char *name) {
    return (int)support_array(f, name)->dim[0];
}

static void rot6d(void **state) {
    (void)state;
    ArrayFile f = support_arrays(FILE_NAME);
    double *in = support_doubles(&f, "rot6d_in"), *want = support_doubles(&f, "rot6d_out");
    double *weight = support_doubles(&f, "rot6d_w"), *gradient = support_doubles(&f, "rot6d_grad");
    int n = rows_of(&f, "rot6d_in");
    size_t sound = (size_t)(n - DEGENERATE);
    for (int k = 0; k < BACKEND_COUNT; k++) {
        OpRun r = oprun_make(BACKENDS[k].b, OP_rot6d, NULL);
        oprun_input(&r, 0, (Shape){n, 1, 1, 6}, in);
        const double *R = oprun_forward(&r, 0), *dx = oprun_backward(&r, weight, 0);
        close_each("rot6d", R, want, 9 * sound, BACKENDS[k].tolerance);
        close_largest("rot6d gradient", dx, gradient, 6 * sound, BACKENDS[k].tolerance);
        for (int i = 0; i < 9 * n; i++) assert_false(isnan(R[i]));
        for (int i = 0; i < 6 * n; i++) assert_false(isnan(dx[i]));
        oprun_free(&r);
    }
    free(in), free(want), free(weight), free(gradient);
    array_file_free(&f);
}

static void rodrigues(void **state) {
    (void)state;
    ArrayFile f = support_arrays(FILE_NAME);
    double *in = support_doubles(&f, "aa_in"), *want = support_doubles(&f, "rodrigues_smplx");
    double *exact = support_doubles(&f, "rodrigues_exact");
    int n = rows_of(&f, "aa_in");
    for (int k = 0; k < BACKEND_COUNT; k++) {
        OpRun r = oprun_make(BACKENDS[k].b, OP_rodrigues, NULL);
        oprun_input(&r, 0, (Shape){n, 1, 1, 3}, in);
        const double *R = oprun_forward(&r, 0);
        close_each("rodrigues", R, want, 9 * (size_t)n, BACKENDS[k].tolerance);
        close_each("rodrigues, exact", R, exact, 9 * (size_t)n, BACKENDS[k].rodrigues);
        oprun_free(&r);
    }
    free(in), free(want), free(exact);
    array_file_free(&f);
}

/* Axis-angle by the rule of the reference, and (in any precision) the rotation it stands for. */
static void axis_angle(void **state) {
    (void)state;
    ArrayFile f = support_arrays(FILE_NAME);
    double *in = support_doubles(&f, "rodrigues_exact"),
           *want = support_doubles(&f, "rotmat_to_aa");
    int n = rows_of(&f, "aa_in");
    for (int k = 0; k < BACKEND_COUNT; k++) {
        OpRun r = oprun_make(BACKENDS[k].b, OP_axisangle, NULL);
        OpRun back = oprun_make(BACKENDS[k].b, OP_rodrigues, NULL);
        oprun_input(&r, 0, (Shape){n, 1, 1, 9}, in);
        const double *aa = oprun_forward(&r, 0);
        if (BACKENDS[k].b == &backend_ref)
            close_each("axis-angle", aa, want, 3 * (size_t)n, BACKENDS[k].rodrigues);
        oprun_input(&back, 0, (Shape){n, 1, 1, 3}, aa);
        close_each("axis-angle and back", oprun_forward(&back, 0), in, 9 * (size_t)n,
                   BACKENDS[k].rodrigues);
        oprun_free(&r);
        oprun_free(&back);
    }
    free(in), free(want);
    array_file_free(&f);
}

static void axis_angle_gradient(void **state) {
    (void)state;
    ArrayFile f = support_arrays(FILE_NAME);
    double *all = support_doubles(&f, "rodrigues_exact");
    double *weight = support_doubles(&f, "rotmat_to_aa_grad_w");
    double *want = support_doubles(&f, "rotmat_to_aa_grad");
    const Array *index = support_array(&f, "rotmat_to_aa_grad_index");
    int n = (int)array_size(index);
    double *in = malloc(9 * (size_t)n * sizeof *in);
    assert_non_null(in);
    for (int i = 0; i < n; i++)
        memcpy(in + 9 * i, all + 9 * (size_t)array_get(index, (size_t)i), 9 * sizeof *in);
    for (int k = 0; k < BACKEND_COUNT; k++) {
        OpRun r = oprun_make(BACKENDS[k].b, OP_axisangle, NULL);
        oprun_input(&r, 0, (Shape){n, 1, 1, 9}, in);
        oprun_forward(&r, 0);
        close_largest("axis-angle gradient", oprun_backward(&r, weight, 0), want, 9 * (size_t)n,
                      BACKENDS[k].tolerance);
        oprun_free(&r);
    }
    free(all), free(weight), free(want), free(in);
    array_file_free(&f);
}

/* A rotation that is turned on and on: by itself its axis-angle jumps, beside its predecessor it
 * goes on by the step, past pi and past a full turn. */
static void axis_angle_goes_on(void **state) {
    (void)state;
    const double axis[3] = {0.6, -0.48, 0.64}, step = 0.1;
    double before[3] = {0, 0, 0}, jump = 0;
    for (int i = 1; i < 60; i++) {
        double turned[3], R[9], alone[3], r[3], lone = 0;
        for (int k = 0; k < 3; k++) turned[k] = i * step * axis[k];
        geom_rodrigues(turned, R);
        geom_axisangle(R, NULL, alone);
        geom_axisangle(R, before, r);
        support_close64("axis-angle beside its predecessor", r, turned, 3, 1e-6);
        for (int k = 0; k < 3; k++) lone = fmax(lone, fabs(alone[k] - turned[k]));
        jump = fmax(jump, lone);
        memcpy(before, r, sizeof r);
    }
    assert_true(jump > 1);
}

/* [n,1,1,6]: centre, height 200*scale, image width and height, focal length. */
static double *boxes(const ArrayFile *f, int n) {
    double *box = malloc(6 * (size_t)n * sizeof *box);
    assert_non_null(box);
    const Array *centre = support_array(f, "cam_center");
    for (size_t i = 0; i < (size_t)n; i++) {
        const double values[] = {array_get(centre, 2 * i),
                                 array_get(centre, 2 * i + 1),
                                 200 * array_get(support_array(f, "cam_scale"), i),
                                 array_get(support_array(f, "cam_img_w"), i),
                                 array_get(support_array(f, "cam_img_h"), i),
                                 array_get(support_array(f, "cam_focal"), i)};
        memcpy(box + 6 * i, values, sizeof values);
    }
    return box;
}

static void camera(void **state) {
    (void)state;
    ArrayFile f = support_arrays(FILE_NAME);
    double *crop = support_doubles(&f, "cam_crop"), *want = support_doubles(&f, "cam_full");
    double *weight = support_doubles(&f, "cam_full_w");
    double *gradient = support_doubles(&f, "cam_crop_grad");
    int n = rows_of(&f, "cam_crop");
    double *box = boxes(&f, n);
    for (int k = 0; k < BACKEND_COUNT; k++) {
        OpRun r = oprun_make(BACKENDS[k].b, OP_camera, NULL);
        oprun_input(&r, 0, (Shape){n, 1, 1, 3}, crop);
        oprun_input(&r, 1, (Shape){n, 1, 1, 6}, box);
        close_each("translation", oprun_forward(&r, 0), want, 3 * (size_t)n, BACKENDS[k].tolerance);
        close_each("crop camera gradient", oprun_backward(&r, weight, 0), gradient, 3 * (size_t)n,
                   BACKENDS[k].tolerance);
        oprun_free(&r);
    }
    free(crop), free(want), free(weight), free(gradient), free(box);
    array_file_free(&f);
}

static void projection(void **state) {
    (void)state;
    ArrayFile f = support_arrays(FILE_NAME);
    double *points = support_doubles(&f, "proj_points"), *want = support_doubles(&f, "proj_pixels");
    double *weight = support_doubles(&f, "proj_w");
    double *gradient = support_doubles(&f, "proj_points_grad");
    const Array *shape = support_array(&f, "proj_points");
    int n = (int)shape->dim[0], joints = (int)shape->dim[1];
    size_t size = (size_t)(n * joints);
    double *box = boxes(&f, n), *pinhole = malloc(3 * (size_t)n * sizeof *pinhole);
    assert_non_null(pinhole);
    for (int i = 0; i < n; i++) {
        pinhole[3 * i] = box[6 * i + 5];
        pinhole[3 * i + 1] = box[6 * i + 3] / 2;
        pinhole[3 * i + 2] = box[6 * i + 4] / 2;
    }
    /* The reference's loss takes pixels in units of the box height. */
    for (size_t i = 0; i < 2 * size; i++) weight[i] /= box[6 * (i / 2 / (size_t)joints) + 2];
    for (int k = 0; k < BACKEND_COUNT; k++) {
        OpRun r = oprun_make(BACKENDS[k].b, OP_project, NULL);
        oprun_input(&r, 0, (Shape){n, 1, joints, 3}, points);
        oprun_input(&r, 1, (Shape){n, 1, 1, 3}, pinhole);
        close_each("pixels", oprun_forward(&r, 0), want, 2 * size, BACKENDS[k].tolerance);
        close_each("gradient of points", oprun_backward(&r, weight, 0), gradient, 3 * size,
                   BACKENDS[k].tolerance);
        oprun_free(&r);
    }
    free(points), free(want), free(weight), free(gradient), free(box), free(pinhole);
    array_file_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rot6d),
        cmocka_unit_test(rodrigues),
        cmocka_unit_test(axis_angle),
        cmocka_unit_test(axis_angle_gradient),
        cmocka_unit_test(axis_angle_goes_on),
        cmocka_unit_test(camera),
        cmocka_unit_test(projection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
