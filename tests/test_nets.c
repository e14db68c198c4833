/* Networks on rule-made parameters against the reference's outputs and taps, their parameters
 * against the manifests, and the variant that is read off a file's names and shapes.
 */
#include "tests/netrun.h"

#include "nets/backbone.h"
#include "tensor/file.h"
#include "tests/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls visit with the path of each JSON file of a folder below the fixtures' root, in order;
 * skips the test when there is none. */
static void each_json(const char *folder, void (*visit)(const char *relative)) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", support_root(), folder);
    struct dirent **entry = NULL;
    int n = scandir(path, &entry, NULL, alphasort), visited = 0;
    for (int i = 0; i < n; i++) {
        const char *dot = strrchr(entry[i]->d_name, '.');
        if (dot && !strcmp(dot, ".json")) {
            snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
            visit(path);
            visited++;
        }
        free(entry[i]);
    }
    free(entry);
    if (visited) return;
    print_message("skipped: no JSON files in %s\n", folder);
    skip();
}

static const char *text_at(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    if (!text) fail_msg("no text '%s'", key);
    return text;
}

/* ---- forward ---- */

static const double FORWARD_TOLERANCE = 3e-5; /* of the array's largest entry */

/* The tensor that an array of a forward file holds. */
static Tensor *expected_tensor(const NetRun *run, const char *name) {
    if (!strcmp(name, "raw") || !strcmp(name, "output")) return run->y.raw;
    if (!strcmp(name, "decoded")) return run->y.decoded;
    Tensor *t = strncmp(name, "tap.", 4) ? NULL : net_tap(run->graph, name + 4);
    if (!t) fail_msg("no tensor %s", name);
    return t;
}

/* YOLOX rows are [n,a,1,k] here and [n,a,k] there: no channels to move. */
static float *read_expected(const NetRun *run, const Tensor *t) {
    if (t != run->y.decoded && (t != run->y.raw || !run->y.decoded)) return netrun_read(run, t);
    float *rows = malloc(shape_size(t->shape) * sizeof *rows);
    assert_non_null(rows);
    plan_read(run->plan, t, F32, rows);
    return rows;
}

static double l2_of(const float *values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)values[i] * values[i];
    return sqrt(sum);
}

/* Error over tolerance. */
static double check_array(const NetRun *run, const char *name, const json_t *entry,
                          const ArrayFile *file) {
    const Tensor *t = expected_tensor(run, name);
    const Array *stored = support_array(file, name);
    bool sample = !strcmp(text_at(entry, "stored"), "sample");
    size_t stride = sample ? (size_t)support_number(entry, "stride") : 1;
    size_t size = shape_size(t->shape), n = array_size(stored), whole = 1, i;
    json_t *dim;
    json_array_foreach(support_get(entry, "shape"), i, dim) whole *=
        (size_t)json_integer_value(dim);
    assert_int_equal(size, whole);
    assert_int_equal(n, (size + stride - 1) / stride);
    float *got = read_expected(run, t), *want = support_floats(file, name);
    double tolerance = FORWARD_TOLERANCE * support_number(entry, "absmax"),
           l2 = support_number(entry, "l2");
    double worst = netrun_compare(name, got, want, n, stride, tolerance);
    double difference = fabs(l2_of(got, size) - l2);
    if (!(difference <= FORWARD_TOLERANCE * support_slack() * l2))
        fail_msg("%s: l2 is off by %g", name, difference);
    free(got);
    free(want);
    return worst / tolerance;
}

static void check_arrays(NetRun *run, const json_t *arrays, const char *path) {
    ArrayFile file = support_arrays(path);
    double worst = 0;
    const char *name, *where = "";
    json_t *entry;
    json_object_foreach((json_t *)arrays, name, entry) {
        double error = check_array(run, name, entry, &file);
        if (error > worst) worst = error, where = name;
    }
    print_message("%s: worst error %.3f of the tolerance, %s\n", path, worst, where);
    array_file_free(&file);
}

