/* Jpeg: libjpeg-turbo behind one call; every row goes straight to its place in the turned photo.
 * A build without it lets stb_image decode, with the stored and the turned photo in memory. */
#ifndef CROWDREC_JPEG_H
#define CROWDREC_JPEG_H

#include "crowdrec/image.h"

#include <stdbool.h>
#include <stdio.h>

/* Reads the JPEG that stream begins with; path is for messages.  Grey, YCbCr, RGB, CMYK and YCCK
 * become RGB.  What libjpeg reports as lost data is ERR_INPUT, not a grey patch. */
Status jpeg_decode(FILE *stream, const char *path, Image *out);

/* Writes a JPEG of that quality, 1 to 100; atomic.  Only where jpeg_writes. */
Status jpeg_write(const char *path, const Image *image, int quality);
bool jpeg_writes(void);

#endif
