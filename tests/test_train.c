/* Networks in training: gradients of all parameters and running statistics against the reference,
 * for HRNet's heatmap loss, YOLOX's losses and CLIFF's pre-training loss, and CLIFF's dropout.
 */
#include "crowdrec/detloss.h"
#include "crowdrec/trainpose.h"

#include "tests/netrun.h"

#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of one parameter's gradient and of all together, relative, as the fixtures state them. */
static const double GRADIENT_TOLERANCE = 0.03, TOTAL_TOLERANCE = 0.01;

/* Of the parameter in the middle, in CLIFF's pre-training. */
static const double MEDIAN_TOLERANCE = 0.002;

static double *gradient_of(const NetRun *run, const char *key, size_t *n) {
    int i = params_find(run->params, key);
    if (i < 0) fail_msg("no parameter %s", key);
    *n = shape_size(params_at(run->params, i)->shape);
    double *values = malloc(*n * sizeof *values);
    assert_non_null(values);
    params_get_gradient(run->params, i, values);
    return values;
}

static double l2_of(const double *values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += values[i] * values[i];
    return sqrt(sum);
}

typedef struct {
    double worst;
    char where[96];
    int count, small; /* small: within MEDIAN_TOLERANCE */
} Worst;

static void note(Worst *w, const char *key, double error) {
    w->count++;
    w->small += error <= MEDIAN_TOLERANCE;
    if (error <= w->worst) return;
    w->worst = error;
    snprintf(w->where, sizeof w->where, "%s", key);
}

/* The norm of a parameter's gradient against the reference's. */
static void check_norm(const NetRun *run, const char *key, double want, Worst *worst,
                       double *squares) {
    size_t n;
    double *gradient = gradient_of(run, key, &n), got = l2_of(gradient, n);
    free(gradient);
    *squares += got * got;
    double error = want == 0 ? got : fabs(got - want) / want;
    if (!(error <= GRADIENT_TOLERANCE)) fail_msg("gradient of %s: norm %g, not %g", key, got, want);
    note(worst, key, error);
}

/* A whole gradient under that name in the file. */
static void check_gradient(const NetRun *run, const char *key, const ArrayFile *file,
                           const char *name, Worst *worst) {
    size_t n;
    double *got = gradient_of(run, key, &n), *want = support_doubles(file, name),
           norm = l2_of(want, n);
    assert_int_equal(n, array_size(support_array(file, name)));
    for (size_t i = 0; i < n; i++) got[i] -= want[i];
    double error = l2_of(got, n) / norm;
    if (!(error <= GRADIENT_TOLERANCE)) fail_msg("gradient of %s is off by %g", key, error);
    note(worst, key, error);
    free(got);
    free(want);
}

/* Running statistics: 1e-3 relative + 1e-5. */
static double statistic_error(double got, double want) {
    return fabs(got - want) / (1e-3 * fabs(want) + 1e-5);
}

static double *values_of(const NetRun *run, const char *key, size_t *n) {
    int i = params_find(run->params, key);
    if (i < 0) fail_msg("no parameter %s", key);
    *n = shape_size(params_at(run->params, i)->shape);
    double *values = malloc((*n + 2) * sizeof *values);
    assert_non_null(values);
    params_get(run->params, i, values);
    return values;
}

static void check_statistics(const NetRun *run, const char *key, const double *want, size_t count,
                             Worst *worst) {
    size_t n;
    double *got = values_of(run, key, &n);
    assert_true(count <= n);
    for (size_t i = 0; i < count; i++) {
        double error = statistic_error(got[i], want[i]);
        if (!(error <= 1)) fail_msg("%s[%zu] is %g, not %g", key, i, got[i], want[i]);
        note(worst, key, error);
    }
    free(got);
}

/* "bn1.running_mean" of "bn.bn1.running_mean": arrays of the file that are buffers here. */
static int check_buffers(const NetRun *run, const ArrayFile *file, const char *prefix,
                         Worst *worst) {
    int checked = 0;
    for (int i = 0; i < file->count; i++) {
        const char *name = file->array[i].name, *key = name + strlen(prefix);
        if (strncmp(name, prefix, strlen(prefix)) || params_find(run->params, key) < 0) continue;
        double *want = support_doubles(file, name);
        check_statistics(run, key, want, array_size(&file->array[i]), worst);
        free(want);
        checked++;
    }
    return checked;
}

static double read_loss(const NetRun *run, const Tensor *loss) {
    float value;
    plan_read(run->plan, loss, F32, &value);
    return value;
}

/* ---- HRNet's heatmaps ---- */

typedef struct {
    Tensor *target, *weight, *loss;
} PoseLoss;

