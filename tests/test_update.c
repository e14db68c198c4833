/* The update op against adamw.npz: twenty steps of AdamW over a slab of four tensors. */
#include "tests/support.h"
#include "tests/oprun.h"

#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 20, TENSORS = 4, NEVER = 3, ZERO_TENSOR = 1, ZERO_ENTRY = 2, PAD = 16, SLAB = 256 };

/* Shapes a [4,3,3,3], b [7], c [5,6], d [3], each at a multiple of 16.  d never has a gradient. */
static const char *const NAME[TENSORS] = {"a", "b", "c", "d"};
static const size_t SIZE[TENSORS] = {108, 7, 30, 3};

static size_t offset_of(int tensor) {
    size_t offset = 0;
    for (int i = 0; i < tensor; i++) offset += (SIZE[i] + PAD - 1) / PAD * PAD;
    return offset;
}

static double rule(const char *key, size_t i) { return (double)rng_signed(rng_stream(key, 1), i); }

static void fill_start(double *slab) {
    for (int t = 0; t < TENSORS; t++) {
        char key[64];
        snprintf(key, sizeof key, "adamw.%s", NAME[t]);
        for (size_t i = 0; i < SIZE[t]; i++) slab[offset_of(t) + i] = rule(key, i);
    }
}

static void fill_gradient(double *slab, int step) {
    for (int t = 0; t < NEVER; t++) {
        char key[64];
        snprintf(key, sizeof key, "adamw.grad.%s.%d", NAME[t], step);
        for (size_t i = 0; i < SIZE[t]; i++)
            slab[offset_of(t) + i] = rule(key, i) * pow(10, -(step % 4));
    }
    slab[offset_of(ZERO_TENSOR) + ZERO_ENTRY] = 0;
}

/* Relative to the largest entry: moments have no natural size. */
static void close_entries(const char *name, const double *got, const double *want, size_t n,
                          double tolerance) {
    double largest = 1e-12;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
    support_close64(name, got, want, n, tolerance * largest);
}

static double *array_of(const ArrayFile *f, const char *rate, const char *what) {
    char name[128];
    snprintf(name, sizeof name, "%s_%s", rate, what);
    return support_doubles(f, name);
}

static void check_values(const ArrayFile *f, const char *rate, const double *slab, int step,
                         double tolerance) {
    for (int t = 0; t < TENSORS; t++) {
        char label[64];
        double *want = array_of(f, rate, NAME[t]);
        snprintf(label, sizeof label, "%s, %s after step %d", NAME[t], rate, step);
        close_entries(label, slab + offset_of(t), want + SIZE[t] * (size_t)step, SIZE[t],
                      tolerance);
        free(want);
    }
}

static void check_moments(const ArrayFile *f, const char *rate, OpRun *r, double tolerance) {
    static const char *const moment[] = {"exp_avg", "exp_avg_sq"};
    for (int m = 0; m < 2; m++)
        for (int t = 0; t < NEVER; t++) {
            char name[64];
            snprintf(name, sizeof name, "%s_%s", NAME[t], moment[m]);
            double *want = array_of(f, rate, name);
            close_entries(name, oprun_read(r, 2 + m) + offset_of(t), want, SIZE[t], tolerance);
            free(want);
        }
}

static void follow(const Backend *b, const char *rate, double tolerance) {
    static const double zero[SLAB];
    const Shape slab = {1, 1, 1, SLAB};
    UpdateRange range[NEVER];
    for (int t = 0; t < NEVER; t++) range[t] = (UpdateRange){offset_of(t), SIZE[t]};
    UpdateAttr attr = {.kind = UPDATE_ADAMW, .ranges = NEVER, .range = range};
    ArrayFile f = support_arrays("fixtures_body/refine/adamw.npz");
    double *lr = array_of(&f, rate, "lr_used"), *decay = array_of(&f, rate, "wd_used");
    double values[SLAB] = {0};
    OpRun r = oprun_make(b, OP_update, &attr);
    fill_start(values);
    oprun_input(&r, 0, slab, values);
    oprun_input(&r, 2, slab, zero);
    oprun_input(&r, 3, slab, zero);
    for (int step = 0; step < STEPS; step++) {
        double gradient[SLAB] = {0};
        fill_gradient(gradient, step);
        oprun_input(&r, 1, slab, gradient);
        oprun_input(&r, 4, (Shape){1, 1, 1, 4}, (double[]){lr[step], decay[step], step + 1, 0});
        oprun_forward(&r, -1);
        check_values(&f, rate, oprun_read(&r, 0), step, tolerance);
    }
    check_moments(&f, rate, &r, tolerance);
    oprun_free(&r);
    free(lr), free(decay);
    array_file_free(&f);
}

static void adamw_in_double(void **state) {
    (void)state;
    follow(&backend_ref, "lr1e-5", 1e-12);
    follow(&backend_ref, "lr1e-2", 1e-12);
}

static void adamw_in_float(void **state) {
    (void)state;
    follow(&backend_cpu, "lr1e-5", 1e-6);
    follow(&backend_cpu, "lr1e-2", 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adamw_in_double),
        cmocka_unit_test(adamw_in_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
