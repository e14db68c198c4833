/* Plan: in which order, where in memory.  A graph flattened once into an immutable list of steps.
 *
 *     Plan *plan;
 *     TRY(plan_new(g, backend, &(PlanOptions){.loss = l, .keep = out, .keeps = 2}, &plan));
 *     plan_write(plan, x, F32, pixels);
 *     plan_run(plan);
 *     plan_read(plan, y, F32, host);
 *     plan_free(plan);                     // before its graph and params
 *
 * plan_new marks what needs a gradient, fuses, orders forwards, backwards and the update, prepares
 * each op, computes lifetimes and places every value and gradient in one arena.  Memory is taken
 * there and nowhere else.  The first writer of a gradient overwrites, later ones add.  Values that
 * cost next to nothing to make (folded weights, convs with few products a number) are made again
 * for backward instead of being kept.
 */
#ifndef AUTOGRAD_PLAN_H
#define AUTOGRAD_PLAN_H

#include "autograd/graph.h"
#include "autograd/profile.h"

#include <stdio.h>

typedef struct {
    Tensor *loss;        /* [1,1,1,1] to differentiate; NULL: forward only */
    Tensor *const *keep; /* values to be read after a run (loss is always kept) */
    int keeps;
    Tensor *const *wrt; /* inputs whose gradient is wanted */
    int wrts;
    bool fix_params;          /* no gradients for the parameters */
    bool add_gradients;       /* parameter gradients add to what the slab holds */
    const UpdateAttr *update; /* an optimiser step ends the run; ranges are filled in */
    Tensor *const *record;    /* numbers [1,1,1,1] whose history is read after several runs */
    int records;              /* at most RECORD_MAX */
    int rows;                 /* of the history and of plan_schedule, 0: 1 */
    bool plain;               /* no fusing, no sharing of memory: the oracle of the tests */
    size_t max_bytes;         /* limit for the arena, 0: what the backend has */
    size_t chain_bytes;       /* limit of chain.h, 0: its own */
} PlanOptions;

typedef struct Plan Plan;

/* ERR_MEMORY (with both numbers) when the arena does not fit.  Shapes are already checked. */
Status plan_new(Graph *g, const Backend *backend, const PlanOptions *options, Plan **out);
void plan_free(Plan *plan);

/* Bytes that the arena of such a plan would take, which is not allocated.  On a backend that tunes,
 * shapes that are not yet known are measured, as plan_new would. */
size_t plan_estimate(Graph *g, const Backend *backend, const PlanOptions *options);

/* Host numbers (F32 float, F64 double, I32, U8) into an input, whole. */
void plan_write(Plan *plan, const Tensor *input, Dtype host, const void *values);

/* Where an input lies in the backend's memory, for what is written there by the backend's own ops;
 * NULL when nothing in this plan reads it. */
void *plan_input(const Plan *plan, const Tensor *input);

/* Learning rate, weight decay and step (1-based) of the next run's update, and of all after it. */
void plan_hyper(Plan *plan, double learning_rate, double weight_decay, int step);

/* The same for the next `count` runs, at most `rows` of the options, whose records become the first
 * rows of the history.  Between those runs the host writes and reads nothing. */
typedef struct {
    double learning_rate, weight_decay;
    int step;
} PlanHyper;
void plan_schedule(Plan *plan, const PlanHyper *hyper, int count);

/* The first rows of the history since plan_schedule or plan_hyper, [rows][records]. */
void plan_history(const Plan *plan, int rows, double *values);

void plan_run(Plan *plan);

/* L2 norm of the gradient that the latest run's update saw, before clipping; its UpdateAttr.clip
 * must be set. */
double plan_gradient_norm(const Plan *plan);

/* A kept value, a parameter or an input, whole, as float (F32) or double (F64). */
void plan_read(const Plan *plan, const Tensor *t, Dtype host, void *values);
void plan_read_gradient(const Plan *plan, const Tensor *wrt, Dtype host, void *values);

size_t plan_bytes(const Plan *plan);
double plan_flops(const Plan *plan); /* of one run */

/* One line a step: index, pass, op, shapes, offset, GFLOP, line of the net; with times after
 * plan_time(plan, true) and a run. */
void plan_dump(const Plan *plan, FILE *out);
void plan_time(Plan *plan, bool on);
void plan_profile(const Plan *plan, Profile *profile); /* adds the latest run, a timed one */

#endif
