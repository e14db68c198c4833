/* affine: crops of a photo under affine maps. */
#include "kernels/kernel.h"
#include "kernels/affine.h"

void KERNEL(affine_forward)(const Call *c) {
    const REAL *maps = c->in[1].data, *rectangles = c->in[2].data;
    REAL *out = c->out[0].data;
    AffineSource s = affine_source(c);
    PARALLEL_FOR
    for (int i = 0; i < c->in[1].shape.n * s.a.out_h; i++) {
        int crop = i / s.a.out_h, row = i % s.a.out_h;
        const REAL *map = maps + 6 * crop, *rectangle = rectangles ? rectangles + 4 * crop : NULL;
        for (int column = 0; column < s.a.out_w; column++)
            affine_pixel(&s, map, rectangle, row, column,
                         out + ((size_t)i * (size_t)s.a.out_w + (size_t)column) * 3);
    }
}
