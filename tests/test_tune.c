/* The measured choice of ways: what is taken, kept, found again and ignored; and convolutions in
 * every way that may be chosen for them. */
#include "kernels/engines.h"
#include "kernels/onednn.h"
#include "kernels/tune.h"
#include "kernels/winorule.h"
#include "tests/oprun.h"
#include "tests/process.h"
#include "tests/support.h"

#include "tensor/parallel.h"
#include "tensor/rng.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* An empty cache folder, which nothing has been read from. */
static const char *new_cache(void) {
    static char folder[4096];
    static int number;
    snprintf(folder, sizeof folder, "%s/cache%d", support_folder(), number++);
    setenv("XDG_CACHE_HOME", folder, 1);
    tune_forget();
    return folder;
}

static void remember(const char *scope, const char *key, int place, int way) {
    Engines *e = engines_open(scope);
    engines_keep(e, key, &(EngineChoice){0, place, way, 1});
    engines_close(e);
    tune_forget();
}

/* --- the choice --- */

/* Two ways, of which `slow` takes a millisecond. */
typedef struct {
    int slow, runs[2];
} Race;

static void race(void *context, int i) {
    Race *r = context;
    r->runs[i]++;
    if (i == r->slow) nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static const int WAY[] = {20, 10};

static void the_fastest_is_taken_and_kept(void **state) {
    (void)state;
    for (int slow = 0; slow < 2; slow++) {
        new_cache();
        Race first = {slow, {0}}, again = {slow, {0}}, later = {slow, {0}};
        assert_int_equal(tune_fastest("a key", WAY, 2, race, &first), 1 - slow);
        assert_true(first.runs[0] > 1 && first.runs[0] == first.runs[1]);
        assert_int_equal(tune_fastest("a key", WAY, 2, race, &again), 1 - slow);
        tune_forget();
        assert_int_equal(tune_fastest("a key", WAY, 2, race, &later), 1 - slow);
        assert_int_equal(again.runs[0] + again.runs[1] + later.runs[0] + later.runs[1], 0);
        Engines *e = engines_open(tune_scope());
        EngineChoice kept;
        assert_true(engines_find(e, "a key", &kept));
        assert_int_equal(kept.place, 1 - slow);
        assert_int_equal(kept.engine, WAY[1 - slow]);
        engines_close(e);
    }
}

/* The slow way, as an earlier run might have found it to be the fastest, of this key or not. */
static void only_what_fits_is_believed(void **state) {
    (void)state;
    const struct {
        const char *scope, *key;
        int place, way;
        bool fits;
    } earlier[] = {{tune_scope(), "a key", 1, 10, true},
                   {tune_scope(), "another key", 1, 10, false},
                   {tune_scope(), "a key", 1, 20, false},
                   {tune_scope(), "a key", 2, 10, false},
                   {"another processor, avx2, 1 threads", "a key", 1, 10, false}};
    for (size_t i = 0; i < sizeof earlier / sizeof *earlier; i++) {
        new_cache();
        remember(earlier[i].scope, earlier[i].key, earlier[i].place, earlier[i].way);
        Race r = {1, {0}};
        assert_int_equal(tune_fastest("a key", WAY, 2, race, &r), earlier[i].fits);
        assert_int_equal(r.runs[1] == 0, earlier[i].fits);
    }
}

static void threads_have_choices_of_their_own(void **state) {
    (void)state;
    new_cache();
    int threads = parallel_threads();
    remember(tune_scope(), "a key", 1, 10);
    parallel_set_threads(threads + 1);
    bool more = parallel_threads() > threads; /* not without OpenMP */
    Race r = {1, {0}};
    assert_int_equal(tune_fastest("a key", WAY, 2, race, &r), !more);
    parallel_set_threads(threads);
    assert_int_equal(tune_fastest("a key", WAY, 2, race, &r), 1);
}

/* --- the switch --- */

static void words_choose_the_backend(void **state) {
    (void)state;
    const struct {
        const char *tune, *variable;
        bool exact;
        const Backend *want;
        const char *arithmetic;
    } all[] = {{NULL, NULL, false, &backend_cpu, "cpu, fp32, winograd"},
               {"off", NULL, false, &backend_cpu, "cpu, fp32, winograd"},
               {"on", NULL, false, &backend_cpu_tuned, "cpu, fp32, tuned"},
               {NULL, "on", false, &backend_cpu_tuned, "cpu, fp32, tuned"},
               {NULL, "1", false, &backend_cpu_tuned, "cpu, fp32, tuned"},
               {"off", "on", false, &backend_cpu, "cpu, fp32, winograd"},
               {NULL, "0", false, &backend_cpu, "cpu, fp32, winograd"},
               {"on", "on", true, &backend_cpu_exact, "cpu, fp32, direct"}};
    const Backend *b;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].variable)
            setenv("CROWDREC_TUNE", all[i].variable, 1);
        else
            unsetenv("CROWDREC_TUNE");
        BackendChoice choice = {.device = "cpu", .tune = all[i].tune, .exact = all[i].exact};
        assert_int_equal(backend_open(&choice, &b), OK);
        assert_ptr_equal(b, all[i].want);
        assert_string_equal(backend_arithmetic(b), all[i].arithmetic);
    }
    unsetenv("CROWDREC_TUNE");
    BackendChoice choice = {.device = "cpu", .tune = "maybe"};
    assert_int_equal(backend_open(&choice, &b), ERR_USAGE);
    assert_string_equal(error_reason(), "tune 'maybe' is not known, use on or off");
}

