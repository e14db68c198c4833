#include "kernels/tune.h"

#include "kernels/engines.h"
#include "kernels/isa.h"
#include "kernels/onednn.h"
#include "tensor/error.h"
#include "tensor/parallel.h"
#include "tensor/seconds.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Raised when a kernel changes so that an old choice may be the wrong one. */
enum { KERNELS_EDITION = 2 };

enum { MIN_ROUNDS = 3, MAX_ROUNDS = 50, MAX_WAYS = 8 };
static const double ROUND_SECONDS = 0.02; /* of all rounds together, where that is more than MIN */

/* Of the first way's time: less is taken for noise. */
static const double FASTER = 0.97;

const char *tune_scope(void) {
    static char text[256];
    char processor[128];
    const char *library = onednn_version();
    isa_processor(processor, sizeof processor);
    snprintf(text, sizeof text, "%s, %s, %d threads, oneDNN %s, kernels %d", processor,
             isa_name(isa_best()), parallel_threads(), library ? library : "none", KERNELS_EDITION);
    return text;
}

/* The process has read one file, that of the present number of threads; ways are not chosen in
 * parallel. */
static Engines *known;
static char known_scope[256];

void tune_forget(void) {
    engines_close(known);
    known = NULL;
}

static Engines *the_engines(void) {
    const char *scope = tune_scope();
    if (known && strcmp(known_scope, scope) != 0) tune_forget();
    if (!known) {
        snprintf(known_scope, sizeof known_scope, "%s", scope);
        known = engines_open(scope);
    }
    return known;
}

/* The least seconds of each way, in turns, so that whatever else the machine does meets all; the
 * first round fills caches and is not counted. */
static void measure(int count, TuneRun *run, void *context, double *best) {
    double spent = 0;
    for (int i = 0; i < count; i++) best[i] = INFINITY;
    for (int round = -1; round < MIN_ROUNDS || (spent < ROUND_SECONDS && round < MAX_ROUNDS);
         round++)
        for (int i = 0; i < count; i++) {
            double begin = seconds_now();
            run(context, i);
            double taken = seconds_now() - begin;
            if (round < 0) continue;
            spent += taken;
            if (taken < best[i]) best[i] = taken;
        }
}

int tune_fastest(const char *key, const int *way, int count, TuneRun *run, void *context) {
    EngineChoice choice;
    CHECK(count > 0 && count <= MAX_WAYS, "%d ways", count);
    if (engines_find(the_engines(), key, &choice) && choice.list == 0 && choice.place < count &&
        choice.engine == way[choice.place])
        return choice.place;
    double taken[MAX_WAYS];
    int best = 0;
    measure(count, run, context, taken);
    for (int i = 1; i < count; i++)
        if (taken[i] < (best ? taken[best] : FASTER * taken[0])) best = i;
    engines_keep(the_engines(), key, &(EngineChoice){0, best, way[best], taken[best] * 1e6});
    return best;
}
