/* Winograd against direct sums in double precision, in every instruction set that this machine has:
 * the program runs its tests once in a process for each. */
#include "kernels/gemm.h"
#include "kernels/winorule.h"
#include "tests/oprun.h"
#include "tests/support.h"

#include "tensor/parallel.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The error that a conv may have, as a part of its result (L2). */
static const double TOLERANCE = 2e-6;

enum { GUARD = 16, THREADS = 4 };

/* --- numbers between guards --- */

typedef struct {
    float *data;
    size_t size;
} Numbers;

static Numbers numbers_new(size_t size) {
    Numbers n = {aligned_alloc(64, (size + 2 * GUARD + 15) / 16 * 64), size};
    assert_non_null(n.data);
    memset(n.data, 0xff, (size + 2 * GUARD) * sizeof *n.data);
    n.data += GUARD;
    return n;
}

static void numbers_free(Numbers n) {
    if (n.data) free(n.data - GUARD);
}

static void assert_guards(Numbers n) {
    unsigned char whole[GUARD * sizeof(float)];
    memset(whole, 0xff, sizeof whole);
    assert_memory_equal(n.data - GUARD, whole, sizeof whole);
    assert_memory_equal(n.data + n.size, whole, sizeof whole);
}

static void fill(Numbers n, const char *key) {
    for (size_t i = 0; i < n.size; i++) n.data[i] = rng_signed(rng_stream(key, 1), i);
}

