/* Every own kernel of backend `cuda` on the host (emulate/emulate.h): the rows of cases_nn.def and
 * cases_math.def, proven by opcheck.h, without a complaint of the emulator.  What cuDNN and cuBLAS
 * do needs a device: conv and matmul run the own kernels they have for shapes without an engine,
 * and then around stand-ins of the libraries (emulate/libraries.h).  `test_emulated "conv*"` runs
 * the tests of such names. */
#include "tests/emulate/backend.h"
#include "tests/emulate/emulate.h"
#include "tests/emulate/libraries.h"
#include "tests/opcases.h"
#include "tests/support.h"

#include "autograd/build.h"
#include "autograd/plan.h"
#include "tensor/rng.h"

#include <math.h>
#include <string.h>

/* What the libraries offer, one after the other; bf16 has its own tolerance. */
static const struct {
    unsigned engines;
    Precision precision;
    bool half;        /* in memory, too */
    double tolerance; /* 0: the row's */
} OFFER[] = {
    {0, PRECISION_FP32, false, 0},
    {0, PRECISION_BF16, true, 2e-2},
    {LIBRARIES_GEMM | LIBRARIES_FUSED, PRECISION_FP32, false, 0},
    {LIBRARIES_PLAIN, PRECISION_FP32, false, 0},
    {LIBRARIES_PLAIN, PRECISION_BF16, true, 2e-2},
    {LIBRARIES_FUSED | LIBRARIES_PLAIN | LIBRARIES_HALF, PRECISION_BF16, false, 2e-2},
    {LIBRARIES_HALF_OUT, PRECISION_BF16, false, 2e-2},
    {LIBRARIES_FUSED | LIBRARIES_HALF | LIBRARIES_HALF_OUT, PRECISION_BF16, true, 2e-2},
    {LIBRARIES_HALF_OUT, PRECISION_BF16, true, 2e-2},
};
enum { OFFERS = sizeof OFFER / sizeof *OFFER, OWN_OFFERS = 2 };

static void prove(const OpCase *row, int offer) {
    Backend b = backend_emulated;
    OpCase c = *row;
    libraries_offer(OFFER[offer].engines);
    b.precision = OFFER[offer].precision, b.stores_half = OFFER[offer].half;
    if (OFFER[offer].tolerance > 0) c.tolerance = OFFER[offer].tolerance;
    Status status = opcheck_run(&c, &backend_ref, &b);
    const char *complaint = emulate_complaint();
    if (complaint) fail_msg("offer %d: %s", offer, complaint);
    if (status != OK) fail_msg("offer %d: %s", offer, error_reason());
}

static void op_is_proven(void **state) {
    const OpCase *c = *state;
    bool uses_libraries = c->op == OP_conv || c->op == OP_matmul;
    for (int i = 0; i < (uses_libraries ? OFFERS : OWN_OFFERS); i++) prove(c, i);
}

/* --- plans: folds that run together, weights' gradients apart, maps stored as BF16 --- */

enum { STEPS = 3, PIXELS = 2 * 8 * 8 * 3 };

/* What step_list treats specially, beside what it may not: maps of 5 channels, a map that is kept
 * and one that a mean reads. */
typedef struct {
    Graph *graph;
    Params *params;
    Tensor *x, *kept, *loss;
} Net;

static Net net_new(const Backend *backend) {
    Net n = {.graph = graph_new(), .params = params_new(backend)};
    Scope m = {.graph = n.graph, .params = n.params};
    n.x = graph_input(n.graph, "x", F32, (Shape){2, 8, 8, 3});
    Tensor *y = conv(&m, "a", n.x, .out = 16, .k = 3, .norm = "bn_a", .act = ACT_RELU), *fine = y;
    y = conv(&m, "b", y, .out = 16, .k = 3, .norm = "bn_b", .act = ACT_SILU);
    y = relu(&m, add(&m, conv(&m, "c", y, .out = 16, .k = 3, .norm = "bn_c"), fine));
    Tensor *low = conv(&m, "d", y, .out = 16, .k = 3, .stride = 2, .norm = "bn_d");
    y = relu(&m, add(&m, upsample(&m, low, 2), y));
    y = concat(&m, AXIS_C, y, silu(&m, fine));
    n.kept = y = conv(&m, "e", y, .out = 8, .norm = "bn_e", .act = ACT_RELU);
    y = add(&m, conv(&m, "f", y, .out = 5, .norm = "bn_f", .act = ACT_RELU),
            conv(&m, "g", y, .out = 5, .k = 3));
    n.loss = mean(&m, square(&m, mean(&m, y, AXES_HW)), AXES_ALL);
    assert_int_equal(params_alloc(n.params), OK);
    support_params(n.params);
    return n;
}

typedef struct {
    double loss[STEPS], kept[2 * 8 * 8 * 8];
    char text[1 << 15]; /* of plan_dump */
} Trained;

