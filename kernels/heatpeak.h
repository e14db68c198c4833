/* Heatpeak: the largest number of a heatmap and what becomes of it, in C and in CUDA.
 *
 *     HeatPeak best = heatpeak_none();
 *     for (int i = 0; i < h * w; i++) best = heatpeak_larger(best, (HeatPeak){map[i * joints], i});
 *     heatpeak_row(attr, map, h, w, joints, best, out);
 */
#ifndef KERNELS_HEATPEAK_H
#define KERNELS_HEATPEAK_H

#include "kernels/kernel.h"

enum { HEATPEAK_PASSES = 10 };

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

/* Mean shift (Comaniciu and Meer, PAMI 2002): the centre of a Gaussian moves to the middle of what
 * it weighs, the map's positive numbers within two deviations of the peak, until it stays. */
INLINE void heatpeak_fit(REAL deviation, const REAL *map, int h, int w, int joints, int pixel,
                         REAL *point) {
    int reach = (int)ceil(2 * deviation), px = pixel % w, py = pixel / w;
    int x0 = px > reach ? px - reach : 0, x1 = px < w - reach ? px + reach : w - 1;
    int y0 = py > reach ? py - reach : 0, y1 = py < h - reach ? py + reach : h - 1;
    REAL factor = (REAL)-0.5 / (deviation * deviation);
    for (int pass = 0; pass < HEATPEAK_PASSES; pass++) {
        REAL total = 0, sum_x = 0, sum_y = 0;
        for (int y = y0; y <= y1; y++)
            for (int x = x0; x <= x1; x++) {
                REAL heat = map[((size_t)y * (size_t)w + (size_t)x) * (size_t)joints];
                REAL dx = (REAL)x - point[0], dy = (REAL)y - point[1];
                REAL part = heat > 0 ? heat * exp(factor * (dx * dx + dy * dy)) : 0;
                total += part, sum_x += part * (REAL)x, sum_y += part * (REAL)y;
            }
        if (!(total > 0 && total < INFINITY)) return;
        point[0] = sum_x / total, point[1] = sum_y / total;
    }
}

INLINE void heatpeak_quarter(const REAL *map, int h, int w, int joints, int pixel, REAL *point) {
    int x = pixel % w, y = pixel / w;
    if (x <= 1 || x >= w - 1 || y <= 1 || y >= h - 1) return;
    const REAL *peak = map + (size_t)pixel * (size_t)joints;
    ptrdiff_t right = joints, down = (ptrdiff_t)w * joints;
    point[0] += (REAL)0.25 * heatpeak_sign(peak[right] - peak[-right]);
    point[1] += (REAL)0.25 * heatpeak_sign(peak[down] - peak[-down]);
}

/* The result's row [3] for the map that begins at `map` in [h,w,joints]. */
INLINE void heatpeak_row(const HeatpeakAttr *a, const REAL *map, int h, int w, int joints,
                         HeatPeak best, REAL *row) {
    row[0] = row[1] = 0, row[2] = best.value;
    if (!(best.value > 0)) return;
    row[0] = (REAL)(best.pixel % w), row[1] = (REAL)(best.pixel / w);
    if (a->deviation > 0)
        heatpeak_fit((REAL)a->deviation, map, h, w, joints, best.pixel, row);
    else if (a->quarter)
        heatpeak_quarter(map, h, w, joints, best.pixel, row);
}

#endif
