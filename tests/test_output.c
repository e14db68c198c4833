/* Output: the reference's predict.json, result.json and result.npz give back every number, pictures
 * and meshes, and nothing half-written. */
#include "crowdrec/gigacrowd.h"
#include "crowdrec/jsonfile.h"
#include "crowdrec/output.h"
#include "crowdrec/result.h"
#include "crowdrec/steplog.h"
#include "tests/madecrowd.h"
#include "tests/smallbody.h"
#include "tests/support.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALL_FLAGS = PERSON_HAS_KEYPOINTS | PERSON_HAS_BODY | PERSON_REFINED };

static bool exists(const char *path) { return access(path, F_OK) == 0; }

/* Names in a folder that no documented file has. */
static void check_no_leftovers(const char *folder) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (strstr(e->d_name, ".tmp") || (e->d_name[0] == '.' && strlen(e->d_name) > 2))
            fail_msg("%s/%s was left over", folder, e->d_name);
    closedir(dir);
}

/* ---- predict.json ---- */

static void floats_of(const json_t *list, float *out, int count) {
    assert_int_equal(json_array_size(list), count);
    for (int i = 0; i < count; i++) out[i] = (float)support_number_at(list, (size_t)i);
}

/* A photo's entry as a crowd. */
static Crowd crowd_of(const char *name, const json_t *entry) {
    const json_t *matrix = json_object_get(entry, "Intrinsic_matrix"), *item;
    Crowd crowd = {.photo = strdup(name)};
    size_t i;
    crowd.camera.focal = support_number_at(json_array_get(matrix, 0), 0);
    crowd.camera.cx = support_number_at(json_array_get(matrix, 0), 2);
    crowd.camera.cy = support_number_at(json_array_get(matrix, 1), 2);
    json_array_foreach(support_get(entry, "person_list"), i, item) {
        Person *p = crowd_add(&crowd);
        p->flags = PERSON_HAS_BODY;
        floats_of(json_object_get(item, "pose"), p->pose, CROWD_POSE);
        floats_of(json_object_get(item, "shape"), p->betas, CROWD_BETAS);
        floats_of(json_object_get(item, "trans_cam"), p->trans, 3);
    }
    return crowd;
}

static void test_predict_is_the_reference(void **state) {
    (void)state;
    json_t *want = support_json("fixtures_body/formats/predict.json"), *entry;
    const char *name, *path = support_in_folder("predict.json");
    Crowd crowd[16];
    int count = 0;
    json_object_foreach(want, name, entry) {
        assert_true(count < 16);
        crowd[count++] = crowd_of(name, entry);
    }
    crowd_add(&crowd[0]); /* without a body: left out */
    assert_int_equal(jsonfile_write(path, JSONFILE_DOUBLE, gigacrowd_json(crowd, count)), OK);
    json_t *got = support_read_json(path);
    assert_true(json_equal(got, want));
    json_decref(got);
    json_decref(want);
    for (int i = 0; i < count; i++) crowd_free(&crowd[i]);
}

static void test_name_that_is_no_utf8(void **state) {
    (void)state;
    Crowd crowd = madecrowd_new("caf\xe9.jpg", 1, PERSON_HAS_BODY);
    json_t *json = gigacrowd_json(&crowd, 1);
    assert_non_null(json_object_get(json, "caf?.jpg"));
    json_decref(json);
    crowd_free(&crowd);
}

/* ---- result.json and result.npz ---- */

static RefineReport made_report(void) {
    return (RefineReport){
        .groups = 1, .iterations = 7, .first = 3.5, .last = 1.25, .reason = "iterations"};
}

