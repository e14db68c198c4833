/* Photos: what libjpeg is expected to give, all eight EXIF orientations, hostile files, PNG. */
#include "crowdrec/exif.h"
#include "crowdrec/image.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_JPEG
#include <jpeglib.h>
#endif

static void read_ok(const char *path, Image *out) {
    if (image_read(path, out) != OK) fail_msg("%s", error_reason());
}

/* ERR_INPUT with a reason that names the file, and nothing left in the image. */
static void refuse(const char *path, const char *word) {
    Image image;
    assert_int_equal(image_read(path, &image), ERR_INPUT);
    assert_null(image.rgb);
    if (!strstr(error_reason(), path) || !strstr(error_reason(), word))
        fail_msg("reason '%s' without '%s'", error_reason(), word);
}

static void refuse_bytes(const char *name, const void *data, size_t size, const char *word) {
    refuse(support_write(name, data, size), word);
}

/* Means to 0.2, single pixels to 4 grey levels (fixtures, section 7). */
static void check_decode(const char *relative) {
    json_t *root = support_json(relative), *want = json_object_get(root, "jpeg_decode");
    char path[256];
    snprintf(path, sizeof path, "fixtures/%s", json_string_value(json_object_get(root, "image")));
    Image image;
    read_ok(support_fixture(path), &image);
    assert_int_equal(image.width, json_integer_value(json_object_get(root, "width")));
    assert_int_equal(image.height, json_integer_value(json_object_get(root, "height")));
    size_t pixels = (size_t)image.width * image.height;
    const uint8_t *center =
        image.rgb + 3 * ((size_t)(image.height / 2) * image.width + image.width / 2);
    for (int k = 0; k < 3; k++) {
        size_t bgr = 2 - (size_t)k;
        double sum = 0;
        for (size_t i = 0; i < pixels; i++) sum += image.rgb[3 * i + k];
        double mean = support_number_at(json_object_get(want, "channel_mean_bgr"), bgr);
        if (!(fabs(sum / pixels - mean) <= 0.2))
            fail_msg("%s: channel %d has mean %.4f, expected %.4f", path, k, sum / pixels, mean);
        int middle =
            (int)json_integer_value(json_array_get(json_object_get(want, "center_pixel_bgr"), bgr));
        assert_in_range(center[k] + 4 - middle, 0, 8);
        json_t *row = support_get(want, "first_pixels_bgr");
        for (size_t x = 0; x < json_array_size(row); x++) {
            int first = (int)json_integer_value(json_array_get(json_array_get(row, x), bgr));
            assert_in_range(image.rgb[3 * x + k] + 4 - first, 0, 8);
        }
    }
    image_free(&image);
    json_decref(root);
}

static void test_decode_dog(void **state) {
    (void)state;
    check_decode("fixtures/detect/dog.json");
}

static void test_decode_group(void **state) {
    (void)state;
    check_decode("fixtures/detect/group_00019.json");
}

/* A little JPEG of 1 (grey), 3 (RGB) or 4 (CMYK) components, with an APP1 segment if size. */
#ifdef HAVE_JPEG
static void write_jpeg(const char *path, const uint8_t *pixels, int width, int height,
                       int components, const uint8_t *app1, unsigned size) {
    static const J_COLOR_SPACE space[] = {[1] = JCS_GRAYSCALE, [3] = JCS_RGB, [4] = JCS_CMYK};
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr error;
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    jpeg.err = jpeg_std_error(&error);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, f);
    jpeg.image_width = (JDIMENSION)width, jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = components, jpeg.in_color_space = space[components];
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&jpeg, TRUE);
    if (size) jpeg_write_marker(&jpeg, JPEG_APP0 + 1, app1, size);
    for (int y = 0; y < height; y++) {
        JSAMPROW row = (JSAMPROW)(pixels + (size_t)y * width * components);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(f);
}
#else
static void write_jpeg(const char *path, const uint8_t *pixels, int width, int height,
                       int components, const uint8_t *app1, unsigned size) {
    (void)path, (void)pixels, (void)width, (void)height, (void)components, (void)app1, (void)size;
    print_message("skipped: no libjpeg to write a jpeg with\n");
    skip();
}
#endif

