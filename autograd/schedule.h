/* Schedule: learning rate and weight decay as functions of the step.
 *
 *     Schedule s = {.kind = SCHEDULE_COSINE, .rate = 1e-5, .decay = 0.01, .period = 260};
 *     for (int t = 0; t < 260; t++) {
 *         ScheduleValue v = schedule_at(&s, t);
 *         plan_hyper(plan, v.rate, v.decay, t + 1);
 *         plan_run(plan);
 *     }
 *
 * COSINE: rate falls from `rate` at step 0 to `min_rate` at step `period` along half a cosine
 * (Loshchilov & Hutter 2016) and stays there; decay is constant.
 * RESTARTS: the same cosine, and again with twice the period each time it ends; the step that ends
 * a period runs at min_rate and the next one is already the second of the new period.  The decay is
 * scheduled too: decay * cosine * sqrt(1/period) (Loshchilov & Hutter 2017, normalised decay).
 */
#ifndef AUTOGRAD_SCHEDULE_H
#define AUTOGRAD_SCHEDULE_H

typedef enum { SCHEDULE_COSINE, SCHEDULE_RESTARTS } ScheduleKind;

typedef struct {
    ScheduleKind kind;
    double rate, min_rate, decay;
    int period;
} Schedule;

typedef struct {
    double rate, decay;
} ScheduleValue;

/* t from 0. */
ScheduleValue schedule_at(const Schedule *s, int t);

#endif
