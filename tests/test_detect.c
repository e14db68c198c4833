/* People and objects in two photos with three trained networks: exact from the stored letterbox,
 * and end to end from the JPEG (fixtures, section 7). */
#include "crowdrec/detect.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *fixture(const char *relative) {
    char path[256];
    snprintf(path, sizeof path, "fixtures/%s", relative);
    return support_fixture(path);
}

static Detector *open_net(const json_t *net, DetectOptions options) {
    Detector *d;
    if (detect_open(fixture(json_string_value(support_get(net, "weights"))), &options, &d) != OK)
        fail_msg("%s", error_reason());
    bool bgr = !strncmp(json_string_value(support_get(net, "input")), "BGR", 3);
    assert_string_equal(detect_input(d), bgr ? "bgr255" : "imagenet");
    return d;
}

/* The stored letterbox is a photo whose letterbox is itself. */
static Image letterbox(const json_t *root) {
    char path[256];
    snprintf(path, sizeof path, "fixtures/%s",
             json_string_value(support_get(support_get(root, "letterbox"), "file")));
    ArrayFile file = support_arrays(path);
    const Array *a = &file.array[0];
    Image image;
    assert_int_equal(image_new((int)a->dim[1], (int)a->dim[0], &image), OK);
    for (size_t i = 0; i < array_size(a); i++)
        image.rgb[i / 3 * 3 + 2 - i % 3] = ((const uint8_t *)a->data)[i];
    array_file_free(&file);
    return image;
}

static void check_list(const json_t *want, const Detection *got, int count, double ratio) {
    json_t *item;
    size_t i;
    assert_int_equal(count, json_array_size(want));
    json_array_foreach(want, i, item) {
        assert_int_equal(got[i].class_index, json_integer_value(support_get(item, "cls")));
        support_near("score", got[i].score, support_number(item, "score"), 1e-3);
        for (size_t k = 0; k < 4; k++)
            support_near("box", got[i].box[k] / ratio,
                         support_number_at(support_get(item, "box"), k), 0.5);
    }
}

static DetectOptions fixture_options(const json_t *root, bool agnostic) {
    const json_t *t = support_get(root, "threshold"),
                 *size = support_get(support_get(root, "letterbox"), "size_hw");
    return (DetectOptions){.confidence = (float)support_number(t, "conf"),
                           .iou = (float)support_number(t, "nms_iou"),
                           .agnostic = agnostic,
                           .height = (int)json_integer_value(json_array_get(size, 0)),
                           .width = (int)json_integer_value(json_array_get(size, 1))};
}

static const char *list_name(bool agnostic) {
    return agnostic ? "detections_class_agnostic_nms" : "detections_per_class_nms";
}

static void check_exact(const char *relative, bool agnostic) {
    json_t *root = support_json(relative), *net;
    const char *name;
    Image image = letterbox(root);
    json_object_foreach(support_get(root, "nets"), name, net) {
        const Detection *got;
        int count;
        Detector *d = open_net(net, fixture_options(root, agnostic));
        assert_int_equal(detect_all(d, &image, &got, &count), OK);
        check_list(support_get(net, list_name(agnostic)), got, count,
                   support_number(support_get(root, "letterbox"), "ratio"));
        detect_close(d);
    }
    image_free(&image);
    json_decref(root);
}

/* One row of the head: x, y, w, h, objectness, classes. */
static void check_row(const Detection *got, const float *want, int columns) {
    float best = 0, corner[4] = {want[0] - want[2] / 2, want[1] - want[3] / 2,
                                 want[0] + want[2] / 2, want[1] + want[3] / 2};
    for (int k = 5; k < columns; k++) best = fmaxf(best, want[k]);
    for (int k = 0; k < 4; k++) support_near("corner", got->box[k], corner[k], 0.3);
    support_near("objectness", got->objectness, want[4], 1e-3);
    support_near("score", got->score, want[4] * best, 1e-3);
    support_near("class", want[5 + got->class_index], best, 1e-3);
}

