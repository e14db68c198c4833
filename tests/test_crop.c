/* Where the networks look: letterbox, AlphaPose, HRNet and CLIFF crops against the references. */
#include "crowdrec/crop.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void numbers(const json_t *array, float *out, size_t count) {
    assert_int_equal(json_array_size(array), count);
    for (size_t i = 0; i < count; i++) out[i] = (float)support_number_at(array, i);
}

static Image load_image(const char *name) {
    char path[256];
    Image image;
    snprintf(path, sizeof path, "fixtures/%s", name);
    if (image_read(support_fixture(path), &image) != OK) fail_msg("%s", error_reason());
    return image;
}

/* A photo [h,w,3] of u8 from an array; swap for BGR. */
static Image array_image(const Array *a, bool swap) {
    Image image;
    assert_int_equal(a->dims, 3);
    assert_int_equal(image_new((int)a->dim[1], (int)a->dim[0], &image), OK);
    for (size_t i = 0; i < array_size(a); i++)
        image.rgb[swap ? i / 3 * 3 + 2 - i % 3 : i] = ((const uint8_t *)a->data)[i];
    return image;
}

static float *run(const Image *photo, const Crop *crop, const AffineAttr *pixels) {
    float *out = malloc((size_t)pixels->out_h * pixels->out_w * 3 * sizeof *out);
    assert_non_null(out);
    crop_run(photo, crop, 1, pixels, out);
    return out;
}

/* The reference's matrix goes from the photo to the input; ours is its inverse. */
static void check_affine(const Crop *crop, const json_t *affine) {
    const json_t *x = json_array_get(affine, 0), *y = json_array_get(affine, 1);
    for (int corner = 0; corner < 4; corner++) {
        double u = corner & 1 ? 191 : 0, v = corner & 2 ? 255 : 0, photo[2];
        crop_to_photo(crop, u, v, photo);
        double back_u = support_number_at(x, 0) * photo[0] + support_number_at(x, 1) * photo[1] +
                        support_number_at(x, 2);
        double back_v = support_number_at(y, 0) * photo[0] + support_number_at(y, 1) * photo[1] +
                        support_number_at(y, 2);
        support_near("input x", back_u, u, 1e-3);
        support_near("input y", back_v, v, 1e-3);
    }
}

static void test_alphapose_geometry(void **state) {
    (void)state;
    json_t *root = support_json("fixtures/pose_decode/alphapose_crop.json"), *item;
    size_t i, k;
    json_array_foreach(support_get(root, "cases"), i, item) {
        float box[4];
        numbers(support_get(item, "box_xyxy"), box, 4);
        CropBox around = crop_pose_box(box, 192.0 / 256);
        support_near("centre x", around.cx, support_number_at(support_get(item, "center"), 0),
                     1e-4);
        support_near("centre y", around.cy, support_number_at(support_get(item, "center"), 1),
                     1e-4);
        support_near("width", around.width, support_number_at(support_get(item, "scale"), 0), 1e-4);
        support_near("height", around.height, support_number_at(support_get(item, "scale"), 1),
                     1e-4);
        const json_t *enlarged = support_get(item, "cropped_box");
        support_near("left", around.cx - around.width / 2, support_number_at(enlarged, 0), 1e-4);
        support_near("low", around.cy + around.height / 2, support_number_at(enlarged, 3), 1e-4);
        Crop crop = crop_around(&around, 256, 192);
        check_affine(&crop, support_get(item, "affine_image_to_input"));
        json_t *input;
        json_array_foreach(support_get(item, "input_points"), k, input) {
            double photo[2];
            const json_t *want = json_array_get(support_get(item, "points_in_image"), k);
            crop_to_photo(&crop, support_number_at(input, 0), support_number_at(input, 1), photo);
            support_near("photo x", photo[0], support_number_at(want, 0), 1e-3);
            support_near("photo y", photo[1], support_number_at(want, 1), 1e-3);
        }
    }
    json_decref(root);
}

