/* CLIFF on rule-made parameters against the reference: taps of the encoder, feature, the three
 * corrections and the rotations, for two inputs.  Every pair cliff_NET_taps*.json and
 * cliff_NET_forward*.npz of the fixtures is tested.
 */
#include "tests/netrun.h"

#include "tests/support.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEAT = 16, MAX_KEEP = 128 };

/* An array of the npz, the tensor that it holds, and how far they may differ. */
typedef struct {
    const char *array, *tensor;
    double tolerance;
} Row;

/* feature and taps 1e-4, pose6d, shape, cam 1e-5 are the fixtures' tolerances. */
static const Row rows[] = {
    {"feature", "feature", 1e-4},
    {"fc1_out_iter0", "fc1_out_iter0", 1e-4},
    {"fc2_out_iter0", "fc2_out_iter0", 1e-4},
    {"iter0_pose6d", "iter0_pose6d", 1e-5},
    {"iter0_shape", "iter0_shape", 1e-5},
    {"iter0_cam", "iter0_cam", 1e-5},
    {"fc1_out_iter1", "fc1_out_iter1", 1e-4},
    {"fc2_out_iter1", "fc2_out_iter1", 1e-4},
    {"iter1_pose6d", "iter1_pose6d", 1e-5},
    {"iter1_shape", "iter1_shape", 1e-5},
    {"iter1_cam", "iter1_cam", 1e-5},
    {"fc1_out_iter2", "fc1_out_iter2", 1e-4},
    {"fc2_out_iter2", "fc2_out_iter2", 1e-4},
    {"iter2_pose6d", "iter2_pose6d", 1e-5},
    {"iter2_shape", "iter2_shape", 1e-5},
    {"iter2_cam", "iter2_cam", 1e-5},
    {"rotmat", "rotmat", 1e-5},
};

/* The same for the second input. */
static const Row rows_b[] = {
    {"feature_b", "feature", 1e-4},         {"iter2_pose6d_b", "iter2_pose6d", 1e-5},
    {"iter2_shape_b", "iter2_shape", 1e-5}, {"iter2_cam_b", "iter2_cam", 1e-5},
    {"shape_b", "iter2_shape", 1e-5},       {"cam_b", "iter2_cam", 1e-5},
    {"rotmat_b", "rotmat", 1e-5},
};

typedef struct {
    NetRun run;
    ArrayFile arrays;
    json_t *taps;
    uint64_t seed;
    double worst; /* error over tolerance */
    char where[64];
} Case;

static void note(Case *c, const char *name, double error) {
    if (error <= c->worst) return;
    c->worst = error;
    snprintf(c->where, sizeof c->where, "%s", name);
}

static Tensor *tensor_of(const Case *c, const char *name) {
    Tensor *t = net_tap(c->run.graph, name);
    if (!t) fail_msg("no tensor %s", name);
    return t;
}

/* "cliff_hr48" from ".../cliff_hr48_taps.json". */
static void net_name(const char *path, char *out, size_t size) {
    const char *file = strrchr(path, '/') + 1, *end = strstr(file, "_taps");
    snprintf(out, size, "%.*s", (int)(end - file), file);
}

/* The file of arrays beside a file of taps. */
static ArrayFile forward_arrays(const char *path) {
    const char *file = strrchr(path, '/') + 1, *taps = strstr(file, "taps");
    char relative[512];
    snprintf(relative, sizeof relative, "fixtures_body/cliff/%.*sforward%.*s.npz",
             (int)(taps - file), file, (int)(strlen(taps) - strlen("taps.json")),
             taps + strlen("taps"));
    return support_arrays(relative);
}

/* [n,3,h,w] stands in a sentence about the input. */
static Shape input_shape(const json_t *json) {
    const char *text = json_string_value(json_object_get(json, "input"));
    assert_non_null(text);
    const char *list = strstr(text, "shape [");
    Shape s;
    assert_non_null(list);
    assert_int_equal(sscanf(list, "shape [%d,%d,%d,%d]", &s.n, &s.c, &s.h, &s.w), 4);
    return s;
}

static Case case_new(const char *path) {
    json_t *json = support_read_json(path);
    Case c = {.arrays = forward_arrays(path),
              .seed = (uint64_t)json_integer_value(json_object_get(json, "seed"))};
    Rule rule = {.seed = c.seed,
                 .gain = support_number(json, "conv_gain"),
                 .mean = support_fixture("fixtures_body/cliff/cliff_hr48_forward.npz")};
    char net[64];
    net_name(path, net, sizeof net);
    c.run = netrun_new(net, &rule, input_shape(json), NETRUN_EVAL);
    graph_name(c.run.graph, rot6d(&c.run.scope, c.run.y.pose6d), "rotmat");
    c.taps = json_incref(json_object_get(json, "taps"));
    json_decref(json);
    return c;
}

static void case_free(Case *c) {
    netrun_free(&c->run);
    array_file_free(&c->arrays);
    json_decref(c->taps);
}

static void case_plan(Case *c) {
    Tensor *keep[MAX_KEEP];
    int keeps = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        keep[keeps++] = tensor_of(c, rows[i].tensor);
    const char *name;
    json_t *tap;
    assert_in_range(json_object_size(c->taps), 1, MAX_KEEP - keeps);
    json_object_foreach(c->taps, name, tap) keep[keeps++] = tensor_of(c, name);
    netrun_plan(&c->run, &(PlanOptions){.keep = keep, .keeps = keeps});
    float *bbox_info = support_floats(&c->arrays, "bbox_info");
    plan_write(c->run.plan, c->run.bbox_info, F32, bbox_info);
    free(bbox_info);
}