static double *doubles(Numbers n) {
    double *values = malloc((n.size + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n.size; i++) values[i] = (double)n.data[i];
    return values;
}

static void close_to(const char *what, Numbers got, const double *want, const double *before) {
    double error = 0, size = 0;
    for (size_t i = 0; i < got.size; i++) {
        double all = want[i] + (before ? before[i] : 0), d = (double)got.data[i] - all;
        error += d * d, size += all * all;
    }
    double floor = 0.01 * sqrt((double)got.size); /* sums may cancel */
    if (!(sqrt(error) <= TOLERANCE * (sqrt(size) + floor)))
        fail_msg("%s: error %.3g of %.3g", what, sqrt(error), sqrt(size));
}

/* --- one conv, its passes by `ref` and by Winograd --- */

typedef struct {
    int n, h, w, c, k, stride;
    Act act;
    bool bias, residual;
} Case;

static const Case CASES[] = {
    {1, 1, 1, 1, 1, 1, ACT_NONE, false, false},     {2, 3, 5, 3, 16, 1, ACT_RELU, true, true},
    {1, 4, 4, 16, 48, 1, ACT_SILU, true, false},    {3, 7, 9, 48, 3, 1, ACT_LEAKY, true, false},
    {1, 13, 6, 96, 48, 1, ACT_NONE, false, true},   {8, 8, 6, 48, 96, 1, ACT_RELU, true, true},
    {2, 16, 12, 192, 64, 1, ACT_RELU, true, true},  {1, 8, 6, 384, 384, 1, ACT_RELU, true, true},
    {8, 5, 5, 17, 33, 1, ACT_SILU, true, true},     {1, 1, 30, 20, 50, 1, ACT_LEAKY, false, true},
    {1, 4, 4, 768, 768, 1, ACT_NONE, true, true},   {2, 30, 25, 96, 96, 1, ACT_RELU, true, true},
    {40, 12, 12, 16, 16, 1, ACT_NONE, true, false}, {1, 1, 1, 1, 1, 2, ACT_NONE, false, false},
    {2, 3, 5, 3, 16, 2, ACT_RELU, true, true},      {1, 8, 8, 16, 48, 2, ACT_SILU, true, false},
    {3, 7, 9, 48, 3, 2, ACT_LEAKY, true, false},    {2, 2, 30, 20, 50, 2, ACT_NONE, false, true},
    {8, 10, 9, 17, 33, 2, ACT_SILU, true, true},    {1, 26, 31, 96, 50, 2, ACT_RELU, true, true},
    {30, 12, 16, 24, 40, 2, ACT_NONE, true, false}, {2, 48, 33, 64, 96, 2, ACT_RELU, true, true},
};
enum { CASE_COUNT = sizeof CASES / sizeof *CASES };

typedef struct {
    const Case *c;
    Numbers x, w, b, r, dz;
} Data;

static Shape output_of(const Case *c) {
    int s = c->stride;
    return (Shape){c->n, (c->h + s - 1) / s, (c->w + s - 1) / s, c->k};
}

static Data data_new(const Case *c) {
    size_t in = (size_t)c->c, out = (size_t)c->k, sums = shape_size(output_of(c));
    Data d = {c,
              numbers_new(shape_size((Shape){c->n, c->h, c->w, c->c})),
              numbers_new(out * 9 * in),
              numbers_new(out),
              numbers_new(sums),
              numbers_new(sums)};
    fill(d.x, "x"), fill(d.w, "w"), fill(d.b, "b"), fill(d.r, "r"), fill(d.dz, "dz");
    return d;
}

static void data_free(const Data *d) {
    numbers_free(d->x), numbers_free(d->w), numbers_free(d->b), numbers_free(d->r);
    numbers_free(d->dz);
}

static void give(OpRun *r, int i, Shape shape, Numbers n) {
    double *values = doubles(n);
    oprun_input(r, i, shape, values);
    free(values);
}

static OpRun run_of(const Backend *b, const Data *d, const ConvAttr *attr) {
    const Case *c = d->c;
    OpRun run = oprun_make(b, OP_conv, attr);
    give(&run, 0, (Shape){c->n, c->h, c->w, c->c}, d->x);
    give(&run, 1, (Shape){c->k, 3, 3, c->c}, d->w);
    if (c->bias) give(&run, 2, (Shape){1, 1, 1, c->k}, d->b);
    if (c->residual) give(&run, 3, output_of(c), d->r);
    return run;
}

static ConvAttr attr_of(const Case *c, bool linear) {
    return (ConvAttr){
        .stride = c->stride, .pad = 1, .act = linear ? ACT_NONE : c->act, .slope = 0.1f};
}

typedef struct {
    Winograd s;
    Numbers workspace;
} Prepared;

/* The workspace holds NaN. */
static Prepared prepare(const Case *c, WinogradPass pass, int threads) {
    parallel_set_threads(threads);
    Prepared p = {.s = winograd_new(c->n, c->h, c->w, c->c, c->k, c->stride, threads)};
    p.workspace = numbers_new(winograd_bytes(&p.s, pass) / sizeof(float));
    return p;
}

static void finish(const Prepared *p) {
    assert_guards(p->workspace);
    numbers_free(p->workspace);
}

static WinogradEnd end_of(const Data *d) {
    const Case *c = d->c;
    return (WinogradEnd){c->bias ? d->b.data : NULL, c->residual ? d->r.data : NULL, c->act, 0.1f};
}

/* --- what is tested --- */

static void forward_is_the_sum(void **state) {
    (void)state;
    for (int i = 0; i < CASE_COUNT; i++) {
        const Case *c = &CASES[i];
        Data d = data_new(c);
        ConvAttr attr = attr_of(c, false);
        OpRun run = run_of(&backend_ref, &d, &attr);
        const double *want = oprun_forward(&run, 0);
        Numbers first = numbers_new(d.dz.size);
        for (int threads = 1; threads <= THREADS; threads++) {
            Prepared p = prepare(c, WINOGRAD_FORWARD, threads);
            Numbers y = numbers_new(d.dz.size);
            winograd_forward(&p.s, d.x.data, d.w.data, end_of(&d), y.data, p.workspace.data);
            assert_guards(y);
            close_to("y", y, want, NULL);
            if (threads == 1) memcpy(first.data, y.data, y.size * sizeof *y.data);
            assert_memory_equal(y.data, first.data, y.size * sizeof *y.data);
            numbers_free(y);
            finish(&p);
        }
        numbers_free(first);
        oprun_free(&run);
        data_free(&d);
    }
}

typedef struct {
    Numbers dx, dw, db;
} Gradients;

static Gradients gradients_new(const Data *d, bool add) {
    Gradients g = {numbers_new(d->x.size), numbers_new(d->w.size), numbers_new(d->b.size)};
    if (add) fill(g.dx, "dx"), fill(g.dw, "dw"), fill(g.db, "db");
    return g;
}

static void gradients_free(const Gradients *g) {
    numbers_free(g->dx), numbers_free(g->dw), numbers_free(g->db);
}

static Gradients gradients_of(const Data *d, int threads, bool add) {
    Gradients g = gradients_new(d, add);
    Prepared p = prepare(d->c, WINOGRAD_INPUT_GRADIENT, threads);
    winograd_input_gradient(&p.s, d->dz.data, d->w.data, g.dx.data, add, p.workspace.data);
    finish(&p);
    p = prepare(d->c, WINOGRAD_WEIGHT_GRADIENT, threads);
    winograd_weight_gradient(&p.s, d->x.data, d->dz.data, g.dw.data, add, g.db.data, add,
                             p.workspace.data);
    finish(&p);
    assert_guards(g.dx), assert_guards(g.dw), assert_guards(g.db);
    return g;
}

static void assert_same(Numbers a, Numbers b) {
    assert_memory_equal(a.data, b.data, a.size * sizeof *a.data);
}

static void check_gradients(const Data *d, OpRun *run, const double *dz, bool add) {
    Gradients start = gradients_new(d, true), one = gradients_of(d, 1, add);
    Numbers got[] = {one.dx, one.dw, one.db}, before[] = {start.dx, start.dw, start.db};
    const char *const name[] = {"dx", "dw", "db"};
    for (int i = 0; i < 3; i++) {
        double *had = doubles(before[i]);
        close_to(name[i], got[i], oprun_backward(run, dz, i), add ? had : NULL);
        free(had);
    }
    for (int threads = 2; threads <= THREADS; threads++) {
        Gradients more = gradients_of(d, threads, add);
        assert_same(more.dx, one.dx), assert_same(more.dw, one.dw), assert_same(more.db, one.db);
        gradients_free(&more);
    }
    gradients_free(&start);
    gradients_free(&one);
}

static void gradients_are_the_sums(void **state) {
    (void)state;
    for (int i = 0; i < CASE_COUNT; i++) {
        Case c = CASES[i];
        c.bias = true, c.residual = false;
        Data d = data_new(&c);
        ConvAttr attr = attr_of(&c, true);
        OpRun run = run_of(&backend_ref, &d, &attr);
        oprun_forward(&run, -1);
        double *dz = doubles(d.dz);
        check_gradients(&d, &run, dz, false);
        check_gradients(&d, &run, dz, true);
        free(dz);
        oprun_free(&run);
        data_free(&d);
    }
}

/* The conv op on shapes for which Winograd is the rule. */
static const Case LARGE = {2, 24, 24, 64, 64, 1, ACT_SILU, true, true},
                  LARGE_STRIDE_2 = {4, 48, 48, 48, 96, 2, ACT_SILU, true, true};

/* dz, but 0 where the value before the activation is so small that rounding decides its sign. */
static double *gradient_away_from_kinks(const Data *d) {
    ConvAttr linear = attr_of(d->c, true);
    OpRun run = run_of(&backend_ref, d, &linear);
    const double *z = oprun_forward(&run, 0);
    double *dz = doubles(d->dz);
    for (size_t i = 0; i < d->dz.size; i++)
        if (fabs(z[i]) < 1e-4) dz[i] = 0;
    oprun_free(&run);
    return dz;
}

static void check_conv(const Case *large) {
    static const Act acts[] = {ACT_NONE, ACT_RELU, ACT_LEAKY, ACT_SILU};
    Winograd s = winograd_new(large->n, large->h, large->w, large->c, large->k, large->stride, 1);
    for (int pass = 0; pass < 3; pass++) assert_true(winorule_pays(&s, (WinogradPass)pass));
    for (int a = 0; a < 4; a++) {
        Case c = *large;
        c.act = acts[a];
        Data d = data_new(&c);
        ConvAttr attr = attr_of(&c, false);
        OpRun want = run_of(&backend_ref, &d, &attr), got = run_of(&backend_cpu, &d, &attr);
        const double *y = oprun_forward(&got, 0);
        support_close64("y", y, oprun_forward(&want, 0), d.dz.size, 1e-4);
        double *dy = gradient_away_from_kinks(&d);
        for (int i = 0; i < 4; i++) {
            size_t size = shape_size(got.call.in[i].shape);
            const double *right = oprun_backward(&want, dy, i);
            double most = 0;
            for (size_t j = 0; j < size; j++) most = fmax(most, fabs(right[j]));
            support_close64("gradient", oprun_backward(&got, dy, i), right, size, 2e-5 * most);
        }
        free(dy);
        oprun_free(&want);
        oprun_free(&got);
        data_free(&d);
    }
}

static void conv_is_made_of_it(void **state) {
    (void)state;
    check_conv(&LARGE);
    check_conv(&LARGE_STRIDE_2);
}

static double error_of(const Backend *b, const Data *d, const ConvAttr *attr) {
    OpRun right = run_of(&backend_ref, d, attr), run = run_of(b, d, attr);
    const double *want = oprun_forward(&right, 0), *got = oprun_forward(&run, 0);
    double error = 0, size = 0;
    for (size_t i = 0; i < d->dz.size; i++) {
        error += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    oprun_free(&right);
    oprun_free(&run);
    return sqrt(error / size);
}

static void exact_is_without(void **state) {
    (void)state;
    const Case *large[] = {&LARGE, &LARGE_STRIDE_2};
    for (int i = 0; i < 2; i++) {
        Data d = data_new(large[i]);
        ConvAttr attr = attr_of(large[i], true);
        double plain = error_of(&backend_cpu_exact, &d, &attr);
        double fast = error_of(&backend_cpu, &d, &attr);
        assert_true(plain > 0 && plain < fast && fast < TOLERANCE);
        data_free(&d);
    }
}

/* Products of odd sizes: packed from either side, added, and the outer product. */
static void products_are_sums(void **state) {
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {7, 50, 5}, {13, 33, 100}, {24, 48, 200}};
    for (int i = 0; i < 4; i++) {
        int m = sizes[i][0], n = sizes[i][1], k = sizes[i][2], ld = gemm_columns(n);
        Numbers a = numbers_new((size_t)(m * k + GEMM_SLACK)), c = numbers_new((size_t)(m * ld));
        Numbers b = numbers_new((size_t)(k * ld + GEMM_SLACK)),
                packed = numbers_new(gemm_packed_size(n, k));
        fill(a, "a"), fill(b, "b"), fill(c, "c");
        Numbers turned = numbers_new((size_t)(m * k + GEMM_SLACK));
        for (int r = 0; r < m; r++)
            for (int j = 0; j < k; j++) turned.data[j * m + r] = a.data[r * k + j];
        gemm_pack(n, k, b.data, ld, false, packed.data);
        gemm_packed(m, n, k, a.data, k, packed.data, c.data, ld, false);
        gemm_outer(m, n, k, turned.data, m, b.data, ld, c.data, ld, true);
        for (int r = 0; r < m; r++)
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int l = 0; l < k; l++)
                    sum += (double)a.data[r * k + l] * (double)b.data[l * ld + j];
                if (!(fabs((double)c.data[r * ld + j] - 2 * sum) <= 1e-5 * sqrt(k)))
                    fail_msg("%d x %d x %d at %d, %d", m, n, k, r, j);
            }
        assert_guards(c), assert_guards(packed);
        numbers_free(a), numbers_free(b), numbers_free(c), numbers_free(packed);
        numbers_free(turned);
    }
}

static int tests_of_isa(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_sums),      cmocka_unit_test(forward_is_the_sum),
        cmocka_unit_test(gradients_are_the_sums), cmocka_unit_test(conv_is_made_of_it),
        cmocka_unit_test(exact_is_without),
    };
    return cmocka_run_group_tests_name(isa_name(isa_best()), tests, NULL, NULL);
}

static int run_with(const char *isa) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setenv("CROWDREC_ISA", isa, 1);
        if (!strcmp(isa_name(isa_best()), isa)) exit(tests_of_isa());
        printf("skipped: %s is not there\n", isa);
        exit(0);
    }
    int status = 1;
    return child < 0 || waitpid(child, &status, 0) != child || status != 0;
}

int main(void) { return run_with("portable") + run_with("avx2") + run_with("avx512"); }
