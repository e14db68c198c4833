#include "tests/broken/choose.h"

#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before main: "conv_forward_cpu" leaves the tests whose names begin with "conv:". */
__attribute__((constructor)) static void choose_tests(void) {
    static char pattern[64];
    const char *kernel = getenv("CROWDREC_BREAK");
    if (!kernel) return;
    snprintf(pattern, sizeof pattern, "%.*s:*", (int)strcspn(kernel, "_"), kernel);
    cmocka_set_test_filter(pattern);
}

bool choose_broken(const char *kernel) {
    const char *chosen = getenv("CROWDREC_BREAK");
    return chosen && !strcmp(chosen, kernel);
}