/* Rows of other files are absent. */
static int check_rows(Case *c, const Row *row, size_t count) {
    int checked = 0;
    for (size_t i = 0; i < count; i++) {
        if (!array_find(&c->arrays, row[i].array)) continue;
        const Tensor *t = tensor_of(c, row[i].tensor);
        size_t n = shape_size(t->shape);
        float *want = support_floats(&c->arrays, row[i].array), *got = malloc(n * sizeof *got);
        assert_non_null(got);
        assert_int_equal(n, array_size(support_array(&c->arrays, row[i].array)));
        plan_read(c->run.plan, t, F32, got);
        double error = netrun_compare(row[i].array, got, want, n, 1, row[i].tolerance);
        note(c, row[i].array, error / row[i].tolerance);
        free(got);
        free(want);
        checked++;
    }
    return checked;
}

static void check_tap(Case *c, const char *name, const json_t *tap) {
    const Tensor *t = tensor_of(c, name);
    const json_t *sample = json_object_get(tap, "sample"), *shape = json_object_get(tap, "shape");
    size_t n = json_array_size(sample), i, size = 1;
    size_t stride = (size_t)json_integer_value(json_object_get(tap, "stride"));
    json_t *value;
    json_array_foreach(shape, i, value) size *= (size_t)json_integer_value(value);
    assert_int_equal(size, shape_size(t->shape));
    assert_in_range(n, 1, (size + stride - 1) / stride);
    float *want = malloc(n * sizeof *want), *got = netrun_read(&c->run, t);
    assert_non_null(want);
    json_array_foreach(sample, i, value) want[i] = (float)json_number_value(value);
    note(c, name, netrun_compare(name, got, want, n, stride, 1e-4) / 1e-4);
    double sum = 0, l2 = support_number(tap, "l2");
    for (i = 0; i < size; i++) sum += (double)got[i] * got[i];
    if (!(fabs(sqrt(sum) - l2) <= 1e-5 * support_slack() * l2))
        fail_msg("%s: l2 is %.9g, not %.9g", name, sqrt(sum), l2);
    free(want);
    free(got);
}

/* 2 * rule("input_b", [n,3,h/16,w/16]), every number repeated 16 x 16 times. */
static void write_input_b(Case *c) {
    Shape s = c->run.x->shape;
    int rows_small = s.h / REPEAT, columns = s.w / REPEAT;
    size_t small = (size_t)(s.n * s.c * rows_small * columns);
    float *v = malloc(small * sizeof *v), *image = malloc(shape_size(s) * sizeof *image),
          *to = image;
    assert_true(v && image);
    rule_numbers("input_b", c->seed, small, v);
    for (int plane = 0; plane < s.n * s.c; plane++)
        for (int y = 0; y < s.h; y++)
            for (int x = 0; x < s.w; x++)
                *to++ = 2 * v[(plane * rows_small + y / REPEAT) * columns + x / REPEAT];
    netrun_write(&c->run, c->run.x, image);
    free(v);
    free(image);
}

static void test_file(const char *path) {
    Case c = case_new(path);
    case_plan(&c);
    netrun_write_rule(&c.run, c.run.x, "input", c.seed);
    plan_run(c.run.plan);
    const char *name;
    json_t *tap;
    json_object_foreach(c.taps, name, tap) check_tap(&c, name, tap);
    assert_true(check_rows(&c, rows, sizeof rows / sizeof *rows) >= 10);
    if (array_find(&c.arrays, "feature_b")) {
        write_input_b(&c);
        plan_run(c.run.plan);
        assert_true(check_rows(&c, rows_b, sizeof rows_b / sizeof *rows_b) >= 4);
    }
    print_message("%s: worst error %.3f of the tolerance, %s\n", path, c.worst, c.where);
    case_free(&c);
}

static void test_forward(void **state) {
    (void)state;
    char pattern[4096];
    snprintf(pattern, sizeof pattern, "%s/fixtures_body/cliff/cliff_*_taps*.json", support_root());
    glob_t found = {0};
    if (glob(pattern, 0, NULL, &found) != 0) {
        print_message("skipped: no %s\n", pattern);
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) test_file(found.gl_pathv[i]);
    globfree(&found);
}

/* Without a file of mean parameters: identity rotations, the root turned by pi about x. */
static void test_default_mean(void **state) {
    (void)state;
    NetSpec spec;
    Params *params;
    assert_int_equal(net_open("rule:cliff_res50:1", backend_find("cpu"), &spec, &params), OK);
    double pose[144], cam[3];
    params_get(params, params_find(params, "init_pose"), pose);
    params_get(params, params_find(params, "init_cam"), cam);
    static const double root[6] = {1, 0, 0, -1, 0, 0}, other[6] = {1, 0, 0, 1, 0, 0};
    for (int joint = 0; joint < 24; joint++)
        assert_memory_equal(pose + 6 * joint, joint ? other : root, sizeof root);
    assert_true(cam[0] == (double)0.9f && cam[1] == 0 && cam[2] == 0);
    params_free(params);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_default_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
