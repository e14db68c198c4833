/* heatpeak: where each joint's heatmap is largest. */
#include "kernels/kernel.h"
#include "kernels/heatpeak.h"

void KERNEL(heatpeak_forward)(const Call *c) {
    Shape s = c->in[0].shape;
    const REAL *heat = c->in[0].data;
    REAL *out = c->out[0].data;
    PARALLEL_FOR
    for (int i = 0; i < s.n * s.c; i++) {
        const REAL *map = heat + (size_t)(i / s.c) * (size_t)(s.h * s.w) * (size_t)s.c + i % s.c;
        HeatPeak best = heatpeak_none();
        for (int k = 0; k < s.h * s.w; k++)
            best = heatpeak_larger(best, (HeatPeak){map[(size_t)k * (size_t)s.c], k});
        heatpeak_row(c->attr, map, s.h, s.w, s.c, best, out + (size_t)i * 3);
    }
}
