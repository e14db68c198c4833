/* Backend `cuda` on a GPU: every row of cases_nn.def and cases_math.def, its memory, and plans:
 * captured and replayed, in each precision, against the cpu.  Without a GPU all is skipped,
 * counted; with REQUIRE_CUDA set that is a failure.
 *
 * Tolerances, relative to the largest entry: an op's own in fp32; 2e-3 in TF32, whose factors have
 * 10 bits, and 2e-2 in bf16 with 7; five times as much behind a whole network.
 */
#include "tests/opcases.h"
#include "tests/support.h"

#include "autograd/plan.h"
#include "nets/net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const PRECISION_NAME[PRECISIONS] = {
    [PRECISION_TF32] = "tf32", [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16"};
static const double PRECISION_TOLERANCE[PRECISIONS] = {
    [PRECISION_TF32] = 2e-3, [PRECISION_FP32] = 2e-5, [PRECISION_BF16] = 2e-2};

static const Backend *gpu(Precision precision) {
    const Backend *b;
    BackendChoice choice = {"cuda", PRECISION_NAME[precision], true};
    if (backend_open(&choice, &b) == OK) return b;
    if (getenv("REQUIRE_CUDA")) fail_msg("REQUIRE_CUDA: %s", error_reason());
    print_message("skipped: %s\n", error_reason());
    skip();
    return NULL;
}

/* In fp32; what multiplies in TF32 and bf16 in those as well. */
static void op_is_proven(void **state) {
    OpCase c = *(const OpCase *)*state;
    if (opcheck_run(&c, &backend_ref, gpu(PRECISION_FP32)) != OK) fail_msg("%s", error_reason());
    if (c.op != OP_conv && c.op != OP_matmul) return;
    static const Precision rounded[] = {PRECISION_TF32, PRECISION_BF16};
    for (int i = 0; i < 2; i++) {
        c.tolerance = PRECISION_TOLERANCE[rounded[i]];
        if (opcheck_run(&c, &backend_ref, gpu(rounded[i])) != OK)
            fail_msg("%s: %s", PRECISION_NAME[rounded[i]], error_reason());
    }
}

static void gpu_is_there(void **state) {
    (void)state;
    gpu(PRECISION_FP32);
    print_message("%s\n", backend_gpu());
}

/* --- memory --- */

/* Sizes around those at which a write changes its way. */
static void what_is_written_is_read(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 4, 63, 64, 65, 4 << 20, (4 << 20) + 1, (9 << 20) + 3};
    const Backend *b = gpu(PRECISION_FP32);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        unsigned char *host = malloc(n), *back = calloc(n, 1), *device = b->alloc(n);
        assert_true(host && back && device);
        for (size_t k = 0; k < n; k++) host[k] = (unsigned char)(k * 31 + i);
        b->write(device, host, n);
        memset(host, 0xaa, n); /* the source is free once write has returned */
        b->read(back, device, n);
        for (size_t k = 0; k < n; k++) assert_int_equal(back[k], (unsigned char)(k * 31 + i));
        b->fill(device, 0x5a, n);
        b->read(back, device, n);
        for (size_t k = 0; k < n; k++) assert_int_equal(back[k], 0x5a);
        b->release(device);
        free(host);
        free(back);
    }
}

static void too_much_memory_is_refused(void **state) {
    (void)state;
    const Backend *b = gpu(PRECISION_FP32);
    assert_true(b->free_memory() > 0);
    assert_null(b->alloc((size_t)1 << 50));
    void *some = b->alloc(1 << 20); /* and nothing is broken by it */
    assert_non_null(some);
    b->release(some);
}

/* --- plans --- */

enum { STEPS = 4, NUMBERS = 64 };

typedef struct {
    double loss[STEPS];
    double weight[NUMBERS]; /* the first ones of the last parameter, after the steps */
} Trained;