enum { EXIF_SIZE = 6 + 8 + 2 + 2 * 12 + 4 };

static void put(uint8_t *to, unsigned value, int bytes, bool big) {
    for (int i = 0; i < bytes; i++) to[big ? bytes - 1 - i : i] = (uint8_t)(value >> (8 * i));
}

/* Exif with a directory of two entries, the second is the orientation. */
static void make_exif(uint8_t exif[EXIF_SIZE], unsigned orientation, bool big) {
    memset(exif, 0, EXIF_SIZE);
    memcpy(exif, big ? "Exif\0\0MM" : "Exif\0\0II", 8);
    uint8_t *t = exif + 6, *entry = t + 10;
    put(t + 2, 42, 2, big), put(t + 4, 8, 4, big), put(t + 8, 2, 2, big);
    put(entry, 0x010f, 2, big), put(entry + 2, 2, 2, big), put(entry + 4, 3, 4, big);
    entry += 12;
    put(entry, 0x0112, 2, big), put(entry + 2, 3, 2, big), put(entry + 4, 1, 4, big);
    put(entry + 8, orientation, 2, big);
}

/* A colour for each quarter of the shown photo. */
enum { SHOWN_WIDTH = 48, SHOWN_HEIGHT = 32 };
static const uint8_t *quarter_color(bool right, bool low) {
    static const uint8_t color[4][3] = {
        {250, 20, 20}, {20, 240, 30}, {30, 20, 230}, {240, 240, 90}};
    return color[2 * low + right];
}

/* Where EXIF 2.3 says that row 0 and column 0 of the stored picture are shown. */
static void stored_pixel(int orientation, int x, int y, int width, int height, int *sx, int *sy) {
    bool row0_at_bottom = orientation == 3 || orientation == 4;
    bool column0_at_right = orientation == 2 || orientation == 3;
    bool row0_at_right = orientation == 6 || orientation == 7;
    bool column0_at_bottom = orientation == 7 || orientation == 8;
    if (orientation <= 4) {
        *sx = column0_at_right ? width - 1 - x : x;
        *sy = row0_at_bottom ? height - 1 - y : y;
    } else {
        *sy = row0_at_right ? width - 1 - x : x;
        *sx = column0_at_bottom ? height - 1 - y : y;
    }
}

static void check_orientation(unsigned orientation, bool big) {
    int w = SHOWN_WIDTH, h = SHOWN_HEIGHT, sx, sy;
    int stored_w = orientation <= 4 ? w : h;
    static uint8_t stored[SHOWN_WIDTH * SHOWN_HEIGHT * 3];
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            stored_pixel((int)orientation, x, y, w, h, &sx, &sy);
            memcpy(stored + 3 * (sy * stored_w + sx), quarter_color(x >= w / 2, y >= h / 2), 3);
        }
    uint8_t exif[EXIF_SIZE];
    make_exif(exif, orientation, big);
    const char *path = support_in_folder("turned.jpg");
    write_jpeg(path, stored, stored_w, w * h / stored_w, 3, exif, sizeof exif);
    Image image;
    read_ok(path, &image);
    assert_int_equal(image.width, w);
    assert_int_equal(image.height, h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int k = 0; k < 3; k++)
                assert_in_range(image.rgb[3 * (y * w + x) + k] + 6 -
                                    quarter_color(x >= w / 2, y >= h / 2)[k],
                                0, 12);
    image_free(&image);
}

static void test_orientations(void **state) {
    (void)state;
    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        check_orientation(orientation, false);
        check_orientation(orientation, true);
    }
}

