#include "crowdrec/stb.h"

#include "tensor/reader.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_JPEG
#define STBI_NO_JPEG
#endif
#define STBI_NO_PSD
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_PIC
#define STBI_NO_STDIO
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

/* What stb_image reads from.  It takes missing bytes for zeros, so the stream notes whether it was
 * asked for more than there is: buffer refills come in blocks of STB_BLOCK and may be short, any
 * other short read, and one that finds nothing, means a truncated file. */
enum { STB_BLOCK = 128, STB_MAX_PIXELS = INT_MAX / 4, PNG_MAX_PIXELS = 1 << 28 };
typedef struct {
    FILE *file;
    bool overrun;
} Stream;

static int stream_read(void *user, char *data, int size) {
    Stream *s = user;
    int got = (int)fread(data, 1, (size_t)size, s->file);
    if (!got || (got < size && size != STB_BLOCK)) s->overrun = true;
    return got;
}

static void stream_skip(void *user, int count) {
    Stream *s = user;
    if (fseek(s->file, count, SEEK_CUR) != 0) s->overrun = true;
}

static int stream_eof(void *user) { return feof(((Stream *)user)->file); }

static const stbi_io_callbacks stream_calls = {stream_read, stream_skip, stream_eof};

/* stb_image puts bytes of the file into some reasons. */
static Status refuse(const char *path, const char *what) {
    const char *reason = stbi_failure_reason();
    return fail(ERR_INPUT, "%s: %s: %s", path, what, reader_quote(reason, strlen(reason)));
}

/* stb_image does not tell the size of a PNG beyond its limits. */
static Status refuse_size(FILE *file, const char *path) {
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    const char *reason = "no photo that can be read (jpeg, png, bmp, tga, pnm, gif)";
    uint8_t head[24];
    rewind(file);
    if (fread(head, 1, sizeof head, file) < sizeof head || memcmp(head, png, sizeof png) != 0)
        return refuse(path, reason);
    long long size[2] = {0};
    for (int i = 0; i < 8; i++) size[i / 4] = size[i / 4] << 8 | head[16 + i];
    TRY(image_check_size(path, size[0], size[1]));
    if (size[0] * size[1] <= PNG_MAX_PIXELS) return refuse(path, reason);
    return fail(ERR_INPUT, "%s: photo of %lld x %lld pixels, at most %d in a png; use jpeg", path,
                size[0], size[1], PNG_MAX_PIXELS);
}

Status stb_decode(FILE *file, const char *path, Image *out) {
    Stream stream = {file, false};
    int width, height, channels;
    if (!stbi_info_from_callbacks(&stream_calls, &stream, &width, &height, &channels))
        return refuse_size(file, path);
    height = abs(height); /* a BMP whose first row is the top one has it negative */
    TRY(image_check_size(path, width, height));
    if (width > STB_MAX_PIXELS / height)
        return fail(ERR_INPUT, "%s: photo of %d x %d pixels, at most %d in this format; use jpeg",
                    path, width, height, STB_MAX_PIXELS);
    rewind(file);
    stream.overrun = false;
    uint8_t *rgb = stbi_load_from_callbacks(&stream_calls, &stream, &width, &height, &channels, 3);
    if (!rgb || stream.overrun) {
        bool early = rgb != NULL;
        free(rgb);
        if (!early) return refuse(path, "damaged or unsupported photo");
        return fail(ERR_INPUT, "%s: damaged photo: the file ends too early", path);
    }
    *out = (Image){width, height, rgb};
    return OK;
}
