/* COCO files: the public sample, both forms, what is written comes back, and hostile input. */
#include "crowdrec/coco.h"
#include "tensor/rng.h"
#include "tests/madecrowd.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Crowd empty_crowd(const char *photo) {
    return (Crowd){.photo = strdup(photo), .width = MADECROWD_WIDTH, .height = MADECROWD_HEIGHT};
}

/* The people that a text gives a photo. */
static Crowd people_of(const char *text, CocoContent content, const char *photo, bool only) {
    Coco *coco;
    Crowd crowd = empty_crowd(photo);
    if (coco_open(support_write_text("people.json", text), content, &coco) != OK ||
        coco_people(coco, only, &crowd) != OK)
        fail_msg("%s", error_reason());
    coco_close(coco);
    return crowd;
}

static Person only_person(const Crowd *crowd) {
    assert_int_equal(crowd->count, 1);
    return crowd->person ? crowd->person[0] : (Person){0};
}

/* ---- round trip ---- */

static void test_round_trip_boxes(void **state) {
    (void)state;
    const char *path = support_in_folder("boxes.json");
    Crowd made[2] = {madecrowd_new("a/one.jpg", 3, 0), madecrowd_new("b/two.png", 2, 0)};
    assert_int_equal(coco_write(path, COCO_BOXES, made, 2), OK);
    Coco *coco;
    assert_int_equal(coco_open(path, COCO_BOXES, &coco), OK);
    for (int i = 0; i < 2; i++) {
        Crowd got = empty_crowd(made[i].photo);
        assert_int_equal(coco_people(coco, false, &got), OK);
        assert_int_equal(got.count, made[i].count);
        for (int k = 0; k < got.count; k++) {
            support_close("box", got.person[k].box, made[i].person[k].box, 4, 1e-4);
            support_close("score", &got.person[k].score, &made[i].person[k].score, 1, 0);
            assert_int_equal(got.person[k].group, -1);
            assert_int_equal(got.person[k].flags, 0);
        }
        crowd_free(&got);
        crowd_free(&made[i]);
    }
    coco_close(coco);
}

static void test_round_trip_keypoints(void **state) {
    (void)state;
    const char *path = support_in_folder("keypoints.json");
    Crowd made = madecrowd_new("one.jpg", 3, PERSON_HAS_KEYPOINTS);
    made.person[1].flags = 0; /* has none: is left out */
    assert_int_equal(coco_write(path, COCO_KEYPOINTS, &made, 1), OK);
    Coco *coco;
    Crowd got = empty_crowd("elsewhere/one.jpg");
    assert_int_equal(coco_open(path, COCO_KEYPOINTS, &coco), OK);
    assert_int_equal(coco_people(coco, true, &got), OK);
    assert_int_equal(got.count, 2);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(got.person[k].flags, PERSON_HAS_KEYPOINTS);
        support_close("keypoints", &got.person[k].keypoints[0][0],
                      &made.person[2 * k].keypoints[0][0], 3 * CROWD_KEYPOINTS, 0);
    }
    coco_close(coco);
    crowd_free(&got);
    crowd_free(&made);
}

/* ---- the public forms ---- */

static void check_sample_person(const json_t *item, const Person *p) {
    const json_t *box = json_object_get(item, "bbox"), *list = json_object_get(item, "keypoints");
    assert_int_equal(p->id, json_integer_value(json_object_get(item, "id")));
    for (size_t i = 0; i < 17; i++) {
        double v = support_number_at(list, 3 * i + 2);
        assert_true(p->keypoints[i][2] == (v > 0));
        assert_true(p->keypoints[i][0] == support_number_at(list, 3 * i));
        assert_true(p->keypoints[i][1] == support_number_at(list, 3 * i + 1));
    }
    for (int i = 17; i < CROWD_KEYPOINTS; i++) assert_true(p->keypoints[i][2] == 0);
    for (size_t k = 0; k < 2; k++) {
        double low = support_number_at(box, k);
        double size = support_number_at(box, 2 + k);
        assert_true(p->box[k] == (float)low && p->box[2 + k] == (float)(low + size));
    }
}