/* Whatever a segment says, the answer is 1..8 and nothing outside of it is read (ASan). */
static void test_exif_hostile(void **state) {
    (void)state;
    uint8_t exif[EXIF_SIZE];
    for (unsigned value = 0; value < 70000; value += 17) {
        make_exif(exif, value, value & 1);
        unsigned stored = value & 0xffff;
        assert_int_equal(exif_parse(exif, sizeof exif), stored >= 1 && stored <= 8 ? stored : 1);
    }
    make_exif(exif, 6, true);
    for (size_t size = 0; size <= sizeof exif; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, exif, size);
        assert_int_equal(exif_parse(copy, size), size >= sizeof exif - 4 ? 6 : 1);
        for (size_t at = 6; at < size; at++) {
            uint8_t kept = copy[at];
            copy[at] = 0xff;
            assert_in_range(exif_parse(copy, size), 1, 8);
            copy[at] = kept;
        }
        free(copy);
    }
}

static void check_flat(const char *path, const uint8_t want[3]) {
    Image image;
    read_ok(path, &image);
    for (int i = 0; i < image.width * image.height; i++)
        for (int k = 0; k < 3; k++) assert_in_range(image.rgb[3 * i + k] + 2 - want[k], 0, 4);
    image_free(&image);
}

/* libjpeg writes an Adobe marker with CMYK, whose files hold 255 - ink. */
static void test_grey_and_cmyk(void **state) {
    (void)state;
    uint8_t grey[16 * 16], cmyk[16 * 16 * 4];
    memset(grey, 77, sizeof grey);
    const uint8_t ink[4] = {255 - 200, 255 - 100, 255 - 0, 255 - 51};
    for (int i = 0; i < 16 * 16; i++) memcpy(cmyk + 4 * i, ink, 4);
    const char *path = support_in_folder("color.jpg");
    write_jpeg(path, grey, 16, 16, 1, NULL, 0);
    check_flat(path, (uint8_t[]){77, 77, 77});
    write_jpeg(path, cmyk, 16, 16, 4, NULL, 0);
    check_flat(path, (uint8_t[]){55 * 204 / 255, 155 * 204 / 255, 204});
}

/* Every cut of a photo is refused, be it in the headers or in the last row. */
static void test_truncated_jpeg(void **state) {
    (void)state;
    const char *source = support_fixture("fixtures/images/dog.jpg");
    Bytes bytes;
    assert_int_equal(file_read(source, 1 << 26, &bytes), OK);
    for (size_t part = 1; part <= 20; part++)
        refuse_bytes("cut.jpg", bytes.data, bytes.size * part / 20 - 16, "photo");
    memset(bytes.data + bytes.size / 2, 0, 4096);
    refuse_bytes("holed.jpg", bytes.data, bytes.size, "photo");
    file_release(&bytes);
}

static void test_absurd_size(void **state) {
    (void)state;
    uint8_t grey[16 * 16] = {0};
    const char *path = support_in_folder("huge.jpg");
    write_jpeg(path, grey, 16, 16, 1, NULL, 0);
    Bytes bytes;
    assert_int_equal(file_read(path, 1 << 20, &bytes), OK);
    size_t frame = 0; /* SOF0: ff c0, length, precision, height, width */
    while (!(bytes.data[frame] == 0xff && bytes.data[frame + 1] == 0xc0)) frame++;
    put(bytes.data + frame + 5, 60000, 2, true), put(bytes.data + frame + 7, 60000, 2, true);
    refuse_bytes("huge.jpg", bytes.data, bytes.size, "60000 x 60000");
    put(bytes.data + frame + 5, 0x4000, 2, true), put(bytes.data + frame + 7, 0x4000, 2, true);
    refuse_bytes("wide.jpg", bytes.data, bytes.size, "photo");
    file_release(&bytes);
    uint8_t png[33] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    png[24] = 8, png[25] = 2;
    put(png + 16, 19000, 4, true), put(png + 20, 19000, 4, true);
    refuse_bytes("large.png", png, sizeof png, "19000 x 19000 pixels, at most");
    put(png + 16, 200000, 4, true), put(png + 20, 200000, 4, true);
    refuse_bytes("huge.png", png, sizeof png, "200000 x 200000");
    const char *pnm = "P6 1000000000 1000000000 255\nabc";
    refuse_bytes("huge.ppm", pnm, strlen(pnm), "photo");
}

