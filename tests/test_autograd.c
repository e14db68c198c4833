/* Graph, fuse, plan, params, schedule: planned against plain, gradients against finite differences
 * through a whole small net, memory that is shared only when it may be, schedules of the fixtures.
 */
#include "tests/support.h"

#include "autograd/build.h"
#include "autograd/place.h"
#include "autograd/plan.h"
#include "autograd/schedule.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A residual net with everything that fuse and the plan treat specially: conv + norm + relu, conv +
 * add + relu, a branch that is read twice, nearest upsampling, a shared weight. */
typedef struct {
    Graph *graph;
    Params *params;
    Tensor *x, *target, *hidden, *loss;
} Net;

static Tensor *block(const Scope *m, Tensor *x) {
    Tensor *y = conv(m, "conv1", x, .out = 6, .k = 3, .norm = "bn1", .act = ACT_RELU);
    y = conv(m, "conv2", y, .out = 6, .k = 3, .norm = "bn2");
    return named(m, relu(m, add(m, y, x)));
}

static Net net_new(const Backend *backend, bool train) {
    Net n = {.graph = graph_new(), .params = params_new(backend)};
    Scope m = {.graph = n.graph, .params = n.params, .train = train};
    n.x = graph_input(n.graph, "x", F32, (Shape){2, 8, 6, 3});
    n.target = graph_input(n.graph, "target", F32, (Shape){2, 1, 1, 4});
    Tensor *y =
        conv(&m, "stem", n.x, .out = 6, .k = 3, .norm = "bn", .bias = true, .act = ACT_SILU);
    Scope first = scope(&m, "layer%d", 1), second = scope(&m, "layer%d", 2);
    y = block(&first, y);
    Tensor *low = conv(&m, "down", y, .out = 6, .k = 3, .stride = 2, .norm = "bn_down");
    y = add(&m, upsample(&m, low, 2), block(&second, y));
    n.hidden = y = silu(&m, y);
    Tensor *v = mean(&m, y, AXES_HW);
    for (int i = 0; i < 2; i++) v = add(&m, linear(&m, "shared", v, 6, ACT_NONE), v);
    v = linear(&m, "head", v, 4, ACT_NONE);
    n.loss = mean(&m, loss(&m, MSE, v, n.target, NULL), AXES_ALL);
    assert_int_equal(params_alloc(n.params), OK);
    return n;
}

static void net_free(Net *n) {
    params_free(n->params);
    graph_free(n->graph);
}

static double value(const char *key, uint64_t i) { return rng_signed(rng_stream(key, 1), i); }

static void write_inputs(Plan *plan, const Net *n) {
    double x[2 * 8 * 6 * 3], target[8];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = value("x", i);
    for (size_t i = 0; i < 8; i++) target[i] = value("target", i);
    plan_write(plan, n->x, F64, x);
    plan_write(plan, n->target, F64, target);
}

static Plan *plan_of(const Net *n, PlanOptions o) {
    Plan *plan;
    o.loss = n->loss;
    if (plan_new(n->graph, params_backend(n->params), &o, &plan) != OK)
        fail_msg("%s", error_reason());
    write_inputs(plan, n);
    return plan;
}

static double loss_of(Plan *plan, const Net *n) {
    double l;
    plan_run(plan);
    plan_read(plan, n->loss, F64, &l);
    return l;
}

static void check_parameter(Plan *forward, const Net *n, int i) {
    const Param *a = params_at(n->params, i);
    size_t size = shape_size(a->shape);
    double *g = malloc(size * sizeof *g), *v = malloc(size * sizeof *v);
    params_get_gradient(n->params, i, g);
    params_get(n->params, i, v);
    for (size_t k = 0; k < size; k += 1 + size / 5) {
        double old = v[k], h = 1e-5, l[2];
        for (int side = 0; side < 2; side++) {
            v[k] = old + (side ? -h : h);
            params_set(n->params, i, v);
            l[side] = loss_of(forward, n);
        }
        v[k] = old;
        params_set(n->params, i, v);
        double numeric = (l[0] - l[1]) / (2 * h), scale = fabs(numeric) + 1e-3;
        if (!(fabs(numeric - g[k]) <= 1e-6 * scale))
            fail_msg("%s[%zu]: backward %.9g, finite difference %.9g", a->key, k, g[k], numeric);
    }
    free(g);
    free(v);
}