static void forward_file(const char *path) {
    json_t *json = support_json(path), *input = json_object_get(json, "input");
    const json_t *arrays = json_object_get(json, "arrays");
    Rule rule = {.seed = (uint64_t)support_number(json, "seed"),
                 .gain = support_number(json, "conv_gain")};
    NetRun run = netrun_new(text_at(json, "net"), &rule,
                            netrun_shape(json_object_get(input, "shape")), NETRUN_EVAL);
    Tensor *keep[64];
    int keeps = 0;
    const char *name;
    json_t *entry;
    assert_in_range(json_object_size(arrays), 1, sizeof keep / sizeof *keep);
    json_object_foreach((json_t *)arrays, name, entry) keep[keeps++] = expected_tensor(&run, name);
    netrun_plan(&run, &(PlanOptions){.keep = keep, .keeps = keeps});
    netrun_write_rule(&run, run.x, text_at(input, "key"), rule.seed);
    plan_run(run.plan);
    char arrays_path[4096];
    snprintf(arrays_path, sizeof arrays_path, "%.*s.npz", (int)(strlen(path) - 5), path);
    check_arrays(&run, arrays, arrays_path);
    netrun_free(&run);
    json_decref(json);
}

static void test_forward(void **state) {
    (void)state;
    each_json("fixtures/forward", forward_file);
}

/* ---- manifests ---- */

typedef struct {
    const char *key;
    const json_t *shape;
    bool weight;
} ManifestRow;

/* Two forms: {"key", "shape", "param"} and [key, shape, dtype, kind]. */
static ManifestRow manifest_row(const json_t *row) {
    if (json_is_object(row))
        return (ManifestRow){text_at(row, "key"), json_object_get(row, "shape"),
                             json_is_true(json_object_get(row, "param"))};
    const char *kind = json_string_value(json_array_get(row, 3));
    assert_non_null(kind);
    bool buffer = strstr(kind, "running") || strstr(kind, "mean_params");
    return (ManifestRow){json_string_value(json_array_get(row, 0)), json_array_get(row, 1),
                         !buffer};
}

/* Counters of batches and the left-overs of a body model mean nothing to the network. */
static bool is_left_over(const char *key) {
    const char *dot = strrchr(key, '.');
    return (dot && !strcmp(dot, ".num_batches_tracked")) || !strncmp(key, "smpl.", 5);
}

static void check_row(const Params *params, const ManifestRow *row) {
    int i = params_find(params, row->key);
    if (i < 0) fail_msg("%s is not declared", row->key);
    const Param *a = params_at(params, i);
    if ((a->kind == PARAM_WEIGHT) != row->weight) fail_msg("%s: weight or buffer", row->key);
    if ((size_t)a->dims != json_array_size(row->shape))
        fail_msg("%s has %d sizes", row->key, a->dims);
    for (int d = 0; d < a->dims; d++) {
        json_int_t want = json_integer_value(json_array_get(row->shape, (size_t)d));
        if (a->dim[d] != want)
            fail_msg("%s: size %d is %d, not %d", row->key, d, a->dim[d], (int)want);
    }
}

static void manifest_file(const char *path) {
    json_t *json = support_json(path), *rows = json_object_get(json, "state_dict"), *row;
    if (!rows) rows = json_object_get(json, "entries");
    NetSpec spec;
    assert_int_equal(net_spec(text_at(json, "name"), &spec), OK);
    Params *params = params_new(backend_find("cpu"));
    net_declare(&spec, params);
    size_t i;
    int expected = 0;
    json_array_foreach(rows, i, row) {
        ManifestRow r = manifest_row(row);
        if (is_left_over(r.key)) continue;
        expected++;
        check_row(params, &r);
    }
    assert_int_equal(params_count(params), expected);
    assert_true(expected > 0);
    params_free(params);
    json_decref(json);
}

static void test_manifests(void **state) {
    (void)state;
    each_json("fixtures/manifests", manifest_file);
    each_json("fixtures_body/manifests", manifest_file);
}

/* ---- the parameter rule ---- */

/* Element i of a parameter that the rule fills. */
static double filled(const char *key, const json_t *shape, const Rule *rule, size_t i) {
    int dims = (int)json_array_size(shape), dim[4] = {0};
    assert_in_range(dims, 1, 4);
    for (int d = 0; d < dims; d++)
        dim[d] = (int)json_integer_value(json_array_get(shape, (size_t)d));
    Params *params = params_new(backend_find("cpu"));
    params_declare(params, key, PARAM_WEIGHT, dims, dim);
    assert_int_equal(params_alloc(params), OK);
    NetSpec spec = {.kind = NET_YOLOX};
    assert_int_equal(rule_fill(rule, &spec, params), OK);
    size_t n = shape_size(params_at(params, 0)->shape);
    double *values = malloc(n * sizeof *values);
    assert_non_null(values);
    assert_true(i < n);
    params_get(params, 0, values);
    double value = values[i];
    free(values);
    params_free(params);
    return value;
}

