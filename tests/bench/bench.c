/* bench: times one case on $CROWDREC_DEVICE, or the cpu, and says so in one JSON line.
 *
 *     build/tests/bench list [all]
 *     build/tests/bench run CASE SECONDS
 *     build/tests/bench profile CASE                   its steps one by one, each waited for
 *     build/tests/bench sweep [COUNT [FIRST]]          (sweep.h)
 *
 * seconds is the median of the runs after a first one that is not counted; peak_mib is the most
 * memory that the process ever held, program_mib what it held before the case was prepared.  The
 * share is of the multiply-adds that the same cores did in a loop of nothing else, measured right
 * afterwards. */
#include "autograd/profile.h"
#include "kernels/onednn.h"
#include "kernels/peak.h"
#include "tensor/parallel.h"
#include "tests/bench/cases.h"
#include "tests/bench/clock.h"
#include "tests/bench/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MIN_RUNS = 3, MAX_RUNS = 10000, PROFILE_RUNS = 5, SWEEP_SHAPES = 200 };

static bool is_gpu(const Backend *b) { return !strcmp(b->name, "cuda"); }

static double peak_mib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static int rising(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_seconds(const Work *work, double seconds, int *runs) {
    static double taken[MAX_RUNS];
    work->step(work->context);
    double end = clock_now() + seconds;
    int n = 0;
    while (n < MAX_RUNS && (n < MIN_RUNS || clock_now() < end)) {
        double begin = clock_now();
        work->step(work->context);
        taken[n++] = clock_now() - begin;
    }
    qsort(taken, (size_t)n, sizeof *taken, rising);
    *runs = n;
    return taken[n / 2];
}

/* "oneDNN 2.6.3", "own kernels" or "cuda tf32". */
static const char *backend_text(const Backend *b) {
    static const char *const precision[PRECISIONS] = {
        [PRECISION_TF32] = "tf32", [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16"};
    static char text[64];
    const char *library = onednn_version();
    if (is_gpu(b))
        snprintf(text, sizeof text, "cuda %s", precision[b->precision]);
    else if (library)
        snprintf(text, sizeof text, "oneDNN %s", library);
    else
        snprintf(text, sizeof text, "own kernels");
    return text;
}

/* What is taken: of the GPU's memory by everybody, else at most by this process. */
static double used_mib(const Backend *b, size_t free_before) {
    return is_gpu(b) ? ((double)free_before - (double)b->free_memory()) / 0x1p20 : peak_mib();
}

static Status find_case(const char *name, const Case **out) {
    *out = cases_find(name);
    return *out ? OK : fail(ERR_USAGE, "no case '%s'; `bench list` names them", name);
}

static Status run(const char *name, double seconds) {
    const Backend *b;
    const Case *c;
    TRY(find_case(name, &c));
    TRY(cases_open(&b));
    size_t free_before = b->free_memory();
    double program = used_mib(b, free_before);
    Work work;
    TRY(c->prepare(c, &work));
    int runs;
    double taken = median_seconds(&work, seconds, &runs), memory = used_mib(b, free_before);
    double peak = is_gpu(b) ? 0 : peak_flops();
    printf("{\"case\": \"%s\", \"by\": \"crowdrec %s\", \"threads\": %d, \"runs\": %d, "
           "\"seconds\": %.6g, \"gflops\": %.4g, \"gflops_limit\": %.4g, \"share\": %.3f, "
           "\"gbytes_per_second\": %.4g, \"peak_mib\": %.1f, \"program_mib\": %.1f}\n",
           c->name, backend_text(b), parallel_threads(), runs, taken, work.flop / taken * 1e-9,
           peak * 1e-9, peak > 0 ? work.flop / taken / peak : 0, work.bytes / taken * 1e-9, memory,
           program);
    return OK;
}

/* Kinds of steps over PROFILE_RUNS runs, and every step of the last one. */
static Status profile(const char *name) {
    static Profile sum;
    const Case *c;
    Work work;
    TRY(find_case(name, &c));
    TRY(c->prepare(c, &work));
    if (!work.plan)
        return fail(ERR_USAGE, "case '%s' has no plan whose steps could be timed", name);
    plan_time(work.plan, true);
    work.step(work.context); /* the first run may load code */
    for (int i = 0; i < PROFILE_RUNS; i++) {
        work.step(work.context);
        plan_profile(work.plan, &sum);
    }
    plan_dump(work.plan, stdout);
    profile_log(&sum, 0);
    return OK;
}

int main(int argc, char **argv) {
    if (argc >= 2 && !strcmp(argv[1], "list")) {
        const Backend *b;
        bool gpu = argc == 3 || (cases_open(&b) == OK && is_gpu(b));
        for (int i = 0; cases_at(i); i++)
            if (gpu || !cases_at(i)->large) puts(cases_at(i)->name);
        return OK;
    }
    if (argc >= 2 && argc <= 4 && !strcmp(argv[1], "sweep")) {
        int count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : SWEEP_SHAPES;
        return sweep_run(argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0, count), OK;
    }
    bool one = argc == 3 && !strcmp(argv[1], "profile");
    if (!one && (argc != 4 || strcmp(argv[1], "run") != 0)) {
        fprintf(stderr, "usage: bench list [all] | bench run CASE SECONDS | bench profile CASE | "
                        "bench sweep [COUNT [FIRST]]\n");
        return ERR_USAGE;
    }
    Status status = one ? profile(argv[2]) : run(argv[2], strtod(argv[3], NULL));
    if (status) fprintf(stderr, "bench: %s\n", error_reason());
    return (int)status;
}
