/* Camera: the default, focal lengths and fields of view, files of intrinsics good and bad. */
#include "crowdrec/camera.h"
#include "tests/support.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 1920, HEIGHT = 1080 };

static Camera camera_from(double focal_px, double fov, const char *file) {
    CameraChoice choice;
    Camera camera = {0};
    if (camera_choose(focal_px, fov, file, &choice) != OK ||
        camera_of(&choice, WIDTH, HEIGHT, &camera) != OK)
        fail_msg("%s", error_reason());
    return camera;
}

static void test_without_a_file(void **state) {
    (void)state;
    Camera c = camera_from(0, 0, NULL);
    assert_true(c.focal == sqrt(1.0 * WIDTH * WIDTH + 1.0 * HEIGHT * HEIGHT));
    assert_true(c.cx == WIDTH / 2.0 && c.cy == HEIGHT / 2.0);
    assert_string_equal(c.source, "image diagonal");
    c = camera_from(1234.5, 0, NULL);
    assert_true(c.focal == 1234.5);
    assert_string_equal(c.source, "--focal-px");
    c = camera_from(0, 90, NULL); /* half the width at 45 degrees */
    assert_true(fabs(c.focal - WIDTH / 2.0) < 1e-9);
    assert_string_equal(c.source, "--fov");
}

static void check_1500(const char *path) {
    Camera c = camera_from(0, 0, path);
    assert_true(fabs(c.focal - 1500) < 1e-9 && c.cx == 950 && c.cy == 530);
    assert_string_equal(c.source, "--intrinsics");
}

static void test_files(void **state) {
    (void)state;
    check_1500(support_write_text("k.json", "[[1500, 0, 950], [0, 1500, 530], [0, 0, 1]]"));
    check_1500(support_write_text(
        "k2.json", " {\"Intrinsic_matrix\": [[1500.0, 0, 950], [0, 1500, 530.0], [0, 0, 1]]}"));
    double matrix[9] = {1500, 0, 950, 0, 1500, 530, 0, 0, 1};
    float single[9] = {1500, 0, 950, 0, 1500, 530, 0, 0, 1};
    Array k = {.name = "K", .dtype = F64, .dims = 2, .dim = {3, 3}, .data = matrix};
    Array more[2] = {{.name = "distortion", .dtype = F64, .dims = 1, .dim = {5}, .data = matrix},
                     {.name = "K", .dtype = F32, .dims = 2, .dim = {3, 3}, .data = single}};
    const char *path = support_in_folder("k.npy");
    assert_int_equal(file_write_npy(path, &k), OK);
    check_1500(path);
    path = support_in_folder("k.npz");
    assert_int_equal(file_write_npz(path, more, 2), OK);
    check_1500(path);
    /* Of several that are 3x3, as result.npz has them for three people. */
    double other[9] = {0};
    Array result[3] = {{.name = "trans", .dtype = F64, .dims = 2, .dim = {3, 3}, .data = other},
                       {.name = "camera", .dtype = F64, .dims = 2, .dim = {3, 3}, .data = matrix},
                       {.name = "joints", .dtype = F64, .dims = 2, .dim = {3, 3}, .data = other}};
    path = support_in_folder("result.npz");
    assert_int_equal(file_write_npz(path, result, 3), OK);
    check_1500(path);
}

static void test_unequal_focal_lengths(void **state) {
    (void)state;
    Camera c =
        camera_from(0, 0, support_write_text("u.json", "[[1500,0,960],[0,1510,540],[0,0,1]]"));
    assert_true(fabs(c.focal - sqrt(1500.0 * 1510)) < 1e-9);
}

static void test_refused_usage(void **state) {
    (void)state;
    CameraChoice choice;
    assert_int_equal(camera_choose(1000, 60, NULL, &choice), ERR_USAGE);
    assert_int_equal(camera_choose(1000, 0, "k.json", &choice), ERR_USAGE);
    assert_int_equal(camera_choose(-5, 0, NULL, &choice), ERR_USAGE);
    assert_int_equal(camera_choose(NAN, 0, NULL, &choice), ERR_USAGE);
    assert_int_equal(camera_choose(0, 180, NULL, &choice), ERR_USAGE);
}

static void test_refused_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"", "empty"},
        {"[[1500,0,950],[0,1500,530]]", "3x3"},
        {"[[1500,0,950],[0,1500,530],[0,0]]", "3x3"},
        {"[[1500,0,950],[0,\"1500\",530],[0,0,1]]", "3x3"},
        {"{\"K\": 3}", "3x3"},
        {"[[1500,0,950],[0,1500,530],[0,0,1]", "JSON"},
        {"[[0,0,950],[0,1500,530],[0,0,1]]", "focal"},
        {"[[-1500,0,950],[0,-1500,530],[0,0,1]]", "focal"},
        {"[[1500,0,950],[0,1600,530],[0,0,1]]", "square"},
        {"[[1500,20,950],[0,1500,530],[0,0,1]]", "skew"},
        {"[[1500,0,950],[0,1500,530],[0,0,2]]", "last row"},
        {"[[1e300,0,950],[0,1e300,530],[0,0,1]]", "3x3"},
    };
    CameraChoice choice;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *path = support_write_text("bad.json", bad[i].text);
        assert_int_equal(camera_choose(0, 0, path, &choice), ERR_INPUT);
        if (strncmp(error_reason(), path, strlen(path)) || !strstr(error_reason(), bad[i].word))
            fail_msg("reason '%s' without '%s'", error_reason(), bad[i].word);
    }
    assert_int_equal(camera_choose(0, 0, "/absent/k.json", &choice), ERR_INPUT);
    assert_int_equal(camera_choose(0, 0, support_folder(), &choice), ERR_INPUT);
}

static void test_refused_photo(void **state) {
    (void)state;
    CameraChoice choice;
    Camera camera;
    const char *path = support_write_text("far.json", "[[1500,0,2000],[0,1500,530],[0,0,1]]");
    assert_int_equal(camera_choose(0, 0, path, &choice), OK);
    assert_int_equal(camera_of(&choice, WIDTH, HEIGHT, &camera), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "1920x1080"));
}

static void test_refused_arrays(void **state) {
    (void)state;
    double matrix[18] = {1500, 0, 950, 0, 1500, 530, 0, 0, 1};
    Array k[2] = {{.name = "a", .dtype = F64, .dims = 2, .dim = {3, 3}, .data = matrix},
                  {.name = "b", .dtype = F64, .dims = 2, .dim = {3, 3}, .data = matrix}};
    CameraChoice choice;
    const char *path = support_in_folder("two.npz");
    assert_int_equal(file_write_npz(path, k, 2), OK);
    assert_int_equal(camera_choose(0, 0, path, &choice), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "2 arrays"));
    k[0].dim[0] = 2;
    path = support_in_folder("two.npy");
    assert_int_equal(file_write_npy(path, &k[0]), OK);
    assert_int_equal(camera_choose(0, 0, path, &choice), ERR_INPUT);
    k[0].dim[0] = 3, matrix[4] = NAN;
    assert_int_equal(file_write_npy(path, &k[0]), OK);
    assert_int_equal(camera_choose(0, 0, path, &choice), ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_file),        cmocka_unit_test(test_files),
        cmocka_unit_test(test_unequal_focal_lengths), cmocka_unit_test(test_refused_usage),
        cmocka_unit_test(test_refused_files),         cmocka_unit_test(test_refused_photo),
        cmocka_unit_test(test_refused_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
