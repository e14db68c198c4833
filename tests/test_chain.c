/* Chain: convolutions that run a few images at a time give what they give on all images at once,
 * in less memory, and nothing that others read is cut short. */
#include "tests/support.h"

#include "autograd/build.h"
#include "autograd/plan.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

#include <stdlib.h>
#include <string.h>

enum { IMAGES = 6, HEIGHT = 12, WIDTH = 10, CHANNELS = 4, NUMBERS = 8192 };

/* Convolutions with folded norms and without, a residual, a value that is read in the chain and
 * behind it, weights that two of them share, one of them with a norm and without, and one that is
 * not the last but read after the run. */
typedef struct {
    Graph *graph;
    Params *params;
    Tensor *x, *middle, *loss;
} Net;

static Net net_new(const Backend *backend) {
    Net n = {.graph = graph_new(), .params = params_new(backend)};
    Scope m = {.graph = n.graph, .params = n.params};
    n.x = graph_input(n.graph, "x", F32, (Shape){IMAGES, HEIGHT, WIDTH, CHANNELS});
    Tensor *y = conv(&m, "a", n.x, .out = 4, .k = 3, .norm = "bn_a", .act = ACT_RELU), *before = y;
    y = conv(&m, "b", y, .out = 4, .k = 3, .norm = "bn_b", .act = ACT_SILU);
    n.middle = y = conv(&m, "c", y, .out = 4, .k = 3, .bias = true, .act = ACT_RELU);
    for (int i = 0; i < 2; i++) y = conv(&m, "twice", y, .out = 4, .k = 3);
    y = conv(&m, "d", y, .out = 4, .k = 3);
    y = conv(&m, "d", y, .out = 4, .k = 3, .norm = "bn_d");
    y = relu(&m, add(&m, y, before));
    y = conv(&m, "e", y, .out = 5, .k = 3, .stride = 2, .norm = "bn_e");
    n.loss =
        mean(&m, square(&m, add(&m, mean(&m, y, AXES_HW), mean(&m, before, AXES_ALL))), AXES_ALL);
    assert_int_equal(params_alloc(n.params), OK);
    support_params(n.params);
    return n;
}

static void net_free(Net *n) {
    params_free(n->params);
    graph_free(n->graph);
}

/* Everything that can be read after a run, one after the other. */
typedef struct {
    double value[NUMBERS];
    size_t count;
    char text[1 << 15]; /* of plan_dump */
    size_t bytes;
} Result;

static void read_all(const Net *n, const Plan *plan, const PlanOptions *o, Result *r) {
    double *to = r->value;
    plan_read(plan, n->loss, F64, to++);
    plan_read(plan, n->middle, F64, to), to += shape_size(n->middle->shape);
    if (o->wrts) plan_read_gradient(plan, n->x, F64, to), to += shape_size(n->x->shape);
    for (int i = 0; o->wrts && i < params_count(n->params); i++) {
        if (params_at(n->params, i)->kind != PARAM_WEIGHT) continue;
        params_get_gradient(n->params, i, to);
        to += shape_size(params_at(n->params, i)->shape);
    }
    r->count = (size_t)(to - r->value);
    assert_in_range(r->count, 1, NUMBERS);
}

static Result *result_of(const Backend *backend, PlanOptions o, bool backward, int runs) {
    Net n = net_new(backend);
    Result *r = calloc(1, sizeof *r);
    Plan *plan;
    double x[IMAGES * HEIGHT * WIDTH * CHANNELS];
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = rng_signed(rng_stream("x", 1), i);
    Tensor *keep[] = {n.middle, n.loss}, *wrt[] = {n.x};
    o.keep = keep, o.keeps = 2;
    if (backward) o.loss = n.loss, o.wrt = wrt, o.wrts = 1;
    if (plan_new(n.graph, backend, &o, &plan) != OK) fail_msg("%s", error_reason());
    plan_write(plan, n.x, F64, x);
    while (runs--) plan_run(plan);
    read_all(&n, plan, &o, r);
    FILE *f = fmemopen(r->text, sizeof r->text, "w");
    plan_dump(plan, f);
    fclose(f);
    r->bytes = plan_bytes(plan);
    plan_free(plan);
    net_free(&n);
    return r;
}

/* Bytes of a convolution's values of one image, as chain.h counts them. */
enum { IMAGE = 2 * HEIGHT * WIDTH * CHANNELS * (int)sizeof(float) };

static const struct {
    size_t bytes;
    const char *text; /* in the dump */
} block[] = {{1, " x6"}, {2 * IMAGE + 1, " x3"}, {5 * IMAGE, " x2"}};

static void check_close(const char *what, const Result *got, const Result *want, double tolerance) {
    assert_int_equal(got->count, want->count);
    support_close64(what, got->value, want->value, want->count, tolerance);
}

