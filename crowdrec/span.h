/* Span: which whole numbers a stretch of an axis holds.
 *
 *     span_whole(x - reach, x + reach, width, &first, &last);
 *     for (int column = first; column <= last; column++) ...
 */
#ifndef CROWDREC_SPAN_H
#define CROWDREC_SPAN_H

#include <math.h>

/* Whole numbers within low..high, cut to 0..count-1; none: first > last.  Any low and high will do,
 * infinite ones too. */
static inline void span_whole(double low, double high, int count, int *first, int *last) {
    *first = (int)fmax(0, fmin(count, ceil(low)));
    *last = (int)fmin(count - 1, fmax(-1, floor(high)));
}

#endif