static void check_person(const json_t *item, const Person *p) {
    float value[CROWD_POSE];
    floats_of(json_object_get(item, "box"), value, 4);
    support_close("box", value, p->box, 4, 0);
    floats_of(json_object_get(item, "pose"), value, CROWD_POSE);
    support_close("pose", value, p->pose, CROWD_POSE, 0);
    floats_of(json_object_get(item, "betas"), value, CROWD_BETAS);
    support_close("betas", value, p->betas, CROWD_BETAS, 0);
    floats_of(json_object_get(item, "trans"), value, 3);
    support_close("trans", value, p->trans, 3, 0);
    for (size_t j = 0; j < CROWD_KEYPOINTS; j++) {
        floats_of(json_array_get(json_object_get(item, "keypoints"), j), value, 3);
        support_close("keypoints", value, p->keypoints[j], 3, 0);
        floats_of(json_array_get(json_object_get(item, "joints"), j), value, 3);
        support_close("joints", value, p->joints[j], 3, 0);
    }
    assert_true((float)support_number(item, "ground_distance") == p->ground_distance);
    assert_int_equal(json_integer_value(json_object_get(item, "id")), p->id);
    assert_int_equal(json_array_size(support_get(item, "flags")), 3);
    const json_t *loss = json_object_get(item, "loss");
    assert_true((float)support_number(loss, "keypoints") == p->loss_keypoints);
}

static void test_result_json(void **state) {
    (void)state;
    const char *path = support_in_folder("result.json");
    Crowd crowd = madecrowd_new("folder/x.jpg", 3, ALL_FLAGS);
    RefineReport report = made_report();
    assert_int_equal(jsonfile_write(path, JSONFILE_FLOAT, result_json(&crowd, "paper", &report)),
                     OK);
    json_t *root = support_read_json(path), *people = json_object_get(root, "people");
    assert_string_equal(json_string_value(json_object_get(root, "schema")), RESULT_SCHEMA);
    assert_int_equal(json_integer_value(json_object_get(root, "version")), RESULT_VERSION);
    assert_int_equal(json_array_size(support_get(root, "joint_names")), CROWD_KEYPOINTS);
    assert_int_equal(json_array_size(people), 3);
    for (size_t i = 0; i < 3; i++) check_person(json_array_get(people, i), &crowd.person[i]);
    const json_t *refinement = json_object_get(root, "refinement");
    assert_string_equal(json_string_value(json_object_get(refinement, "recipe")), "paper");
    assert_int_equal(json_integer_value(json_object_get(refinement, "iterations")), 7);
    json_decref(root);
    crowd_free(&crowd);
}

/* JSON has no NaN, and what a stage did not make is not there. */
static void test_result_json_of_little(void **state) {
    (void)state;
    Crowd crowd = madecrowd_new("x.jpg", 1, 0);
    crowd.person[0].score = NAN;
    crowd_ground(&crowd);
    json_t *root = result_json(&crowd, NULL, NULL);
    const json_t *person = json_array_get(json_object_get(root, "people"), 0);
    assert_true(json_is_null(json_object_get(person, "score")));
    assert_true(json_is_null(json_object_get(root, "ground")));
    assert_true(json_is_null(json_object_get(root, "refinement")));
    assert_null(json_object_get(person, "pose"));
    assert_null(json_object_get(person, "keypoints"));
    json_decref(root);
    crowd_free(&crowd);
}

/* Bodies behind the camera tell no ground. */
static void test_result_json_without_ground(void **state) {
    (void)state;
    Crowd crowd = madecrowd_new("x.jpg", 2, ALL_FLAGS);
    for (int behind = 0; behind < 2; behind++) {
        for (int i = 0; i < 2 && behind; i++) {
            crowd.person[i].joints[HALPE26_HIP][2] = -1;
            crowd_mark_body(&crowd.person[i]);
        }
        crowd_ground(&crowd);
        json_t *root = result_json(&crowd, NULL, NULL);
        assert_int_equal(json_is_null(json_object_get(root, "ground")), behind);
        json_decref(root);
    }
    crowd_free(&crowd);
}

static void test_result_npz(void **state) {
    (void)state;
    const char *path = support_in_folder("result.npz");
    Crowd crowd = madecrowd_new("x.jpg", 3, ALL_FLAGS);
    ArrayFile f;
    assert_int_equal(result_write_npz(path, &crowd), OK);
    assert_int_equal(file_load(path, &f), OK);
    assert_string_equal(array_shape_text(support_array(&f, "pose")), "[3,72]");
    assert_string_equal(array_shape_text(support_array(&f, "joints")), "[3,26,3]");
    assert_string_equal(array_shape_text(support_array(&f, "camera")), "[3,3]");
    assert_string_equal(array_shape_text(support_array(&f, "score")), "[3]");
    for (size_t i = 0; i < 3; i++) {
        const Person *p = &crowd.person[i];
        const float *pose = support_array(&f, "pose")->data;
        const float *joints = support_array(&f, "joints")->data;
        support_close("pose", pose + i * CROWD_POSE, p->pose, CROWD_POSE, 0);
        support_close("joints", joints + i * 3 * CROWD_KEYPOINTS, &p->joints[0][0],
                      3 * CROWD_KEYPOINTS, 0);
        assert_true(array_get(support_array(&f, "id"), i) == p->id);
    }
    assert_true(array_get(support_array(&f, "camera"), 0) == crowd.camera.focal);
    array_file_free(&f);
    crowd_free(&crowd);
}