static PoseLoss pose_loss(const NetRun *run) {
    const Scope *m = &run->scope;
    Shape s = run->y.raw->shape;
    PoseLoss p = {.target = graph_input(m->graph, "target", F32, s),
                  .weight = graph_input(m->graph, "weight", F32, (Shape){s.n, 1, 1, s.c})};
    p.loss = trainpose_loss(m, run->y.raw, p.target, p.weight, NULL);
    return p;
}

static void check_reference_gradients(const NetRun *run, const json_t *norms,
                                      const ArrayFile *file) {
    Worst norm = {0}, whole = {0};
    double squares = 0, reference = 0;
    const char *key;
    json_t *row;
    assert_true(json_object_size(norms) > 0);
    json_object_foreach((json_t *)norms, key, row) {
        double want = json_number_value(json_array_get(row, 1));
        reference += want * want;
        check_norm(run, key, want, &norm, &squares);
    }
    double total = fabs(sqrt(squares / reference) - 1);
    if (!(total <= TOTAL_TOLERANCE)) fail_msg("norm of all gradients is off by %g", total);
    int checked = 0;
    for (int i = 0; i < file->count; i++) {
        static const char prefix[] = "grad64.";
        const char *name = file->array[i].name;
        if (strncmp(name, prefix, sizeof prefix - 1)) continue;
        check_gradient(run, name + sizeof prefix - 1, file, name, &whole);
        checked++;
    }
    assert_true(checked > 0);
    print_message("gradients: all %.2g, worst norm %.2g (%s), worst difference %.2g (%s)\n", total,
                  norm.worst, norm.where, whole.worst, whole.where);
}

static void test_pose(void **state) {
    (void)state;
    json_t *json = support_json("fixtures/train/hrnet_pose_w32_train_seed1.json");
    ArrayFile file = support_arrays("fixtures/train/hrnet_pose_w32_train_seed1.npz");
    Rule rule = {.seed = (uint64_t)json_integer_value(json_object_get(json, "seed")),
                 .gain = json_number_value(json_object_get(json, "conv_gain"))};
    const json_t *input = json_object_get(json, "input");
    NetRun run = netrun_new(json_string_value(json_object_get(json, "net")), &rule,
                            netrun_shape(json_object_get(input, "shape")), NETRUN_TRAIN);
    PoseLoss p = pose_loss(&run);
    netrun_plan(&run, &(PlanOptions){.loss = p.loss});
    float *target = support_floats(&file, "target"),
          *weight = support_floats(&file, "target_weight");
    netrun_write(&run, p.target, target);
    netrun_write(&run, p.weight, weight);
    netrun_write_rule(&run, run.x, "input", rule.seed);
    plan_run(run.plan);
    double want = json_number_value(json_object_get(json, "loss_fp64")),
           got = read_loss(&run, p.loss);
    if (!(fabs(got - want) <= 1e-4 * want)) fail_msg("loss %.9g, not %.9g", got, want);
    check_reference_gradients(&run, json_object_get(json_object_get(json, "grad_l2"), "values"),
                              &file);
    Worst statistics = {0};
    assert_true(check_buffers(&run, &file, "bn.", &statistics) >= 2);
    print_message("loss off by %.2g, statistics by %.2g of the tolerance (%s)\n",
                  fabs(got / want - 1), statistics.worst, statistics.where);
    free(target);
    free(weight);
    netrun_free(&run);
    array_file_free(&file);
    json_decref(json);
}

/* ---- YOLOX's losses ---- */

/* The reference's gradients belong to the assignment of YOLOX itself with the L1 term. */
static void test_detector(void **state) {
    (void)state;
    json_t *json = support_json("fixtures/train/yolox_nano_train_seed1.json");
    ArrayFile file = support_arrays("fixtures/train/yolox_nano_train_seed1.npz");
    Rule rule = {.seed = (uint64_t)json_integer_value(json_object_get(json, "seed")),
                 .gain = json_number_value(json_object_get(json, "conv_gain"))};
    const json_t *input = json_object_get(json, "input");
    NetRun run = netrun_new(json_string_value(json_object_get(json, "net")), &rule,
                            netrun_shape(json_object_get(input, "shape")), NETRUN_TRAIN);
    int boxes = (int)support_array(&file, "labels")->dim[1];
    DetLoss l = detloss_build(&run.scope, &run.y, run.x->shape, boxes, ASSIGN_MEGVII);
    netrun_plan(&run, &(PlanOptions){.loss = l.total});
    float *labels = support_floats(&file, "labels");
    plan_write(run.plan, l.labels, F32, labels);
    plan_write(run.plan, l.l1_weight, F32, (const float[]){1, 1});
    netrun_write_rule(&run, run.x, "input", rule.seed);
    plan_run(run.plan);
    check_reference_gradients(&run, json_object_get(json_object_get(json, "grad_l2"), "values"),
                              &file);
    Worst statistics = {0};
    assert_true(check_buffers(&run, &file, "bn.", &statistics) >= 2);
    print_message("statistics off by %.2g of the tolerance (%s)\n", statistics.worst,
                  statistics.where);
    free(labels);
    netrun_free(&run);
    array_file_free(&file);
    json_decref(json);
}