static void gradients_match_finite_differences(void **state) {
    (void)state;
    for (int train = 0; train < 2; train++) {
        Net n = net_new(&backend_ref, train);
        support_params(n.params);
        Plan *both = plan_of(&n, (PlanOptions){0});
        Plan *forward = plan_of(&n, (PlanOptions){.fix_params = true});
        loss_of(both, &n);
        for (int i = 0; i < params_count(n.params); i++)
            if (params_at(n.params, i)->kind == PARAM_WEIGHT) check_parameter(forward, &n, i);
        plan_free(forward);
        plan_free(both);
        net_free(&n);
    }
}

typedef struct {
    double loss, norm;
    double hidden[2 * 8 * 6 * 6];
} Result;

static Result result_of(const Backend *backend, PlanOptions o, int runs) {
    Net n = net_new(backend, false);
    support_params(n.params);
    Tensor *keep[] = {n.hidden};
    o.keep = keep, o.keeps = 1;
    Plan *plan = plan_of(&n, o);
    Result r = {0};
    while (runs--) r.loss = loss_of(plan, &n);
    plan_read(plan, n.hidden, F64, r.hidden);
    for (int i = 0; i < params_count(n.params); i++) {
        if (params_at(n.params, i)->kind != PARAM_WEIGHT) continue;
        size_t size = shape_size(params_at(n.params, i)->shape);
        double *g = malloc(size * sizeof *g);
        params_get_gradient(n.params, i, g);
        for (size_t k = 0; k < size; k++) r.norm += g[k] * g[k];
        free(g);
    }
    plan_free(plan);
    net_free(&n);
    return r;
}

static void planned_equals_plain(void **state) {
    (void)state;
    Result plain = result_of(&backend_ref, (PlanOptions){.plain = true}, 1);
    Result planned = result_of(&backend_ref, (PlanOptions){0}, 1);
    Result again = result_of(&backend_ref, (PlanOptions){0}, 3);
    assert_memory_equal(&planned, &again, sizeof planned);
    support_close64("hidden", planned.hidden, plain.hidden, sizeof plain.hidden / 8, 1e-14);
    support_near("loss", planned.loss, plain.loss, 1e-14);
    support_near("gradient norm", planned.norm, plain.norm, 1e-12 * plain.norm);
}

static void cpu_equals_ref(void **state) {
    (void)state;
    Result ref = result_of(&backend_ref, (PlanOptions){0}, 1);
    Result cpu = result_of(&backend_cpu, (PlanOptions){0}, 2);
    support_close64("hidden", cpu.hidden, ref.hidden, sizeof ref.hidden / 8, 1e-5);
    support_near("loss", cpu.loss, ref.loss, 1e-5 * ref.loss);
    support_near("gradient norm", cpu.norm, ref.norm, 1e-4 * ref.norm);
}

static void added_gradients_double(void **state) {
    (void)state;
    Result once = result_of(&backend_ref, (PlanOptions){0}, 1);
    Result twice = result_of(&backend_ref, (PlanOptions){.add_gradients = true}, 2);
    double want = 4 * once.norm;
    support_near("norm of twice the gradient", twice.norm, want, 1e-12 * want);
}

static void plan_shares_memory(void **state) {
    (void)state;
    Net n = net_new(&backend_ref, false);
    PlanOptions forward = {.loss = n.loss, .fix_params = true};
    PlanOptions both = {.loss = n.loss}, plain = {.loss = n.loss, .plain = true};
    size_t a = plan_estimate(n.graph, &backend_ref, &forward);
    size_t b = plan_estimate(n.graph, &backend_ref, &both);
    size_t c = plan_estimate(n.graph, &backend_ref, &plain);
    assert_true(a < b);
    assert_true(2 * b < c);
    Plan *plan = NULL;
    both.max_bytes = b - 1;
    assert_int_equal(plan_new(n.graph, &backend_ref, &both, &plan), ERR_MEMORY);
    assert_non_null(strstr(error_reason(), "MiB"));
    net_free(&n);
}