static void test_hrnet_geometry(void **state) {
    (void)state;
    json_t *root = support_json("fixtures/pose_decode/hrnet_crop.json"), *item;
    size_t i;
    json_array_foreach(support_get(root, "cases"), i, item) {
        const json_t *xywh = support_get(item, "box_xywh"), *size = support_get(item, "input_hw");
        int h = (int)support_number_at(size, 0), w = (int)support_number_at(size, 1);
        double x = support_number_at(xywh, 0), y = support_number_at(xywh, 1);
        const float box[4] = {(float)x, (float)y, (float)(x + support_number_at(xywh, 2)),
                              (float)(y + support_number_at(xywh, 3))};
        CropBox around = crop_pose_box(box, (double)w / h);
        support_near("scale", around.width / 200, support_number_at(support_get(item, "scale"), 0),
                     1e-6);
        support_near("centre x", around.cx, support_number_at(support_get(item, "center"), 0),
                     1e-4);
        Crop crop = crop_around(&around, h, w);
        check_affine(&crop, support_get(item, "affine_image_to_input"));
    }
    json_decref(root);
}

/* Grey levels of the reference's 8-bit crop against ours before mean and scale. */
static void check_levels(const char *name, const Image *photo, const Crop *crop, int h, int w,
                         const Array *want, double tolerance) {
    float *levels = malloc(array_size(want) * sizeof *levels);
    assert_non_null(levels);
    array_to_float(want, levels);
    float *got = run(photo, crop, &(AffineAttr){.out_h = h, .out_w = w, .round8 = true});
    support_close(name, got, levels, array_size(want), tolerance);
    free(levels);
    free(got);
}

/* 3 grey levels from stored pixels; 8 where the JPEG decoder may differ (fixtures, section 8). */
static void test_pose_pixels(void **state) {
    (void)state;
    json_t *root = support_json("fixtures/pose_decode/crop.json"), *item;
    ArrayFile arrays = support_arrays("fixtures/pose_decode/crop.npz");
    size_t i;
    json_array_foreach(support_get(root, "cases"), i, item) {
        const char *source = json_string_value(support_get(item, "image"));
        const char *name = json_string_value(support_get(item, "array"));
        bool stored = array_find(&arrays, source) != NULL;
        Image photo = stored ? array_image(array_find(&arrays, source), false) : load_image(source);
        const json_t *size = support_get(item, "input_hw");
        int h = (int)support_number_at(size, 0), w = (int)support_number_at(size, 1);
        float box[4];
        numbers(support_get(item, "box"), box, 4);
        CropBox around = crop_pose_box(box, (double)w / h);
        Crop crop = crop_around(&around, h, w);
        check_levels(name, &photo, &crop, h, w, support_array(&arrays, name), stored ? 3 : 8);
        image_free(&photo);
    }
    json_decref(root);
    array_file_free(&arrays);
}

/* want is [3,h,w], got [h,w,3]; multiplied by `scale` and shifted by the means first. */
static void check_input(const char *name, const float *got, const float *want, int h, int w,
                        double scale, const float mean[3], double tolerance) {
    for (int i = 0; i < 3 * h * w; i++) {
        int k = i / (h * w), at = i % (h * w);
        double expected = (want[i] + mean[k]) * scale - mean[k], diff = got[3 * at + k] - expected;
        if (!(fabs(diff) <= tolerance))
            fail_msg("%s: channel %d pixel %d is %.5f, expected %.5f", name, k, at,
                     (double)got[3 * at + k], expected);
    }
}

/* FastPose's pixel rule.  The reference leaves out the division by 255 for a crop that has no level
 * above 1; crowdrec does not turn darkness into full contrast, so that crop is compared divided. */
