/* Stb: stb_image behind one call; the one place where it is compiled. */
#ifndef CROWDREC_STB_H
#define CROWDREC_STB_H

#include "crowdrec/image.h"

#include <stdio.h>

/* Reads the PNG, BMP, TGA, PNM or GIF (first frame), and in a build without libjpeg the JPEG, that
 * stream begins with; path is for messages.  At most INT_MAX/4 pixels. */
Status stb_decode(FILE *stream, const char *path, Image *out);

#endif