static void blocks_never_overlap(void **state) {
    (void)state;
    enum { COUNT = 400 };
    Block block[COUNT];
    uint64_t stream = rng_stream("blocks", 7);
    size_t sum = 0;
    for (int i = 0; i < COUNT; i++) {
        int first = (int)(1000 * rng_uniform(stream, 3 * (uint64_t)i));
        int life = (int)(60 * rng_uniform(stream, 3 * (uint64_t)i + 1));
        size_t bytes = 1 + (size_t)(9999 * rng_uniform(stream, 3 * (uint64_t)i + 2));
        block[i] = (Block){bytes, first, first + life, 0};
        sum += bytes;
    }
    size_t total = place_blocks(block, COUNT);
    assert_true(total < sum / 4);
    for (int i = 0; i < COUNT; i++) {
        assert_true(block[i].offset % 64 == 0 && block[i].offset + block[i].bytes <= total);
        for (int k = 0; k < i; k++) {
            bool together = block[i].first <= block[k].last && block[k].first <= block[i].last;
            bool apart = block[i].offset + block[i].bytes <= block[k].offset ||
                         block[k].offset + block[k].bytes <= block[i].offset;
            if (together && !apart) fail_msg("blocks %d and %d overlap", k, i);
        }
    }
}

static void frozen_parameters_stay(void **state) {
    (void)state;
    Net n = net_new(&backend_cpu, false);
    support_params(n.params);
    assert_int_equal(params_snapshot(n.params), OK);
    assert_true(params_freeze(n.params, "layer1.", true) > 0);
    Plan *plan = plan_of(&n, (PlanOptions){.update = &(UpdateAttr){.kind = UPDATE_ADAMW}});
    plan_hyper(plan, 1e-2, 0.01, 1);
    double before = loss_of(plan, &n), after = loss_of(plan, &n);
    assert_true(after < before);
    for (int i = 0; i < params_count(n.params); i++) {
        const Param *a = params_at(n.params, i);
        double v[512],
            start =
                (a->dims == 1 && strstr(a->key, "weight")) || strstr(a->key, "running_var") ? 1 : 0;
        params_get(n.params, i, v);
        bool same = (float)v[0] == (float)(start + 0.3 * value(a->key, 0));
        bool stays = a->kind == PARAM_BUFFER || !strncmp(a->key, "layer1.", 7);
        if (same != stays) fail_msg("%s %s", a->key, same ? "did not learn" : "changed");
    }
    params_reset(n.params);
    double restored = loss_of(plan, &n);
    assert_true(restored == before);
    plan_free(plan);
    net_free(&n);
}

/* Three steps whose losses are read together, against three that are looked at one by one. */
static void a_schedule_runs_without_a_look(void **state) {
    (void)state;
    enum { RUNS = 3 };
    static const UpdateAttr adamw = {.kind = UPDATE_ADAMW};
    static const PlanHyper hyper[RUNS] = {{1e-2, 0.01, 1}, {3e-3, 0.02, 2}, {1e-3, 0, 3}};
    double loss[2][RUNS][2], weight[2][512];
    for (int together = 0; together < 2; together++) {
        Net n = net_new(&backend_cpu, false);
        support_params(n.params);
        Tensor *record[] = {n.loss, n.loss};
        PlanOptions o = {.update = &adamw, .record = record, .records = 2, .rows = RUNS + 1};
        Plan *plan = plan_of(&n, o);
        if (together) {
            plan_schedule(plan, hyper, RUNS);
            for (int i = 0; i < RUNS; i++) plan_run(plan);
            plan_history(plan, RUNS, loss[1][0]);
        }
        for (int i = 0; i < RUNS && !together; i++) {
            plan_hyper(plan, hyper[i].learning_rate, hyper[i].weight_decay, hyper[i].step);
            loss[0][i][0] = loss[0][i][1] = loss_of(plan, &n);
        }
        params_get(n.params, params_find(n.params, "layer1.conv1.weight"), weight[together]);
        plan_free(plan);
        net_free(&n);
    }
    assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
    assert_true(loss[0][0][0] != loss[0][1][0] && loss[0][1][0] != loss[0][2][0]);
    assert_true(weight[0][0] == weight[1][0]);
}