static void test_fastpose_input(void **state) {
    (void)state;
    ArrayFile arrays = support_arrays("fixtures/pose_decode/crop.npz");
    static const struct {
        const char *photo, *input;
        float box[4];
        double scale;
    } cases[] = {{"synthetic_rgb", "synthetic.crop0_input", {20, 10, 50, 50}, 1},
                 {"dark_rgb", "dark.crop_input", {5, 2, 15, 18}, 1 / 255.0}};
    for (size_t i = 0; i < 2; i++) {
        Image photo = array_image(support_array(&arrays, cases[i].photo), false);
        float *want = support_floats(&arrays, cases[i].input);
        AffineAttr pixels = crop_pixels(CROP_FASTPOSE, 64, 48);
        CropBox around = crop_pose_box(cases[i].box, 48.0 / 64);
        Crop crop = crop_around(&around, 64, 48);
        float *got = run(&photo, &crop, &pixels);
        check_input(cases[i].input, got, want, 64, 48, cases[i].scale, pixels.mean, 3.01 / 255);
        free(got);
        free(want);
        image_free(&photo);
    }
    array_file_free(&arrays);
}

static double mean_level(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += values[i];
    return sum / (double)count;
}

static void check_letterbox(const char *relative) {
    json_t *root = support_json(relative), *box = support_get(root, "letterbox");
    Image photo = load_image(json_string_value(support_get(root, "image")));
    int h = (int)support_number_at(support_get(box, "size_hw"), 0),
        w = (int)support_number_at(support_get(box, "size_hw"), 1);
    Letterbox l = crop_letterbox(photo.height, photo.width, h, w);
    support_near("ratio", l.ratio, support_number(box, "ratio"), 1e-12);
    assert_int_equal(l.valid_w, (int)support_number_at(support_get(box, "new_wh"), 0));
    assert_int_equal(l.valid_h, (int)support_number_at(support_get(box, "new_wh"), 1));
    AffineAttr pixels = crop_pixels(CROP_YOLOX_BGR, h, w);
    pixels.valid_h = l.valid_h, pixels.valid_w = l.valid_w;
    float *got = run(&photo, &l.crop, &pixels);
    char path[256];
    snprintf(path, sizeof path, "fixtures/%s", json_string_value(support_get(box, "file")));
    ArrayFile file = support_arrays(path);
    assert_int_equal(file.count, 1);
    size_t count = array_size(&file.array[0]), far = 0;
    assert_int_equal(count, (size_t)h * w * 3);
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        double diff = fabs(got[i] - array_get(&file.array[0], i));
        worst = fmax(worst, diff);
        far += !(diff <= 2);
    }
    print_message("%s: largest difference %.0f levels, %zu of %zu above 2\n", path, worst, far,
                  count);
    assert_true(worst <= 8);
    assert_true(far <= count / 1000);
    for (size_t i = (size_t)l.valid_h * w * 3; i < count; i++) assert_true(got[i] == 114);
    free(got);
    image_free(&photo);
    array_file_free(&file);
    json_decref(root);
}

static void test_letterbox_dog(void **state) {
    (void)state;
    check_letterbox("fixtures/detect/dog.json");
}

static void test_letterbox_group(void **state) {
    (void)state;
    check_letterbox("fixtures/detect/group_00019.json");
}

/* Padding is normalised like pixels (ByteTrack). */
static void test_letterbox_padding(void **state) {
    (void)state;
    Image photo;
    assert_int_equal(image_new(64, 32, &photo), OK);
    Letterbox l = crop_letterbox(32, 64, 64, 64);
    AffineAttr pixels = crop_pixels(CROP_YOLOX_IMAGENET, 64, 64);
    pixels.valid_h = l.valid_h, pixels.valid_w = l.valid_w;
    float *got = run(&photo, &l.crop, &pixels);
    const float *black = got, *padding = got + (size_t)3 * 64 * 63;
    for (int k = 0; k < 3; k++) {
        support_near("black", black[k], -pixels.mean[k] / pixels.deviation[k], 1e-5);
        support_near("padding", padding[k], (114 / 255.0 - pixels.mean[k]) / pixels.deviation[k],
                     1e-5);
    }
    free(got);
    image_free(&photo);
}

typedef struct {
    const json_t *root;
    const ArrayFile *arrays;
    Image photo;
    double tolerance, mean_tolerance;
} CliffCase;

