/* Order: what each step of a plan must wait for, so that a device may run the others beside it.
 * Used by plan.c only.
 *
 * A step waits for every earlier one that writes memory which it reads or writes, or reads memory
 * which it writes; where one such step waits for another already, only the later one is named.
 * Waiting for nothing else, steps in any order that keeps to this give the same bits as in the
 * list.  Steps that need workspace, or whose kernel keeps something for the call (a library's
 * plan), take a lane, that of a step they wait for anyway where there is one: two of one lane never
 * run side by side.
 */
#ifndef AUTOGRAD_ORDER_H
#define AUTOGRAD_ORDER_H

#include "autograd/step.h"

typedef struct {
    const int *wait; /* indices of earlier steps */
    int waits;
    int lane; /* 0 where the step takes none */
} OrderStep;

/* For a list whose tensors have their addresses; one entry a step, of those that run together
 * (step.h) the first one's counts.  real_size is that of F32 numbers. */
OrderStep *order_find(const StepList *list, size_t real_size, int lanes, Arena *arena);

#endif