static void test_nobody(void **state) {
    (void)state;
    const char *path = support_in_folder("nobody.npz");
    Crowd crowd = madecrowd_new("x.jpg", 0, 0);
    ArrayFile f;
    assert_int_equal(result_write_npz(path, &crowd), OK);
    assert_int_equal(file_load(path, &f), OK);
    assert_string_equal(array_shape_text(support_array(&f, "pose")), "[0,72]");
    array_file_free(&f);
    json_t *root = result_json(&crowd, NULL, NULL);
    assert_int_equal(json_array_size(support_get(root, "people")), 0);
    json_decref(root);
    crowd_free(&crowd);
}

/* ---- the folder ---- */

static void test_prepare(void **state) {
    (void)state;
    const char *file = support_in_folder("a-file"), *nested = support_in_folder("deep/er/still");
    assert_int_equal(file_write(file, "x", 1), OK);
    assert_int_equal(output_prepare(file), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "a-file"));
    assert_int_equal(output_prepare(support_in_folder("a-file/below")), ERR_USAGE);
    assert_int_equal(output_prepare("/proc/nowhere"), ERR_USAGE);
    assert_int_equal(output_prepare(nested), OK);
    assert_int_equal(output_prepare(nested), OK);
    check_no_leftovers(nested);
}

static Body *small_body(void) {
    const char *path = support_in_folder("body.npz");
    SmallBody *made = smallbody_new(60, 40);
    Body *body;
    smallbody_write(made, path);
    smallbody_free(made);
    if (body_load(path, NULL, &body) != OK) fail_msg("%s", error_reason());
    return body;
}

static void write_all(const char *folder, const Crowd *crowd, const Body *body, bool meshes) {
    Image photo;
    RefineReport report = made_report();
    assert_int_equal(image_new(crowd->width, crowd->height, &photo), OK);
    Results results = {crowd, crowd, &photo, body, "paper", &report, meshes};
    if (output_prepare(folder) != OK || output_photo(folder, &results) != OK)
        fail_msg("%s", error_reason());
    image_free(&photo);
}