/* --- convolutions --- */

enum { FORWARD, INPUTS, WEIGHTS, PASSES };

typedef struct {
    int n, h, w, c, k, size, groups;
    int way[PASSES]; /* that the rule takes; BY_SIZE: which one depends on the processor */
} Case;

/* Numbers of conv.c's ways; the rule's comes first in its list of possible ones, the others
 * follow in rising order. */
enum { BY_SIZE, DEPTHWISE, ONEDNN, PRODUCT, WINOGRAD };

/* Large and small ones of every kind that has a choice. */
static const Case CASES[] = {
    {2, 24, 24, 64, 64, 3, 1, {WINOGRAD, WINOGRAD, WINOGRAD}},
    {1, 4, 3, 20, 33, 3, 1, {ONEDNN, ONEDNN, ONEDNN}},
    {1, 11, 8, 48, 48, 3, 1, {WINOGRAD, WINOGRAD, BY_SIZE}},
    {2, 16, 12, 40, 24, 1, 1, {ONEDNN, ONEDNN, PRODUCT}},
    {1, 3, 3, 64, 96, 1, 1, {PRODUCT, PRODUCT, PRODUCT}},
    {1, 12, 9, 24, 24, 3, 24, {ONEDNN, ONEDNN, DEPTHWISE}},
};
enum { CASE_COUNT = sizeof CASES / sizeof *CASES };

static void key_of(const Case *c, int pass, char key[ENGINES_KEY]) {
    static const char *const name[] = {"forward", "inputs", "weights"};
    snprintf(key, ENGINES_KEY, "%s x %d,%d,%d,%d w %d,%d,%d,%d stride 1 pad %d dilation 1 add 0",
             name[pass], c->n, c->h, c->w, c->c, c->k, c->size, c->size, c->c / c->groups,
             c->size / 2);
}

static int ways_of(const Case *c, int pass, int way[3]) {
    int other = c->groups > 1 ? DEPTHWISE : c->size == 1 ? PRODUCT : WINOGRAD;
    Winograd sizes = winograd_new(c->n, c->h, c->w, c->c, c->k, 1, 1);
    way[0] = c->way[pass];
    if (way[0] == BY_SIZE) way[0] = winorule_pays(&sizes, (WinogradPass)pass) ? WINOGRAD : ONEDNN;
    way[1] = way[0] == other ? ONEDNN : other;
    return 2;
}

