#include "tests/support.h"

#include "crowdrec/jsonfile.h"
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

/* "folder/name", kept until the program ends. */
static const char *joined(const char *folder, const char *name) {
    typedef struct Kept {
        struct Kept *before;
        char path[];
    } Kept;
    static Kept *last;
    size_t size = strlen(folder) + strlen(name) + 2;
    Kept *kept = malloc(sizeof *kept + size);
    assert_non_null(kept);
    kept->before = last;
    last = kept;
    snprintf(kept->path, size, "%s/%s", folder, name);
    return kept->path;
}

const char *support_fixture(const char *relative) {
    const char *path = joined(support_root(), relative);
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

json_t *support_json(const char *relative) { return support_read_json(support_fixture(relative)); }

json_t *support_read_json(const char *path) {
    json_t *root;
    if (jsonfile_read(path, &root) != OK) fail_msg("%s", error_reason());
    return root;
}

json_t *support_get(const json_t *object, const char *key) {
    json_t *value = json_object_get(object, key);
    if (!value) fail_msg("no entry '%s'", key);
    return value;
}

double support_number(const json_t *object, const char *key) {
    const json_t *value = support_get(object, key);
    if (!json_is_number(value)) fail_msg("'%s' is no number", key);
    return json_number_value(value);
}

double support_number_at(const json_t *array, size_t i) {
    const json_t *value = json_array_get(array, i);
    if (!json_is_number(value))
        fail_msg("entry %zu of %zu is no number", i, json_array_size(array));
    return json_number_value(value);
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

void support_near(const char *name, double got, double want, double tolerance) {
    support_close64(name, &got, &want, 1, tolerance);
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

const char *support_in_folder(const char *name) { return joined(support_folder(), name); }

const char *support_write(const char *name, const void *data, size_t size) {
    const char *path = support_in_folder(name);
    if (file_write(path, data, size) != OK) fail_msg("%s", error_reason());
    return path;
}

const char *support_write_text(const char *name, const char *text) {
    return support_write(name, text, strlen(text));
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
