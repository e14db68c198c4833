/* Backend `cuda` on a GPU: every row of cases_nn.def and cases_math.def, its memory, crops, and
 * plans: captured and replayed, with and without a look between runs, on measured engines, in each
 * precision, against the cpu.  Without a GPU all is skipped,
 * counted; with REQUIRE_CUDA set that is a failure.  `test_cuda "conv*"` runs the tests of such
 * names.
 *
 * Tolerances, relative to the largest entry: an op's own in fp32; 2e-3 in TF32, whose factors have
 * 10 bits, and 2e-2 in bf16 with 7; five times as much behind a whole network.
 */
#include "tests/opcases.h"
#include "tests/oprun.h"
#include "tests/support.h"

#include "autograd/fuse.h"
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

/* In fp32; what multiplies in TF32 in that as well, and all with what bf16 stores in halves. */
static void op_is_proven(void **state) {
    OpCase c = *(const OpCase *)*state;
    if (opcheck_run(&c, &backend_ref, gpu(PRECISION_FP32)) != OK) fail_msg("%s", error_reason());
    static const Precision rounded[] = {PRECISION_BF16, PRECISION_TF32};
    int count = c.op == OP_conv || c.op == OP_matmul ? 2 : 1;
    for (int i = 0; i < count; i++) {
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

/* --- the convolutions of whole networks, each alone: what an engine makes of them --- */

enum { CONVS = 256 };

/* Numbers in [-size, size). */
static double *uniform(Arena *arena, const char *what, Shape shape, double size) {
    size_t n = shape_size(shape);
    double *values = arena_alloc(arena, (n + 1) * sizeof *values);
    uint64_t stream = rng_stream(what, 1);
    for (size_t i = 0; i < n; i++) values[i] = size * (double)rng_signed(stream, i);
    return values;
}

/* Its output, or for `gradient` 0 and 1 that of inputs or weights, without the activation. */
static const double *run_conv(OpRun *r, const Node *node, ConvAttr *attr, int gradient) {
    Arena *arena = r->arena;
    Shape w = node->in[1]->shape;
    double fan = (double)w.h * w.w * w.c, size[] = {1, sqrt(3 / fan), 0.5, 1};
    static const char *const what[] = {"x", "w", "b", "r"};
    *attr = *(const ConvAttr *)node->attr;
    if (gradient >= 0) attr->act = ACT_NONE;
    for (int i = 0; i < 4; i++)
        if (node->in[i])
            oprun_input(r, i, node->in[i]->shape,
                        uniform(arena, what[i], node->in[i]->shape, size[i]));
    const double *y = oprun_forward(r, 0);
    if (gradient < 0) return y;
    return oprun_backward(r, uniform(arena, "dy", node->out[0]->shape, 1), gradient);
}

/* The largest difference, relative to the largest entry. */
static double difference(const double *got, const double *want, size_t n) {
    double most = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(want[i]));
        double d = fabs(got[i] - want[i]);
        if (isnan(d)) return d;
        most = fmax(most, d);
    }
    return most / (largest + 1e-9);
}

/* How many results of a conv are wrong in TF32 or bf16, with fp32 as the measure. */
static int check_conv(const Node *node) {
    int wrong = 0;
    for (int gradient = -1; gradient < 2; gradient++) {
        ConvAttr attr;
        OpRun exact = oprun_make(gpu(PRECISION_FP32), OP_conv, &attr);
        const double *want = run_conv(&exact, node, &attr, gradient);
        Shape made = (gradient < 0 ? node->out[0] : node->in[gradient])->shape;
        for (int p = 0; p < PRECISIONS; p++) {
            if (p == PRECISION_FP32) continue;
            OpRun r = oprun_make(gpu((Precision)p), OP_conv, &attr);
            double off = difference(run_conv(&r, node, &attr, gradient), want, shape_size(made));
            if (!(off <= PRECISION_TOLERANCE[p])) {
                wrong++;
                print_message("%s, pass %d: x %s w %s stride %d act %d%s%s: off by %.3g\n",
                              PRECISION_NAME[p], gradient, shape_text(node->in[0]->shape),
                              shape_text(node->in[1]->shape), attr.stride, (int)attr.act,
                              node->in[2] ? " bias" : "", node->in[3] ? " residual" : "", off);
            }
            oprun_free(&r);
        }
        oprun_free(&exact);
    }
    return wrong;
}

static bool same_conv(const Node *a, const Node *b) {
    for (int i = 0; i < 4; i++)
        if (!a->in[i] != !b->in[i] || (a->in[i] && !shape_equal(a->in[i]->shape, b->in[i]->shape)))
            return false;
    return !memcmp(a->attr, b->attr, sizeof(ConvAttr));
}

