/* Recorder: a backend of the host that captures as a device does, and replays what it captured in
 * any order that the marks allow.
 *
 *     Backend b = recorder_make(&backend_cpu);
 *     ... plan on &b: its second run is captured, every later one replayed in another order ...
 *     assert_true(recorder_swaps() > 0);
 *
 * One at a time: making another ends the one before.
 */
#ifndef TESTS_RECORDER_H
#define TESTS_RECORDER_H

#include "kernels/backend.h"

Backend recorder_make(const Backend *base);

/* How often, in all replays so far, a call ran before one that was captured earlier. */
long recorder_swaps(void);

#endif
