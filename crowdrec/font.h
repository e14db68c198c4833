/* Font: short labels in pictures; 5x7 capitals, digits and a little punctuation. */
#ifndef CROWDREC_FONT_H
#define CROWDREC_FONT_H

#include "crowdrec/image.h"

/* Writes text with its top-left corner at x, y, each dot size x size pixels.  Small letters become
 * capitals, unknown characters blanks; what lies outside the picture is left out. */
void font_write(Image *picture, int x, int y, int size, const uint8_t rgb[3], const char *text);

int font_width(int size, const char *text); /* pixels; the height is 7*size */

#endif