/* ---- CLIFF's pre-training ---- */

static const char PRETRAIN[] = "fixtures_body/pretrain/pretrain";

typedef struct {
    json_t *json;
    ArrayFile file, forward;
    NetRun run;
} Pretrain;

static Pretrain pretrain_new(NetRunMode mode) {
    char path[64];
    snprintf(path, sizeof path, "%s.json", PRETRAIN);
    Pretrain p = {.json = support_json(path)};
    snprintf(path, sizeof path, "%s.npz", PRETRAIN);
    p.file = support_arrays(path);
    p.forward = support_arrays("fixtures_body/cliff/cliff_hr48_forward.npz");
    Rule rule = {.seed = (uint64_t)json_integer_value(json_object_get(p.json, "seed")),
                 .gain = json_number_value(json_object_get(p.json, "conv_gain")),
                 .mean = support_fixture("fixtures_body/cliff/cliff_hr48_forward.npz")};
    p.run = netrun_new("cliff_hr48", &rule, (Shape){2, 256, 192, 3}, mode);
    return p;
}

static void pretrain_free(Pretrain *p) {
    netrun_free(&p->run);
    array_file_free(&p->file);
    array_file_free(&p->forward);
    json_decref(p->json);
}

static void pretrain_run(Pretrain *p, const PlanOptions *options) {
    netrun_plan(&p->run, options);
    float *bbox_info = support_floats(&p->forward, "bbox_info");
    plan_write(p->run.plan, p->run.bbox_info, F32, bbox_info);
    free(bbox_info);
    netrun_write_rule(&p->run, p->run.x, "input",
                      (uint64_t)json_integer_value(json_object_get(p->json, "seed")));
}

/* Feature and parameters under MODE_feature, MODE_pose6d and so on. */
static void check_outputs(const Pretrain *p, const char *mode, double tolerance) {
    const NetOutput *y = &p->run.y;
    const struct {
        const char *name;
        const Tensor *t;
    } rows[] = {
        {"feature", y->feature}, {"pose6d", y->pose6d}, {"shape", y->betas}, {"cam", y->cam}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s_%s", mode, rows[i].name);
        float *want = support_floats(&p->file, name);
        size_t n = shape_size(rows[i].t->shape);
        float *got = malloc(n * sizeof *got);
        assert_non_null(got);
        assert_int_equal(n, array_size(support_array(&p->file, name)));
        plan_read(p->run.plan, rows[i].t, F32, got);
        double worst = netrun_compare(name, got, want, n, 1, tolerance);
        print_message("%s: off by %.2g\n", name, worst);
        free(got);
        free(want);
    }
}

/* Sum of an output times the reference's gradient of the loss for it: the parameters get the same
 * gradients as from the loss, without a body. */
static Tensor *weighted(const Pretrain *p, Tensor *output, const char *name) {
    const Scope *m = &p->run.scope;
    float *gradient = support_floats(&p->file, name);
    assert_int_equal(shape_size(output->shape), array_size(support_array(&p->file, name)));
    Tensor *constant = graph_constant(m->graph, name, F32, output->shape, gradient);
    free(gradient);
    return sum(m, mul(m, output, constant), AXES_ALL);
}

static bool has_no_gradient(const json_t *json, const char *mode, const char *key) {
    char name[96];
    snprintf(name, sizeof name, "f32_vs_f64_%s", mode);
    const json_t *list =
        json_object_get(json_object_get(json, name), "parameters_with_zero_gradient");
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) if (!strcmp(json_string_value(entry), key)) return true;
    return false;
}

static void check_pretrain_gradients(const Pretrain *p, const char *mode) {
    const json_t *norms = json_object_get(json_object_get(p->json, "param_grads"), mode);
    Worst norm = {0}, whole = {0};
    double squares = 0;
    const char *key;
    json_t *row;
    assert_true(json_object_size(norms) > 0);
    json_object_foreach((json_t *)norms, key, row) if (!has_no_gradient(p->json, mode, key))
        check_norm(&p->run, key, json_number_value(json_array_get(row, 0)), &norm, &squares);
    if (2 * norm.small < norm.count)
        fail_msg("only %d of %d gradients are within %g", norm.small, norm.count, MEDIAN_TOLERANCE);
    char prefix[96];
    int length = snprintf(prefix, sizeof prefix, "%s_grad.", mode), checked = 0;
    for (int i = 0; i < p->file.count; i++) {
        const char *name = p->file.array[i].name;
        if (strncmp(name, prefix, (size_t)length)) continue;
        check_gradient(&p->run, name + length, &p->file, name, &whole);
        checked++;
    }
    assert_true(checked > 0);
    print_message(
        "gradients: worst norm %.2g (%s), %d of %d within %g, worst difference %.2g (%s)\n",
        norm.worst, norm.where, norm.small, norm.count, MEDIAN_TOLERANCE, whole.worst, whole.where);
}