static Trained train(const Backend *backend, double rate) {
    static const UpdateAttr adamw = {.kind = UPDATE_ADAMW};
    Net n = net_new(backend);
    Trained r = {.loss = {0}};
    Plan *plan;
    double x[PIXELS];
    for (int i = 0; i < PIXELS; i++) x[i] = rng_signed(rng_stream("x", 1), (uint64_t)i);
    PlanOptions o = {.loss = n.loss, .update = &adamw, .keep = &n.kept, .keeps = 1};
    if (plan_new(n.graph, backend, &o, &plan) != OK) fail_msg("%s", error_reason());
    plan_write(plan, n.x, F64, x);
    for (int step = 0; step < STEPS; step++) {
        plan_hyper(plan, rate, 0.01, step + 1);
        plan_run(plan);
        plan_read(plan, n.loss, F64, &r.loss[step]);
    }
    plan_read(plan, n.kept, F64, r.kept);
    FILE *f = fmemopen(r.text, sizeof r.text, "w");
    plan_dump(plan, f);
    fclose(f);
    plan_free(plan);
    params_free(n.params);
    graph_free(n.graph);
    return r;
}

static Backend device(int offer, bool half) {
    Backend b = backend_emulated;
    libraries_offer(OFFER[offer].engines);
    b.precision = half ? PRECISION_BF16 : PRECISION_FP32;
    b.folds_together = b.leaves_dz = true, b.stores_half = half;
    return b;
}

static void follow_the_cpu(const Trained *got, double rate, double tolerance) {
    Trained want = train(&backend_cpu, rate);
    const char *complaint = emulate_complaint();
    if (complaint) fail_msg("%s", complaint);
    support_close64("loss", got->loss, want.loss, STEPS, tolerance * fabs(want.loss[0]));
    support_close64("kept", got->kept, want.kept, sizeof want.kept / sizeof *want.kept, tolerance);
}

/* All six run before the first conv, and all their gradients after the last. */
static void folds_run_together(void **state) {
    (void)state;
    Backend b = device(0, false);
    long before = emulate_launches();
    Trained got = train(&b, 1e-2);
    assert_true(emulate_launches() > before);
    follow_the_cpu(&got, 1e-2, 1e-4);
    const char *first_conv = strstr(got.text, " conv "), *last_fold = got.text;
    for (int i = 0; last_fold && i < 6; i++) last_fold = strstr(last_fold + 1, "forward  fold");
    assert_true(last_fold && last_fold < first_conv && !strstr(last_fold + 1, "forward  fold"));
    const char *back = strstr(got.text, "backward fold");
    assert_true(back && !strstr(back, "backward conv"));
    int convs = 0;
    for (const char *at = got.text; (at = strstr(at + 1, "backward conv")); convs++) continue;
    assert_int_equal(convs, 7 + 6); /* the first one has no gradient of its input */
}

/* The gradient of the loss for the weights of a conv with its norm that stand in the graph twice.
 */
static void twice_gradient(const Backend *backend, double *gradient) {
    Params *params = params_new(backend);
    Graph *graph = graph_new();
    Scope m = {.graph = graph, .params = params};
    Tensor *x = graph_input(graph, "x", F32, (Shape){1, 4, 4, 3});
    Tensor *y = relu(&m, conv(&m, "a", x, .out = 3, .k = 3, .norm = "bn"));
    Tensor *loss = sum(&m, square(&m, conv(&m, "a", y, .out = 3, .k = 3, .norm = "bn")), AXES_ALL);
    Plan *plan;
    assert_int_equal(params_alloc(params), OK);
    support_params(params);
    if (plan_new(graph, backend, &(PlanOptions){.loss = loss}, &plan) != OK)
        fail_msg("%s", error_reason());
    double values[4 * 4 * 3];
    for (int i = 0; i < 4 * 4 * 3; i++) values[i] = rng_signed(rng_stream("x", 2), (uint64_t)i);
    plan_write(plan, x, F64, values);
    plan_run(plan);
    params_get_gradient(params, params_find(params, "a.weight"), gradient);
    plan_free(plan);
    params_free(params);
    graph_free(graph);
}

/* Their two folds add to one gradient and must not run together. */
static void shared_weights_keep_their_gradient(void **state) {
    (void)state;
    enum { WEIGHTS = 3 * 3 * 3 * 3 };
    double got[WEIGHTS], want[WEIGHTS], norm = 0;
    Backend b = device(0, false);
    twice_gradient(&backend_ref, want);
    twice_gradient(&b, got);
    for (int i = 0; i < WEIGHTS; i++) norm = fmax(norm, fabs(want[i]));
    assert_true(norm > 0);
    support_close64("gradient", got, want, WEIGHTS, 1e-5 * norm);
}

static void halves_follow_the_cpu(void **state) {
    (void)state;
    Backend whole = device(2, false);
    assert_null(strstr(train(&whole, 0).text, "bf16"));
    for (int offer = 0; offer < OFFERS; offer++) {
        if (!OFFER[offer].half) continue;
        Backend b = device(offer, true);
        Trained got = train(&b, 1e-4);
        follow_the_cpu(&got, 1e-4, 3e-2);
        assert_non_null(strstr(got.text, "bf16"));
    }
}

static void kernels_were_launched(void **state) {
    (void)state;
    print_message("%ld launches were emulated, each in two orders of threads\n",
                  emulate_launches());
    assert_true(emulate_launches() > 0);
}

int main(int argc, char **argv) {
    static const struct CMUnitTest plans[] = {cmocka_unit_test(folds_run_together),
                                              cmocka_unit_test(shared_weights_keep_their_gradient),
                                              cmocka_unit_test(halves_follow_the_cpu)};
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    int failed = cmocka_run_group_tests(plans, NULL, NULL);
    return failed + opcases_run("emulated", op_is_proven, kernels_were_launched);
}