/* A few steps of AdamW on a small network's mean output; run 2 is captured, later ones replayed. */
static Trained train(const Backend *b) {
    static const UpdateAttr adamw = {.kind = UPDATE_ADAMW};
    Trained result = {0};
    NetSpec spec;
    Params *params;
    Plan *plan;
    assert_int_equal(net_open("rule:cliff_res50:1", b, &spec, &params), OK);
    Graph *g = graph_new();
    Scope m = {.graph = g, .params = params};
    Shape shape = {2, 64, 64, 3};
    Tensor *x = graph_input(g, "input", F32, shape);
    Tensor *box = graph_input(g, "bbox_info", F32, (Shape){2, 1, 1, 3});
    NetOutput y = net_build(&spec, &m, x, box);
    Tensor *loss = mean(&m, mul(&m, y.pose6d, y.pose6d), AXES_ALL);
    PlanOptions o = {.loss = loss, .update = &adamw};
    if (plan_new(g, b, &o, &plan) != OK) fail_msg("%s", error_reason());
    float *pixels = malloc(shape_size(shape) * sizeof *pixels), info[6] = {0};
    for (size_t i = 0; i < shape_size(shape); i++)
        pixels[i] = (float)((double)(i * 37 % 101) / 101);
    plan_write(plan, x, F32, pixels);
    plan_write(plan, box, F32, info);
    for (int step = 0; step < STEPS; step++) {
        plan_hyper(plan, 1e-4, 0.01, step + 1);
        plan_run(plan);
        plan_read(plan, loss, F64, &result.loss[step]);
    }
    int last = params_count(params) - 1;
    double *values = malloc(shape_size(params_at(params, last)->shape) * sizeof *values);
    params_get(params, last, values);
    size_t n = shape_size(params_at(params, last)->shape);
    memcpy(result.weight, values, (n < NUMBERS ? n : NUMBERS) * sizeof *values);
    free(values);
    free(pixels);
    plan_free(plan);
    graph_free(g);
    params_free(params);
    return result;
}

/* The same table without capture. */
static Backend without_capture(const Backend *b) {
    Backend plain = *b;
    plain.capture_begin = NULL;
    return plain;
}

static void replay_gives_the_bits_of_a_plain_run(void **state) {
    (void)state;
    for (int p = 0; p < PRECISIONS; p++) {
        const Backend *b = gpu((Precision)p);
        Backend plain = without_capture(b);
        Trained replayed = train(b), again = train(b), ran = train(&plain);
        assert_memory_equal(&replayed, &ran, sizeof ran);
        assert_memory_equal(&replayed, &again, sizeof again);
    }
}

static void training_follows_the_cpu(void **state) {
    (void)state;
    for (int p = 0; p < PRECISIONS; p++) {
        const Backend *b = gpu((Precision)p);
        Trained want = train(&backend_cpu), got = train(b);
        for (int i = 0; i < STEPS; i++)
            support_close64(PRECISION_NAME[p], &got.loss[i], &want.loss[i], 1,
                            5 * PRECISION_TOLERANCE[p] * fabs(want.loss[0]));
    }
}

/* --- devices that are not there: no GPU is needed for these --- */

static void unknown_words_are_refused(void **state) {
    (void)state;
    static const BackendChoice wrong[] = {{.device = "gpu"},     {.device = "cuda:"},
                                          {.device = "cuda:x"},  {.device = "cuda:1x"},
                                          {.device = "cuda:-1"}, {.precision = "fp16"}};
    const Backend *b;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(backend_open(&wrong[i], &b), ERR_USAGE);
}

static void an_absent_gpu_is_named(void **state) {
    (void)state;
    const Backend *b;
    assert_int_equal(backend_open(&(BackendChoice){.device = "cuda:999"}, &b), ERR_DEVICE);
    assert_true(*error_reason() && !strchr(error_reason(), '\n'));
}

static void auto_finds_a_device(void **state) {
    (void)state;
    const Backend *b = NULL;
    assert_int_equal(backend_open(&(BackendChoice){.device = "auto"}, &b), OK);
    assert_non_null(b);
    assert_int_equal(backend_open(&(BackendChoice){.device = "cpu"}, &b), OK);
    assert_ptr_equal(b, &backend_cpu);
    assert_non_null(backend_gpu());
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_words_are_refused),
        cmocka_unit_test(an_absent_gpu_is_named),
        cmocka_unit_test(auto_finds_a_device),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(too_much_memory_is_refused),
        cmocka_unit_test(replay_gives_the_bits_of_a_plain_run),
        cmocka_unit_test(training_follows_the_cpu),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + opcases_run("cuda", op_is_proven, gpu_is_there);
}
