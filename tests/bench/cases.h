/* Cases: what the benchmark times, each ready to run again and again.
 *
 *     Work work;
 *     TRY(cases_at(0)->prepare(cases_at(0), &work));
 *     work.step(work.context);
 *
 * peer.py has cases of the same names and shapes.  A program prepares one case and ends: nothing is
 * given back.
 */
#ifndef BENCH_CASES_H
#define BENCH_CASES_H

#include "autograd/plan.h"

#include <stdbool.h>

typedef struct {
    void (*step)(void *context);
    void *context;
    Plan *plan;   /* that a step runs; NULL: one kernel */
    double flop;  /* multiplications and additions of a step */
    double bytes; /* that a step must move where that is what takes the time; else 0 */
} Work;

typedef struct Case {
    const char *name;
    Status (*prepare)(const struct Case *c, Work *out);
    const char *net; /* "rule:NET:SEED" */
    int n, height, width;
    enum { FORWARD, BACKWARD, STEP } pass; /* STEP: and an update by AdamW */
    bool large;                            /* listed for a GPU, or when all are asked for */
} Case;

/* Where the cases run, $CROWDREC_DEVICE and $CROWDREC_PRECISION or the cpu. */
Status cases_open(const Backend **out);

const Case *cases_at(int i); /* NULL behind the last one */
const Case *cases_find(const char *name);

#endif
