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

/* The three bytes of a pixel, NULL beyond the photo. */
INLINE const uint8_t *affine_bytes(const AffineSource *s, int y, int x) {
    y -= s->a.tile.top, x -= s->a.tile.left;
    bool inside = y >= 0 && y < s->h && x >= 0 && x < s->w;
    return inside ? s->photo + ((size_t)y * (size_t)s->w + (size_t)x) * 3 : NULL;
}

/* floor without a call; of what an int can hold. */
INLINE int affine_floor(double x) {
    int i = (int)x;
    return i - (x < i);
}

/* Bilinear, three channels; what reaches no pixel of the photo is border, whatever the coordinates
 * are. */
INLINE void affine_sample(const AffineSource *s, double x, double y, double value[3]) {
    for (int k = 0; k < 3; k++) value[k] = s->a.border;
    if (!(x > -1 && x < s->photo_w && y > -1 && y < s->photo_h)) return;
    int x0 = affine_floor(x), y0 = affine_floor(y);
    double fx = x - x0, fy = y - y0;
    const uint8_t *near[4];
    for (int i = 0; i < 4; i++) near[i] = affine_bytes(s, y0 + i / 2, x0 + i % 2);
    for (int k = 0; k < 3; k++) {
        double byte[4];
        for (int i = 0; i < 4; i++) byte[i] = near[i] ? near[i][k] : s->a.border;
        double top = byte[0] * (1 - fx) + byte[1] * fx, low = byte[2] * (1 - fx) + byte[3] * fx;
        double mixed = top * (1 - fy) + low * fy;
        value[k] = s->a.round8 ? affine_floor(mixed + 0.5) : mixed;
    }
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
    double value[3] = {a->border, a->border, a->border};
    if (valid) affine_sample(s, x, y, value);
    for (int k = 0; k < 3; k++) {
        double p = value[a->reverse ? 2 - k : k];
        double deviation = a->deviation[k] != 0 ? a->deviation[k] : 1;
        out[k] = (REAL)((p * scale - a->mean[k]) / deviation);
    }
}

#endif