static void test_no_photo(void **state) {
    (void)state;
    const char *text = "This is no photo, whatever its name says.\n";
    refuse_bytes("text.jpg", text, strlen(text), "no photo");
    refuse_bytes("text.png", text, strlen(text), "no photo");
    refuse_bytes("empty.jpg", "", 0, "no photo");
    refuse_bytes("magic.jpg", "\xff\xd8\xff", 3, "photo");
    refuse(support_in_folder("absent.jpg"), "cannot open");
    refuse(support_folder(), "not a file");
}

static void test_png_round_trip(void **state) {
    (void)state;
    for (int width = 1; width <= 301; width += 60) {
        Image image, back;
        assert_int_equal(image_new(width, 40, &image), OK);
        for (int i = 0; i < width * 40 * 3; i++)
            image.rgb[i] = (uint8_t)(i * i / 7 ^ (width > 100 ? i * 2654435761u >> 24 : 0));
        const char *path = support_in_folder("round.png");
        assert_int_equal(image_write_png(path, &image), OK);
        read_ok(path, &back);
        assert_int_equal(back.width, width);
        assert_int_equal(back.height, 40);
        assert_memory_equal(back.rgb, image.rgb, (size_t)width * 40 * 3);
        image_free(&image);
        image_free(&back);
    }
    Bytes bytes;
    assert_int_equal(file_read(support_in_folder("round.png"), 1 << 20, &bytes), OK);
    for (size_t part = 0; part < 10; part++)
        refuse_bytes("cut.png", bytes.data, bytes.size * part / 10, "photo");
    file_release(&bytes);
}

/* stb_image alone would give black pixels for what is missing. */
static void test_truncated_others(void **state) {
    (void)state;
    uint8_t pnm[13 + 12] = "P6 2 2 255\n", bmp[54 + 16] = "BM";
    refuse_bytes("cut.ppm", pnm, 11 + 7, "damaged");
    put(bmp + 10, 54, 4, false), put(bmp + 14, 40, 4, false), put(bmp + 18, 2, 4, false);
    put(bmp + 22, 2, 4, false), put(bmp + 26, 1, 2, false), put(bmp + 28, 24, 2, false);
    refuse_bytes("cut.bmp", bmp, 54 + 9, "damaged");
    Image image;
    const char *path = support_write("whole.bmp", bmp, sizeof bmp);
    read_ok(path, &image);
    assert_int_equal(image.width, 2);
    image_free(&image);
    put(bmp + 22, (unsigned)-2, 4, false); /* the first row is the top one */
    support_write("whole.bmp", bmp, sizeof bmp);
    read_ok(path, &image);
    assert_int_equal(image.height, 2);
    image_free(&image);
}

static void test_write_fails(void **state) {
    (void)state;
    Image image;
    assert_int_equal(image_new(4, 4, &image), OK);
    assert_int_not_equal(image_write_png(support_in_folder("no/such/folder.png"), &image), OK);
    image_free(&image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_dog),     cmocka_unit_test(test_decode_group),
        cmocka_unit_test(test_orientations),   cmocka_unit_test(test_exif_hostile),
        cmocka_unit_test(test_grey_and_cmyk),  cmocka_unit_test(test_truncated_jpeg),
        cmocka_unit_test(test_absurd_size),    cmocka_unit_test(test_no_photo),
        cmocka_unit_test(test_png_round_trip), cmocka_unit_test(test_truncated_others),
        cmocka_unit_test(test_write_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
