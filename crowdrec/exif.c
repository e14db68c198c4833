#include "crowdrec/exif.h"

#include <stdbool.h>
#include <string.h>

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_SIZE = 12 };

/* A TIFF structure in memory; reads outside of it are 0. */
typedef struct {
    const uint8_t *data;
    size_t size;
    bool big_endian;
} Tiff;

static uint32_t number(const Tiff *t, size_t offset, size_t bytes) {
    if (offset > t->size || bytes > t->size - offset) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | t->data[offset + (t->big_endian ? i : bytes - 1 - i)];
    return value;
}

int exif_parse(const uint8_t *segment, size_t size) {
    if (size < 14 || memcmp(segment, "Exif\0\0", 6) != 0) return 1;
    Tiff t = {segment + 6, size - 6, segment[6] == 'M'};
    if (memcmp(t.data, t.big_endian ? "MM" : "II", 2) != 0 || number(&t, 2, 2) != 42) return 1;
    size_t directory = number(&t, 4, 4), entries = number(&t, directory, 2);
    for (size_t i = 0; i < entries; i++) {
        size_t entry = directory + 2 + i * ENTRY_SIZE;
        if (entry + ENTRY_SIZE > t.size) break;
        if (number(&t, entry, 2) != TAG_ORIENTATION) continue;
        uint32_t value = number(&t, entry + 8, 2);
        bool usable = number(&t, entry + 2, 2) == TYPE_SHORT && number(&t, entry + 4, 4) == 1;
        return usable && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

enum { MARKER_SOI = 0xd8, MARKER_APP1 = 0xe1, MARKER_SOS = 0xda };

/* The next marker segment: its code, or -1, and the size of its content. */
static int next_segment(FILE *f, size_t *size) {
    int c = getc(f);
    if (c != 0xff) return -1;
    while (c == 0xff) c = getc(f);
    *size = 0;
    if (c == MARKER_SOI || c == EOF) return c == EOF ? -1 : c;
    int high = getc(f), low = getc(f);
    if (high == EOF || low == EOF || high * 256 + low < 2) return -1;
    *size = (size_t)(high * 256 + low - 2);
    return c;
}

int exif_orientation(FILE *stream) {
    static const char name[6] = "Exif\0";
    uint8_t segment[1 << 16];
    int marker, orientation = 1;
    size_t size;
    rewind(stream);
    while ((marker = next_segment(stream, &size)) >= 0 && marker != MARKER_SOS) {
        if (fread(segment, 1, size, stream) != size) break;
        if (marker != MARKER_APP1 || size < sizeof name || memcmp(segment, name, sizeof name) != 0)
            continue;
        orientation = exif_parse(segment, size);
        break;
    }
    rewind(stream);
    return orientation;
}

ExifTurn exif_turn(int orientation, int width, int height) {
    static const struct {
        bool mirror_x, mirror_y; /* of the shown photo, after the swap */
    } mirror[9] = {[2] = {true, false}, [3] = {true, true}, [4] = {false, true},
                   [6] = {true, false}, [7] = {true, true}, [8] = {false, true}};
    bool swap = orientation >= 5;
    int shown_width = swap ? height : width, shown_height = swap ? width : height;
    bool x = mirror[orientation].mirror_x, y = mirror[orientation].mirror_y;
    ptrdiff_t across = x ? -1 : 1, along = y ? -(ptrdiff_t)shown_width : shown_width;
    return (ExifTurn){(x ? shown_width - 1 : 0) +
                          (y ? (ptrdiff_t)(shown_height - 1) * shown_width : 0),
                      swap ? along : across, swap ? across : along};
}
