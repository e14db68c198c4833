#include "tests/opcases.h"

#include "tensor/rng.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>

/* Numbers near a rotation matrix, row-major, all nine entries free.  Which component of its
 * quaternion is the largest changes from matrix to matrix. */
static double rotation_value(uint64_t stream, size_t i) {
    static const double quaternion[4][4] = {{0.9, 0.3, -0.2, 0.25},
                                            {0.2, 0.9, 0.3, -0.25},
                                            {-0.3, 0.2, 0.9, 0.25},
                                            {0.25, -0.3, 0.2, 0.9}};
    const double *q = quaternion[i / 9 % 4];
    int row = (int)(i % 9) / 3, column = (int)(i % 3), other = 3 - row - column;
    double w = q[0], cross = (column - row + 3) % 3 == 1 ? -q[1 + other % 3] : q[1 + other % 3];
    double value = 2 * (q[1 + row] * q[1 + column] + (row == column ? w * w - 0.5 : w * cross));
    return value + 0.02 * (double)rng_signed(stream, i);
}

/* Rows x, y, z with z between 2 and 4. */
static double point_value(uint64_t stream, size_t i) {
    return (i % 3 == 2 ? 3 : 0) + (double)rng_signed(stream, i);
}

/* Focal length 3 and a centre. */
static double pinhole_value(uint64_t stream, size_t i) {
    return (i % 3 == 0 ? 3 : 1) + 0.2 * (double)rng_signed(stream, i);
}

/* Crop camera s, tx, ty with s near 1; every third is negative. */
static double crop_value(uint64_t stream, size_t i) {
    double sign = i / 3 % 3 == 2 ? -1 : 1;
    return (i % 3 == 0 ? sign : 0) + 0.2 * (double)rng_signed(stream, i);
}

/* Centre, height, image size and focal length in units of a hundred pixels. */
static double box_value(uint64_t stream, size_t i) {
    static const double middle[] = {3, 2, 1, 6, 4, 7};
    return middle[i % 6] + 0.5 * (double)rng_signed(stream, i);
}

/* Six numbers of a 6D rotation: the two axes are far from parallel and from 0. */
static double axes_value(uint64_t stream, size_t i) {
    return (i % 6 == 0 || i % 6 == 3) + 0.3 * (double)rng_signed(stream, i);
}

/* Skinning weights: positive, their sum is near 1 for 4 joints. */
static double weight_value(uint64_t stream, size_t i) {
    return 0.25 + 0.2 * (double)rng_signed(stream, i);
}

/* Constants of points in fours, of which every third point has none. */
static double scarce_value(uint64_t stream, size_t i) {
    return i / 4 % 3 == 1 ? 0 : (double)rng_signed(stream, i);
}

/* Decoded rows of 5 + 3 columns: boxes that overlap, scores with ties. */
static double detection_value(uint64_t stream, size_t i) {
    double u = (double)rng_uniform(stream, i);
    return i % 8 < 2 ? 20 * u : i % 8 < 4 ? 6 + 6 * u : floor(16 * u) / 16;
}

/* Like it, but every fifth row has a NaN or infinity. */
static double hostile_value(uint64_t stream, size_t i) {
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    return i / 8 % 5 == 0 && i % 8 == i / 40 % 8 ? bad[i / 8 % 3] : detection_value(stream, i);
}

/* Every third number is NaN. */
static double patchy_value(uint64_t stream, size_t i) {
    return i % 3 ? (double)rng_signed(stream, i) : NAN;
}

/* Decoded rows of 5 + 2 columns for an input of 64 pixels. */
static double prediction_value(uint64_t stream, size_t i) {
    double u = (double)rng_uniform(stream, i);
    return i % 7 < 2 ? 64 * u : i % 7 < 4 ? 6 + 26 * u : 0.05 + 0.9 * u;
}