static double input_number(const char *key, uint64_t seed, size_t i) {
    float *v = malloc((i + 1) * sizeof *v);
    assert_non_null(v);
    rule_numbers(key, seed, i + 1, v);
    double value = v[i];
    free(v);
    return value;
}

/* Exact in float.  Vectors without sizes are counters of batches, not parameters. */
static void check_vector(const json_t *vector) {
    const char *key = text_at(vector, "key");
    const json_t *shape = json_object_get(vector, "shape");
    if (!json_array_size(shape)) return;
    Rule rule = {.seed = (uint64_t)support_number(vector, "seed"),
                 .gain = json_number_value(json_object_get(vector, "conv_gain"))};
    size_t i = (size_t)support_number(vector, "index");
    double want = support_number(vector, "value_f32");
    double got = strchr(key, '.') ? filled(key, shape, &rule, i) : input_number(key, rule.seed, i);
    if (got != want) fail_msg("%s: %.9g, not %.9g", key, got, want);
}

static void test_rule(void **state) {
    (void)state;
    json_t *json = support_json("fixtures/rule_vectors.json"), *vector;
    size_t i;
    json_array_foreach(support_get(json, "vectors"), i, vector) check_vector(vector);
    assert_true(i > 0);
    json_decref(json);
}

static void test_rule_text(void **state) {
    (void)state;
    NetSpec spec;
    Rule rule;
    assert_true(rule_is("rule:yolox_s:1"));
    assert_false(rule_is("rules.pth"));
    assert_int_equal(rule_parse("rule:cliff_hr48:7", &spec, &rule), OK);
    assert_int_equal(rule.seed, 7);
    assert_true(rule.gain == 0.5 && !rule.mean && spec.kind == NET_CLIFF);
    assert_int_equal(rule_parse("rule:cliff_res50:1::a:b.npz", &spec, &rule), OK);
    assert_true(rule.gain == 0.7);
    assert_string_equal(rule.mean, "a:b.npz");
    assert_int_equal(rule_parse("rule:yolox_s:1:2", &spec, &rule), OK);
    assert_true(rule.gain == 2);
    static const char *const bad[] = {"rule:",
                                      "rule:yolox_s",
                                      "rule:yolox_s:",
                                      "rule:yolox_s:x",
                                      "rule:yolox_s:-1",
                                      "rule:no_net:1",
                                      "rule:yolox_s:1:0",
                                      "rule:yolox_s:1:nan",
                                      "rule:yolox_s:1:2x",
                                      "rule:yolox_s:99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(rule_parse(bad[i], &spec, &rule), ERR_USAGE);
}

/* ---- identification ---- */

/* Names and shapes of a network's state dict, without numbers. */
typedef struct {
    Params *params;
    ArrayFile file;
} Names;

static Names names_new(const char *net) {
    NetSpec spec;
    assert_int_equal(net_spec(net, &spec), OK);
    Names names = {.params = params_new(backend_find("cpu"))};
    net_declare(&spec, names.params);
    ArrayFile *f = &names.file;
    *f =
        (ArrayFile){.arena = arena_new(), .kind = "torch zip", .count = params_count(names.params)};
    f->array = arena_alloc(f->arena, ((size_t)f->count + 1) * sizeof *f->array);
    for (int i = 0; i < f->count; i++) {
        const Param *a = params_at(names.params, i);
        f->array[i] = (Array){.name = a->key, .dtype = F32, .dims = a->dims};
        for (int d = 0; d < a->dims; d++) f->array[i].dim[d] = a->dim[d];
    }
    return names;
}

static void names_free(Names *names) {
    array_file_free(&names->file);
    params_free(names->params);
}

static Array *names_find(Names *names, const char *key) {
    for (int i = 0; i < names->file.count; i++)
        if (!strcmp(names->file.array[i].name, key)) return &names->file.array[i];
    fail_msg("no %s", key);
    return NULL;
}

static void expect_identified(Names *names, const char *net) {
    NetSpec want, got;
    assert_int_equal(net_spec(net, &want), OK);
    if (net_identify(&names->file, &got) != OK) fail_msg("%s: %s", net, error_reason());
    assert_string_equal(got.name, net);
    assert_int_equal(got.kind, want.kind);
    assert_int_equal(got.classes, want.classes);
    assert_int_equal(got.joints, want.joints);
    assert_int_equal(got.height, want.height);
}

static void test_identify_all(void **state) {
    (void)state;
    char list[1024], *rest = list, *net;
    snprintf(list, sizeof list, "%s", net_names());
    int count = 0;
    while ((net = strsep(&rest, ","))) {
        net += strspn(net, " ");
        Names names = names_new(net);
        bool trained = !strcmp(net, "crowdrec_trained");
        if (trained)
            names.file.array[names.file.count++] =
                (Array){.name = "smpl.pose", .dtype = F32, .dims = 1, .dim = {72}};
        expect_identified(&names, net);
        names_free(&names);
        count++;
    }
    assert_true(count >= 15);
}

static void test_identify_counts(void **state) {
    (void)state;
    NetSpec got;
    Names yolox = names_new("yolox_x");
    Array *classes = names_find(&yolox, "head.cls_preds.0.weight");
    classes->dim[0] = 8;
    assert_int_equal(net_identify(&yolox.file, &got), OK);
    assert_string_equal(got.name, "yolox_x");
    assert_int_equal(got.classes, 8);
    names_free(&yolox);
    Names pose = names_new("hrnet_pose_w48");
    names_find(&pose, "final_layer.weight")->dim[0] = 133;
    assert_int_equal(net_identify(&pose.file, &got), OK);
    assert_int_equal(got.joints, 133);
    names_free(&pose);
}

/* What net_identify must refuse: `key` of `net` with another first size or number of sizes. */
static const struct {
    const char *net, *key;
    int64_t size;
    int dims;
} hostile[] = {
    {"yolox_nano", "head.cls_preds.0.weight", INT64_MAX, 4},
    {"yolox_nano", "head.cls_preds.0.weight", 1000000000, 4},
    {"yolox_nano", "head.cls_preds.0.weight", 0, 4},
    {"yolox_nano", "head.cls_preds.0.weight", -1, 4},
    {"yolox_nano", "head.cls_preds.0.weight", 80, 0},
    {"yolox_nano", "backbone.backbone.stem.conv.conv.weight", 17, 4},
    {"yolox_nano", "backbone.backbone.stem.conv.conv.weight", (int64_t)1 << 32 | 16, 4},
    {"yolox_s", "backbone.backbone.stem.conv.conv.weight", 16, 4},
    {"hrnet_pose_w32", "transition1.0.0.weight", 33, 4},
    {"hrnet_pose_w32", "final_layer.weight", 1 << 30, 4},
    {"fastpose_res50_halpe26", "conv_out.weight", 1 << 30, 4},
    {"fastpose_res50_halpe26", "conv_out.weight", 26, 8},
    {"cliff_hr48", "encoder.transition1.0.0.weight", 32, 4},
};

static void test_identify_hostile(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        Names names = names_new(hostile[i].net);
        Array *a = names_find(&names, hostile[i].key);
        a->dim[0] = hostile[i].size, a->dims = hostile[i].dims;
        NetSpec got;
        if (net_identify(&names.file, &got) != ERR_MODEL)
            fail_msg("row %zu of %s was taken for %s", i, hostile[i].net, got.name);
        assert_null(strchr(error_reason(), '\n'));
        names_free(&names);
    }
    NetSpec got;
    ArrayFile empty = {0};
    assert_int_equal(net_identify(&empty, &got), ERR_MODEL);
    Array lonely = {.name = "decpose.weight", .dtype = F32, .dims = 2, .dim = {144, 1024}};
    ArrayFile one = {.array = &lonely, .count = 1};
    assert_int_equal(net_identify(&one, &got), ERR_MODEL);
}

