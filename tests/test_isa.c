/* Kernels that are compiled once per instruction set, against double: each set that this processor
 * has, in a process of its own. */
#include "tests/support.h"
#include "kernels/activation.h"
#include "kernels/depthwise.h"
#include "tensor/rng.h"
#include "tests/opcases.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void Row(float *y, const float *x, size_t size);
static double exp_of(double x) { return exp(x); }
static double sigmoid_of(double x) { return 1 / (1 + exp(-x)); }
static double silu_of(double x) { return x / (1 + exp(-x)); }

static double silu_slope_of(double x) {
    double s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}

/* Distance of `got` from the double `want`, in units of the last place of a float of its size. */
static double ulps(float got, double want) {
    float rounded = fabsf((float)want);
    if (isinf(rounded)) return isinf(got) && signbit(got) == signbit(want) ? 0 : INFINITY;
    return fabs((double)got - want) / (double)(nextafterf(rounded, INFINITY) - rounded);
}

enum { NUMBERS = 1 << 18 };

/* Over all sizes from 2^-24 to 128, both signs, many of each: floats with equally spaced bits. */
static void fill_numbers(float *x) {
    for (uint32_t i = 0; i < NUMBERS; i++) {
        uint32_t bits =
            0x33800000u + (uint32_t)((uint64_t)(0x43000000u - 0x33800000u) * i / NUMBERS);
        bits |= i % 2 ? 0x80000000u : 0;
        memcpy(&x[i], &bits, sizeof bits);
    }
}

static void close_row(const char *name, Row *row, double (*want)(double), double lowest,
                      double tolerance) {
    float *x = malloc(2 * NUMBERS * sizeof *x), *y = x + NUMBERS;
    fill_numbers(x);
    row(y, x, NUMBERS);
    double worst = 0;
    for (int i = 0; i < NUMBERS; i++) {
        if ((double)x[i] < lowest) continue;
        double off = ulps(y[i], want((double)x[i]));
        if (off > worst) worst = off;
        if (!(off <= tolerance))
            fail_msg("%s(%.9g) = %.9g, %.2f units in the last place off", name, (double)x[i],
                     (double)y[i], off);
    }
    print_message("%s: within %.2f units in the last place\n", name, worst);
    free(x);
}

/* Below -87, e^-x is infinite in float and the quotient 0: an error of 1e-36 at most. */
static void test_values(void **state) {
    (void)state;
    close_row("exp", isa_pick(activation_exp), exp_of, -INFINITY, 2);
    close_row("sigmoid", isa_pick(activation_sigmoid), sigmoid_of, -87, 4);
    close_row("silu", isa_pick(activation_silu), silu_of, -87, 4);
}

static void test_silu_slope(void **state) {
    (void)state;
    float *x = malloc(4 * NUMBERS * sizeof *x), *dy = x + NUMBERS, *dx = dy + NUMBERS,
          *added = dx + NUMBERS;
    fill_numbers(x);
    for (int k = 0; k < NUMBERS; k++) dy[k] = k % 3 ? 2 : -1, added[k] = 1;
    isa_pick(activation_silu_slope)(dx, dy, x, NUMBERS, false);
    isa_pick(activation_silu_slope)(added, dy, x, NUMBERS, true);
    for (int k = 0; k < NUMBERS; k++) {
        double want = (double)dy[k] * silu_slope_of((double)x[k]);
        if (!(fabs((double)dx[k] - want) <= 2e-6 * fabs((double)dy[k])))
            fail_msg("silu'(%.9g)*%g: %.9g instead of %.9g", (double)x[k], (double)dy[k],
                     (double)dx[k], want);
        if (!(fabs((double)added[k] - 1 - want) <= 4e-6))
            fail_msg("slope at %.9g is not added", (double)x[k]);
    }
    free(x);
}

static void test_ends(void **state) {
    (void)state;
    const float x[] = {INFINITY, -INFINITY, NAN, 0, -0.f, 200, -200, 88.7228f, -103.9f};
    float y[sizeof x / sizeof *x];
    isa_pick(activation_exp)(y, x, sizeof x / sizeof *x);
    assert_true(isinf(y[0]) && y[1] == 0 && isnan(y[2]) && y[3] == 1 && y[4] == 1);
    assert_true(isinf(y[5]) && y[6] == 0 && y[7] > 3.4e38f && !isinf(y[7]) && y[8] > 0);
    isa_pick(activation_sigmoid)(y, x, sizeof x / sizeof *x);
    assert_true(y[0] == 1 && y[1] == 0 && isnan(y[2]) && y[3] == 0.5f && y[5] == 1);
    isa_pick(activation_silu)(y, x, sizeof x / sizeof *x);
    assert_true(isinf(y[0]) && isnan(y[2]) && y[3] == 0 && y[5] == 200 && y[6] == 0);
}