/* Like it, but every fifth row has a NaN or infinity. */
static double broken_prediction_value(uint64_t stream, size_t i) {
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    return i / 7 % 5 == 0 && i % 7 == i / 35 % 7 ? bad[i / 7 % 3] : prediction_value(stream, i);
}

/* Labels of two classes within and around 64 pixels; every fourth is none. */
static double label_value(uint64_t stream, size_t i) {
    double u = (double)rng_uniform(stream, i);
    if (i / 5 % 4 == 3) return 0;
    return i % 5 == 0 ? (double)(i / 5 % 2) : i % 5 < 3 ? 72 * u - 4 : 5 + 30 * u;
}

/* Boxes whose sides are multiples of an eighth, and boxes whose sides never come near those; every
 * second pair meets. */
static double eighths_value(uint64_t stream, size_t i) {
    double u = floor(8 * (double)rng_uniform(stream, i)) / 8;
    return i % 4 < 2 ? u : 1 + 2 * floor(2 * u) / 2;
}

static double between_value(uint64_t stream, size_t i) {
    double far = i / 4 % 2 ? 9 : 0, u = floor(8 * (double)rng_uniform(stream, i)) / 8;
    return i % 4 < 2 ? far + u + 0.0625 : 1.5 + floor(4 * u) / 2;
}

/* Crop pixel to photo pixel: a little turned, partly outside; the last map is far away or not
 * finite. */
static double map_value(uint64_t stream, size_t i) {
    static const double upright[] = {1.3, 0.2, -3, -0.2, 1.1, -2};
    static const double bad[] = {1e30, NAN, INFINITY, -1e30, 3, NAN};
    return i < 12 ? upright[i % 6] + 0.1 * (double)rng_signed(stream, i) : bad[i % 6];
}

/* Learning rate, weight decay, step. */
static double hyper_value(uint64_t stream, size_t i) {
    static const double hyper[] = {0.01, 0.1, 3, 0};
    (void)stream;
    return hyper[i % 4];
}

/* Rows of a schedule that are far apart. */
static double schedule_value(uint64_t stream, size_t i) {
    const double row[] = {0.01 * (double)(1 + i / 4), 0.1, (double)(1 + i / 4), 0};
    (void)stream;
    return row[i % 4];
}

/* The third row. */
static double cursor_value(uint64_t stream, size_t i) {
    (void)stream, (void)i;
    return 2;
}

#define OP(name, Attr, n_in, n_out, grads, reads, kernels) typedef Attr Attr_##name;
#include "kernels/ops.def"
#undef OP

/* An attribute that a row leaves out is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define UNPACK(...) __VA_ARGS__
#define CASE(op, name, tolerance, flags, attr, ...) \
    {OP_##op, name, tolerance, flags, &(const Attr_##op){UNPACK attr}, {__VA_ARGS__}},
static const OpCase CASES[] = {
#include "tests/cases_math.def"
#include "tests/cases_nn.def"
};
enum { CASE_COUNT = sizeof CASES / sizeof *CASES };

int opcases_of(OpKind op) {
    int count = 0;
    for (int i = 0; i < CASE_COUNT; i++) count += CASES[i].op == op;
    return count;
}

const OpCase *opcases_at(OpKind op, int i) {
    const OpCase *c = CASES;
    while (c->op != op || i-- > 0) c++;
    return c;
}

int opcases_run(const char *group, void (*test)(void **state), void (*last)(void **state)) {
    static struct CMUnitTest tests[CASE_COUNT + 1];
    static char names[CASE_COUNT][128];
    for (int i = 0; i < CASE_COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%s: %s", op_info(CASES[i].op)->name, CASES[i].name);
        tests[i] = (struct CMUnitTest){
            .name = names[i], .test_func = test, .initial_state = (void *)&CASES[i]};
    }
    tests[CASE_COUNT] = (struct CMUnitTest){.name = "all rows", .test_func = last};
    return _cmocka_run_group_tests(group, tests, CASE_COUNT + 1, NULL, NULL);
}