static int check_convs(const char *name, Shape input) {
    NetSpec spec;
    assert_int_equal(net_spec(name, &spec), OK);
    Arena *arena = arena_new();
    Params *params = params_new(&backend_cpu);
    Graph *g = graph_new();
    Scope m = {.graph = g, .params = params};
    Tensor *x = graph_input(g, "input", F32, input);
    Tensor *box = graph_input(g, "bbox_info", F32, (Shape){input.n, 1, 1, 3});
    net_build(&spec, &m, x, spec.kind == NET_CLIFF ? box : NULL);
    const bool *kept = arena_alloc(arena, (size_t)graph_tensors(g) * sizeof *kept);
    Node *node = arena_alloc(arena, (size_t)graph_nodes(g) * sizeof *node);
    const Node *met[CONVS];
    int count = fuse_nodes(g, kept, arena, node), convs = 0, wrong = 0;
    for (int i = 0; i < count; i++) {
        bool known = node[i].op != OP_conv;
        for (int k = 0; k < convs && !known; k++) known = same_conv(met[k], &node[i]);
        if (known) continue;
        assert_in_range(convs, 0, CONVS - 1);
        met[convs++] = &node[i];
        wrong += check_conv(&node[i]);
    }
    print_message("%s: %d convolutions, %d wrong results\n", name, convs, wrong);
    graph_free(g);
    params_free(params);
    arena_free(arena);
    return wrong;
}

static void convs_of_networks_are_right(void **state) {
    (void)state;
    gpu(PRECISION_FP32);
    int wrong = check_convs("fastpose_res50_halpe26", (Shape){1, 256, 192, 3});
    wrong += check_convs("cliff_hr48", (Shape){1, 256, 192, 3});
    wrong += check_convs("yolox_s", (Shape){1, 320, 320, 3});
    assert_int_equal(wrong, 0);
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

/* Features of a network with branches that a device may run side by side: of a plain run, and of
 * several replays, each on another input and back on the first. */
static void branches_replay_bit_by_bit(void **state) {
    (void)state;
    enum { REPLAYS = 8 };
    Shape shape = {2, 256, 192, 3};
    float *pixels[2];
    gpu(PRECISION_FP32);
    for (int k = 0; k < 2; k++) {
        pixels[k] = malloc(shape_size(shape) * sizeof *pixels[k]);
        assert_non_null(pixels[k]);
        uint64_t stream = rng_stream(k ? "second" : "first", 1);
        for (size_t i = 0; i < shape_size(shape); i++) pixels[k][i] = rng_signed(stream, i);
    }
    for (int p = 0; p < PRECISIONS; p++) {
        const Backend *b = gpu((Precision)p);
        NetSpec spec;
        Params *params;
        Plan *plan;
        assert_int_equal(net_open("rule:hrnet_w48:1", b, &spec, &params), OK);
        Graph *g = graph_new();
        Scope m = {.graph = g, .params = params};
        Tensor *x = graph_input(g, "input", F32, shape);
        Tensor *y = net_build(&spec, &m, x, NULL).feature;
        if (plan_new(g, b, &(PlanOptions){.keep = &y, .keeps = 1}, &plan) != OK)
            fail_msg("%s", error_reason());
        size_t n = shape_size(y->shape);
        float *want = malloc(n * sizeof *want), *got = malloc(n * sizeof *got);
        assert_true(want && got);
        for (int run = 0; run <= 2 * REPLAYS; run++) {
            plan_write(plan, x, F32, pixels[run % 2]);
            plan_run(plan);
            if (run % 2) continue;
            plan_read(plan, y, F32, run ? got : want);
            if (run) assert_memory_equal(got, want, n * sizeof *got);
        }
        free(want);
        free(got);
        plan_free(plan);
        graph_free(g);
        params_free(params);
    }
    free(pixels[0]);
    free(pixels[1]);
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

int main(int argc, char **argv) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_words_are_refused),
        cmocka_unit_test(an_absent_gpu_is_named),
        cmocka_unit_test(auto_finds_a_device),
        cmocka_unit_test(convs_of_networks_are_right),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(uploads_keep_their_order),
        cmocka_unit_test(too_much_memory_is_refused),
        cmocka_unit_test(replay_gives_the_bits_of_a_plain_run),
        cmocka_unit_test(branches_replay_bit_by_bit),
        cmocka_unit_test(training_follows_the_cpu),
        cmocka_unit_test(measured_engines_follow_the_cpu),
        cmocka_unit_test(crops_are_those_of_the_host),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + opcases_run("cuda", op_is_proven, gpu_is_there);
}