static bool has(const char *folder, const char *name) {
    char path[4300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return exists(path);
}

static void test_photo_files(void **state) {
    (void)state;
    const char *folder = support_in_folder("photo");
    Body *body = small_body();
    Crowd crowd = madecrowd_new("x.jpg", 3, ALL_FLAGS);
    write_all(folder, &crowd, body, true);
    static const char *const files[] = {
        "result.json",           "result.npz", "overlay.png", "side.png", "meshes/person_0000.obj",
        "meshes/person_0002.obj"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!has(folder, files[i])) fail_msg("%s is missing", files[i]);
    crowd.count = 2; /* a second run finds fewer */
    write_all(folder, &crowd, body, true);
    assert_true(has(folder, "meshes/person_0001.obj"));
    assert_false(has(folder, "meshes/person_0002.obj"));
    check_no_leftovers(folder);
    crowd_free(&crowd);
    body_free(body);
}

static void test_early_stages(void **state) {
    (void)state;
    const char *folder = support_in_folder("early");
    Crowd crowd = madecrowd_new("x.jpg", 2, 0);
    write_all(folder, &crowd, NULL, true);
    assert_true(has(folder, "result.json") && has(folder, "result.npz"));
    assert_true(has(folder, "overlay.png"));
    assert_false(has(folder, "side.png") || has(folder, "meshes"));
    assert_int_equal(output_run(folder, &crowd, 1, 0), OK);
    assert_true(has(folder, "detections.json"));
    assert_false(has(folder, "keypoints.json") || has(folder, "predict.json"));
    assert_int_equal(output_run(folder, &crowd, 1, OUTPUT_KEYPOINTS | OUTPUT_BODIES), OK);
    assert_true(has(folder, "keypoints.json") && has(folder, "predict.json"));
    crowd_free(&crowd);
}

/* Where nobody has a body yet, a body model at hand changes no picture. */
static void test_interrupted_regression(void **state) {
    (void)state;
    static const char *const names[] = {"sketched/overlay.png", "unfinished/overlay.png"};
    Body *body = small_body();
    Crowd crowd = madecrowd_new("x.jpg", 2, PERSON_HAS_KEYPOINTS);
    write_all(support_in_folder("sketched"), &crowd, NULL, false);
    write_all(support_in_folder("unfinished"), &crowd, body, false);
    assert_false(has(support_in_folder("unfinished"), "side.png"));
    Bytes picture[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(file_read(support_in_folder(names[i]), 1 << 24, &picture[i]), OK);
    assert_int_equal(picture[0].size, picture[1].size);
    assert_memory_equal(picture[0].data, picture[1].data, picture[0].size);
    for (int i = 0; i < 2; i++) file_release(&picture[i]);
    crowd_free(&crowd);
    body_free(body);
}

/* A name that is taken by a folder: the old thing stays, nothing new lies beside it. */
static void test_write_fails(void **state) {
    (void)state;
    const char *folder = support_in_folder("taken");
    Crowd crowd = madecrowd_new("x.jpg", 1, 0);
    assert_int_equal(file_make_folder(support_in_folder("taken/detections.json")), OK);
    assert_int_not_equal(output_run(folder, &crowd, 1, 0), OK);
    assert_non_null(strstr(error_reason(), "detections.json"));
    check_no_leftovers(folder);
    crowd_free(&crowd);
}

/* ---- log.jsonl ---- */

static void test_log(void **state) {
    (void)state;
    const char *path = support_in_folder("log.jsonl");
    Steplog log;
    RefineStep step = {.group = 1,
                       .iteration = 2,
                       .people = 3,
                       .rate = 1e-5,
                       .decay = 0.01,
                       .total = 1.5,
                       .crowd = 0.25,
                       .keypoints = INFINITY,
                       .betas = 1e-30,
                       .pose = 0,
                       .seconds = 4};
    assert_int_equal(steplog_begin(path, &log), OK);
    for (; step.iteration < 5; step.iteration++) steplog_add(&log, &step);
    assert_false(exists(path));
    assert_int_equal(steplog_end(&log), OK);
    Bytes text;
    assert_int_equal(file_read(path, 1 << 16, &text), OK);
    int lines = 0;
    for (char *at = (char *)text.data, *end; (end = strchr(at, '\n')); at = end + 1, lines++) {
        json_t *line = json_loadb(at, (size_t)(end - at), 0, NULL);
        assert_non_null(line);
        assert_int_equal(json_integer_value(json_object_get(line, "iteration")), 2 + lines);
        assert_true(support_number(line, "rate") == 1e-5);
        assert_true(json_is_null(json_object_get(line, "keypoints")));
        json_decref(line);
    }
    assert_int_equal(lines, 3);
    file_release(&text);
}

static void test_log_abandoned(void **state) {
    (void)state;
    const char *folder = support_in_folder("abandoned"),
               *path = support_in_folder("abandoned/log.jsonl");
    Steplog log;
    assert_int_equal(file_make_folder(folder), OK);
    assert_int_equal(steplog_begin(path, &log), OK);
    steplog_add(&log, &(RefineStep){0});
    steplog_abandon(&log);
    assert_false(exists(path));
    check_no_leftovers(folder);
    steplog_abandon(&log);
    assert_int_equal(steplog_end(&log), OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predict_is_the_reference),
        cmocka_unit_test(test_name_that_is_no_utf8),
        cmocka_unit_test(test_result_json),
        cmocka_unit_test(test_result_json_of_little),
        cmocka_unit_test(test_result_json_without_ground),
        cmocka_unit_test(test_result_npz),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_photo_files),
        cmocka_unit_test(test_early_stages),
        cmocka_unit_test(test_interrupted_regression),
        cmocka_unit_test(test_write_fails),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_log_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
