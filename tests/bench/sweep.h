/* Sweep: every pass of many made-up convolutions, as backend `cpu` does it and with direct sums, in
 * turns; Winograd's form also where the rule does not take it, for fitting the rule anew.
 *
 *     build/tests/bench sweep [COUNT [FIRST]]
 *
 * prints a JSON line for each pass of COUNT shapes (200) from number FIRST (0) on, and at the end
 * one with the worst of those that are not made by direct sums.  Microseconds are the least of the
 * runs, with all data in the caches that have room for it.
 */
#ifndef BENCH_SWEEP_H
#define BENCH_SWEEP_H

void sweep_run(int first, int count);

#endif
