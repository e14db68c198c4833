/* Slots: where a plan's values, gradients and own numbers lie in one arena, and which steps need
 * them there.  Of autograd alone. */
#ifndef AUTOGRAD_SLOTS_H
#define AUTOGRAD_SLOTS_H

#include "autograd/chain.h"

/* Behind the slots of step.h. */
enum { SLOT_WORKSPACE, SLOT_HYPER, SLOT_HISTORY, SLOT_CURSOR, OWN_SLOTS };

enum { SLOT_FOREVER = 1 << 30 };

typedef struct {
    size_t bytes;        /* 0: not part of this plan */
    int first, last;     /* steps; last may be SLOT_FOREVER */
    size_t offset;       /* in the arena */
    void *outside;       /* or in the slabs of Params, where the plan puts it */
    const Chain *within; /* only this chain's steps touch it: it holds a block of images a lane */
} Slot;

typedef struct {
    Slot *slot; /* of step.h, then OWN_SLOTS */
    int count;
    size_t bytes; /* of the arena */
} Slots;

typedef struct {
    const Graph *graph;
    const Backend *backend;
    const PlanOptions *options;
    bool beside;      /* steps run side by side */
    size_t workspace; /* bytes of all lanes' */
} SlotsNeed;

/* Lifetimes and places; the slots live in arena. */
Slots slots_place(const SlotsNeed *need, StepList *list, Arena *arena);

static inline Slot *slots_own(const Slots *s, int which) {
    return &s->slot[s->count - OWN_SLOTS + which];
}

/* The parameter whose value or gradient slot i is, NULL for others. */
const Tensor *slots_param(const Graph *g, const Slots *s, int i, bool *gradient);

/* Rows of SLOT_HYPER and SLOT_HISTORY. */
int slots_rows(const PlanOptions *options);

/* Bytes of a tensor's numbers. */
size_t slots_bytes(const Backend *backend, const Tensor *t);

#endif
