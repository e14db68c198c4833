/* Every file of fixtures/checkpoints behaves as its expected.json says: sound ones load bit for
 * bit, hostile ones are refused with one line, quickly, in little memory, and run nothing. */
#include "tests/sha256.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char EXPECTED[] = "fixtures/checkpoints/expected.json";

static const char *field(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

/* torch's name of the number type -> ours, and the size in the file of types that are widened. */
static const struct {
    const char *name;
    Dtype dtype;
    size_t stored;
} TYPE[] = {
    {"float32", F32, 4}, {"float64", F64, 8}, {"float16", F16, 2}, {"bfloat16", BF16, 2},
    {"int64", I64, 8},   {"int32", I32, 4},   {"int16", I32, 2},   {"int8", I32, 1},
    {"uint8", U8, 1},    {"bool", U8, 1},
};

static void check_numbers(const char *what, const Array *a, const json_t *want) {
    size_t n = array_size(a), type = 0;
    while (strcmp(TYPE[type].name, field(want, "dtype"))) assert_true(++type < 10);
    assert_int_equal(a->dtype, TYPE[type].dtype);
    char hex[SHA256_TEXT];
    size_t stored = TYPE[type].stored, size = dtype_size(a->dtype);
    uint8_t *narrow = malloc(n * stored + 1); /* the low bytes of each element */
    float *floats = malloc(n * sizeof *floats + 1);
    assert_true(narrow && floats);
    for (size_t i = 0; i < n; i++)
        memcpy(narrow + i * stored, (const uint8_t *)a->data + i * size, stored);
    array_to_float(a, floats);
    sha256_text(narrow, n * stored, hex);
    if (strcmp(hex, field(want, "sha256_native"))) fail_msg("%s: %s: native", what, a->name);
    sha256_text(floats, n * sizeof *floats, hex);
    const char *f32 = a->dtype == F32 ? "sha256_native" : "sha256_f32";
    if (strcmp(hex, field(want, f32))) fail_msg("%s: %s: f32", what, a->name);
    free(narrow);
    free(floats);
}

/* Our name of a path of keys. */
static void join_path(const json_t *path, char *out, size_t size) {
    size_t i, used = 0;
    json_t *key;
    *out = 0;
    json_array_foreach(path, i, key) {
        const char *dot = i ? "." : "", *text = json_string_value(key);
        if (text && !strncmp(text, "module.", 7)) text += 7;
        used += (size_t)(text ? snprintf(out + used, size - used, "%s%s", dot, text)
                              : snprintf(out + used, size - used, "%s%lld", dot,
                                         (long long)json_integer_value(key)));
        assert_true(used < size);
    }
}

static void check_tensors(const ArrayFile *f, const json_t *entry) {
    const char *what = field(entry, "file");
    json_t *tensors = json_object_get(entry, "tensors"), *want, *dim;
    char name[1024];
    size_t i, k;
    assert_int_equal(f->count, json_array_size(tensors));
    json_array_foreach(tensors, i, want) {
        const Array *a = &f->array[i];
        json_t *shape = json_object_get(want, "shape");
        join_path(json_object_get(want, "path"), name, sizeof name);
        assert_string_equal(a->name, name);
        assert_int_equal(a->dims, json_array_size(shape));
        json_array_foreach(shape, k, dim) assert_int_equal(a->dim[k], json_integer_value(dim));
        check_numbers(what, a, want);
    }
    json_t *prefix = json_object_get(entry, "state_dict_path");
    join_path(prefix, name, sizeof name - 1);
    if (*name) strcat(name, ".");
    if (prefix) assert_string_equal(file_state_prefix(f), name);
}

static void check_reason(const char *what) {
    const char *reason = error_reason();
    if (strlen(reason) < 10 || !strstr(reason, what)) fail_msg("%s: reason '%s'", what, reason);
    for (const char *p = reason; *p; p++)
        if (*p == '\n' || (unsigned char)*p < 0x20) fail_msg("%s: reason has control bytes", what);
    assert_null(strstr(reason, "PAYLOAD_RAN"));
}

static void check_file(const json_t *entry) {
    const char *expect = field(entry, "expect");
    char relative[512];
    snprintf(relative, sizeof relative, "fixtures/checkpoints/%s", field(entry, "file"));
    ArrayFile f;
    Status status = file_load(support_fixture(relative), &f);
    if (status != OK) {
        if (strcmp(expect, "load") == 0) fail_msg("%s", error_reason());
        assert_int_equal(status, ERR_MODEL);
        assert_null(f.arena);
        check_reason(field(entry, "file"));
        return;
    }
    if (strcmp(expect, "refuse") == 0) fail_msg("%s was loaded", relative);
    check_tensors(&f, entry);
    array_file_free(&f);
}

/* What the file at path makes a process of its own print, take and need. */
typedef struct {
    char output[4096];
    long peak_kib;
    double seconds;
} Cost;

static Cost measure(const char *path) {
    Cost cost = {.output = ""};
    int ends[2], status;
    struct timespec from, to;
    struct rusage usage;
    fflush(NULL);
    assert_int_equal(pipe(ends), 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        ArrayFile f;
        dup2(ends[1], 1), dup2(ends[1], 2);
        if (file_load(path, &f) == OK) array_file_free(&f);
        _exit(0);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], cost.output, sizeof cost.output - 1);
    cost.output[got > 0 ? got : 0] = 0;
    close(ends[0]);
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_int_equal(status, 0);
    cost.peak_kib = usage.ru_maxrss;
    cost.seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    return cost;
}

static void as_expected(void **state) {
    (void)state;
    size_t i;
    json_t *expected = support_json(EXPECTED), *entry;
    json_array_foreach(json_object_get(expected, "files"), i, entry) check_file(entry);
    print_message("%zu files\n", i);
    assert_true(i > 0);
    json_decref(expected);
}

/* In a process of its own, so that a payload would be seen and memory is known. */
static void refused_cheaply(void **state) {
    (void)state;
    enum { EXTRA_KIB = 24 << 10 };
    size_t i, refused = 0;
    json_t *expected = support_json(EXPECTED), *entry;
    char relative[512];
    long base = measure("/nowhere").peak_kib, most = 0;
    double slowest = 0;
    json_array_foreach(json_object_get(expected, "files"), i, entry) {
        if (strcmp(field(entry, "expect"), "refuse")) continue;
        refused++;
        snprintf(relative, sizeof relative, "fixtures/checkpoints/%s", field(entry, "file"));
        Cost cost = measure(support_fixture(relative));
        assert_string_equal(cost.output, "");
        if (cost.peak_kib - base > most) most = cost.peak_kib - base;
        if (cost.seconds > slowest) slowest = cost.seconds;
        if (cost.seconds > 1) fail_msg("%s takes %g s", relative, cost.seconds);
        if (cost.peak_kib - base > EXTRA_KIB)
            fail_msg("%s takes %ld KiB", relative, cost.peak_kib - base);
    }
    print_message("%zu refused, at most %.3f s and %ld KiB\n", refused, slowest, most);
    assert_true(refused > 0);
    json_decref(expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_expected),
        cmocka_unit_test(refused_cheaply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