static void fill(OpRun *r, int i, Shape shape, const char *key) {
    size_t size = shape_size(shape);
    double *values = malloc(size * sizeof *values);
    assert_non_null(values);
    for (size_t k = 0; k < size; k++) values[k] = (double)rng_signed(rng_stream(key, 1), k);
    oprun_input(r, i, shape, values);
    free(values);
}

/* The pass's values or gradient of a case, which live until oprun_free. */
static const double *pass_of(OpRun *r, const Case *c, int pass, size_t *size) {
    fill(r, 0, (Shape){c->n, c->h, c->w, c->c}, "x");
    fill(r, 1, (Shape){c->k, c->size, c->size, c->c / c->groups}, "w");
    fill(r, 2, (Shape){1, 1, 1, c->k}, "b");
    const double *y = oprun_forward(r, 0);
    *size = (size_t)c->n * (size_t)c->h * (size_t)c->w * (size_t)c->k;
    if (pass == FORWARD) return y;
    double *dy = malloc(*size * sizeof *dy);
    assert_non_null(dy);
    for (size_t i = 0; i < *size; i++) dy[i] = (double)rng_signed(rng_stream("dy", 1), i);
    int input = pass == INPUTS ? 0 : 1;
    const double *gradient = oprun_backward(r, dy, input);
    *size = shape_size(r->call.in[input].shape);
    free(dy);
    return gradient;
}

static ConvAttr attr_of(const Case *c) {
    return (ConvAttr){.pad = c->size / 2, .groups = c->groups};
}

static double distance(const double *a, const double *b, size_t size) {
    double error = 0, whole = 0;
    for (size_t i = 0; i < size; i++) error += (a[i] - b[i]) * (a[i] - b[i]), whole += b[i] * b[i];
    return sqrt(error / whole);
}

/* Each way is forced by what the file says is the fastest.  True when not all of them give the same
 * bits. */
static bool check_ways(const Case *c, int pass) {
    ConvAttr attr = attr_of(c);
    int way[3], count = ways_of(c, pass, way);
    char key[ENGINES_KEY];
    size_t size;
    key_of(c, pass, key);
    OpRun right = oprun_make(&backend_ref, OP_conv, &attr),
          rule = oprun_make(&backend_cpu, OP_conv, &attr);
    const double *want = pass_of(&right, c, pass, &size);
    const double *first = pass_of(&rule, c, pass, &size);
    bool differ = false;
    for (int k = 0; k < count; k++) {
        new_cache();
        remember(tune_scope(), key, k, way[k]);
        OpRun run = oprun_make(&backend_cpu_tuned, OP_conv, &attr);
        const double *got = pass_of(&run, c, pass, &size);
        double error = distance(got, want, size);
        if (!(error <= 2e-6)) fail_msg("%s by %d: error %.3g", key, way[k], error);
        bool same = !memcmp(got, first, size * sizeof *got);
        if (k == 0 && !same) fail_msg("%s: %d is not what the rule takes", key, way[k]);
        differ |= !same;
        oprun_free(&run);
    }
    oprun_free(&right);
    oprun_free(&rule);
    return differ;
}

static void every_way_is_the_sum(void **state) {
    (void)state;
    if (!onednn_version()) skip();
    for (int i = 0; i < CASE_COUNT; i++) {
        const Case *c = &CASES[i];
        bool differ = false;
        for (int pass = 0; pass < PASSES; pass++) differ |= check_ways(c, pass);
        if (!differ && c->groups == 1) /* a depthwise sum has but one order */
            fail_msg("case %d: all ways of all passes give the same bits", i);
    }
}

