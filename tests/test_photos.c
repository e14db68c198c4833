/* Photos: folders, order, where results go, and names that clash. */
#include "crowdrec/photos.h"
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

static void test_folder(void **state) {
    (void)state;
    assert_int_equal(file_make_folder(support_in_folder("f/sub.jpg")), OK);
    static const char *const files[] = {"f/b.PNG",     "f/a.jpg",  "f/.hidden.jpg",
                                        "f/notes.txt", "f/c.jpeg", "f/jpg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) support_write_text(files[i], "");
    Photos photos;
    char folder[4300];
    snprintf(folder, sizeof folder, "%s//", support_in_folder("f"));
    assert_int_equal(photos_list((const char *[]){folder, "z/z.jpg"}, 2, "out", &photos), OK);
    static const char *const want[] = {"a.jpg", "b.PNG", "c.jpeg", "sub.jpg", "z.jpg"};
    assert_int_equal(photos.count, 5);
    for (int i = 0; i < photos.count; i++) assert_string_equal(photos.photo[i].name, want[i]);
    assert_string_equal(photos.photo[0].path, support_in_folder("f/a.jpg"));
    assert_string_equal(photos.photo[0].folder, "out/a");
    assert_string_equal(photos.photo[4].folder, "out/z");
    photos_free(&photos);
}

/* Only where results go: elsewhere a photo may have that name. */
static void test_drawn(void **state) {
    (void)state;
    assert_int_equal(file_make_folder(support_in_folder("again")), OK);
    support_write_text("again/side.png", "");
    const char *folder = support_in_folder("again"), *same = support_in_folder("again/../again/");
    Photos photos;
    assert_int_equal(photos_list(&folder, 1, same, &photos), ERR_INPUT);
    support_write_text("again/a.jpg", "");
    support_write_text("again/overlay.png", "");
    assert_int_equal(photos_list(&folder, 1, same, &photos), OK);
    assert_int_equal(photos.count, 1);
    assert_string_equal(photos.photo[0].name, "a.jpg");
    photos_free(&photos);
    assert_int_equal(photos_list(&folder, 1, "out", &photos), OK);
    assert_int_equal(photos.count, 3);
    photos_free(&photos);
}

static void test_one(void **state) {
    (void)state;
    Photos photos;
    assert_int_equal(photos_list((const char *[]){"deep/er/x.jpg"}, 1, "out", &photos), OK);
    assert_string_equal(photos.photo[0].folder, "out");
    photos_free(&photos);
}

static void test_stems(void **state) {
    (void)state;
    Photos photos;
    const char *const paths[] = {"a.jpg", "a.b.jpg", "x/a.png", ".jpg", "plain"};
    assert_int_equal(photos_list(paths, 5, "o", &photos), OK);
    static const char *const want[] = {"o/a.jpg", "o/a.b", "o/a.png", "o/.jpg", "o/plain"};
    for (int i = 0; i < photos.count; i++) assert_string_equal(photos.photo[i].folder, want[i]);
    photos_free(&photos);
}

/* A stem that leads out of the folder, or is a file's name there, is no folder. */
static void test_taken(void **state) {
    (void)state;
    Photos photos;
    const char *const paths[] = {"...jpg", "predict.json.png", "b.jpg"};
    assert_int_equal(photos_list(paths, 3, "o", &photos), OK);
    static const char *const want[] = {"o/...jpg", "o/predict.json.png", "o/b"};
    for (int i = 0; i < 3; i++) assert_string_equal(photos.photo[i].folder, want[i]);
    photos_free(&photos);
}

static void test_refused(void **state) {
    (void)state;
    Photos photos;
    const char *const clash[] = {"a.jpg", "a.png", "a.jpg.png"};
    assert_int_equal(photos_list(clash, 3, "o", &photos), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "would both go to o/a.jpg"));
    assert_int_equal(photos_list((const char *[]){"x/a.jpg", "b.jpg", "y/a.jpg"}, 3, "o", &photos),
                     ERR_USAGE);
    assert_non_null(strstr(error_reason(), "x/a.jpg"));
    assert_int_equal(file_make_folder(support_in_folder("empty")), OK);
    assert_int_equal(photos_list((const char *[]){support_in_folder("empty")}, 1, "o", &photos),
                     ERR_INPUT);
    assert_non_null(strstr(error_reason(), "no photo"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder), cmocka_unit_test(test_drawn),
        cmocka_unit_test(test_one),    cmocka_unit_test(test_stems),
        cmocka_unit_test(test_taken),  cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