/* [L2 norm, entry 0, entry 1] of every running statistic. */
static void check_pretrain_statistics(const Pretrain *p) {
    Worst worst = {0};
    const char *key;
    json_t *row;
    const json_t *all = json_object_get(p->json, "running_stats_after_one_step");
    assert_true(json_object_size(all) > 0);
    json_object_foreach((json_t *)all, key, row) {
        size_t n;
        double *got = values_of(&p->run, key, &n), want[3], norm = l2_of(got, n);
        for (size_t i = 0; i < 3; i++) want[i] = json_number_value(json_array_get(row, i));
        if (!(fabs(norm - want[0]) <= 1e-3 * want[0]))
            fail_msg("%s: norm %g, not %g", key, norm, want[0]);
        free(got);
        check_statistics(&p->run, key, want + 1, 2, &worst);
    }
    check_buffers(&p->run, &p->file, "running.", &worst);
    print_message("statistics: worst %.2g of the tolerance (%s)\n", worst.worst, worst.where);
}

static void test_pretrain(void **state) {
    (void)state;
    static const char mode[] = "bn_train_no_dropout";
    Pretrain p = pretrain_new(NETRUN_TRAIN);
    const Scope *m = &p.run.scope;
    NetOutput *y = &p.run.y;
    Tensor *total = add(m, weighted(&p, y->pose6d, "headgrad_A_total_pose6d"),
                        weighted(&p, y->betas, "headgrad_A_total_shape"));
    total = add(m, total, weighted(&p, y->cam, "headgrad_A_total_cam"));
    Tensor *keep[] = {y->feature, y->pose6d, y->betas, y->cam};
    pretrain_run(&p, &(PlanOptions){.loss = total, .keep = keep, .keeps = 4});
    plan_run(p.run.plan);
    check_outputs(&p, mode, 1e-3);
    check_pretrain_gradients(&p, mode);
    check_pretrain_statistics(&p);
    pretrain_free(&p);
}

static void test_dropout(void **state) {
    (void)state;
    Pretrain p = pretrain_new(NETRUN_DROPOUT);
    NetOutput *y = &p.run.y;
    Tensor *keep[] = {y->feature, y->pose6d, y->betas, y->cam};
    pretrain_run(&p, &(PlanOptions){.keep = keep, .keeps = 4});
    plan_write(p.run.plan, y->seed, F32, (const float[]){1, 0});
    plan_run(p.run.plan);
    check_outputs(&p, "bn_train_dropout", 1e-3);
    pretrain_free(&p);
}

/* An error at the top of a target counts 1 + emphasis times as much as one far from it. */
static void test_emphasis(void **state) {
    (void)state;
    static const float heat[] = {0.5f, 0.5f, 0.25f, 0}, target[] = {1, 0, 0.5f, 0}, weight = 2,
                       emphasis = 30;
    const double want = 0.5 / 4 * 4 * (0.25 * 31 + 0.25 + 0.0625 * 16);
    Graph *g = graph_new();
    Scope m = {.graph = g, .train = true};
    Shape s = {1, 2, 2, 1};
    Tensor *in[] = {graph_input(g, "heat", F32, s), graph_input(g, "target", F32, s),
                    graph_input(g, "weight", F32, (Shape){1, 1, 1, 1}),
                    graph_input(g, "emphasis", F32, (Shape){1, 1, 1, 1})};
    Tensor *l = trainpose_loss(&m, in[0], in[1], in[2], in[3]);
    Plan *plan;
    assert_int_equal(plan_new(g, &backend_cpu, &(PlanOptions){.keep = &l, .keeps = 1}, &plan), OK);
    plan_write(plan, in[0], F32, heat);
    plan_write(plan, in[1], F32, target);
    plan_write(plan, in[2], F32, &weight);
    plan_write(plan, in[3], F32, &emphasis);
    plan_run(plan);
    double got;
    plan_read(plan, l, F64, &got);
    assert_true(fabs(got - want) <= 1e-6 * want);
    plan_free(plan);
    graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pose),     cmocka_unit_test(test_emphasis),
        cmocka_unit_test(test_detector), cmocka_unit_test(test_pretrain),
        cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