/* With no threshold every row of the head comes out, so that single anchors can be compared. */
static void check_rows(const char *json, const char *npz) {
    json_t *root = support_json(json), *net;
    ArrayFile arrays = support_arrays(npz);
    Image image = letterbox(root);
    const char *name;
    json_object_foreach(support_get(root, "nets"), name, net) {
        char key[64];
        DetectOptions options = fixture_options(root, false);
        options.confidence = 1e-30f, options.iou = 1;
        Detector *d = open_net(net, options);
        const Detection *got;
        int count;
        assert_int_equal(detect_all(d, &image, &got, &count), OK);
        const json_t *shape = support_get(support_get(net, "whole_output"), "shape");
        assert_int_equal(count, json_integer_value(json_array_get(shape, 1)));
        snprintf(key, sizeof key, "%s.anchor_index", name);
        double *anchor = support_doubles(&arrays, key);
        snprintf(key, sizeof key, "%s.decoded_rows", name);
        float *rows = support_floats(&arrays, key);
        const Array *a = support_array(&arrays, key);
        for (int i = 0; i < count; i++) {
            if (i) assert_true(got[i].score <= got[i - 1].score);
            for (int r = 0; r < a->dim[0]; r++)
                if (got[i].anchor == anchor[r])
                    check_row(&got[i], rows + r * a->dim[1], (int)a->dim[1]);
        }
        free(anchor);
        free(rows);
        detect_close(d);
    }
    image_free(&image);
    array_file_free(&arrays);
    json_decref(root);
}

static double overlap(const float a[4], const json_t *want) {
    double b[4], w, h;
    for (size_t k = 0; k < 4; k++) b[k] = support_number_at(want, k);
    w = fmin(a[2], b[2]) - fmax(a[0], b[0]), h = fmin(a[3], b[3]) - fmax(a[1], b[1]);
    double areas = ((double)a[2] - a[0]) * ((double)a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]);
    return w > 0 && h > 0 ? w * h / (areas - w * h) : 0;
}

/* Stable detections of at least 0.30: same class, IoU >= 0.85, score within 0.06. */
static int check_stable(const json_t *list, const Detection *got, int count) {
    json_t *item;
    size_t i;
    int checked = 0;
    json_array_foreach(list, i, item) {
        if (!json_is_true(support_get(item, "stable")) || support_number(item, "score") < 0.30)
            continue;
        bool found = false;
        for (int k = 0; k < count && !found; k++)
            found = got[k].class_index == json_integer_value(support_get(item, "cls")) &&
                    overlap(got[k].box, support_get(item, "box")) >= 0.85 &&
                    fabs(got[k].score - support_number(item, "score")) <= 0.06;
        if (!found)
            fail_msg("no %s of score %.3f", json_string_value(support_get(item, "name")),
                     support_number(item, "score"));
        checked++;
    }
    return checked;
}

static void check_photo(const char *relative, bool agnostic) {
    json_t *root = support_json(relative), *net;
    const char *name;
    Image image;
    if (image_read(fixture(json_string_value(support_get(root, "image"))), &image) != OK)
        fail_msg("%s", error_reason());
    json_object_foreach(support_get(root, "nets"), name, net) {
        const Detection *got;
        int count;
        Detector *d = open_net(net, fixture_options(root, agnostic));
        assert_int_equal(detect_all(d, &image, &got, &count), OK);
        int checked = check_stable(support_get(net, list_name(agnostic)), got, count);
        print_message("%s %s: %d stable of %d detections\n", relative, name, checked, count);
        assert_true(checked > 0);
        detect_close(d);
    }
    image_free(&image);
    json_decref(root);
}

static void test_exact(void **state) {
    (void)state;
    check_exact("fixtures/detect/dog.json", false);
    check_exact("fixtures/detect/group_00019.json", false);
}

static void test_exact_agnostic(void **state) {
    (void)state;
    check_exact("fixtures/detect/dog.json", true);
    check_exact("fixtures/detect/group_00019.json", true);
}

static void test_rows(void **state) {
    (void)state;
    check_rows("fixtures/detect/dog.json", "fixtures/detect/dog.npz");
    check_rows("fixtures/detect/group_00019.json", "fixtures/detect/group_00019.npz");
}