static void test_public_sample(void **state) {
    (void)state;
    const char *sample = "fixtures_body/formats/person_keypoints_sample.json";
    json_t *root = support_json(sample), *images = json_object_get(root, "images"), *image, *item;
    Coco *coco;
    size_t i, k;
    int total = 0;
    if (coco_open(support_fixture(sample), COCO_KEYPOINTS, &coco) != OK)
        fail_msg("%s", error_reason());
    json_array_foreach(images, i, image) {
        Crowd crowd = empty_crowd(json_string_value(json_object_get(image, "file_name")));
        crowd.width = (int)json_integer_value(json_object_get(image, "width"));
        crowd.height = (int)json_integer_value(json_object_get(image, "height"));
        if (coco_people(coco, false, &crowd) != OK) fail_msg("%s", error_reason());
        int next = 0;
        json_array_foreach(support_get(root, "annotations"), k, item) {
            if (!json_equal(json_object_get(item, "image_id"), json_object_get(image, "id")) ||
                json_integer_value(json_object_get(item, "iscrowd")))
                continue;
            assert_true(next < crowd.count);
            check_sample_person(item, &crowd.person[next++]);
        }
        assert_int_equal(crowd.count, next);
        total += next;
        crowd_free(&crowd);
    }
    assert_true(total > 0);
    coco_close(coco);
    json_decref(root);
}

static void test_results_list(void **state) {
    (void)state;
    static const struct {
        const char *id, *photo;
        bool only;
    } good[] = {{"\"x.jpg\"", "x.jpg", false},
                {"\"folder/x.jpg\"", "other/x.jpg", false},
                {"\"x\"", "x.jpg", false},
                {"44474", "COCO_val2014_000000044474.jpg", false},
                {"7", "unlike.jpg", true}};
    char text[200];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text,
                 "[{\"image_id\": %s, \"category_id\": 1, \"bbox\": [1, 2, 30, 40],"
                 " \"score\": 0.5}]",
                 good[i].id);
        Crowd crowd = people_of(text, COCO_BOXES, good[i].photo, good[i].only);
        Person p = only_person(&crowd);
        support_close("box", p.box, (float[]){1, 2, 31, 42}, 4, 0);
        assert_true(p.score == 0.5f);
        crowd_free(&crowd);
    }
}

static void test_other_categories(void **state) {
    (void)state;
    Crowd crowd = people_of(
        "{\"images\": [{\"id\": 5, \"file_name\": \"x.jpg\"}],"
        " \"categories\": [{\"id\": 2, \"name\": \"dog\"}, {\"id\": 9, \"name\": \"person\"}],"
        " \"annotations\": [{\"image_id\": 5, \"category_id\": 2, \"bbox\": [1, 1, 9, 9]},"
        " {\"image_id\": 5, \"category_id\": 9, \"bbox\": [2, 2, 9, 9], \"id\": 77},"
        " {\"image_id\": 5, \"category_id\": 9, \"iscrowd\": 1, \"bbox\": [3, 3, 9, 9]}]}",
        COCO_BOXES, "x.jpg", true);
    assert_int_equal(only_person(&crowd).id, 77);
    crowd_free(&crowd);
}

/* Confidences stay as they are, and the box grows out of the joints that have one. */
static void test_box_of_keypoints(void **state) {
    (void)state;
    char text[2000] = "[{\"image_id\": 1, \"keypoints\": [100, 100, 0.5, 200, 300, 1.25";
    for (int i = 2; i < 17; i++) strcat(text, ", 5, 5, 0");
    strcat(text, "]}]");
    Crowd crowd = people_of(text, COCO_KEYPOINTS, "x.jpg", true);
    Person p = only_person(&crowd);
    support_close("box", p.box, (float[]){94, 84, 206, 311}, 4, 1e-4);
    assert_true(p.keypoints[1][2] == 1.25f);
    crowd_free(&crowd);
}

/* ---- bad input ---- */

static void refuse(const char *text, size_t size, CocoContent content, const char *word) {
    Coco *coco;
    const char *path = support_write("bad.json", text, size);
    assert_int_equal(coco_open(path, content, &coco), ERR_INPUT);
    assert_null(coco);
    if (strncmp(error_reason(), path, strlen(path)) || !strstr(error_reason(), word) ||
        strchr(error_reason(), '\n'))
        fail_msg("reason '%s' without '%s'", error_reason(), word);
}

