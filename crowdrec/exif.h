/* Exif: how a camera was held, from a JPEG's APP1 segment (EXIF 2.3, tag 0x0112).
 *
 *     int orientation = exif_orientation(file);                 // 1..8, 1: as stored
 *     ExifTurn t = exif_turn(orientation, width, height);       // of the stored picture
 *     shown[t.base + x * t.right + y * t.down] = stored[y * width + x];
 *
 * From orientation 5 on the shown picture is height wide and width high.
 */
#ifndef CROWDREC_EXIF_H
#define CROWDREC_EXIF_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The orientation of the JPEG in stream, 1 where it says nothing usable.  Leaves the stream at its
 * begin. */
int exif_orientation(FILE *stream);

/* The same of an APP1 segment's content. */
int exif_parse(const uint8_t *segment, size_t size);

typedef struct {
    ptrdiff_t base, right, down; /* in pixels */
} ExifTurn;

ExifTurn exif_turn(int orientation, int width, int height);

#endif
