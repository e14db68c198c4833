/* Backend `cuda` on a GPU: every row of cases_nn.def and cases_math.def, its memory, crops, and
 * plans: captured and replayed, with and without a look between runs, on measured engines, in each
 * precision, against the cpu.  Without a GPU all is skipped,
 * counted; with REQUIRE_CUDA set that is a failure.
 *
 * Tolerances, relative to the largest entry: an op's own in fp32; 2e-3 in TF32, whose factors have
 * 10 bits, and 2e-2 in bf16 with 7; five times as much behind a whole network.
 */
#include "tests/opcases.h"
#include "tests/support.h"

#include "autograd/plan.h"
#include "crowdrec/cutter.h"
#include "nets/net.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const PRECISION_NAME[PRECISIONS] = {
    [PRECISION_TF32] = "tf32", [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16"};
static const double PRECISION_TOLERANCE[PRECISIONS] = {
    [PRECISION_TF32] = 2e-3, [PRECISION_FP32] = 2e-5, [PRECISION_BF16] = 2e-2};

static const Backend *gpu(Precision precision) {
    const Backend *b;
    BackendChoice choice = {
        .device = "cuda", .precision = PRECISION_NAME[precision], .deterministic = true};
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
    static const size_t sizes[] = {
        1, 4, 63, 64, 65, 64 << 10, 65537, 4 << 20, (4 << 20) + 1, 9 << 20, (70 << 20) + 3};
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

/* Work finds what was written before it, although uploads go beside it and none is waited for. */
static void uploads_keep_their_order(void **state) {
    (void)state;
    enum { WRITES = 40, SIZE = 1 << 18 };
    const Backend *b = gpu(PRECISION_FP32);
    const Shape shape = {1, 1, 1, SIZE};
    float *host = malloc(SIZE * sizeof *host), *from = b->alloc(SIZE * sizeof *host);
    float *seen = b->alloc((size_t)WRITES * SIZE * sizeof *seen);
    assert_true(host && from && seen);
    for (int k = 0; k < WRITES; k++) {
        for (int i = 0; i < SIZE; i++) host[i] = (float)k;
        b->write(from, host, SIZE * sizeof *host);
        b->op[OP_unary].forward(&(Call){.attr = &(UnaryAttr){UNARY_SCALE, 1},
                                        .in = {{"from", F32, shape, from, 0}},
                                        .out = {{"seen", F32, shape, seen + (size_t)k * SIZE, 1}}});
    }
    for (int k = 0; k < WRITES; k++) {
        b->read(host, seen + (size_t)k * SIZE, SIZE * sizeof *host);
        for (int i = 0; i < SIZE; i++)
            if (host[i] != (float)k) fail_msg("write %d, number %d: %g", k, i, (double)host[i]);
    }
    b->release(from);
    b->release(seen);
    free(host);
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
typedef struct {
    bool ahead; /* all steps run before the first loss is read */
    int height; /* of the input, 0: 64 */
} How;

static void run_steps(Plan *plan, const Tensor *loss, bool ahead, double *losses) {
    PlanHyper hyper[STEPS];
    for (int step = 0; step < STEPS; step++) hyper[step] = (PlanHyper){1e-4, 0.01, step + 1};
    if (ahead) plan_schedule(plan, hyper, STEPS);
    for (int step = 0; step < STEPS; step++) {
        if (!ahead) plan_schedule(plan, &hyper[step], 1);
        plan_run(plan);
        if (!ahead) plan_read(plan, loss, F64, &losses[step]);
    }
    if (ahead) plan_history(plan, STEPS, losses);
}

static Trained train(const Backend *b, How how) {
    static const UpdateAttr adamw = {.kind = UPDATE_ADAMW};
    Trained result = {0};
    NetSpec spec;
    Params *params;
    Plan *plan;
    assert_int_equal(net_open("rule:cliff_res50:1", b, &spec, &params), OK);
    Graph *g = graph_new();
    Scope m = {.graph = g, .params = params};
    Shape shape = {2, how.height ? how.height : 64, 64, 3};
    Tensor *x = graph_input(g, "input", F32, shape);
    Tensor *box = graph_input(g, "bbox_info", F32, (Shape){2, 1, 1, 3});
    NetOutput y = net_build(&spec, &m, x, box);
    Tensor *loss = mean(&m, mul(&m, y.pose6d, y.pose6d), AXES_ALL);
    PlanOptions o = {.loss = loss, .update = &adamw, .record = &loss, .records = 1, .rows = STEPS};
    if (plan_new(g, b, &o, &plan) != OK) fail_msg("%s", error_reason());
    float *pixels = malloc(shape_size(shape) * sizeof *pixels), info[6] = {0};
    for (size_t i = 0; i < shape_size(shape); i++)
        pixels[i] = (float)((double)(i * 37 % 101) / 101);
    plan_write(plan, x, F32, pixels);
    plan_write(plan, box, F32, info);
    run_steps(plan, loss, how.ahead, result.loss);
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
        Trained replayed = train(b, (How){0}), again = train(b, (How){0});
        Trained ran = train(&plain, (How){0}), ahead = train(b, (How){.ahead = true});
        assert_memory_equal(&replayed, &ran, sizeof ran);
        assert_memory_equal(&replayed, &again, sizeof again);
        assert_memory_equal(&replayed, &ahead, sizeof ahead);
    }
}

static void follow_the_cpu(const Backend *b, int height) {
    Precision p = b->precision;
    Trained want = train(&backend_cpu, (How){.height = height});
    Trained got = train(b, (How){.height = height});
    for (int i = 0; i < STEPS; i++)
        support_close64(PRECISION_NAME[p], &got.loss[i], &want.loss[i], 1,
                        5 * PRECISION_TOLERANCE[p] * fabs(want.loss[0]));
}

static void training_follows_the_cpu(void **state) {
    (void)state;
    for (int p = 0; p < PRECISIONS; p++) follow_the_cpu(gpu((Precision)p), 64);
}

/* On shapes that this process has not met; the second height takes none of the first's engines. */
static void measured_engines_follow_the_cpu(void **state) {
    (void)state;
    gpu(PRECISION_FP32);
    setenv("XDG_CACHE_HOME", support_folder(), 1);
    for (int p = 0; p < PRECISIONS; p++) {
        const Backend *b;
        BackendChoice choice = {
            .device = "cuda", .precision = PRECISION_NAME[p], .deterministic = true, .tune = "on"};
        assert_int_equal(backend_open(&choice, &b), OK);
        follow_the_cpu(b, 96);
    }
    gpu(PRECISION_FP32); /* the tests that follow do not measure */
}

/* --- crops --- */

enum { CROPS = 3, CROP_H = 64, CROP_W = 48, CROP_NUMBERS = CROPS * CROP_H * CROP_W * 3 };

/* Compilers may contract products and sums differently, which moves a rounded level by one. */
static void check_crops(const Image *photo, const Backend *b, CropPixels rule, size_t budget,
                        double tolerance) {
    static float want[CROP_NUMBERS], got[CROP_NUMBERS];
    const Crop crop[CROPS] = {crop_letterbox(photo->height, photo->width, CROP_H, CROP_W).crop,
                              crop_cliff((const float[]){60, 50}, 0.3, CROP_H, CROP_W),
                              crop_around(&(CropBox){photo->width, 5, 48, 64}, CROP_H, CROP_W)};
    AffineAttr pixels = crop_pixels(rule, CROP_H, CROP_W);
    Cutter *cutter;
    Plan *plan;
    Graph *g = graph_new();
    Tensor *x = graph_input(g, "input", F32, (Shape){CROPS, CROP_H, CROP_W, 3});
    Tensor *y = graph_add(g, OP_unary, &(UnaryAttr){UNARY_SCALE, 1}, &x, 1, "here");
    assert_int_equal(plan_new(g, b, &(PlanOptions){.keep = &y, .keeps = 1}, &plan), OK);
    assert_int_equal(cutter_new(photo, b, budget, &cutter), OK);
    assert_true(cutter_on_device(cutter));
    crop_run(photo, crop, CROPS, &pixels, want);
    cutter_feed(cutter, crop, &pixels, plan, x);
    plan_run(plan);
    plan_read(plan, y, F32, got);
    support_close("crops", got, want, CROP_NUMBERS, tolerance);
    cutter_free(cutter);
    plan_free(plan);
    graph_free(g);
}

/* From the whole photo, and from tiles and bands of it. */
static void crops_are_those_of_the_host(void **state) {
    (void)state;
    const Backend *b = gpu(PRECISION_FP32);
    Image photo;
    uint64_t stream = rng_stream("photo", 1);
    assert_int_equal(image_new(197, 161, &photo), OK);
    for (size_t i = 0; i < (size_t)197 * 161 * 3; i++)
        photo.rgb[i] = (uint8_t)(256 * (double)rng_uniform(stream, i));
    for (size_t budget = 0; budget < 20000; budget += 9000) {
        check_crops(&photo, b, CROP_CLIFF, budget, 1e-4);
        check_crops(&photo, b, CROP_YOLOX_BGR, budget, 1.01);
    }
    image_free(&photo);
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
        cmocka_unit_test(uploads_keep_their_order),
        cmocka_unit_test(too_much_memory_is_refused),
        cmocka_unit_test(replay_gives_the_bits_of_a_plain_run),
        cmocka_unit_test(training_follows_the_cpu),
        cmocka_unit_test(measured_engines_follow_the_cpu),
        cmocka_unit_test(crops_are_those_of_the_host),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + opcases_run("cuda", op_is_proven, gpu_is_there);
}
