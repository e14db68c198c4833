/* Step: one entry of a plan's list, and how the list is made from a graph.  Of autograd alone.
 *
 * Every value of the graph has a slot (its tensor's id), every gradient another (id + number of
 * tensors), and a value that is made a second time for backward, instead of being kept, a third (id
 * + twice that number).  A step's Call carries shapes from the start; `data` is STEP_PRESENT for
 * every place that the plan must give an address, and NULL for absent or unread ones.
 */
#ifndef AUTOGRAD_STEP_H
#define AUTOGRAD_STEP_H

#include "autograd/plan.h"

typedef enum { PASS_FORWARD, PASS_BACKWARD, PASS_SEED, PASS_ZERO, PASS_UPDATE, PASS_RECORD } Pass;

typedef struct Chain Chain;

typedef struct {
    Pass pass;
    Node node;
    Call call;
    unsigned again;   /* inputs and outputs (masks of op.h) that are values made a second time */
    Chain *chain;     /* chain.h; NULL: it runs once */
    Call *beside;     /* of its chain's lanes from the second on */
    size_t gradients; /* where its gradients of weights are among those of a lane, bytes */
    bool together;    /* runs with those beside it of which this is true (Call.next) */
    unsigned within;  /* its tensors (a mask over chain.h's) that hold one block of images */
    double seconds;   /* of the latest timed run */
} Step;

#define STEP_PRESENT ((void *)64)

typedef struct {
    Step *step;
    int count, capacity;
    bool *learned; /* by parameter index: has a gradient here */
} StepList;

/* Forward steps for what loss, keep and record need, backward steps for what loss, wrt and the
 * parameters need, the update, and the record of both.
 *
 * Where the backend stores halves, maps of whole multiples of 8 channels that only convs, resizes,
 * pools, activations, concats and sums of maps make and read are BF16, as are their gradients and
 * the folded weights of convs of maps; what the host or anything else reads is not.  Where it runs
 * folds together, those of parameters come first and their gradients last. */
StepList step_list(Graph *g, const Backend *backend, const PlanOptions *options, Arena *arena);

/* The last of the steps that run with step i, behind it in the list; i where there are none. */
int step_last_together(const StepList *list, int i);

/* The tensors of a step's call that need an address, with their slots. */
typedef struct {
    Tensor *tensor; /* inside the call */
    int slot;
} Place;
enum { STEP_PLACES = 2 * (OP_MAX_IN + OP_MAX_OUT) };
int step_places(const Graph *g, Step *step, Place *out);

#endif