#define LIST(entry) "[{\"image_id\": 1, " entry "}]"
#define FILE_OF(images, entry) "{\"images\": [" images "], \"annotations\": [" entry "]}"

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        CocoContent content;
        const char *word;
    } bad[] = {
        {"", COCO_BOXES, "JSON"},
        {"\0", COCO_BOXES, "JSON"},
        {"nonsense", COCO_BOXES, "JSON"},
        {"[{]", COCO_BOXES, "line 1"},
        {"{\"images\": []}", COCO_BOXES, "no COCO file"},
        {"{\"annotations\": []}", COCO_BOXES, "no COCO file"},
        {"[1]", COCO_BOXES, "object"},
        {"[{\"bbox\": [1, 2, 3, 4]}]", COCO_BOXES, "image_id"},
        {LIST("\"bbox\": [1, 2, 3]"), COCO_BOXES, "bbox"},
        {LIST("\"bbox\": [1, 2, 3, 4, 5]"), COCO_BOXES, "bbox"},
        {LIST("\"bbox\": [1, 2, \"3\", 4]"), COCO_BOXES, "bbox"},
        {LIST("\"bbox\": [1, 2, 0, 4]"), COCO_BOXES, "bbox"},
        {LIST("\"bbox\": [1, 2, 3, -4]"), COCO_BOXES, "bbox"},
        {LIST("\"bbox\": [1, 2, 1e300, 4]"), COCO_BOXES, "bbox"},
        {LIST("\"bbox\": [1, 2, 1e999, 4]"), COCO_BOXES, "JSON"},
        {LIST("\"bbox\": [NaN, 2, 3, 4]"), COCO_BOXES, "JSON"},
        {LIST("\"bbox\": 7"), COCO_BOXES, "bbox"},
        {LIST("\"bbox\": [1, 2, 3, 4], \"bbox\": [1, 2, 3, 4]"), COCO_BOXES, "JSON"},
        {LIST("\"bbox\": [1, 2, 3, 4], \"score\": \"high\""), COCO_BOXES, "score"},
        {LIST("\"bbox\": [1, 2, 3, 4]"), COCO_KEYPOINTS, "keypoints"},
        {LIST("\"keypoints\": [1, 2, 3]"), COCO_KEYPOINTS, "keypoints"},
        {FILE_OF("{\"id\": 1}", ""), COCO_BOXES, "images[0]"},
        {FILE_OF("{\"id\": 1.5, \"file_name\": \"x\"}", ""), COCO_BOXES, "images[0]"},
        {FILE_OF("{\"id\": 1, \"file_name\": \"x\"}, {\"id\": 1, \"file_name\": \"y\"}", ""),
         COCO_BOXES, "twice"},
        {FILE_OF("{\"id\": 1, \"file_name\": \"x\"}", "{\"image_id\": 2, \"bbox\": [1, 2, 3, 4]}"),
         COCO_BOXES, "annotations[0]"},
        {"{\"images\": [], \"annotations\": [], \"categories\": [{\"id\": 1, \"name\": \"cat\"}]}",
         COCO_BOXES, "person"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuse(bad[i].text, strlen(bad[i].text), bad[i].content, bad[i].word);
}

static void test_refused_depth(void **state) {
    (void)state;
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH + 1);
    assert_non_null(text);
    memset(text, '[', DEPTH);
    refuse(text, DEPTH, COCO_BOXES, "JSON");
    free(text);
}

static void test_negative_confidence(void **state) {
    (void)state;
    char text[2000] = "[{\"image_id\": 1, \"bbox\": [1, 2, 3, 4], \"keypoints\": [1, 1, -0.5";
    for (int i = 1; i < 17; i++) strcat(text, ", 5, 5, 0");
    strcat(text, "]}]");
    refuse(text, strlen(text), COCO_KEYPOINTS, "negative");
}

static void test_wrong_photo(void **state) {
    (void)state;
    static const char text[] =
        FILE_OF("{\"id\": 1, \"file_name\": \"x.jpg\", \"width\": 640, \"height\": 480}",
                "{\"image_id\": 1, \"bbox\": [600, 400, 100, 100]}, {\"image_id\": 1, \"bbox\": "
                "[700, 1, 9, 9]}");
    Coco *coco;
    assert_int_equal(coco_open(support_write_text("w.json", text), COCO_BOXES, &coco), OK);
    Crowd crowd = empty_crowd("y.jpg");
    assert_int_equal(coco_people(coco, true, &crowd), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "y.jpg"));
    crowd_free(&crowd);
    crowd = empty_crowd("x.jpg");
    assert_int_equal(coco_people(coco, true, &crowd), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "outside"));
    crowd.width = 320;
    assert_int_equal(coco_people(coco, true, &crowd), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "640x480"));
    crowd_free(&crowd);
    coco_close(coco);
}

