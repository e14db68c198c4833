/* Hsv: colours of a hue, and colours moved in hue, saturation and value, as YOLOX varies photos in
 * training.
 *
 *     HsvShift shift = hsv_draw(key);
 *     hsv_move(&shift, canvas, height * width);
 */
#ifndef CROWDREC_HSV_H
#define CROWDREC_HSV_H

#include <stdint.h>

typedef struct {
    float hue, saturation, value; /* hue in degrees, the others of 0..255 */
} HsvShift;

/* How strong channel k (red, green, blue) is in the pure colour of a hue in turns; 0..1. */
double hsv_strength(double hue, int k);

/* Each uniform in +-10 degrees, +-30, +-30, and 0 in half of the draws. */
HsvShift hsv_draw(uint64_t key);

/* pixels times B, G, R in 0..255, which they stay.  A grey pixel has no hue and stays grey. */
void hsv_move(const HsvShift *shift, float *bgr, int pixels);

#endif
