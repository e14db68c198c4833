#include "crowdrec/draw.h"
#include "crowdrec/span.h"

#include <math.h>
#include <stdbool.h>

static const double FARTHEST = 1e6;

/* Distance of point p from the segment. */
static double distance(const double from[2], const double to[2], double x, double y) {
    double d[2] = {to[0] - from[0], to[1] - from[1]}, p[2] = {x - from[0], y - from[1]};
    double square = d[0] * d[0] + d[1] * d[1];
    double along = square > 0 ? (p[0] * d[0] + p[1] * d[1]) / square : 0;
    along = fmin(1, fmax(0, along));
    return hypot(p[0] - along * d[0], p[1] - along * d[1]);
}

static void blend(uint8_t *pixel, const uint8_t rgb[3], double share) {
    for (int k = 0; k < 3; k++) pixel[k] = (uint8_t)(pixel[k] * (1 - share) + rgb[k] * share + 0.5);
}

static bool drawable(const double point[2]) {
    return fabs(point[0]) <= FARTHEST && fabs(point[1]) <= FARTHEST;
}

void draw_line(Image *picture, const double from[2], const double to[2], const DrawPen *pen) {
    if (!drawable(from) || !drawable(to)) return;
    double reach = 0.5 * pen->width + 0.5;
    int y0, y1, x0, x1;
    span_whole(fmin(from[1], to[1]) - reach, fmax(from[1], to[1]) + reach, picture->height, &y0,
               &y1);
    span_whole(fmin(from[0], to[0]) - reach, fmax(from[0], to[0]) + reach, picture->width, &x0,
               &x1);
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            double cover = fmin(1, reach - distance(from, to, x, y));
            if (cover <= 0) continue;
            uint8_t *pixel = picture->rgb + 3 * ((size_t)y * picture->width + x);
            blend(pixel, pen->rgb, pen->opacity * cover);
        }
}

void draw_box(Image *picture, const double box[4], const DrawPen *pen) {
    for (int side = 0; side < 4; side++) {
        double from[2] = {box[side == 1 || side == 2 ? 2 : 0], box[side >= 2 ? 3 : 1]};
        int next = (side + 1) % 4;
        double to[2] = {box[next == 1 || next == 2 ? 2 : 0], box[next >= 2 ? 3 : 1]};
        draw_line(picture, from, to, pen);
    }
}