/* Names are compared without their folders. */
static void test_two_of_one_name(void **state) {
    (void)state;
    static const char text[] = FILE_OF("{\"id\": 1, \"file_name\": \"a/x.jpg\"}, "
                                       "{\"id\": 2, \"file_name\": \"b/x.jpg\"}, "
                                       "{\"id\": 3, \"file_name\": \"b/y.jpg\"}",
                                       "{\"image_id\": 1, \"bbox\": [1, 2, 3, 4]}, "
                                       "{\"image_id\": 3, \"bbox\": [5, 6, 7, 8]}");
    Coco *coco;
    assert_int_equal(coco_open(support_write_text("t.json", text), COCO_BOXES, &coco), OK);
    Crowd crowd = empty_crowd("b/x.jpg");
    assert_int_equal(coco_people(coco, false, &crowd), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "several images named 'x.jpg'"));
    crowd_free(&crowd);
    crowd = empty_crowd("b/y.jpg");
    assert_int_equal(coco_people(coco, false, &crowd), OK);
    assert_true(only_person(&crowd).box[0] == 5);
    crowd_free(&crowd);
    coco_close(coco);
}

/* Every beginning of a file is refused; with bytes changed it is refused or read, never more. */
static void test_damaged(void **state) {
    (void)state;
    enum { TRIES = 2000 };
    const char *path = support_in_folder("whole.json");
    Crowd made = madecrowd_new("one.jpg", 2, PERSON_HAS_KEYPOINTS);
    assert_int_equal(coco_write(path, COCO_KEYPOINTS, &made, 1), OK);
    crowd_free(&made);
    Bytes whole;
    assert_int_equal(file_read(path, 1 << 20, &whole), OK);
    for (size_t size = 0; size + 2 < whole.size; size += 17)
        refuse((const char *)whole.data, size, COCO_KEYPOINTS, "JSON");
    uint64_t stream = rng_stream("damage", 1);
    int read = 0;
    for (uint64_t i = 0; i < TRIES; i++) {
        size_t at = rng_splitmix(stream + 2 * i) % whole.size;
        uint8_t old = whole.data[at];
        Coco *coco;
        whole.data[at] = (uint8_t)rng_splitmix(stream + 2 * i + 1);
        Status status =
            coco_open(support_write("damaged.json", whole.data, whole.size), COCO_KEYPOINTS, &coco);
        assert_true(status == OK || status == ERR_INPUT);
        Crowd crowd = empty_crowd("one.jpg");
        if (status == OK) coco_people(coco, true, &crowd), read++;
        for (int k = 0; k < crowd.count; k++) assert_true(isfinite(crowd.person[k].box[0]));
        crowd_free(&crowd);
        coco_close(coco);
        whole.data[at] = old;
    }
    assert_true(read > 0 && read < TRIES);
    file_release(&whole);
}

/* Many images, many entries: looked up, not searched for. */
static void test_large(void **state) {
    (void)state;
    enum { COUNT = 20000, ROOM = 100 };
    char *text = malloc((size_t)COUNT * 2 * ROOM), *at = text;
    assert_non_null(text);
    at += sprintf(at, "{\"images\": [");
    for (int i = 0; i < COUNT; i++)
        at += sprintf(at, "%s{\"id\": %d, \"file_name\": \"%d.jpg\"}", i ? "," : "", i, i);
    at += sprintf(at, "], \"annotations\": [");
    for (int i = 0; i < COUNT; i++)
        at += sprintf(at, "%s{\"image_id\": %d, \"bbox\": [1, 2, 3, 4]}", i ? "," : "", i);
    strcpy(at, "]}");
    Crowd crowd = people_of(text, COCO_BOXES, "19999.jpg", false);
    assert_int_equal(crowd.count, 1);
    crowd_free(&crowd);
    free(text);
}

static void test_absent(void **state) {
    (void)state;
    Coco *coco;
    assert_int_equal(coco_open(support_in_folder("absent.json"), COCO_BOXES, &coco), ERR_INPUT);
    assert_int_equal(coco_open(support_folder(), COCO_BOXES, &coco), ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip_boxes),
        cmocka_unit_test(test_round_trip_keypoints),
        cmocka_unit_test(test_public_sample),
        cmocka_unit_test(test_results_list),
        cmocka_unit_test(test_other_categories),
        cmocka_unit_test(test_box_of_keypoints),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_depth),
        cmocka_unit_test(test_negative_confidence),
        cmocka_unit_test(test_wrong_photo),
        cmocka_unit_test(test_two_of_one_name),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
