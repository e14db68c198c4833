#include "crowdrec/stb.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

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
enum { STB_BLOCK = 128, STB_MAX_PIXELS = INT_MAX / 4 };
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

Status stb_decode(FILE *file, const char *path, Image *out) {
    Stream stream = {file, false};
    int width, height, channels;
    if (!stbi_info_from_callbacks(&stream_calls, &stream, &width, &height, &channels))
        return fail(ERR_INPUT, "%s: no photo that can be read (jpeg, png, bmp, tga, pnm, gif): %s",
                    path, stbi_failure_reason());
    TRY(image_check_size(path, width, height));
    if (width > STB_MAX_PIXELS / height)
        return fail(ERR_INPUT, "%s: photo of %d x %d pixels, at most %d in this format; use jpeg",
                    path, width, height, STB_MAX_PIXELS);
    rewind(file);
    stream.overrun = false;
    uint8_t *rgb = stbi_load_from_callbacks(&stream_calls, &stream, &width, &height, &channels, 3);
    if (!rgb || stream.overrun) {
        const char *reason = rgb ? "the file ends too early" : stbi_failure_reason();
        free(rgb);
        return fail(ERR_INPUT, "%s: damaged or unsupported photo: %s", path, reason);
    }
    *out = (Image){width, height, rgb};
    return OK;
}
