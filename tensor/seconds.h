/* Seconds: how long something takes.
 *
 *     double begin = seconds_now();
 *     double taken = seconds_now() - begin;
 */
#ifndef TENSOR_SECONDS_H
#define TENSOR_SECONDS_H

#include <time.h>

/* Of a clock that is never set and begins anywhere. */
static inline double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
