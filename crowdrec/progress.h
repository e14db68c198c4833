/* Progress: the one line on a terminal that tells how far refinement is. */
#ifndef CROWDREC_PROGRESS_H
#define CROWDREC_PROGRESS_H

#include "crowdrec/refine.h"

typedef struct {
    int iterations; /* that all groups are expected to take */
    int done;       /* 0 at first */
} Progress;

/* After each iteration: loss, rate, time left. */
void progress_step(Progress *progress, const RefineStep *step);

#endif
