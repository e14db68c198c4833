/* Remembered engines: what is kept is found again, and a damaged file is as good as none. */
#include "kernels/engines.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SCOPE "NVIDIA H200, cuDNN 9.19.0"

static const EngineChoice FIRST = {0, 3, 1042, 17.25}, SECOND = {1, 0, -7, 3.5};

/* The scope's file in a new cache folder. */
static const char *new_cache(void) {
    static char path[4096];
    static int number;
    char folder[4000];
    snprintf(folder, sizeof folder, "%s/cache%d", support_folder(), number++);
    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(path, sizeof path, "%s/crowdrec/NVIDIA-H200--cuDNN-9.19.0", folder);
    return path;
}

static void keep_both(void) {
    Engines *e = engines_open(SCOPE);
    EngineChoice got;
    assert_false(engines_find(e, "forward x", &got));
    engines_keep(e, "forward x", &SECOND);
    engines_keep(e, "weights, y", &SECOND);
    engines_keep(e, "forward x", &FIRST);
    engines_close(e);
}

static void finds(const Engines *e, const char *key, const EngineChoice *want) {
    EngineChoice got;
    assert_true(engines_find(e, key, &got));
    assert_int_equal(got.list, want->list);
    assert_int_equal(got.place, want->place);
    assert_int_equal(got.engine, want->engine);
    assert_true(got.microseconds == want->microseconds);
}

static void what_is_kept_is_found(void **state) {
    (void)state;
    new_cache();
    keep_both();
    EngineChoice got;
    Engines *e = engines_open(SCOPE), *other = engines_open("another device");
    finds(e, "forward x", &FIRST);
    finds(e, "weights, y", &SECOND);
    assert_false(engines_find(e, "forward", &got));
    assert_false(engines_find(other, "forward x", &got));
    engines_close(e);
    engines_close(other);
}

static void a_damaged_file_is_ignored(void **state) {
    (void)state;
#define GOOD "crowdrec engines 1\nforward x\t0 3 1042 17.25\n"
    static char longest[2 * ENGINES_KEY + 64] = GOOD;
    memset(longest + strlen(longest), 'k', 2 * ENGINES_KEY);
    strcpy(longest + sizeof longest - 12, "\t0 0 0 1\n");
    const char *const damaged[] = {"",
                                   "crowdrec engines 2\nforward x\t0 3 1042 17.25\n",
                                   GOOD "weights\n",
                                   GOOD "weights\t0 3 1042\n",
                                   GOOD "weights\t0 3 1042 1 2\n",
                                   GOOD "weights\t0 -3 1042 1\n",
                                   GOOD "weights\t0 3 1042 1e308\n",
                                   GOOD "weights\t0 3 1042 -1\n",
                                   GOOD "weights\t0 3 1042 nan\n",
                                   GOOD "\t0 3 1042 1\n",
                                   GOOD "forward x\t0 3 1042 17.25\n",
                                   GOOD "weights\t0 3 1042 1",
                                   longest};
    const char *path = new_cache();
    EngineChoice got;
    keep_both();
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        assert_int_equal(file_write(path, damaged[i], strlen(damaged[i])), OK);
        Engines *e = engines_open(SCOPE);
        if (engines_find(e, "forward x", &got)) fail_msg("damaged file %zu was read", i);
        engines_close(e);
    }
    /* A zero byte behind it. */
    assert_int_equal(file_write(path, GOOD "\0", sizeof GOOD), OK);
    Engines *e = engines_open(SCOPE);
    assert_false(engines_find(e, "forward x", &got));
    engines_keep(e, "forward x", &FIRST); /* and it is mended */
    engines_close(e);
    e = engines_open(SCOPE);
    finds(e, "forward x", &FIRST);
    engines_close(e);
}

static void without_a_place_nothing_breaks(void **state) {
    (void)state;
    static const char *const nowhere[] = {"/proc/nowhere", "relative", ""};
    unsetenv("HOME");
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        setenv("XDG_CACHE_HOME", nowhere[i], 1);
        Engines *e = engines_open(SCOPE);
        engines_keep(e, "forward x", &FIRST);
        finds(e, "forward x", &FIRST);
        engines_close(e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_found),
        cmocka_unit_test(a_damaged_file_is_ignored),
        cmocka_unit_test(without_a_place_nothing_breaks),
    };
    return cmocka_run_group_tests_name("engines", tests, NULL, NULL);
}