static void blocks_of_images_equal_all(void **state) {
    (void)state;
    for (int backward = 0; backward < 2; backward++) {
        Result *plain = result_of(&backend_ref, (PlanOptions){.plain = true}, backward, 1);
        for (size_t i = 0; i < sizeof block / sizeof *block; i++) {
            PlanOptions o = {.chain_bytes = block[i].bytes};
            Result *ref = result_of(&backend_ref, o, backward, 2);
            Result *cpu = result_of(&backend_cpu, o, backward, 2);
            assert_non_null(strstr(ref->text, block[i].text));
            assert_non_null(strstr(cpu->text, block[i].text));
            check_close("ref", ref, plain, 1e-12);
            check_close("cpu", cpu, plain, 1e-4);
            free(ref);
            free(cpu);
        }
        free(plain);
    }
}

/* Six and three blocks in three lanes, in two and in one.  Gradients of weights are summed in
 * another order.
 */
static void threads_share_out_the_blocks(void **state) {
    (void)state;
    int threads = parallel_threads();
    size_t values = 1 + IMAGES * HEIGHT * WIDTH * CHANNELS;
    for (int i = 0; i < 4; i++) {
        bool backward = i % 2;
        Result *first = NULL, *ref_first = NULL;
        for (int t = 4; t > 0; t--) {
            PlanOptions o = {.chain_bytes = block[i / 2].bytes};
            parallel_set_threads(t);
            Result *r = result_of(&backend_cpu, o, backward, 2),
                   *ref = result_of(&backend_ref, o, backward, 2);
            if (!first) first = r, ref_first = ref;
            assert_memory_equal(r->value, first->value, values * sizeof *first->value);
            check_close("cpu", r, first, 1e-5);
            check_close("ref", ref, ref_first, 1e-13);
            if (r != first) free(r), free(ref);
        }
        free(first);
        free(ref_first);
    }
    parallel_set_threads(threads);
}

static void few_images_need_no_chain(void **state) {
    (void)state;
    Result *r = result_of(&backend_ref, (PlanOptions){0}, true, 1);
    assert_null(strstr(r->text, " x"));
    free(r);
}

static void gradients_add_over_blocks_and_runs(void **state) {
    (void)state;
    PlanOptions o = {.chain_bytes = 1, .add_gradients = true};
    Result *once = result_of(&backend_ref, o, true, 1),
           *twice = result_of(&backend_ref, o, true, 2);
    size_t weights = 1 + 2 * IMAGES * HEIGHT * WIDTH * CHANNELS; /* what comes before them */
    for (size_t i = weights; i < once->count; i++) once->value[i] *= 2;
    check_close("twice", twice, once, 1e-12);
    free(once);
    free(twice);
}

static void values_within_a_chain_take_one_block(void **state) {
    (void)state;
    int threads = parallel_threads();
    parallel_set_threads(1);
    Result *blocks = result_of(&backend_ref, (PlanOptions){.chain_bytes = 1}, false, 1);
    Result *all = result_of(&backend_ref, (PlanOptions){0}, false, 1);
    parallel_set_threads(threads);
    assert_true(blocks->bytes < all->bytes);
    free(blocks);
    free(all);
}

/* How often a conv with few products is computed, backward included, before a pool or a square. */
static int made(bool pooled) {
    Graph *g = graph_new();
    Params *p = params_new(&backend_ref);
    Scope m = {.graph = g, .params = p};
    Tensor *x = graph_input(g, "x", F32, (Shape){IMAGES, HEIGHT, WIDTH, CHANNELS});
    Tensor *y = conv(&m, "a", x, .out = 4, .k = 3);
    y = pooled ? maxpool(&m, y, 3, 2, 1) : square(&m, y);
    assert_int_equal(params_alloc(p), OK);
    Plan *plan;
    PlanOptions o = {.loss = mean(&m, y, AXES_ALL), .wrt = &x, .wrts = 1};
    assert_int_equal(plan_new(g, &backend_ref, &o, &plan), OK);
    char text[4096] = "";
    FILE *f = fmemopen(text, sizeof text, "w");
    plan_dump(plan, f);
    fclose(f);
    plan_free(plan);
    params_free(p);
    graph_free(g);
    int count = 0;
    for (const char *at = text; (at = strstr(at, "forward  conv")); at++) count++;
    return count;
}

/* It looks for the bits of its maximum. */
static void a_pool_reads_what_it_read_before(void **state) {
    (void)state;
    assert_int_equal(made(false), 2);
    assert_int_equal(made(true), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_images_equal_all),
        cmocka_unit_test(threads_share_out_the_blocks),
        cmocka_unit_test(few_images_need_no_chain),
        cmocka_unit_test(gradients_add_over_blocks_and_runs),
        cmocka_unit_test(a_pool_reads_what_it_read_before),
        cmocka_unit_test(values_within_a_chain_take_one_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
