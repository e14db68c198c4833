/* bench: times one case and says so in one JSON line.
 *
 *     build/tests/bench list
 *     build/tests/bench run CASE SECONDS
 *
 * seconds is the median of the runs after a first one that is not counted; peak_mib is the most
 * memory that the process ever held, program_mib what it held before the case was prepared.  The
 * share is of the multiply-adds that the same cores did in a loop of nothing else, measured right
 * afterwards. */
#include "kernels/onednn.h"
#include "tensor/parallel.h"
#include "tests/bench/cases.h"
#include "tests/bench/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { MIN_RUNS = 3, MAX_RUNS = 10000 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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
    double end = now() + seconds;
    int n = 0;
    while (n < MAX_RUNS && (n < MIN_RUNS || now() < end)) {
        double begin = now();
        work->step(work->context);
        taken[n++] = now() - begin;
    }
    qsort(taken, (size_t)n, sizeof *taken, rising);
    *runs = n;
    return taken[n / 2];
}

static Status run(const char *name, double seconds) {
    const Case *c = cases_find(name);
    if (!c) return fail(ERR_USAGE, "no case '%s'; `bench list` names them", name);
    double program = peak_mib();
    Work work;
    TRY(c->prepare(c, &work));
    int runs;
    double taken = median_seconds(&work, seconds, &runs), memory = peak_mib();
    double peak = peak_flops();
    const char *library = onednn_version();
    printf("{\"case\": \"%s\", \"by\": \"crowdrec %s%s\", \"threads\": %d, \"runs\": %d, "
           "\"seconds\": %.6g, \"gflops\": %.4g, \"gflops_limit\": %.4g, \"share\": %.3f, "
           "\"gbytes_per_second\": %.4g, \"peak_mib\": %.1f, \"program_mib\": %.1f}\n",
           c->name, library ? "oneDNN " : "own kernels", library ? library : "", parallel_threads(),
           runs, taken, work.flop / taken * 1e-9, peak * 1e-9, work.flop / taken / peak,
           work.bytes / taken * 1e-9, memory, program);
    return OK;
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "list")) {
        for (int i = 0; cases_at(i); i++) puts(cases_at(i)->name);
        return OK;
    }
    if (argc != 4 || strcmp(argv[1], "run") != 0) {
        fprintf(stderr, "usage: bench list | bench run CASE SECONDS\n");
        return ERR_USAGE;
    }
    Status status = run(argv[2], strtod(argv[3], NULL));
    if (status) fprintf(stderr, "bench: %s\n", error_reason());
    return (int)status;
}
