#include "autograd/schedule.h"

#include <math.h>

/* From 1 at 0 to 0 at the period's end. */
static double half_cosine(int t, int period) {
    if (t >= period) return 0;
    return 0.5 * (1 + cos(3.14159265358979323846 * t / period));
}

ScheduleValue schedule_at(const Schedule *s, int t) {
    double share = 1, decay = s->decay;
    int period = s->period;
    switch (s->kind) {
    case SCHEDULE_COSINE: share = half_cosine(t, period); break;
    case SCHEDULE_RESTARTS:
        for (; t > period; period *= 2) t -= period;
        share = half_cosine(t, period);
        decay *= share * sqrt(1.0 / period);
    }
    return (ScheduleValue){s->min_rate + (s->rate - s->min_rate) * share, decay};
}
