/* Order: steps that need not wait for each other give the same bits whichever runs first, in
 * networks with branches, with memory and workspaces that several of them take in turn. */
#include "tests/recorder.h"
#include "tests/support.h"

#include "autograd/build.h"
#include "autograd/plan.h"
#include "nets/net.h"
#include "tensor/rng.h"

#include <stdlib.h>
#include <string.h>

enum { RUNS = 6, NUMBERS = 4096 };

typedef struct {
    double loss[RUNS], output[NUMBERS], weight[NUMBERS];
} Result;

static void read_params(const Params *p, Result *r) {
    int last = params_count(p) - 1;
    size_t n = shape_size(params_at(p, last)->shape);
    double *values = malloc((n + 1) * sizeof *values);
    assert_non_null(values);
    params_get(p, last, values);
    memcpy(r->weight, values, (n < NUMBERS ? n : NUMBERS) * sizeof *values);
    free(values);
}

/* Steps of training; runs from the third on are replayed. */
static Result train(const char *net, Shape input, const Backend *b, bool batchnorm) {
    static const UpdateAttr adamw = {.kind = UPDATE_ADAMW};
    Result r = {{0}, {0}, {0}};
    NetSpec spec;
    Params *params;
    Plan *plan;
    if (net_open(net, b, &spec, &params) != OK) fail_msg("%s", error_reason());
    Graph *g = graph_new();
    Scope m = {.graph = g, .params = params, .train = batchnorm};
    Tensor *x = graph_input(g, "input", F32, input);
    NetOutput y = net_build(&spec, &m, x, NULL);
    Tensor *out = y.feature ? y.feature : y.raw, *loss = mean(&m, square(&m, out), AXES_ALL);
    PlanOptions o = {.loss = loss, .update = &adamw, .keep = &out, .keeps = 1};
    if (plan_new(g, b, &o, &plan) != OK) fail_msg("%s", error_reason());
    double *pixels = malloc(shape_size(input) * sizeof *pixels);
    double *output = malloc(shape_size(out->shape) * sizeof *output);
    assert_true(pixels && output);
    uint64_t stream = rng_stream("x", 1);
    for (size_t i = 0; i < shape_size(input); i++) pixels[i] = (double)rng_signed(stream, i);
    plan_write(plan, x, F64, pixels);
    for (int run = 0; run < RUNS; run++) {
        plan_hyper(plan, 1e-3, 0.01, run + 1);
        plan_run(plan);
        plan_read(plan, loss, F64, &r.loss[run]);
    }
    plan_read(plan, out, F64, output);
    size_t n = shape_size(out->shape);
    memcpy(r.output, output, (n < NUMBERS ? n : NUMBERS) * sizeof *output);
    read_params(params, &r);
    free(pixels);
    free(output);
    plan_free(plan);
    graph_free(g);
    params_free(params);
    return r;
}

static void check(const char *net, Shape input, bool batchnorm) {
    Backend recorder = recorder_make(&backend_cpu), in_line = recorder;
    in_line.capture_begin = NULL, in_line.capture_wait = NULL;
    long before = recorder_swaps();
    Result want = train(net, input, &in_line, batchnorm);
    Result got = train(net, input, &recorder, batchnorm);
    print_message("%s: %ld calls ran before an earlier one\n", net, recorder_swaps() - before);
    assert_true(recorder_swaps() > before);
    assert_memory_equal(&got, &want, sizeof want);
    assert_true(want.loss[RUNS - 1] < want.loss[0]);
}

static void branches_of_hrnet_may_cross(void **state) {
    (void)state;
    check("rule:hrnet_pose_w16_small:1", (Shape){2, 64, 64, 3}, false);
}

static void training_with_batchnorm_keeps_its_statistics(void **state) {
    (void)state;
    check("rule:hrnet_pose_w16_small:1", (Shape){2, 64, 64, 3}, true);
}

static void heads_of_a_detector_may_cross(void **state) {
    (void)state;
    check("rule:yolox_nano:1", (Shape){1, 64, 64, 3}, false);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_of_hrnet_may_cross),
        cmocka_unit_test(training_with_batchnorm_keeps_its_statistics),
        cmocka_unit_test(heads_of_a_detector_may_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
