#include "crowdrec/image.h"

#include "crowdrec/jpeg.h"
#include "crowdrec/stb.h"
#include "tensor/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

Status image_new(int width, int height, Image *out) {
    *out = (Image){0};
    uint8_t *rgb = calloc((size_t)width * height, 3);
    if (!rgb)
        return fail(ERR_MEMORY, "no memory for a photo of %d x %d pixels (%.1f GiB)", width, height,
                    3.0 * width * height / (1 << 30));
    *out = (Image){width, height, rgb};
    return OK;
}

void image_free(Image *image) {
    free(image->rgb);
    *image = (Image){0};
}

Status image_check_size(const char *path, long long width, long long height) {
    if (width <= 0 || height <= 0)
        return fail(ERR_INPUT, "%s: photo of %lld x %lld pixels is empty", path, width, height);
    if (width > IMAGE_MAX_PIXELS / height)
        return fail(ERR_INPUT, "%s: photo of %lld x %lld pixels, at most %d are read; cut it up",
                    path, width, height, IMAGE_MAX_PIXELS);
    return OK;
}

Status image_read(const char *path, Image *out) {
    *out = (Image){0};
    struct stat info;
    if (stat(path, &info) != 0)
        return fail(ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return fail(ERR_INPUT, "%s: not a file", path);
    FILE *file = fopen(path, "rb");
    if (!file) return fail(ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
    uint8_t magic[3] = {0};
    size_t got = fread(magic, 1, sizeof magic, file);
    rewind(file);
    bool jpeg = got == 3 && magic[0] == 0xff && magic[1] == 0xd8 && magic[2] == 0xff;
    Status status = jpeg ? jpeg_decode(file, path, out) : stb_decode(file, path, out);
    fclose(file);
    return status;
}

/* PNG (ISO/IEC 15948) as one stream of deflated rows; file errors are found at the commit. */
typedef struct {
    FILE *file;
    z_stream deflate;
    uint8_t out[1 << 16];
} PngWriter;

static void put_u32(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static bool put_chunk(FILE *file, const char type[4], const uint8_t *data, uint32_t size) {
    uint8_t head[8], tail[4];
    put_u32(head, size);
    memcpy(head + 4, type, 4);
    uLong crc = crc32(0, head + 4, 4);
    if (size) crc = crc32(crc, data, size);
    put_u32(tail, (uint32_t)crc);
    return fwrite(head, 1, 8, file) == 8 && fwrite(data, 1, size, file) == size &&
           fwrite(tail, 1, 4, file) == 4;
}

static bool put_data(PngWriter *w, uint8_t *data, size_t size, int flush) {
    w->deflate.next_in = data, w->deflate.avail_in = (uInt)size;
    do {
        w->deflate.next_out = w->out, w->deflate.avail_out = sizeof w->out;
        deflate(&w->deflate, flush);
        uint32_t ready = (uint32_t)(sizeof w->out - w->deflate.avail_out);
        if (ready && !put_chunk(w->file, "IDAT", w->out, ready)) return false;
    } while (!w->deflate.avail_out);
    return true;
}

/* Filter 4: the difference to whichever of left, up, up-left is nearest to left + up - up-left. */
static void filter_row(const uint8_t *row, const uint8_t *above, size_t bytes, uint8_t *out) {
    *out++ = 4;
    for (size_t i = 0; i < bytes; i++) {
        int left = i < 3 ? 0 : row[i - 3], up = above[i], corner = i < 3 ? 0 : above[i - 3];
        int to_left = abs(up - corner), to_up = abs(left - corner);
        int to_corner = abs(left + up - 2 * corner);
        int guess = to_left <= to_up && to_left <= to_corner ? left
                    : to_up <= to_corner                     ? up
                                                             : corner;
        out[i] = (uint8_t)(row[i] - guess);
    }
}

static bool put_image(PngWriter *w, const Image *image) {
    size_t bytes = 3 * (size_t)image->width;
    uint8_t header[13] = {[8] = 8, [9] = 2}; /* 8 bits, RGB */
    put_u32(header, (uint32_t)image->width);
    put_u32(header + 4, (uint32_t)image->height);
    uint8_t *filtered = malloc(bytes + 1), *black = calloc(bytes, 1);
    bool good = filtered && black && fwrite("\x89PNG\r\n\x1a\n", 1, 8, w->file) == 8 &&
                put_chunk(w->file, "IHDR", header, sizeof header);
    for (int y = 0; good && y < image->height; y++) {
        const uint8_t *row = image->rgb + (size_t)y * bytes;
        filter_row(row, y ? row - bytes : black, bytes, filtered);
        good = put_data(w, filtered, bytes + 1, Z_NO_FLUSH);
    }
    good = good && put_data(w, filtered, 0, Z_FINISH) && put_chunk(w->file, "IEND", header, 0);
    free(filtered);
    free(black);
    return good;
}

Status image_write_png(const char *path, const Image *image) {
    FileWriter file;
    TRY(file_begin(path, &file));
    PngWriter *w = calloc(1, sizeof *w);
    bool ready = w && deflateInit(&w->deflate, 4) == Z_OK;
    if (ready) w->file = file.stream;
    bool good = ready && put_image(w, image);
    if (ready) deflateEnd(&w->deflate);
    free(w);
    if (good) return file_commit(&file);
    file_abandon(&file);
    return fail(ready ? ERR_INPUT : ERR_MEMORY, "%s: cannot write the picture: %s", path,
                ready ? strerror(errno) : "no memory");
}