static void check_cliff(const CliffCase *c, const json_t *item) {
    int h = (int)json_integer_value(support_get(c->root, "crop_height"));
    int w = (int)json_integer_value(support_get(c->root, "crop_width"));
    float box[4], center[2], scale;
    numbers(support_get(item, "bbox_xyxy"), box, 4);
    crop_cliff_box(box, center, &scale);
    for (size_t k = 0; k < 2; k++)
        support_near("centre", center[k], support_number_at(support_get(item, "center"), k), 1e-6);
    double want_scale = support_number(item, "scale");
    support_near("scale", scale, want_scale, 1e-6 * want_scale);
    Crop crop = crop_cliff(center, scale, h, w);
    for (size_t k = 0; k < 2; k++) {
        support_near("corner", crop.rectangle[k],
                     support_number_at(support_get(item, "crop_ul"), k), 0);
        support_near("corner", crop.rectangle[2 + k],
                     support_number_at(support_get(item, "crop_br"), k) - 1, 0);
    }
    float *got = run(&c->photo, &crop, &(AffineAttr){.out_h = h, .out_w = w});
    char name[64];
    const char *image = json_string_value(support_get(item, "image"));
    snprintf(name, sizeof name, "%s%lld_crop_sample", image,
             (long long)json_integer_value(support_get(item, "index")));
    const Array *want = support_array(c->arrays, name);
    int step = h / (int)want->dim[0];
    for (size_t i = 0; i < array_size(want); i++) {
        size_t y = i / 3 / (size_t)want->dim[1], x = i / 3 % (size_t)want->dim[1];
        support_near(name, got[3 * (y * step * w + x * step) + i % 3], array_get(want, i),
                     c->tolerance);
    }
    for (size_t k = 0; k < 3; k++) {
        double sum = 0;
        for (size_t i = k; i < (size_t)h * w * 3; i += 3) sum += got[i];
        support_near("mean", sum / h / w, support_number_at(support_get(item, "crop_mean"), k),
                     c->mean_tolerance);
    }
    free(got);
}

static void check_cliff_image(const char *image, Image photo, double tolerance,
                              double mean_tolerance) {
    json_t *root = support_json("fixtures_body/geometry/crop.json"), *item;
    ArrayFile arrays = support_arrays("fixtures_body/geometry/crop.npz");
    CliffCase c = {root, &arrays, photo, tolerance, mean_tolerance};
    size_t i, checked = 0;
    json_array_foreach(support_get(root, "crops"), i, item) {
        if (strcmp(json_string_value(support_get(item, "image")), image) != 0) continue;
        check_cliff(&c, item);
        checked++;
    }
    assert_true(checked > 0);
    array_file_free(&arrays);
    json_decref(root);
}

static void test_cliff_pixels(void **state) {
    (void)state;
    ArrayFile arrays = support_arrays("fixtures_body/geometry/crop.npz");
    Image photo = array_image(support_array(&arrays, "image_small_rgb"), false);
    check_cliff_image("small", photo, 0.01, 0.01);
    image_free(&photo);
    array_file_free(&arrays);
}

/* 4 levels a sample and 0.5 on the mean: JPEG decoders differ (fixtures_body, section 5). */
static void test_cliff_photo(void **state) {
    (void)state;
    Image photo;
    if (image_read(support_fixture("fixtures_body/images/photo.jpg"), &photo) != OK)
        fail_msg("%s", error_reason());
    check_cliff_image("full", photo, 4, 0.5);
    image_free(&photo);
}