/* The same number gives the same bits at every place of a row of any length. */
static void test_places(void **state) {
    (void)state;
    enum { MOST = 40 };
    float x[MOST], y[MOST + 1], whole[MOST];
    for (int i = 0; i < MOST; i++) x[i] = 0.37f * (float)(i % 9) - 1.1f;
    Row *const rows[] = {isa_pick(activation_exp), isa_pick(activation_sigmoid),
                         isa_pick(activation_silu)};
    for (int r = 0; r < 3; r++) {
        rows[r](whole, x, MOST);
        for (size_t size = 0; size < MOST; size++) {
            y[size] = -7;
            rows[r](y, x + MOST - size, size);
            assert_memory_equal(y, whole + MOST - size, size * sizeof *y);
            assert_true(y[size] == -7);
        }
    }
}

static const UnaryAttr SILU = {.kind = UNARY_SILU}, SIGMOID = {.kind = UNARY_SIGMOID},
                       EXP = {.kind = UNARY_EXP};
static const BatchnormAttr NORM = {1e-5f, 0.1f};
static const ConvAttr WITH_SILU = {.pad = 1, .act = ACT_SILU};

#define ONE_CHANNEL(c) UNIFORM(1, 1, 1, c)
#define NORM_ROW(name, c, ...)                                                           \
    {                                                                                    \
        OP_batchnorm, name, 1e-5, 0, &NORM, {                                            \
            RANGE(2, 5, __VA_ARGS__, c), ONE_CHANNEL(c), ONE_CHANNEL(c), ONE_CHANNEL(c), \
                RANGE(0.5, 2, 1, 1, 1, c)                                                \
        }                                                                                \
    }

static const OpCase ROWS[] = {
    {OP_unary, "silu", 1e-6, 0, &SILU, {RANGE(-20, 20, 1, 3, 7, 43)}},
    {OP_unary, "sigmoid", 1e-6, 0, &SIGMOID, {RANGE(-20, 20, 1, 3, 7, 43)}},
    {OP_unary, "exp", 1e-6, 0, &EXP, {RANGE(-2, 2, 1, 3, 7, 43)}},
    NORM_ROW("a vector of channels, chunks of pixels", 16, 3, 9, 11),
    NORM_ROW("tail", 19, 2, 5, 7),
    NORM_ROW("vectors and a tail", 37, 2, 4, 9),
    NORM_ROW("few pixels", 40, 5, 1, 1),
    {OP_conv,
     "silu",
     2e-6,
     LIBRARY,
     &WITH_SILU,
     {UNIFORM(1, 5, 6, 7), UNIFORM(21, 3, 3, 7), UNIFORM(1, 1, 1, 21)}},
};

static void test_ops(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
        if (opcheck_run(&ROWS[i], &backend_ref, &backend_cpu) != OK) fail_msg("%s", error_reason());
}

/* Bodies, whose lanes are as many as the set has. */
static void test_bodies(void **state) {
    (void)state;
    static const OpKind ops[] = {OP_skin, OP_joints};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < opcases_of(ops[k]); i++)
            if (opcheck_run(opcases_at(ops[k], i), &backend_ref, &backend_cpu) != OK)
                fail_msg("%s", error_reason());
}

/* --- depthwise, whose forward and gradient of x oneDNN takes where it is there --- */

typedef struct {
    int n, h, w, c, k, stride, pad, dilation;
    Act act;
    bool add;
} Deep;

