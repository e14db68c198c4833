/* Values of the layers: by hand, against plain loops, and at the sizes of real networks. */
#include "tests/oprun.h"
#include "tests/support.h"

#include "tensor/parallel.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const Backend *const BACKENDS[] = {&backend_ref, &backend_cpu};
static const double TOLERANCE[] = {1e-12, 1e-6};

static double *random_numbers(const char *key, size_t n) {
    double *values = malloc((n + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++) values[i] = (double)rng_signed(rng_stream(key, 1), i);
    return values;
}

/* --- conv: the definition in seven loops --- */

typedef struct {
    const char *name;
    Shape x, w;
    ConvAttr attr;
} ConvCase;

static double conv_at(const ConvCase *c, const double *x, const double *w, int n, int i, int j,
                      int o) {
    int groups = c->attr.groups ? c->attr.groups : 1, stride = c->attr.stride ? c->attr.stride : 1;
    int dilation = c->attr.dilation ? c->attr.dilation : 1, group = o / (c->w.n / groups);
    double sum = 0;
    for (int a = 0; a < c->w.h; a++)
        for (int b = 0; b < c->w.w; b++) {
            int h = i * stride - c->attr.pad + a * dilation;
            int v = j * stride - c->attr.pad + b * dilation;
            if (h < 0 || h >= c->x.h || v < 0 || v >= c->x.w) continue;
            const double *from =
                x + (((size_t)n * c->x.h + h) * c->x.w + v) * c->x.c + group * c->w.c;
            const double *weight = w + (((size_t)o * c->w.h + a) * c->w.w + b) * c->w.c;
            for (int k = 0; k < c->w.c; k++) sum += from[k] * weight[k];
        }
    return sum;
}

static double activation(const ConvAttr *a, double z) {
    return a->act == ACT_SILU ? z / (1 + exp(-z)) : z > 0 ? z : a->act ? z * (double)a->slope : z;
}

static void conv_is_its_definition(void **state) {
    (void)state;
    static const ConvCase cases[] = {
        {"3x3", {2, 5, 6, 8}, {16, 3, 3, 8}, {.pad = 1}},
        {"stride", {1, 7, 6, 3}, {5, 3, 3, 3}, {.pad = 1, .stride = 2, .act = ACT_RELU}},
        {"dilation", {1, 9, 8, 4}, {6, 3, 2, 4}, {.pad = 2, .dilation = 2, .act = ACT_SILU}},
        {"groups", {1, 4, 5, 12}, {8, 3, 3, 3}, {.groups = 4, .act = ACT_LEAKY, .slope = 0.25f}},
        {"depthwise", {1, 6, 5, 20}, {20, 3, 3, 1}, {.groups = 20, .pad = 1}},
        {"linear", {3, 1, 1, 40}, {300, 1, 1, 40}, {.act = ACT_RELU}}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const ConvCase *c = &cases[k];
        double *x = random_numbers("x", shape_size(c->x)),
               *w = random_numbers("w", shape_size(c->w));
        double *b = random_numbers("b", (size_t)c->w.n);
        for (int backend = 0; backend < 2; backend++) {
            OpRun run = oprun_make(BACKENDS[backend], OP_conv, &c->attr);
            oprun_input(&run, 0, c->x, x);
            oprun_input(&run, 1, c->w, w);
            oprun_input(&run, 2, (Shape){1, 1, 1, c->w.n}, b);
            const double *got = oprun_forward(&run, 0);
            Shape y = run.call.out[0].shape;
            double *want = malloc(shape_size(y) * sizeof *want), *at = want;
            for (int n = 0; n < y.n; n++)
                for (int i = 0; i < y.h; i++)
                    for (int j = 0; j < y.w; j++)
                        for (int o = 0; o < y.c; o++)
                            *at++ = activation(&c->attr, conv_at(c, x, w, n, i, j, o) + b[o]);
            support_close64(c->name, got, want, shape_size(y), 20 * TOLERANCE[backend]);
            free(want);
            oprun_free(&run);
        }
        free(x), free(w), free(b);
    }
}

/* Norm of the difference over the norm of what is right. */
static double relative(const double *got, const double *want, size_t n) {
    double error = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    if (!(error >= 0)) fail_msg("%g among the numbers", error);
    return sqrt(error / size);
}

/* Values and gradients of a conv with bias and ReLU, float against double. */
static void compare_backends(const ConvCase *c) {
    double *x = random_numbers("x", shape_size(c->x)), *w = random_numbers("w", shape_size(c->w));
    double *b = random_numbers("b", (size_t)c->w.n), *dy = NULL;
    OpRun run[2];
    for (int k = 0; k < 2; k++) {
        run[k] = oprun_make(BACKENDS[k], OP_conv, &c->attr);
        oprun_input(&run[k], 0, c->x, x);
        oprun_input(&run[k], 1, c->w, w);
        oprun_input(&run[k], 2, (Shape){1, 1, 1, c->w.n}, b);
    }
    const double *want = oprun_forward(&run[0], 0), *got = oprun_forward(&run[1], 0);
    size_t n = shape_size(run[0].call.out[0].shape);
    double worst = relative(got, want, n);
    dy = random_numbers("dy", n);
    for (int i = 0; i < 3; i++) {
        want = oprun_backward(&run[0], dy, i), got = oprun_backward(&run[1], dy, i);
        worst = fmax(worst, relative(got, want, shape_size(run[0].call.in[i].shape)));
    }
    print_message("%s: relative error %.1e\n", c->name, worst);
    if (!(worst < 2e-6)) fail_msg("%s: relative error %g", c->name, worst);
    for (int k = 0; k < 2; k++) oprun_free(&run[k]);
    free(x), free(w), free(b), free(dy);
}

static void float_is_near_double_at_real_sizes(void **state) {
    (void)state;
    static const ConvCase cases[] = {
        {"3x3, 48 channels", {2, 32, 24, 48}, {48, 3, 3, 48}, {.pad = 1}},
        {"3x3, 192 channels", {1, 16, 12, 192}, {192, 3, 3, 192}, {.pad = 1}},
        {"3x3 stride 2, 48 to 96", {2, 32, 24, 48}, {96, 3, 3, 48}, {.pad = 1, .stride = 2}},
        {"stem", {1, 64, 48, 3}, {64, 3, 3, 3}, {.pad = 1, .stride = 2}},
        {"1x1, 64 to 256", {1, 32, 24, 64}, {256, 1, 1, 64}, {0}},
        {"1x1, 256 to 64", {1, 32, 24, 256}, {64, 1, 1, 256}, {0}},
        {"1x1 stride 2, 3 to 64", {1, 82, 62, 3}, {64, 1, 1, 3}, {.stride = 2}},
        {"linear, 2048 to 1024", {3, 1, 1, 2048}, {1024, 1, 1, 2048}, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) compare_backends(&cases[i]);
}

/* Values and both gradients of a 1x1 conv, made with `threads` threads. */
typedef struct {
    OpRun run;
    const double *value[3];
    size_t size[3];
} Product;

static Product product(Shape x, Shape w, int threads) {
    Product p = {.run = oprun_make(&backend_cpu, OP_conv, &(ConvAttr){0})};
    double *values[] = {random_numbers("x", shape_size(x)), random_numbers("w", shape_size(w)),
                        random_numbers("dy", (size_t)x.n * x.h * x.w * w.n)};
    parallel_set_threads(threads);
    oprun_input(&p.run, 0, x, values[0]);
    oprun_input(&p.run, 1, w, values[1]);
    p.value[0] = oprun_forward(&p.run, 0);
    p.value[1] = oprun_backward(&p.run, values[2], 0);
    p.value[2] = oprun_backward(&p.run, values[2], 1);
    p.size[0] = shape_size(p.run.call.out[0].shape);
    p.size[1] = shape_size(x), p.size[2] = shape_size(w);
    for (int i = 0; i < 3; i++) free(values[i]);
    return p;
}

static void threads_do_not_change_products(void **state) {
    (void)state;
    static const Shape shapes[][2] = {{{50, 1, 1, 2048}, {1024, 1, 1, 2048}},
                                      {{1, 1, 1, 2048}, {157, 1, 1, 2048}},
                                      {{1, 32, 24, 64}, {256, 1, 1, 64}}};
    int before = parallel_threads();
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        Product one = product(shapes[k][0], shapes[k][1], 1);
        for (int threads = 2; threads <= 3; threads++) {
            Product more = product(shapes[k][0], shapes[k][1], threads);
            for (int i = 0; i < 3; i++)
                support_close64(shape_text(shapes[k][1]), more.value[i], one.value[i], one.size[i],
                                0);
            oprun_free(&more.run);
        }
        oprun_free(&one.run);
    }
    parallel_set_threads(before);
}

/* --- by hand --- */

/* Inputs of one op, and what output 0 and the gradient of input 0 for a given dout must be. */
typedef struct {
    const char *name;
    OpKind op;
    const void *attr;
    struct {
        Shape shape;
        const double *values;
    } in[6];
    const double *want;
    const double *dout, *gradient; /* or NULL */
} Example;

static void check(const Example *e) {
    for (int b = 0; b < 2; b++) {
        OpRun r = oprun_make(BACKENDS[b], e->op, e->attr);
        for (int i = 0; i < 6; i++)
            if (e->in[i].values) oprun_input(&r, i, e->in[i].shape, e->in[i].values);
        const double *y = oprun_forward(&r, 0);
        support_close64(e->name, y, e->want, shape_size(r.call.out[0].shape), TOLERANCE[b]);
        if (e->gradient)
            support_close64(e->name, oprun_backward(&r, e->dout, 0), e->gradient,
                            shape_size(e->in[0].shape), TOLERANCE[b]);
        oprun_free(&r);
    }
}

#define NUMBERS(...) ((const double[]){__VA_ARGS__})
#define INPUT(values, ...) \
    { {__VA_ARGS__}, values }

static const double COUNT[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                               12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

static void pools(void **state) {
    (void)state;
    check(&(Example){"maxpool with padding",
                     OP_maxpool,
                     &(PoolAttr){3, 2, 1},
                     {INPUT(NUMBERS(-1, -2, -3, -4, -5, -6, -7, -8, -9), 1, 3, 3, 1)},
                     NUMBERS(-1, -2, -4, -5),
                     NUMBERS(1, 2, 3, 4),
                     NUMBERS(1, 2, 0, 3, 4, 0, 0, 0, 0)});
    check(&(Example){"maxpool: a tie goes to the first",
                     OP_maxpool,
                     &(PoolAttr){2, 1, 0},
                     {INPUT(NUMBERS(5, 5, 5, 5, 5, 5), 1, 2, 3, 1)},
                     NUMBERS(5, 5),
                     NUMBERS(1, 10),
                     NUMBERS(1, 10, 0, 0, 0, 0)});
    check(&(Example){"maxpool: a tie across rows and channels",
                     OP_maxpool,
                     &(PoolAttr){2, 2, 0},
                     {INPUT(NUMBERS(1, 3, 2, 0, 2, 3, 2, 3), 1, 2, 2, 2)},
                     NUMBERS(2, 3),
                     NUMBERS(7, 9),
                     NUMBERS(0, 9, 7, 0, 0, 0, 0, 0)});
    check(&(Example){"avgpool counts padding",
                     OP_avgpool,
                     &(PoolAttr){2, 2, 1},
                     {INPUT(NUMBERS(4, 8, 12, 16), 1, 2, 2, 1)},
                     NUMBERS(1, 2, 3, 4),
                     NUMBERS(4, 8, 12, 16),
                     NUMBERS(1, 2, 3, 4)});
}

static void resizes(void **state) {
    (void)state;
    check(&(Example){"nearest 2 to 5",
                     OP_resize,
                     &(ResizeAttr){RESIZE_NEAREST, 1, 5},
                     {INPUT(NUMBERS(3, 4), 1, 1, 2, 1)},
                     NUMBERS(3, 3, 3, 4, 4),
                     NUMBERS(1, 2, 3, 4, 5),
                     NUMBERS(6, 9)});
    check(&(Example){"bilinear doubled",
                     OP_resize,
                     &(ResizeAttr){RESIZE_BILINEAR, 4, 1},
                     {INPUT(NUMBERS(0, 8), 1, 2, 1, 1)},
                     NUMBERS(0, 2, 6, 8),
                     NUMBERS(4, 8, 12, 16),
                     NUMBERS(13, 27)});
    check(&(Example){"bilinear 4 to 2",
                     OP_resize,
                     &(ResizeAttr){RESIZE_BILINEAR, 1, 2},
                     {INPUT(NUMBERS(0, 2, 4, 10), 1, 1, 4, 1)},
                     NUMBERS(1, 7),
                     NUMBERS(2, 6),
                     NUMBERS(1, 1, 3, 3)});
}

static void moves(void **state) {
    (void)state;
    check(&(Example){"shuffle",
                     OP_shuffle,
                     &(ShuffleAttr){2},
                     {INPUT(COUNT, 1, 1, 2, 8)},
                     NUMBERS(0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15),
                     NULL,
                     NULL});
    check(&(Example){"focus",
                     OP_focus,
                     NULL,
                     {INPUT(COUNT, 1, 2, 4, 2)},
                     NUMBERS(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15),
                     NULL,
                     NULL});
    check(&(Example){"matmul",
                     OP_matmul,
                     &(MatmulAttr){false, true},
                     {INPUT(COUNT, 1, 1, 2, 3), INPUT(NUMBERS(1, 0, 0, 0, 1, 1), 1, 1, 2, 3)},
                     NUMBERS(0, 3, 3, 9),
                     NULL,
                     NULL});
    check(&(Example){"softmax",
                     OP_softmax,
                     NULL,
                     {INPUT(NUMBERS(1000, 1000, log(3) - 5, -5), 2, 1, 1, 2)},
                     NUMBERS(0.5, 0.5, 0.75, 0.25),
                     NULL,
                     NULL});
}

/* Channel values 1 3 5 7: mean 4, biased variance 5, unbiased 20/3. */
static void batchnorm(void **state) {
    (void)state;
    static const Shape vector = {1, 1, 1, 1};
    for (int b = 0; b < 2; b++) {
        OpRun r = oprun_make(BACKENDS[b], OP_batchnorm, &(BatchnormAttr){0, 0.25f});
        oprun_input(&r, 0, (Shape){2, 1, 2, 1}, NUMBERS(1, 3, 5, 7));
        oprun_input(&r, 1, vector, NUMBERS(2));
        oprun_input(&r, 2, vector, NUMBERS(10));
        oprun_input(&r, 3, vector, NUMBERS(8));
        oprun_input(&r, 4, vector, NUMBERS(1));
        double s = 2 / sqrt(5.), t = 20 * TOLERANCE[b];
        support_close64("batchnorm", oprun_forward(&r, 0),
                        NUMBERS(10 - 3 * s, 10 - s, 10 + s, 10 + 3 * s), 4, t);
        support_close64("running mean", oprun_read(&r, 3), NUMBERS(7), 1, t);
        support_close64("running variance", oprun_read(&r, 4), NUMBERS(0.75 + 5 / 3.), 1, t);
        oprun_free(&r);
    }
}

static void fold(void **state) {
    (void)state;
    static const double w[] = {1, 2, 3, 4}, gamma[] = {2, 3}, beta[] = {10, 20};
    static const double mean[] = {1, -1}, var[] = {4, 0.25}, bias[] = {3, 5};
    for (int b = 0; b < 2; b++) {
        OpRun r = oprun_make(BACKENDS[b], OP_fold, &(FoldAttr){0});
        const double *vectors[] = {gamma, beta, mean, var, bias};
        oprun_input(&r, 0, (Shape){2, 1, 1, 2}, w);
        for (int i = 0; i < 5; i++) oprun_input(&r, i + 1, (Shape){1, 1, 1, 2}, vectors[i]);
        support_close64("weights", oprun_forward(&r, 0), NUMBERS(1, 2, 18, 24), 4, TOLERANCE[b]);
        support_close64("bias", oprun_forward(&r, 1), NUMBERS(12, 56), 2, 10 * TOLERANCE[b]);
        oprun_free(&r);
    }
}

/* A mask keeps 1-p of all, is the same on both backends, and changes with seed and step. */
static void dropout(void **state) {
    (void)state;
    enum { SIZE = 10000 };
    static const double seeds[][2] = {{7, 0}, {7, 1}, {8, 0}};
    DropoutAttr attr = {0.25f, rng_fnv1a("fc.drop")};
    double *ones = malloc(SIZE * sizeof *ones);
    const double *mask[3][2];
    OpRun run[3][2];
    for (int i = 0; i < SIZE; i++) ones[i] = 1;
    for (int s = 0; s < 3; s++)
        for (int b = 0; b < 2; b++) {
            OpRun *r = &run[s][b];
            *r = oprun_make(BACKENDS[b], OP_dropout, &attr);
            oprun_input(r, 0, (Shape){1, 1, 1, SIZE}, ones);
            oprun_input(r, 1, (Shape){1, 1, 1, 2}, seeds[s]);
            mask[s][b] = oprun_forward(r, 0);
        }
    for (int s = 0; s < 3; s++) {
        int kept = 0, differ = 0;
        for (int i = 0; i < SIZE; i++) {
            double v = mask[s][0][i];
            assert_true(v == 0 || fabs(v - 4 / 3.) < 1e-12);
            kept += v != 0;
            differ += (v != 0) != (mask[(s + 1) % 3][0][i] != 0);
        }
        support_close64("dropout on cpu", mask[s][1], mask[s][0], SIZE, 1e-6);
        assert_in_range(kept, 7300, 7700);
        assert_in_range(differ, 3500, 4000);
    }
    for (int s = 0; s < 3; s++)
        for (int b = 0; b < 2; b++) oprun_free(&run[s][b]);
    free(ones);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_is_its_definition),
        cmocka_unit_test(float_is_near_double_at_real_sizes),
        cmocka_unit_test(threads_do_not_change_products),
        cmocka_unit_test(pools),
        cmocka_unit_test(resizes),
        cmocka_unit_test(moves),
        cmocka_unit_test(batchnorm),
        cmocka_unit_test(fold),
        cmocka_unit_test(dropout),
    };
    return cmocka_run_group_tests_name("layers", tests, NULL, NULL);
}
