/* Image: a photo in memory, 8-bit RGB, rows top to bottom, EXIF orientation applied.
 *
 *     Image photo;
 *     TRY(image_read("crowd.jpg", &photo));
 *     image_free(&photo);
 *
 * JPEG is decoded row by row by libjpeg-turbo; PNG, BMP, TGA, PNM, GIF (first frame) by stb_image.
 */
#ifndef CROWDREC_IMAGE_H
#define CROWDREC_IMAGE_H

#include "tensor/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int width, height;
    uint8_t *rgb; /* [height][width][3] */
} Image;

/* ERR_INPUT with the file's name when it is absent, no photo, damaged, or larger than the limit of
 * IMAGE_MAX_PIXELS. */
Status image_read(const char *path, Image *out);
enum { IMAGE_MAX_PIXELS = 1 << 30 };

Status image_new(int width, int height, Image *out); /* black; ERR_MEMORY */
void image_free(Image *image);                       /* zeroes it */

/* ERR_INPUT with the file's name unless 0 < width, height and width*height <= IMAGE_MAX_PIXELS. */
Status image_check_size(const char *path, long long width, long long height);

Status image_write_png(const char *path, const Image *image); /* atomic */

#endif
