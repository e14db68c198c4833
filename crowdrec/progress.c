#include "crowdrec/progress.h"

#include "tensor/log.h"

#include <stdio.h>

static const char *duration(double seconds, char text[16]) {
    int s = (int)(seconds + 0.5);
    if (s < 3600)
        snprintf(text, 16, "%d:%02d", s / 60, s % 60);
    else
        snprintf(text, 16, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    return text;
}

void progress_step(Progress *p, const RefineStep *step) {
    char left[16], so_far[16];
    p->done++;
    if (p->done > p->iterations) p->iterations = p->done;
    double each = step->seconds / p->done;
    log_progress("refine: group %d, iteration %d, loss %.5g; %d of %d, %.2f s each, %s so far, "
                 "%s left",
                 step->group + 1, step->iteration + 1, step->total, p->done, p->iterations, each,
                 duration(step->seconds, so_far), duration(each * (p->iterations - p->done), left));
}