static void test_check_input(void **state) {
    (void)state;
    NetSpec spec;
    assert_int_equal(net_spec("hrnet_pose_w32", &spec), OK);
    assert_int_equal(net_check_input(&spec, (Shape){2, 256, 192, 3}), OK);
    static const Shape bad[] = {{0, 256, 192, 3},   {1, 250, 192, 3}, {1, 256, 200, 3},
                                {1, 0, 192, 3},     {1, 256, 192, 1}, {1, -32, 192, 3},
                                {1, 1 << 30, 32, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(net_check_input(&spec, bad[i]), ERR_INPUT);
}

/* ---- opening ---- */

static void test_open_weights(void **state) {
    (void)state;
    json_t *list = support_json("fixtures/weights/weights.json"), *row;
    size_t i;
    json_array_foreach(list, i, row) {
        char path[256];
        snprintf(path, sizeof path, "fixtures/weights/%s", text_at(row, "file"));
        NetSpec spec;
        Params *params;
        if (net_open(support_fixture(path), backend_find("cpu"), &spec, &params) != OK)
            fail_msg("%s", error_reason());
        assert_string_equal(spec.name, "yolox_nano");
        assert_int_equal(spec.classes, (int)support_number(row, "num_classes"));
        params_free(params);
    }
    assert_true(i > 0);
    json_decref(list);
}

/* A written checkpoint comes back; with one array missing it is refused. */
static void test_open_file(void **state) {
    (void)state;
    NetSpec spec;
    Params *params, *again;
    assert_int_equal(net_open("rule:yolox_nano:3", backend_find("cpu"), &spec, &params), OK);
    ArrayFile file = params_arrays(params);
    const char *path = support_in_folder("nano.safetensors");
    assert_int_equal(file_write_safetensors(path, &file), OK);
    assert_int_equal(net_open(path, backend_find("cpu"), &spec, &again), OK);
    int last = params_count(params) - 1;
    double want[4], got[4];
    assert_in_range(shape_size(params_at(params, last)->shape), 1, 128);
    int small = params_find(params, "head.reg_preds.0.bias");
    params_get(params, small, want);
    params_get(again, small, got);
    assert_memory_equal(got, want, sizeof got);
    params_free(again);
    ((float *)file.array[last].data)[0] = NAN;
    assert_int_equal(file_write_safetensors(path, &file), OK);
    assert_int_equal(net_open(path, backend_find("cpu"), &spec, &again), ERR_MODEL);
    assert_non_null(strstr(error_reason(), "nano.safetensors"));
    assert_non_null(strstr(error_reason(), "not finite"));
    file.count--;
    assert_int_equal(file_write_safetensors(path, &file), OK);
    assert_int_equal(net_open(path, backend_find("cpu"), &spec, &again), ERR_MODEL);
    assert_non_null(strstr(error_reason(), "nano.safetensors"));
    array_file_free(&file);
    params_free(params);
    assert_int_equal(net_open("/nonexistent/file.pth", backend_find("cpu"), &spec, &again),
                     ERR_MODEL);
    assert_int_equal(
        net_open("rule:cliff_res50:1::/nonexistent.npz", backend_find("cpu"), &spec, &again),
        ERR_MODEL);
}

/* ---- a backbone ---- */

static Params *fresh_params(const char *net, NetSpec *spec) {
    assert_int_equal(net_spec(net, spec), OK);
    Params *p = params_new(backend_find("cpu"));
    net_declare(spec, p);
    assert_int_equal(params_alloc(p), OK);
    return p;
}

/* A mesh network takes a pose network's stem and stages, keeps its own head and the last sums that
 * a pose network does not have; a detector has nothing to give. */
static void test_backbone(void **state) {
    (void)state;
    static const char *const same[] = {"conv1.weight", "bn2.running_var",
                                       "stage4.0.branches.3.1.conv2.weight"};
    static const char *const own[] = {"encoder.stage4.0.fuse_layers.3.0.0.0.weight", "fc1.weight",
                                      "encoder.incre_modules.0.0.conv1.weight"};
    NetSpec spec;
    Params *pose, *mesh = fresh_params("cliff_hr16_small", &spec);
    int taken;
    assert_int_equal(backbone_load("rule:hrnet_pose_w16_small:3", mesh, &taken), OK);
    assert_int_equal(net_open("rule:hrnet_pose_w16_small:3", backend_find("cpu"), &spec, &pose),
                     OK);
    assert_int_equal(taken, params_count(pose) - 2); /* but for final_layer's weight and bias */
    static double got[1 << 20], want[1 << 20];
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char full[128];
        snprintf(full, sizeof full, "encoder.%s", same[i]);
        int source = params_find(pose, same[i]);
        size_t n = shape_size(params_at(pose, source)->shape);
        params_get(pose, source, want);
        params_get(mesh, params_find(mesh, full), got);
        assert_true(want[0] != 0);
        assert_memory_equal(got, want, n * sizeof *got);
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        params_get(mesh, params_find(mesh, own[i]), got);
        assert_true(got[0] == 0);
    }
    assert_int_equal(backbone_load("rule:yolox_nano:1", mesh, &taken), ERR_MODEL);
    params_free(pose);
    params_free(mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_rule_text),
        cmocka_unit_test(test_identify_all),
        cmocka_unit_test(test_identify_counts),
        cmocka_unit_test(test_identify_hostile),
        cmocka_unit_test(test_check_input),
        cmocka_unit_test(test_open_weights),
        cmocka_unit_test(test_open_file),
        cmocka_unit_test(test_backbone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