static void test_photo(void **state) {
    (void)state;
    check_photo("fixtures/detect/dog.json", false);
    check_photo("fixtures/detect/group_00019.json", false);
}

static void test_photo_agnostic(void **state) {
    (void)state;
    check_photo("fixtures/detect/dog.json", true);
    check_photo("fixtures/detect/group_00019.json", true);
}

/* Only people enter the crowd, in order of falling score. */
static void test_people(void **state) {
    (void)state;
    Image image;
    if (image_read(fixture("images/group_00019.jpg"), &image) != OK) fail_msg("%s", error_reason());
    Detector *d;
    DetectOptions options = {.height = 416, .width = 416, .input = "bgr255"};
    if (detect_open(fixture("weights/yolox_nano_official.pth"), &options, &d) != OK)
        fail_msg("%s", error_reason());
    Crowd crowd = {0};
    const Detection *all;
    int count, people = 0;
    assert_int_equal(detect_run(d, &image, &crowd), OK);
    assert_int_equal(detect_all(d, &image, &all, &count), OK);
    for (int i = 0; i < count; i++) people += all[i].class_index == 0;
    assert_int_equal(crowd.count, people);
    assert_true(people >= 8 && people < count);
    for (int i = 0; i < crowd.count; i++) {
        assert_true(crowd.person[i].score >= 0.23f);
        assert_true(!i || crowd.person[i].score <= crowd.person[i - 1].score);
        assert_int_equal(crowd.person[i].id, i);
    }
    crowd_free(&crowd);
    detect_close(d);
    image_free(&image);
}

/* A safetensors file's metadata wins over the measure, the option over both. */
static void test_input_metadata(void **state) {
    (void)state;
    ArrayFile file = support_arrays("fixtures/weights/yolox_nano_coco.pth");
    const char *path = support_in_folder("nano.safetensors");
    static const char *const said[] = {"imagenet", "bgr255", "rgb"};
    for (int i = 0; i < 3; i++) {
        Detector *d;
        struct ArrayMeta meta = {"input", said[i]};
        file.meta = &meta, file.meta_count = 1;
        assert_int_equal(file_write_safetensors(path, &file), OK);
        DetectOptions options = {.height = 32, .width = 32};
        Status status = detect_open(path, &options, &d);
        if (status != (i < 2 ? OK : ERR_MODEL)) fail_msg("%s: %s", said[i], error_reason());
        if (d) assert_string_equal(detect_input(d), said[i]);
        detect_close(d);
        options.input = "imagenet";
        assert_int_equal(detect_open(path, &options, &d), OK);
        assert_string_equal(detect_input(d), "imagenet");
        detect_close(d);
    }
    array_file_free(&file);
}

static void refuse(const char *weights, DetectOptions options, Status status, const char *word) {
    Detector *d;
    assert_int_equal(detect_open(weights, &options, &d), status);
    assert_null(d);
    if (!strstr(error_reason(), word)) fail_msg("reason '%s' without '%s'", error_reason(), word);
}

static void test_refusals(void **state) {
    (void)state;
    const char *rule = "rule:yolox_nano:1";
    refuse(rule, (DetectOptions){.input = "rgb"}, ERR_USAGE, "bgr255 or imagenet");
    refuse(rule, (DetectOptions){.height = 400}, ERR_USAGE, "multiples of 32");
    refuse(rule, (DetectOptions){.width = -32}, ERR_USAGE, "multiples of 32");
    refuse(rule, (DetectOptions){.confidence = NAN}, ERR_USAGE, "confidence");
    refuse(rule, (DetectOptions){.iou = 1.5f}, ERR_USAGE, "iou");
    refuse("rule:hrnet_pose_w32:1", (DetectOptions){0}, ERR_MODEL, "yolox");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),          cmocka_unit_test(test_exact_agnostic),
        cmocka_unit_test(test_rows),           cmocka_unit_test(test_photo),
        cmocka_unit_test(test_photo_agnostic), cmocka_unit_test(test_people),
        cmocka_unit_test(test_input_metadata), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