static float *random_floats(uint64_t key, size_t n) {
    float *v = malloc((n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++) v[i] = rng_signed(key, i);
    return v;
}

typedef struct {
    Conv g;
    float *x, *w, *b, *r, *y, *dx, *dw; /* y: before a call what is added to */
    float *workspace;
} DeepRun;

static DeepRun deep_run(const Deep *d) {
    int ho = (d->h + 2 * d->pad - d->dilation * (d->k - 1) - 1) / d->stride + 1;
    int wo = (d->w + 2 * d->pad - d->dilation * (d->k - 1) - 1) / d->stride + 1;
    DeepRun r = {.g = {.act = d->act,
                       .slope = 0.1f,
                       .stride = d->stride,
                       .pad = d->pad,
                       .dilation = d->dilation,
                       .groups = d->c,
                       .n = d->n,
                       .h = d->h,
                       .w = d->w,
                       .ci = d->c,
                       .ho = ho,
                       .wo = wo,
                       .co = d->c,
                       .kh = d->k,
                       .kw = d->k,
                       .gi = 1,
                       .go = 1}};
    size_t in = (size_t)d->n * d->h * d->w * d->c, out = conv_size(&r.g);
    r.x = random_floats(1, in), r.w = random_floats(2, (size_t)d->c * d->k * d->k);
    r.b = random_floats(3, (size_t)d->c), r.r = random_floats(4, out);
    r.y = random_floats(5, out), r.dx = random_floats(6, in);
    r.dw = random_floats(7, (size_t)d->c * d->k * d->k);
    r.workspace = malloc(depthwise_bytes_cpu(&r.g));
    return r;
}

static void deep_free(DeepRun *r) {
    float *all[] = {r->x, r->w, r->b, r->r, r->y, r->dx, r->dw, r->workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* What the formula says, in double: y, and the gradients for dz = r. */
static void deep_formula(const DeepRun *r, double *y, double *dx, double *dw) {
    const Conv *g = &r->g;
    for (int o = 0; o < g->n * g->ho * g->wo; o++)
        for (int tap = 0; tap < g->kh * g->kw; tap++) {
            int i = conv_source(g, o / g->wo % g->ho, tap / g->kw);
            int j = conv_source(g, o % g->wo, tap % g->kw), image = o / g->wo / g->ho;
            if (i < 0 || i >= g->h || j < 0 || j >= g->w) continue;
            size_t from = (((size_t)image * g->h + i) * g->w + j) * g->co, to = (size_t)o * g->co;
            for (int c = 0; c < g->co; c++) {
                size_t weight = (size_t)c * g->kh * g->kw + tap;
                y[to + c] += (double)r->x[from + c] * (double)r->w[weight];
                dx[from + c] += (double)r->r[to + c] * (double)r->w[weight];
                dw[weight] += (double)r->r[to + c] * (double)r->x[from + c];
            }
        }
    for (size_t i = 0; i < conv_size(g); i++) {
        double z = y[i] + (double)r->b[i % g->co] + (double)r->r[i];
        y[i] = g->act == ACT_SILU    ? silu_of(z)
               : g->act == ACT_LEAKY ? (z > 0 ? z : 0.1 * z)
               : g->act == ACT_RELU  ? fmax(z, 0)
                                     : z;
    }
}

static void deep_close(const char *name, const float *got, const double *want, size_t n,
                       const float *before) {
    double largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
    for (size_t i = 0; i < n; i++) {
        double value = want[i] + (before ? (double)before[i] : 0);
        if (!(fabs((double)got[i] - value) <= 3e-6 * (largest + 1)))
            fail_msg("%s[%zu] is %.9g instead of %.9g", name, i, (double)got[i], value);
    }
}

static void deep_check(const Deep *d) {
    DeepRun r = deep_run(d);
    size_t in = (size_t)d->n * d->h * d->w * d->c, out = conv_size(&r.g),
           weights = (size_t)d->c * d->k * d->k;
    double *y = calloc(out, sizeof *y), *dx = calloc(in, sizeof *dx),
           *dw = calloc(weights, sizeof *dw);
    float *dx_before = random_floats(6, in), *dw_before = random_floats(7, weights);
    deep_formula(&r, y, dx, dw);
    Call c = {.add = {d->add, d->add}};
    c.in[0].data = r.x, c.in[1].data = r.w, c.in[2].data = r.b, c.in[3].data = r.r;
    depthwise_forward_cpu(&r.g, &c, r.workspace, r.y);
    deep_close("y", r.y, y, out, NULL);
    c.dout[0].data = r.r, c.din[0].data = r.dx, c.din[1].data = r.dw;
    depthwise_input_gradient_cpu(&r.g, &c, r.workspace);
    depthwise_weight_gradient_cpu(&r.g, &c, r.workspace);
    deep_close("dx", r.dx, dx, in, d->add ? dx_before : NULL);
    deep_close("dw", r.dw, dw, weights, d->add ? dw_before : NULL);
    free(y), free(dx), free(dw), free(dx_before), free(dw_before);
    deep_free(&r);
}

static void test_depthwise(void **state) {
    (void)state;
    static const Deep all[] = {
        {2, 13, 13, 32, 3, 1, 1, 1, ACT_NONE, false}, {1, 16, 15, 16, 3, 2, 1, 1, ACT_SILU, true},
        {2, 9, 21, 24, 5, 1, 2, 1, ACT_RELU, true},   {1, 14, 17, 19, 5, 2, 2, 1, ACT_LEAKY, false},
        {1, 7, 12, 40, 3, 1, 2, 2, ACT_NONE, true},   {3, 2, 3, 5, 3, 1, 1, 1, ACT_SILU, false},
        {1, 9, 9, 16, 1, 2, 0, 1, ACT_NONE, false},   {1, 6, 5, 17, 9, 1, 4, 1, ACT_SILU, true},
        {1, 2, 2, 16, 3, 1, 4, 1, ACT_NONE, false},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) deep_check(&all[i]);
}

/* The tests with one set, unless the processor or build lacks it. */
static int run_with(const char *isa) {
    setenv("CROWDREC_ISA", isa, 1);
    if (strcmp(isa_name(isa_best()), isa) != 0) return 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_silu_slope),
        cmocka_unit_test(test_ends),   cmocka_unit_test(test_places),
        cmocka_unit_test(test_ops),    cmocka_unit_test(test_depthwise),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests_name(isa, tests, NULL, NULL);
}

int main(void) {
    static const char *const sets[] = {"portable", "avx2", "avx512"};
    int failed = 0;
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (!child) exit(run_with(sets[i]));
        int status = 1;
        waitpid(child, &status, 0);
        failed |= status;
    }
    return failed != 0;
}
