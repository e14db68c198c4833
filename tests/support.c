#include "tests/support.h"

#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *support_root(void) {
    const char *root = getenv("CROWDREC_FIXTURES");
    return root && *root ? root : "../shared";
}

const char *support_fixture(const char *relative) {
    static char paths[16][4096];
    static int next;
    char *path = paths[next++ & 15];
    snprintf(path, sizeof paths[0], "%s/%s", support_root(), relative);
    if (access(path, R_OK) != 0) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    return path;
}

const Backend *support_backend(void) {
    const Backend *b = &backend_cpu;
    if (getenv("CROWDREC_DEVICE") &&
        backend_open(&(BackendChoice){.deterministic = true}, &b) != OK)
        fail_msg("%s", error_reason());
    return b;
}

double support_slack(void) {
    static const double slack[PRECISIONS] = {
        [PRECISION_TF32] = 400, [PRECISION_FP32] = 2, [PRECISION_BF16] = 2000};
    const Backend *b = support_backend();
    return b == &backend_cpu || b == &backend_ref ? 1 : slack[b->precision];
}

void support_heavy(void) {
    if (!getenv("CROWDREC_TEST_FAST")) return;
    print_message("skipped: takes long, and CROWDREC_TEST_FAST is set\n");
    skip();
}

ArrayFile support_arrays(const char *relative) {
    ArrayFile f;
    if (file_load(support_fixture(relative), &f) != OK) fail_msg("%s", error_reason());
    return f;
}

json_t *support_json(const char *relative) {
    json_error_t error;
    json_t *root = json_load_file(support_fixture(relative), 0, &error);
    if (!root) fail_msg("%s:%d: %s", relative, error.line, error.text);
    return root;
}

const Array *support_array(const ArrayFile *f, const char *name) {
    const Array *a = array_find(f, name);
    if (!a) fail_msg("no array '%s'", name);
    return a;
}

float *support_floats(const ArrayFile *f, const char *name) {
    const Array *a = support_array(f, name);
    float *values = malloc((array_size(a) + 1) * sizeof *values);
    assert_non_null(values);
    array_to_float(a, values);
    return values;
}

double *support_doubles(const ArrayFile *f, const char *name) {
    const Array *a = support_array(f, name);
    size_t n = array_size(a);
    double *values = malloc((n + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++) values[i] = array_get(a, i);
    return values;
}

void support_close64(const char *name, const double *got, const double *want, size_t n,
                     double tolerance) {
    size_t worst = 0;
    double largest = -1;
    for (size_t i = 0; i < n; i++) {
        double diff = fabs(got[i] - want[i]);
        if (diff <= largest) continue;
        largest = diff, worst = i;
        if (isnan(diff)) break;
    }
    if (n && !(largest <= tolerance))
        fail_msg("%s[%zu of %zu]: got %.9g, want %.9g, |difference| %.3g > %.3g", name, worst, n,
                 got[worst], want[worst], largest, tolerance);
}

void support_close(const char *name, const float *got, const float *want, size_t n,
                   double tolerance) {
    double *a = malloc((n + 1) * sizeof *a), *b = malloc((n + 1) * sizeof *b);
    assert_non_null(a);
    assert_non_null(b);
    for (size_t i = 0; i < n; i++) a[i] = got[i], b[i] = want[i];
    support_close64(name, a, b, n, tolerance);
    free(a);
    free(b);
}

void support_close_l2(const char *name, const float *got, const float *want, size_t n,
                      double tolerance) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)got[i] - want[i];
        difference += d * d;
        norm += (double)want[i] * want[i];
    }
    if (!(sqrt(difference) <= tolerance * sqrt(norm)))
        fail_msg("%s: |got - want| %.4g, |want| %.4g, ratio above %.3g", name, sqrt(difference),
                 sqrt(norm), tolerance);
}

static char folder[4096];

static void folder_remove(void) {
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", folder);
}

const char *support_folder(void) {
    if (*folder) return folder;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/crowdrec-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(folder));
    atexit(folder_remove);
    return folder;
}

void support_params(Params *params) {
    for (int i = 0; i < params_count(params); i++) {
        const Param *a = params_at(params, i);
        size_t size = shape_size(a->shape);
        double *v = malloc((size + 1) * sizeof *v);
        assert_non_null(v);
        bool norm = strstr(a->key, "running_var") || (a->dims == 1 && strstr(a->key, "weight"));
        uint64_t stream = rng_stream(a->key, 1);
        for (size_t k = 0; k < size; k++)
            v[k] = (norm ? 1 : 0) + 0.3 * (double)rng_signed(stream, k);
        params_set(params, i, v);
        free(v);
    }
}