/* The whole input: (p/255 - mean)/deviation, every fourth pixel. */
static void test_cliff_input(void **state) {
    (void)state;
    json_t *root = support_json("fixtures_body/geometry/crop.json");
    ArrayFile arrays = support_arrays("fixtures_body/geometry/crop.npz");
    Image photo = array_image(support_array(&arrays, "image_small_rgb"), false);
    const json_t *item = json_array_get(support_get(root, "crops"), 0);
    float box[4], center[2], scale;
    numbers(support_get(item, "bbox_xyxy"), box, 4);
    crop_cliff_box(box, center, &scale);
    Crop crop = crop_cliff(center, scale, 256, 192);
    AffineAttr pixels = crop_pixels(CROP_CLIFF, 256, 192);
    float *got = run(&photo, &crop, &pixels);
    double squares = 0;
    for (int i = 0; i < 256 * 192 * 3; i++) squares += (double)got[i] * got[i];
    support_near("norm", sqrt(squares), support_number(item, "norm_l2"), 0.01);
    const Array *want = support_array(&arrays, "small0_norm");
    int step = 256 / (int)want->dim[1];
    for (size_t i = 0; i < array_size(want); i++) {
        size_t x = i % want->dim[2], y = i / want->dim[2] % want->dim[1];
        size_t k = i / want->dim[2] / want->dim[1];
        support_near("small0_norm", got[3 * (y * step * 192 + x * step) + k], array_get(want, i),
                     0.01 / 255 / 0.224);
    }
    free(got);
    image_free(&photo);
    array_file_free(&arrays);
    json_decref(root);
}

static void test_mirrored(void **state) {
    (void)state;
    Image photo = load_image("images/dog.jpg");
    CropBox around = {300, 250, 150, 200};
    Crop crop = crop_around(&around, 64, 48), mirrored = crop_mirrored(&crop, 48);
    AffineAttr pixels = crop_pixels(CROP_HRNET, 64, 48);
    float *a = run(&photo, &crop, &pixels), *b = run(&photo, &mirrored, &pixels);
    assert_true(mean_level(a, 64 * 48 * 3) != 0);
    for (int i = 0; i < 64 * 48 * 3; i++) {
        int k = i % 3, x = i / 3 % 48, y = i / 3 / 48;
        if (x) support_near("mirrored", b[3 * (y * 48 + 48 - x) + k], a[i], 1.01 / 255 / 0.224);
    }
    free(a);
    free(b);
    image_free(&photo);
}

/* Boxes from files: what cannot be cropped is told, and what can never reads outside the photo. */
static void test_hostile_boxes(void **state) {
    (void)state;
    static const float bad[][4] = {{0, 0, 0, 5},        {5, 5, 4, 9},     {0, 0, NAN, 5},
                                   {0, 0, INFINITY, 5}, {-2e6f, 0, 1, 1}, {0, 0, 1, 1e30f}};
    static const float good[][4] = {{0, 0, 1e-20f, 1e-20f},
                                    {-1e6f, -1e6f, 1e6f, 1e6f},
                                    {1e6f - 1, 0, 1e6f, 1},
                                    {-1e6f, 3, 1e6f, 3.0001f}};
    Image photo;
    assert_int_equal(image_new(7, 5, &photo), OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(crop_usable(bad[i]));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(crop_usable(good[i]));
        float center[2], scale, out[2 * 16 * 12 * 3];
        CropBox around = crop_pose_box(good[i], 0.75);
        crop_cliff_box(good[i], center, &scale);
        const Crop crops[2] = {crop_around(&around, 16, 12), crop_cliff(center, scale, 16, 12)};
        crop_run(&photo, crops, 2, &(AffineAttr){.out_h = 16, .out_w = 12}, out);
        for (size_t k = 0; k < sizeof out / sizeof *out; k++) assert_true(out[k] == 0);
    }
    image_free(&photo);
    Letterbox thin = crop_letterbox(1, 100000, 64, 64);
    assert_int_equal(thin.valid_h, 1);
    assert_int_equal(thin.valid_w, 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alphapose_geometry), cmocka_unit_test(test_hrnet_geometry),
        cmocka_unit_test(test_pose_pixels),        cmocka_unit_test(test_fastpose_input),
        cmocka_unit_test(test_letterbox_dog),      cmocka_unit_test(test_letterbox_group),
        cmocka_unit_test(test_letterbox_padding),  cmocka_unit_test(test_cliff_pixels),
        cmocka_unit_test(test_cliff_photo),        cmocka_unit_test(test_cliff_input),
        cmocka_unit_test(test_mirrored),           cmocka_unit_test(test_hostile_boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
