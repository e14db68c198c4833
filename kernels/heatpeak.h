/* Heatpeak: the largest number of a heatmap and what becomes of it, in C and in CUDA.
 *
 *     HeatPeak best = heatpeak_none();
 *     for (int i = 0; i < h * w; i++) best = heatpeak_larger(best, (HeatPeak){map[i * joints], i});
 *     heatpeak_row(attr, map, h, w, joints, best, out);
 */
#ifndef KERNELS_HEATPEAK_H
#define KERNELS_HEATPEAK_H

#include "kernels/kernel.h"

typedef struct {
    REAL value;
    int pixel; /* row-major */
} HeatPeak;

/* What the first pixel of any number, but not NaN, comes before. */
INLINE HeatPeak heatpeak_none(void) {
    HeatPeak none = {-INFINITY, 0};
    return none;
}

/* The larger of two, the earlier of equal ones; NaN is never larger. */
INLINE HeatPeak heatpeak_larger(HeatPeak a, HeatPeak b) {
    return b.value > a.value || (b.value == a.value && b.pixel < a.pixel) ? b : a;
}

INLINE REAL heatpeak_sign(REAL difference) { return (difference > 0) - (difference < 0); }

/* The result's row [3] for the map that begins at `map` in [h,w,joints]. */
INLINE void heatpeak_row(const HeatpeakAttr *a, const REAL *map, int h, int w, int joints,
                         HeatPeak best, REAL *row) {
    int x = best.value > 0 ? best.pixel % w : 0, y = best.value > 0 ? best.pixel / w : 0;
    row[0] = (REAL)x, row[1] = (REAL)y, row[2] = best.value;
    if (!a->quarter || x <= 1 || x >= w - 1 || y <= 1 || y >= h - 1) return;
    const REAL *peak = map + (size_t)best.pixel * (size_t)joints;
    ptrdiff_t right = joints, down = (ptrdiff_t)w * joints;
    row[0] += (REAL)0.25 * heatpeak_sign(peak[right] - peak[-right]);
    row[1] += (REAL)0.25 * heatpeak_sign(peak[down] - peak[-down]);
}

#endif
