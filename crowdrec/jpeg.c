#include "crowdrec/jpeg.h"

#include "crowdrec/exif.h"
#include "tensor/file.h"

#include <stdbool.h>
#include <string.h>

#ifdef HAVE_JPEG

#include <ctype.h>
#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>
#include <stdlib.h>

/* A progressive file of this many scans only wastes time; encoders write about ten. */
enum { MAX_SCANS = 500 };

/* libjpeg leaves a failed call only through error_exit, which must not return. */
typedef struct {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr error;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    const char *path;
    int orientation;
    Status status;
    uint8_t *row;
    Image image;
} Decoder;

static void leave(j_common_ptr common) {
    Decoder *d = common->client_data;
    char text[JMSG_LENGTH_MAX];
    d->error.format_message(common, text);
    text[0] = (char)tolower((unsigned char)text[0]);
    bool memory = d->error.msg_code == JERR_OUT_OF_MEMORY;
    d->status = fail(memory ? ERR_MEMORY : ERR_INPUT, "%s: damaged or unsupported photo: %s",
                     d->path, text);
    longjmp(d->escape, 1);
}

/* Warnings after which libjpeg would invent pixels. */
static bool loses_data(int code) {
    switch (code) {
    case JWRN_ARITH_BAD_CODE:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL: return true;
    default: return false;
    }
}

static void message(j_common_ptr common, int level) {
    Decoder *d = common->client_data;
    if (level < 0 && loses_data(d->error.msg_code)) leave(common);
}

static void count_scans(j_common_ptr common) {
    Decoder *d = common->client_data;
    if (d->jpeg.input_scan_number <= MAX_SCANS) return;
    d->status = fail(ERR_INPUT, "%s: progressive jpeg of more than %d scans", d->path, MAX_SCANS);
    longjmp(d->escape, 1);
}

/* Ink to light; Adobe's files hold the inverse of the ink. */
static void cmyk_to_rgb(const uint8_t *cmyk, int width, bool inverse, uint8_t *rgb) {
    for (int x = 0; x < width; x++) {
        int black = inverse ? cmyk[4 * x + 3] : 255 - cmyk[4 * x + 3];
        for (int k = 0; k < 3; k++) {
            int light = inverse ? cmyk[4 * x + k] : 255 - cmyk[4 * x + k];
            rgb[3 * x + k] = (uint8_t)((light * black + 127) / 255);
        }
    }
}

static Status take_memory(Decoder *d, bool swap) {
    int width = (int)d->jpeg.image_width, height = (int)d->jpeg.image_height;
    TRY(image_check_size(d->path, width, height));
    TRY(image_new(swap ? height : width, swap ? width : height, &d->image));
    d->row = malloc((size_t)width * 4);
    return d->row ? OK : fail(ERR_MEMORY, "%s: no memory for a row of pixels", d->path);
}

static Status decode_rows(Decoder *d) {
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    int width = (int)jpeg->image_width;
    TRY(take_memory(d, d->orientation >= 5));
    bool ink = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = ink ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(jpeg);
    ExifTurn t = exif_turn(d->orientation, width, (int)jpeg->image_height);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = d->image.rgb + 3 * (t.base + (ptrdiff_t)jpeg->output_scanline * t.down);
        JSAMPROW row = d->row;
        if (jpeg_read_scanlines(jpeg, &row, 1) != 1) break;
        if (ink) cmyk_to_rgb(d->row, width, jpeg->saw_Adobe_marker, d->row);
        for (int x = 0; x < width; x++) memcpy(to + 3 * x * t.right, d->row + 3 * (size_t)x, 3);
    }
    jpeg_finish_decompress(jpeg);
    return OK;
}

/* The decoder lives in the caller's frame, so that longjmp leaves its members defined. */
static Status decode(Decoder *d, FILE *stream) {
    if (setjmp(d->escape)) return d->status;
    jpeg_create_decompress(&d->jpeg);
    d->jpeg.progress = &d->progress;
    jpeg_stdio_src(&d->jpeg, stream);
    jpeg_read_header(&d->jpeg, TRUE);
    return decode_rows(d);
}

Status jpeg_decode(FILE *stream, const char *path, Image *out) {
    Decoder d = {.path = path,
                 .orientation = exif_orientation(stream),
                 .progress.progress_monitor = count_scans};
    d.jpeg.err = jpeg_std_error(&d.error);
    d.jpeg.client_data = &d;
    d.error.error_exit = leave;
    d.error.emit_message = message;
    Status status = decode(&d, stream);
    jpeg_destroy_decompress(&d.jpeg);
    free(d.row);
    if (status == OK)
        *out = d.image;
    else
        image_free(&d.image);
    return status;
}

/* ---- writing ---- */

typedef struct {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr error;
    jmp_buf escape;
    const char *path;
    Status status;
} Encoder;

static void give_up(j_common_ptr common) {
    Encoder *e = common->client_data;
    char text[JMSG_LENGTH_MAX];
    e->error.format_message(common, text);
    text[0] = (char)tolower((unsigned char)text[0]);
    e->status = fail(ERR_INPUT, "%s: cannot write the photo: %s", e->path, text);
    longjmp(e->escape, 1);
}

/* The encoder lives in the caller's frame, as the decoder does. */
static Status encode(Encoder *e, const Image *image, int quality, FILE *stream) {
    struct jpeg_compress_struct *jpeg = &e->jpeg;
    if (setjmp(e->escape)) return e->status;
    jpeg_create_compress(jpeg);
    jpeg_stdio_dest(jpeg, stream);
    jpeg->image_width = (JDIMENSION)image->width;
    jpeg->image_height = (JDIMENSION)image->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = image->rgb + 3 * (size_t)jpeg->next_scanline * (size_t)image->width;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
    return OK;
}

Status jpeg_write(const char *path, const Image *image, int quality) {
    FileWriter file;
    TRY(file_begin(path, &file));
    Encoder e = {.path = path};
    e.jpeg.err = jpeg_std_error(&e.error);
    e.jpeg.client_data = &e;
    e.error.error_exit = give_up;
    Status status = encode(&e, image, quality, file.stream);
    jpeg_destroy_compress(&e.jpeg);
    if (status == OK) return file_commit(&file);
    file_abandon(&file);
    return status;
}

bool jpeg_writes(void) { return true; }

#else

#include "crowdrec/stb.h"

Status jpeg_write(const char *path, const Image *image, int quality) {
    (void)image, (void)quality;
    return fail(ERR_USAGE, "%s: this build writes no jpg", path);
}

bool jpeg_writes(void) { return false; }

static Status turned(const Image *stored, int orientation, Image *out) {
    int width = stored->width, height = stored->height;
    bool swap = orientation >= 5;
    TRY(image_new(swap ? height : width, swap ? width : height, out));
    ExifTurn t = exif_turn(orientation, width, height);
    for (ptrdiff_t y = 0; y < height; y++)
        for (ptrdiff_t x = 0; x < width; x++)
            memcpy(out->rgb + 3 * (t.base + x * t.right + y * t.down),
                   stored->rgb + 3 * (y * width + x), 3);
    return OK;
}

Status jpeg_decode(FILE *stream, const char *path, Image *out) {
    int orientation = exif_orientation(stream);
    Image stored;
    TRY(stb_decode(stream, path, &stored));
    Status status = turned(&stored, orientation, out);
    image_free(&stored);
    return status;
}

#endif
