/* affine: crops of a photo under affine maps; coordinates are double, so that a gigapixel photo has
 * exact ones. */
#include "kernels/kernel.h"

typedef struct {
    const AffineAttr *a;
    const uint8_t *photo;
    int h, w;
} Source;

/* NaN compares false and stays, to be found outside. */
static double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

static double pixel(const Source *s, int y, int x, int channel) {
    bool inside = y >= 0 && y < s->h && x >= 0 && x < s->w;
    return inside ? s->photo[((size_t)y * (size_t)s->w + (size_t)x) * 3 + (size_t)channel]
                  : s->a->border;
}

/* Bilinear; what reaches no pixel of the photo is border, whatever the coordinates are. */
static double sample(const Source *s, double x, double y, int channel) {
    if (!(x > -1 && x < s->w && y > -1 && y < s->h)) return s->a->border;
    int x0 = (int)floor(x), y0 = (int)floor(y);
    double fx = x - x0, fy = y - y0;
    double top = pixel(s, y0, x0, channel) * (1 - fx) + pixel(s, y0, x0 + 1, channel) * fx;
    double low = pixel(s, y0 + 1, x0, channel) * (1 - fx) + pixel(s, y0 + 1, x0 + 1, channel) * fx;
    double value = top * (1 - fy) + low * fy;
    return s->a->round8 ? floor(value + 0.5) : value;
}

static void crop_row(const Source *s, const REAL *map, const REAL *rectangle, int row, REAL *out) {
    const AffineAttr *a = s->a;
    int valid_h = a->valid_h ? a->valid_h : a->out_h, valid_w = a->valid_w ? a->valid_w : a->out_w;
    double scale = a->scale != 0 ? a->scale : 1;
    for (int column = 0; column < a->out_w; column++) {
        double x = (double)map[0] * column + (double)map[1] * row + (double)map[2];
        double y = (double)map[3] * column + (double)map[4] * row + (double)map[5];
        if (rectangle) {
            x = clamp(x, rectangle[0], rectangle[2]);
            y = clamp(y, rectangle[1], rectangle[3]);
        }
        bool valid = row < valid_h && column < valid_w;
        for (int k = 0; k < 3; k++) {
            double p = valid ? sample(s, x, y, a->reverse ? 2 - k : k) : a->border;
            double deviation = a->deviation[k] != 0 ? a->deviation[k] : 1;
            out[3 * column + k] = (REAL)((p * scale - a->mean[k]) / deviation);
        }
    }
}

void KERNEL(affine_forward)(const Call *c) {
    const AffineAttr *a = c->attr;
    const REAL *map = c->in[1].data, *rectangle = c->in[2].data;
    REAL *out = c->out[0].data;
    Source s = {a, c->in[0].data, c->in[0].shape.h, c->in[0].shape.w};
    PARALLEL_FOR
    for (int i = 0; i < c->in[1].shape.n * a->out_h; i++) {
        int crop = i / a->out_h, row = i % a->out_h;
        crop_row(&s, map + 6 * crop, rectangle ? rectangle + 4 * crop : NULL, row,
                 out + (size_t)i * (size_t)a->out_w * 3);
    }
}
