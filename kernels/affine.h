/* One pixel of a crop that is cut out of a photo, in C and in CUDA; coordinates are double, so that
 * a gigapixel photo has exact ones. */
#ifndef KERNELS_AFFINE_H
#define KERNELS_AFFINE_H

#include "kernels/kernel.h"

typedef struct {
    AffineAttr a;
    const uint8_t *photo; /* [h,w,3] */
    int h, w;
    int photo_h, photo_w; /* h, w unless it is a tile */
} AffineSource;

static inline AffineSource affine_source(const Call *c) {
    AffineSource s;
    s.a = *(const AffineAttr *)c->attr;
    s.photo = (const uint8_t *)c->in[0].data;
    s.h = c->in[0].shape.h, s.w = c->in[0].shape.w;
    s.photo_h = s.a.tile.height ? s.a.tile.height : s.h;
    s.photo_w = s.a.tile.width ? s.a.tile.width : s.w;
    return s;
}

/* NaN compares false and stays, to be found outside. */
INLINE double affine_clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

INLINE double affine_byte(const AffineSource *s, int y, int x, int channel) {
    y -= s->a.tile.top, x -= s->a.tile.left;
    bool inside = y >= 0 && y < s->h && x >= 0 && x < s->w;
    return inside ? s->photo[((size_t)y * (size_t)s->w + (size_t)x) * 3 + (size_t)channel]
                  : s->a.border;
}

/* Bilinear; what reaches no pixel of the photo is border, whatever the coordinates are. */
INLINE double affine_sample(const AffineSource *s, double x, double y, int channel) {
    if (!(x > -1 && x < s->photo_w && y > -1 && y < s->photo_h)) return s->a.border;
    int x0 = (int)floor(x), y0 = (int)floor(y);
    double fx = x - x0, fy = y - y0;
    double top =
        affine_byte(s, y0, x0, channel) * (1 - fx) + affine_byte(s, y0, x0 + 1, channel) * fx;
    double low = affine_byte(s, y0 + 1, x0, channel) * (1 - fx) +
                 affine_byte(s, y0 + 1, x0 + 1, channel) * fx;
    double value = top * (1 - fy) + low * fy;
    return s->a.round8 ? floor(value + 0.5) : value;
}

/* Writes the three numbers of the crop's pixel (row, column); map [6], rectangle [4] or NULL. */
INLINE void affine_pixel(const AffineSource *s, const REAL *map, const REAL *rectangle, int row,
                         int column, REAL *out) {
    const AffineAttr *a = &s->a;
    int valid_h = a->valid_h ? a->valid_h : a->out_h, valid_w = a->valid_w ? a->valid_w : a->out_w;
    double scale = a->scale != 0 ? a->scale : 1;
    row += a->first_row;
    double x = (double)map[0] * column + (double)map[1] * row + (double)map[2];
    double y = (double)map[3] * column + (double)map[4] * row + (double)map[5];
    if (rectangle) {
        x = affine_clamp(x, rectangle[0], rectangle[2]);
        y = affine_clamp(y, rectangle[1], rectangle[3]);
    }
    bool valid = row < valid_h && column < valid_w;
    for (int k = 0; k < 3; k++) {
        double p = valid ? affine_sample(s, x, y, a->reverse ? 2 - k : k) : a->border;
        double deviation = a->deviation[k] != 0 ? a->deviation[k] : 1;
        out[k] = (REAL)((p * scale - a->mean[k]) / deviation);
    }
}

#endif