static void parameters_round_trip(void **state) {
    (void)state;
    Net n = net_new(&backend_cpu, false), other = net_new(&backend_ref, false);
    support_params(n.params);
    ArrayFile file = params_arrays(n.params);
    assert_int_equal(params_load(other.params, &file, ""), OK);
    for (int i = 0; i < params_count(n.params); i++) {
        double a[512], b[512];
        params_get(n.params, i, a);
        params_get(other.params, i, b);
        support_close64(params_at(n.params, i)->key, b, a,
                        shape_size(params_at(n.params, i)->shape), 0);
    }
    Params *declared = params_new(&backend_cpu); /* and never given any memory */
    for (int i = 0; i < params_count(n.params); i++) {
        const Param *a = params_at(n.params, i);
        params_declare(declared, a->key, a->kind, a->dims, a->dim);
    }
    assert_int_equal(params_check(declared, &file, ""), OK);
    file.array[3].name = "elsewhere";
    assert_int_equal(params_check(declared, &file, ""), ERR_MODEL);
    params_free(declared);
    double before[512], after[512];
    params_get(other.params, 0, before);
    ((float *)file.array[0].data)[0] += 1;
    assert_int_equal(params_load(other.params, &file, ""), ERR_MODEL);
    assert_non_null(strstr(error_reason(), "1 of"));
    params_get(other.params, 0, after);
    assert_true(before[0] == after[0]);
    array_file_free(&file);
    file = params_arrays(n.params);
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) { /* in the last one: what comes before stays as well */
        const Array *last = &file.array[file.count - 1];
        ((float *)last->data)[array_size(last) - 1] = bad[i];
        ((float *)file.array[0].data)[0] += 1;
        assert_int_equal(params_load(other.params, &file, ""), ERR_MODEL);
        assert_non_null(strstr(error_reason(), last->name));
        assert_non_null(strstr(error_reason(), "not finite"));
        params_get(other.params, 0, after);
        assert_true(before[0] == after[0]);
    }
    array_file_free(&file);
    net_free(&other);
    net_free(&n);
}

static void schedule_row(const json_t *row, const Schedule *s, int from) {
    const json_t *rate = json_object_get(row, "lr_used"), *decay = json_object_get(row, "wd_used");
    assert_true(json_array_size(rate) > 20);
    for (size_t t = 0; t < json_array_size(rate); t++) {
        ScheduleValue v = schedule_at(s, from + (int)t);
        support_near("rate", v.rate, support_number_at(rate, t), 1e-12 * s->rate);
        support_near("decay", v.decay, support_number_at(decay, t), 1e-12 * s->decay);
    }
}

static void schedules_match_reference(void **state) {
    (void)state;
    json_t *root = support_json("fixtures_body/refine/schedule.json");
    Schedule s = {SCHEDULE_RESTARTS, support_number(root, "initial_lr"),
                  support_number(root, "min_lr"), support_number(root, "initial_weight_decay"),
                  (int)support_number(root, "restart_period")};
    schedule_row(json_object_get(root, "code"), &s, 0);
    const json_t *second = json_object_get(root, "second_group");
    s.decay = schedule_at(&s, (int)support_number(second, "first_group_iterations")).decay;
    double left = support_number(second, "wd_left");
    support_near("decay left by the first group", s.decay, left, 1e-15);
    s.period = (int)support_number(second, "restart_period");
    schedule_row(second, &s, 0);
    const json_t *paper = json_object_get(root, "paper_cosine");
    Schedule cosine = {SCHEDULE_COSINE, s.rate, 0, support_number(paper, "weight_decay"),
                       (int)support_number(paper, "T_max")};
    const json_t *rate = support_get(paper, "lr");
    for (size_t t = 0; t < json_array_size(rate); t++) {
        ScheduleValue v = schedule_at(&cosine, (int)t);
        support_near("cosine", v.rate, support_number_at(rate, t), 1e-12 * s.rate);
        assert_true(v.decay == cosine.decay);
    }
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_finite_differences),
        cmocka_unit_test(planned_equals_plain),
        cmocka_unit_test(cpu_equals_ref),
        cmocka_unit_test(added_gradients_double),
        cmocka_unit_test(plan_shares_memory),
        cmocka_unit_test(blocks_never_overlap),
        cmocka_unit_test(frozen_parameters_stay),
        cmocka_unit_test(a_schedule_runs_without_a_look),
        cmocka_unit_test(parameters_round_trip),
        cmocka_unit_test(schedules_match_reference),
    };
    return cmocka_run_group_tests_name("autograd", tests, NULL, NULL);
}
