/* Values of ops by hand: what finite differences and a second precision cannot tell, because both
 * follow the same formula.  Layers, bodies and geometry have reference values of their own. */
#include "tests/support.h"
#include "tests/oprun.h"

#include <math.h>
#include <string.h>

static const Backend *const BACKENDS[] = {&backend_ref, &backend_cpu};
static const double TOLERANCE[] = {1e-12, 1e-6};

/* Runs an op on up to three F32 inputs on both backends and compares output 0. */
typedef struct {
    OpKind op;
    const void *attr;
    struct {
        Shape shape;
        const double *values;
    } in[3];
    const double *want;
} Example;

static void check(const char *name, const Example *e, size_t n) {
    for (int b = 0; b < 2; b++) {
        OpRun r = oprun_make(BACKENDS[b], e->op, e->attr);
        for (int i = 0; i < 3; i++)
            if (e->in[i].values) oprun_input(&r, i, e->in[i].shape, e->in[i].values);
        support_close64(name, oprun_forward(&r, 0), e->want, n, TOLERANCE[b]);
        oprun_free(&r);
    }
}

static const double COUNT[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

static void moves(void **state) {
    (void)state;
    static const double more[] = {20, 21, 22, 23};
    check("concat of rows [2,1,1,2] and [2,1,1,1]",
          &(Example){OP_concat,
                     &(AxisAttr){AXIS_C},
                     {{{2, 1, 1, 2}, COUNT}, {{2, 1, 1, 1}, more}},
                     (double[]){0, 1, 20, 2, 3, 21}},
          6);
    check("concat of heights",
          &(Example){OP_concat,
                     &(AxisAttr){AXIS_H},
                     {{{2, 1, 2, 1}, COUNT}, {{2, 1, 2, 1}, more}},
                     (double[]){0, 1, 20, 21, 2, 3, 22, 23}},
          8);
    check(
        "slice of width 1 of [2,2,3,1]",
        &(Example){
            OP_slice, &(SliceAttr){AXIS_W, 1, 1}, {{{2, 2, 3, 1}, COUNT}}, (double[]){1, 4, 7, 10}},
        4);
    check("reshape",
          &(Example){OP_reshape, &(ReshapeAttr){1, 3, 2, 2}, {{{2, 1, 6, 1}, COUNT}}, COUNT}, 12);
    for (int b = 0; b < 2; b++) {
        OpRun r = oprun_make(BACKENDS[b], OP_gather, &(AxisAttr){AXIS_W});
        oprun_input(&r, 0, (Shape){2, 1, 3, 2}, COUNT);
        oprun_input_of(&r, 1, I32, (Shape){1, 1, 1, 3}, (double[]){2, 0, 2});
        support_close64("gather", oprun_forward(&r, 0),
                        (double[]){4, 5, 0, 1, 4, 5, 10, 11, 6, 7, 10, 11}, 12, 0);
        oprun_free(&r);
    }
}

static double silu(double x) { return x / (1 + exp(-x)); }

static void unary(void **state) {
    (void)state;
    static const double x[] = {-2, 0.5, 3};
    const struct {
        const char *name;
        UnaryAttr attr;
        double want[3];
    } rows[] = {
        {"relu", {UNARY_RELU, 0}, {0, 0.5, 3}},
        {"leaky", {UNARY_LEAKY, 0.25f}, {-0.5, 0.5, 3}},
        {"silu", {UNARY_SILU, 0}, {silu(-2), silu(0.5), silu(3)}},
        {"sigmoid", {UNARY_SIGMOID, 0}, {1 / (1 + exp(2)), 1 / (1 + exp(-0.5)), 1 / (1 + exp(-3))}},
        {"tanh", {UNARY_TANH, 0}, {tanh(-2), tanh(0.5), tanh(3)}},
        {"exp", {UNARY_EXP, 0}, {exp(-2), exp(0.5), exp(3)}},
        {"abs", {UNARY_ABS, 0}, {2, 0.5, 3}},
        {"square", {UNARY_SQUARE, 0}, {4, 0.25, 9}},
        {"reciprocal", {UNARY_RECIPROCAL, 0}, {-0.5, 2, 1 / 3.}},
        {"sin", {UNARY_SIN, 0}, {sin(-2), sin(0.5), sin(3)}},
        {"cos", {UNARY_COS, 0}, {cos(-2), cos(0.5), cos(3)}},
        {"softplus", {UNARY_SOFTPLUS, 0}, {log(1 + exp(-2)), log(1 + exp(0.5)), log(1 + exp(3))}},
        {"negate", {UNARY_NEGATE, 0}, {2, -0.5, -3}},
        {"scale", {UNARY_SCALE, 0.5f}, {-1, 0.25, 1.5}},
        {"offset", {UNARY_OFFSET, 0.5f}, {-1.5, 1, 3.5}},
        {"power", {UNARY_POW, 3}, {-8, 0.125, 27}},
        {"clamp", {UNARY_CLAMP_MIN, 1}, {1, 1, 3}},
        {"stop", {UNARY_STOP, 0}, {-2, 0.5, 3}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(rows[i].name, &(Example){OP_unary, &rows[i].attr, {{{1, 1, 1, 3}, x}}, rows[i].want},
              3);
    check("log",
          &(Example){OP_unary,
                     &(UnaryAttr){UNARY_LOG, 0},
                     {{{1, 1, 1, 2}, x + 1}},
                     (double[]){log(0.5), log(3)}},
          2);
    check("sqrt",
          &(Example){OP_unary,
                     &(UnaryAttr){UNARY_SQRT, 0},
                     {{{1, 1, 1, 2}, x + 1}},
                     (double[]){sqrt(0.5), sqrt(3)}},
          2);
}

static void unary_keeps_nan(void **state) {
    (void)state;
    const double nan = NAN;
    for (int kind = 0; kind < UNARY_COUNT; kind++)
        for (int b = 0; b < 2; b++) {
            OpRun r = oprun_make(BACKENDS[b], OP_unary, &(UnaryAttr){(UnaryKind)kind, 2});
            oprun_input(&r, 0, (Shape){1, 1, 1, 1}, &nan);
            assert_true(isnan(*oprun_forward(&r, 0)));
            oprun_free(&r);
        }
}

static void maxpool_keeps_nan(void **state) {
    (void)state;
    for (int at = 0; at < 4; at++)
        for (int b = 0; b < 2; b++) {
            double x[] = {1, 3, 2, 0};
            x[at] = NAN;
            OpRun r = oprun_make(BACKENDS[b], OP_maxpool, &(PoolAttr){.k = 2, .stride = 2});
            oprun_input(&r, 0, (Shape){1, 2, 2, 1}, x);
            assert_true(isnan(*oprun_forward(&r, 0)));
            oprun_free(&r);
        }
}

/* So that a weight which is not finite cannot hide behind the activation. */
static void conv_keeps_nan(void **state) {
    (void)state;
    static const Shape weights[] = {{2, 1, 1, 2}, {2, 3, 3, 2}, {2, 3, 3, 1}};
    const double x[2 * 9] = {0}, w[2 * 9 * 2] = {0}, b[] = {NAN, -1};
    for (Act act = ACT_NONE; act <= ACT_LEAKY; act++)
        for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
            ConvAttr attr = {.stride = 1, .pad = weights[i].h / 2, .dilation = 1, .act = act};
            attr.groups = 2 / weights[i].c, attr.slope = 0.1f;
            OpRun r = oprun_make(&backend_ref, OP_conv, &attr);
            oprun_input(&r, 0, (Shape){1, 3, 3, 2}, x);
            oprun_input(&r, 1, weights[i], w);
            oprun_input(&r, 2, (Shape){1, 1, 1, 2}, b);
            const double *y = oprun_forward(&r, 0);
            assert_true(isnan(y[0]) && isfinite(y[1]));
            oprun_free(&r);
        }
}

static void binary(void **state) {
    (void)state;
    static const double row[] = {1, 2, 4}, column[] = {8, 16};
    const struct {
        BinaryKind kind;
        double want[6];
    } rows[] = {
        {BINARY_ADD, {9, 10, 12, 17, 18, 20}},
        {BINARY_SUB, {7, 6, 4, 15, 14, 12}},
        {BINARY_MUL, {8, 16, 32, 16, 32, 64}},
        {BINARY_DIV, {8, 4, 2, 16, 8, 4}},
    };
    for (int i = 0; i < 4; i++)
        check("column with row",
              &(Example){OP_binary,
                         &(BinaryAttr){rows[i].kind},
                         {{{2, 1, 1, 1}, column}, {{1, 1, 1, 3}, row}},
                         rows[i].want},
              6);
}

static void reduce(void **state) {
    (void)state;
    const Shape shape = {2, 1, 3, 2};
    const double spread[] = {2, 2, 2, 2};
    check("sum of rows",
          &(Example){OP_reduce,
                     &(ReduceAttr){REDUCE_SUM, 1 << AXIS_C},
                     {{shape, COUNT}},
                     (double[]){1, 5, 9, 13, 17, 21}},
          6);
    check("mean over width",
          &(Example){OP_reduce,
                     &(ReduceAttr){REDUCE_MEAN, 1 << AXIS_W},
                     {{shape, COUNT}},
                     (double[]){2, 3, 8, 9}},
          4);
    check("sum of batch and width",
          &(Example){OP_reduce,
                     &(ReduceAttr){REDUCE_SUM, 1 << AXIS_N | 1 << AXIS_W},
                     {{shape, COUNT}},
                     (double[]){30, 36}},
          2);
    check("deviation over width",
          &(Example){OP_reduce, &(ReduceAttr){REDUCE_STD, 1 << AXIS_W}, {{shape, COUNT}}, spread},
          4);
    check("deviation of one",
          &(Example){
              OP_reduce, &(ReduceAttr){REDUCE_STD, 1 << AXIS_H}, {{shape, COUNT}}, (double[12]){0}},
          12);
}

/* A plain float sum of these would be far from 0. */
static void sums_are_accurate(void **state) {
    (void)state;
    enum { N = 3 * 10000 };
    static double values[N];
    for (int i = 0; i < N; i += 3) values[i] = 1e6, values[i + 1] = -1e6, values[i + 2] = 0.125;
    OpRun r = oprun_make(&backend_cpu, OP_reduce, &(ReduceAttr){REDUCE_MEAN, 15});
    oprun_input(&r, 0, (Shape){10, 10, 100, 3}, values);
    support_close64("mean", oprun_forward(&r, 0), (double[]){0.125 / 3}, 1, 1e-8);
    oprun_free(&r);
}

static void loss(void **state) {
    (void)state;
    static const double p[] = {1, -2, 0.5, 300}, t[] = {0, 1, 0.25, 1}, weight[] = {2, 1, 4, 1};
    const struct {
        LossAttr attr;
        double want[4];
    } rows[] = {
        {{LOSS_MSE, 0}, {2, 9, 0.25, 299 * 299.}},
        {{LOSS_L1, 0}, {2, 3, 1, 299}},
        {{LOSS_BCE, 0},
         {2 * log(1 + exp(1)), 2 + log(1 + exp(-2)), 4 * (log(1 + exp(0.5)) - 0.125), 0}},
        {{LOSS_SMOOTH_L1, 0}, {1, 2.5, 0.125, 298.5}},
        {{LOSS_SMOOTH_L1, 2}, {0.5, 2, 0.0625, 298}},
    };
    for (int i = 0; i < 5; i++)
        check("loss",
              &(Example){OP_loss,
                         &rows[i].attr,
                         {{{1, 1, 1, 4}, p}, {{1, 1, 1, 4}, t}, {{1, 1, 1, 4}, weight}},
                         rows[i].want},
              4);
}

static void boxdecode(void **state) {
    (void)state;
    /* 32 x 64 input: 32 + 8 + 2 anchors; the last one is the second cell of stride 32. */
    enum { ANCHORS = 42, COLUMNS = 6 };
    static double raw[ANCHORS * COLUMNS];
    static const double last[] = {0.5, 0.25, 0, 1, 0, 2};
    for (int k = 0; k < COLUMNS; k++) raw[(ANCHORS - 1) * COLUMNS + k] = last[k];
    OpRun r = oprun_make(&backend_ref, OP_boxdecode, &(BoxdecodeAttr){32, 64});
    oprun_input(&r, 0, (Shape){1, ANCHORS, 1, COLUMNS}, raw);
    const double *out = oprun_forward(&r, 0);
    support_close64("last", out + (ANCHORS - 1) * COLUMNS,
                    (double[]){48, 8, 32, 32 * exp(1), 0.5, 1 / (1 + exp(-2))}, COLUMNS, 1e-12);
    support_close64("second row of stride 8", out + 9 * COLUMNS, (double[]){8, 8, 8, 8, 0.5, 0.5},
                    COLUMNS, 1e-12);
    support_close64("first of stride 16", out + 32 * COLUMNS, (double[]){0, 0, 16, 16, 0.5, 0.5},
                    COLUMNS, 1e-12);
    oprun_free(&r);
}

/* Centre x, centre y, w, h, objectness, two classes. */
static const double DETECTIONS[] = {
    10, 10, 4, 4, 0.5, 0.5,  0.75, /* class 1, 0.375 */
    10, 11, 4, 4, 1,   0.25, 0.5,  /* class 1, 0.5: IoU 0.6 with the first */
    10, 10, 4, 4, 1,   0.5,  0.25, /* class 0, 0.5 */
    50, 50, 4, 4, 0.5, 0.25, 0.25, /* 0.125: below the threshold */
    30, 30, 4, 4, NAN, 1,    1,    30, 30, 4, 4, 1, 1, INFINITY, /* not finite */
    90, 90, 8, 4, 1,   0.25, 0.25, /* 0.25: on the threshold, lower class */
};

static void nms_of(bool agnostic, double iou, const double *want, int count) {
    const NmsAttr attr = {.conf = 0.25f, .iou = (float)iou, .agnostic = agnostic, .limit = 5};
    for (int b = 0; b < 2; b++) {
        OpRun r = oprun_make(BACKENDS[b], OP_nms, &attr);
        oprun_input(&r, 0, (Shape){1, 7, 1, 7}, DETECTIONS);
        const double *rows = oprun_forward(&r, 0), zero[40] = {0};
        support_close64("rows", rows, want, 8 * (size_t)count, 0);
        support_close64("places left", rows + 8 * count, zero, 8 * (size_t)(5 - count), 0);
        support_close64("count", oprun_forward(&r, 1), (double[]){count}, 1, 0);
        oprun_free(&r);
    }
}

static void nms(void **state) {
    (void)state;
    const double second[] = {8, 9, 12, 13, 0.5, 1, 1, 1}, third[] = {8, 8, 12, 12, 0.5, 1, 0, 2};
    const double first[] = {8, 8, 12, 12, 0.375, 0.5, 1, 0},
                 last[] = {86, 88, 94, 92, 0.25, 1, 0, 6};
    double rows[32];
    memcpy(rows, second, sizeof second);
    memcpy(rows + 8, third, sizeof third);
    memcpy(rows + 16, last, sizeof last);
    nms_of(false, 0.5, rows, 3);
    memcpy(rows + 8, last, sizeof last);
    nms_of(true, 0.5, rows, 2);
    memcpy(rows + 8, third, sizeof third);
    memcpy(rows + 16, first, sizeof first);
    memcpy(rows + 24, last, sizeof last);
    nms_of(false, 0.625, rows, 4);
}

/* A photo of 2 x 2 pixels whose channels are 10, 20, 30 and so on. */
static const double PHOTO[] = {10, 20, 30, 50, 60, 70, 90, 100, 110, 130, 140, 150};

static void crop(const char *name, AffineAttr a, const double *map, const double *rectangle,
                 const double *want) {
    a.out_h = 1, a.out_w = 2;
    for (int b = 0; b < 2; b++) {
        OpRun r = oprun_make(BACKENDS[b], OP_affine, &a);
        oprun_input_of(&r, 0, U8, (Shape){1, 2, 2, 3}, PHOTO);
        oprun_input(&r, 1, (Shape){1, 1, 1, 6}, map);
        if (rectangle) oprun_input(&r, 2, (Shape){1, 1, 1, 4}, rectangle);
        support_close64(name, oprun_forward(&r, 0), want, 6, 1e-5);
        oprun_free(&r);
    }
}

static void affine(void **state) {
    (void)state;
    static const double same[] = {1, 0, 0, 0, 1, 0}, far[] = {1, 0, 1e9, 0, 1, 0};
    static const double broken[] = {NAN, 0, 0, 0, INFINITY, 1e30}, half[] = {1, 0, 0.5, 0, 1, 0.5};
    static const double below[] = {0, 0, 1, 1, 0, 0.25}, left[] = {1, 0, -0.25, 0, 1, 0};
    crop("upright", (AffineAttr){0}, same, NULL, (double[]){10, 20, 30, 50, 60, 70});
    crop("reversed", (AffineAttr){.reverse = true}, same, NULL, (double[]){30, 20, 10, 70, 60, 50});
    crop("pixel rule", (AffineAttr){.scale = 0.5f, .mean = {1, 2, 3}, .deviation = {2, 4, 8}}, same,
         NULL, (double[]){2, 2, 1.5, 12, 7, 4});
    crop("half a pixel on", (AffineAttr){.border = 30}, half, NULL,
         (double[]){70, 80, 90, 60, 65, 70});
    crop("at the rectangle's edge", (AffineAttr){.border = 30}, half, (double[]){0, 0, 0.5, 0},
         (double[]){30, 40, 50, 30, 40, 50});
    crop("turned", (AffineAttr){0}, below, NULL, (double[]){70, 80, 90, 97.5, 105, 112.5});
    crop("outside by a quarter", (AffineAttr){.border = 30}, left, NULL,
         (double[]){15, 22.5, 30, 40, 50, 60});
    crop("rounded", (AffineAttr){.border = 30, .round8 = true}, left, NULL,
         (double[]){15, 23, 30, 40, 50, 60});
    crop("one valid column", (AffineAttr){.border = 7, .valid_w = 1}, same, NULL,
         (double[]){10, 20, 30, 7, 7, 7});
    crop("far away", (AffineAttr){.border = 7}, far, NULL, (double[]){7, 7, 7, 7, 7, 7});
    crop("not finite", (AffineAttr){.border = 7}, broken, NULL, (double[]){7, 7, 7, 7, 7, 7});
}

/* Two steps of w = 1 with gradients 1 and 0.5. */
static void optimiser(const char *name, UpdateAttr a, double decay, bool momentum, double want) {
    const UpdateRange range = {1, 1};
    const Shape slab = {1, 1, 1, 3};
    a.ranges = 1, a.range = &range;
    for (int b = 0; b < 2; b++) {
        OpRun r = oprun_make(BACKENDS[b], OP_update, &a);
        oprun_input(&r, 0, slab, (double[]){1, 1, 1});
        for (int i = 2; i < 4 && momentum; i++) oprun_input(&r, i, slab, (double[3]){0});
        for (int step = 1; step <= 2; step++) {
            double g = 1. / step;
            oprun_input(&r, 1, slab, (double[]){g, g, g});
            oprun_input(&r, 4, (Shape){1, 1, 1, 4}, (double[]){0.5, decay, step, 0});
            oprun_forward(&r, -1);
        }
        support_close64(name, oprun_read(&r, 0), (double[]){1, want, 1}, 3, TOLERANCE[b]);
        oprun_free(&r);
    }
}

/* Weights after two steps of Adam with decay in the gradient, from the published formula. */
static double adam_by_hand(double decay) {
    double w = 1, m = 0, v = 0;
    for (int t = 1; t <= 2; t++) {
        double g = 1. / t + decay * w;
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        w -= 0.5 * (m / (1 - pow(0.9, t))) / (sqrt(v / (1 - pow(0.999, t))) + 1e-8);
    }
    return w;
}

static void update(void **state) {
    (void)state;
    optimiser("sgd", (UpdateAttr){.kind = UPDATE_SGD}, 0, false, 0.25);
    optimiser("sgd with decay", (UpdateAttr){.kind = UPDATE_SGD}, 1, false, -0.25);
    optimiser("sgd with momentum", (UpdateAttr){.kind = UPDATE_SGD, .momentum = 0.5f}, 0, true, 0);
    optimiser("sgd, nesterov", (UpdateAttr){.kind = UPDATE_SGD, .momentum = 0.5f, .nesterov = true},
              0, true, -0.25);
    optimiser("adam", (UpdateAttr){.kind = UPDATE_ADAM}, 0.5, true, adam_by_hand(0.5));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),
        cmocka_unit_test(unary),
        cmocka_unit_test(binary),
        cmocka_unit_test(unary_keeps_nan),
        cmocka_unit_test(maxpool_keeps_nan),
        cmocka_unit_test(conv_keeps_nan),
        cmocka_unit_test(reduce),
        cmocka_unit_test(sums_are_accurate),
        cmocka_unit_test(loss),
        cmocka_unit_test(boxdecode),
        cmocka_unit_test(nms),
        cmocka_unit_test(affine),
        cmocka_unit_test(update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
