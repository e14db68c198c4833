/* Draw: lines over a picture. */
#ifndef CROWDREC_DRAW_H
#define CROWDREC_DRAW_H

#include "crowdrec/image.h"

typedef struct {
    uint8_t rgb[3];
    double width;   /* pixels */
    double opacity; /* 0..1 */
} DrawPen;

/* From x0, y0 to x1, y1 with round ends and smooth edges; what lies outside the picture is left
 * out, and so is a line with an end that is not finite or farther than 1e6 pixels. */
void draw_line(Image *picture, const double from[2], const double to[2], const DrawPen *pen);

/* The border of x0, y0, x1, y1. */
void draw_box(Image *picture, const double box[4], const DrawPen *pen);

#endif
