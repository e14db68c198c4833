/* What resize's kernels share: which inputs an output is made of, and which outputs an input is in.
 */
#ifndef KERNELS_RESIZE_H
#define KERNELS_RESIZE_H

#include "kernels/kernel.h"

/* One axis: `out` samples of `in`. */
typedef struct {
    ResizeKind kind;
    int in, out;
} Sampling;

/* An output is (1-t)*in[first] + t*in[second]. */
typedef struct {
    int first, second;
    REAL t;
} Tap;

INLINE Tap resize_tap(Sampling s, int o) {
    Tap tap = {0, 0, 0};
    if (s.kind == RESIZE_NEAREST) {
        tap.first = tap.second = (int)((int64_t)o * s.in / s.out);
        return tap;
    }
    double at = (o + 0.5) * s.in / s.out - 0.5;
    if (at < 0) at = 0;
    tap.first = (int)at < s.in ? (int)at : s.in - 1;
    tap.second = tap.first + 1 < s.in ? tap.first + 1 : tap.first;
    tap.t = (REAL)(at - tap.first);
    return tap;
}

/* How much input i counts in output o. */
INLINE REAL resize_share(Sampling s, int o, int i) {
    Tap tap = resize_tap(s, o);
    return (tap.first == i ? 1 - tap.t : 0) + (tap.second == i ? tap.t : 0);
}

/* Outputs begin .. end-1 include all in which input i counts; nearest: no others. */
INLINE void resize_reach(Sampling s, int i, int *begin, int *end) {
    if (s.kind == RESIZE_NEAREST) {
        *begin = (int)(((int64_t)i * s.out + s.in - 1) / s.in);
        *end = (int)(((int64_t)(i + 1) * s.out + s.in - 1) / s.in);
        return;
    }
    double scale = (double)s.out / s.in;
    *begin = i == 0 ? 0 : (int)floor((i - 0.5) * scale - 0.5);
    *end = i == s.in - 1 ? s.out : (int)ceil((i + 1.5) * scale - 0.5) + 1;
    if (*begin < 0) *begin = 0;
    if (*end > s.out) *end = s.out;
}

#endif