/* Without --tune no file and no measurement has a say, nor with --exact. */
static void fixed_ways_look_at_no_file(void **state) {
    (void)state;
    static const Backend *const fixed[] = {&backend_cpu, &backend_cpu_exact};
    for (int i = 0; i < CASE_COUNT; i++)
        for (int b = 0; b < 2; b++) {
            const Case *c = &CASES[i];
            ConvAttr attr = attr_of(c);
            const char *folder = new_cache();
            size_t size;
            OpRun one = oprun_make(fixed[b], OP_conv, &attr);
            const double *first = pass_of(&one, c, FORWARD, &size);
            assert_int_not_equal(access(folder, F_OK), 0);
            char key[ENGINES_KEY];
            int way[3], count = ways_of(c, FORWARD, way);
            key_of(c, FORWARD, key);
            remember(tune_scope(), key, count - 1, way[count - 1]);
            OpRun two = oprun_make(fixed[b], OP_conv, &attr);
            const double *again = pass_of(&two, c, FORWARD, &size);
            assert_memory_equal(first, again, size * sizeof *first);
            oprun_free(&one);
            oprun_free(&two);
        }
}

/* All ways of a pass are measured on numbers of its own, and one of them is kept. */
static void convolutions_are_measured(void **state) {
    (void)state;
    if (!onednn_version()) skip();
    new_cache();
    for (int i = 0; i < CASE_COUNT; i++)
        for (int pass = 0; pass < PASSES; pass++) {
            const Case *c = &CASES[i];
            ConvAttr attr = attr_of(c);
            size_t size;
            OpRun right = oprun_make(&backend_ref, OP_conv, &attr),
                  run = oprun_make(&backend_cpu_tuned, OP_conv, &attr);
            const double *got = pass_of(&run, c, pass, &size);
            double error = distance(got, pass_of(&right, c, pass, &size), size);
            if (!(error <= 2e-6)) fail_msg("case %d, pass %d: error %.3g", i, pass, error);
            oprun_free(&run);
            oprun_free(&right);
            char key[ENGINES_KEY];
            key_of(c, pass, key);
            Engines *e = engines_open(tune_scope());
            EngineChoice kept;
            if (!engines_find(e, key, &kept)) fail_msg("%s: nothing is kept", key);
            int way[3], count = ways_of(c, pass, way);
            assert_true(kept.place < count && kept.engine == way[kept.place]);
            assert_true(kept.microseconds > 0);
            engines_close(e);
        }
}

/* --- the program --- */

static const Process *forward(const char *more) {
    return process_run("forward yolox_nano --rule 1 --input rule:1:1,3,32,32 -o %s/y.npz %s",
                       support_folder(), more);
}

/* Adds a line that means nothing to every file of the cache. */
static void damage(const char *cache) {
    char folder[4200], path[8400];
    snprintf(folder, sizeof folder, "%s/crowdrec", cache);
    DIR *all = opendir(folder);
    assert_non_null(all);
    for (const struct dirent *entry; (entry = readdir(all));) {
        if (*entry->d_name == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *f = fopen(path, "a");
        assert_non_null(f);
        assert_true(fputs("damaged\n", f) >= 0);
        assert_int_equal(fclose(f), 0);
    }
    closedir(all);
}

static void the_program_takes_the_switch(void **state) {
    (void)state;
    if (!onednn_version()) skip();
    const char *folder = new_cache();
    const Process *p = forward("--tune off");
    if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
    assert_int_not_equal(access(folder, F_OK), 0);
    p = forward("--tune on");
    if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
    damage(folder);
    p = forward("--tune on");
    if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
    assert_non_null(strstr(p->err, ": damaged, it is written anew\n"));
    p = forward("--tune on");
    assert_null(strstr(p->err, "damaged"));
    p = forward("--tune perhaps");
    assert_int_equal(p->status, ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_is_taken_and_kept),
        cmocka_unit_test(only_what_fits_is_believed),
        cmocka_unit_test(threads_have_choices_of_their_own),
        cmocka_unit_test(words_choose_the_backend),
        cmocka_unit_test(every_way_is_the_sum),
        cmocka_unit_test(fixed_ways_look_at_no_file),
        cmocka_unit_test(convolutions_are_measured),
        cmocka_unit_test(the_program_takes_the_switch),
    };
    return cmocka_run_group_tests_name("tune", tests, NULL, NULL);
}
