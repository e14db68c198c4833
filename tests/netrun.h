/* A network on rule-made parameters, for the tests that hold it against reference outputs.
 *
 *     NetRun run = netrun_new("cliff_hr48", &rule, shape, NETRUN_EVAL);
 *     netrun_plan(&run, &(PlanOptions){.keep = taps, .keeps = n});
 *     netrun_write_rule(&run, run.x, "input", 1);
 *     plan_run(run.plan);
 *     float *got = netrun_read(&run, taps[0]);                   // in NCHW order; free it
 *     netrun_free(&run);
 */
#ifndef TESTS_NETRUN_H
#define TESTS_NETRUN_H

#include "autograd/plan.h"
#include "nets/net.h"
#include "nets/rule.h"

#include <jansson.h>

typedef struct {
    NetSpec spec;
    Params *params;
    Graph *graph;
    Scope scope;
    Tensor *x, *bbox_info; /* bbox_info of CLIFF [n,1,1,3] */
    NetOutput y;
    Plan *plan;
} NetRun;

/* NETRUN_TRAIN: batch statistics, nothing dropped; NETRUN_DROPOUT: both. */
typedef enum { NETRUN_EVAL, NETRUN_TRAIN, NETRUN_DROPOUT } NetRunMode;

/* Builds the network on support_backend with all parameters made. */
NetRun netrun_new(const char *name, const Rule *rule, Shape input, NetRunMode mode);
void netrun_plan(NetRun *run, const PlanOptions *options);
void netrun_free(NetRun *run);

/* The engine's shape of a JSON list [n, c, h, w]. */
Shape netrun_shape(const json_t *nchw);

/* Writes values in NCHW order, or the rule's numbers of a key in that order. */
void netrun_write(NetRun *run, const Tensor *input, const float *nchw);
void netrun_write_rule(NetRun *run, const Tensor *input, const char *key, uint64_t seed);

/* A kept value in NCHW order; free it. */
float *netrun_read(const NetRun *run, const Tensor *t);

/* Fails unless got[i * stride] is want[i] within tolerance * support_slack for all n; returns the
 * worst error. */
double netrun_compare(const char *name, const float *got, const float *want, size_t n,
                      size_t stride, double tolerance);

#endif
