/* Lines, boxes and skeletons over a picture. */
#include "tests/support.h"

#include "crowdrec/draw.h"
#include "crowdrec/render.h"
#include "crowdrec/sketch.h"
#include "smpl/joints.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 64 };
static const DrawPen WHITE = {{255, 255, 255}, 1, 1};

static Image black(int width, int height) {
    Image image;
    assert_int_equal(image_new(width, height, &image), OK);
    return image;
}

static int at(const Image *image, int x, int y) {
    return image->rgb[3 * ((size_t)y * (size_t)image->width + (size_t)x)];
}

static int lit(const Image *image) {
    int count = 0;
    for (int i = 0; i < image->width * image->height; i++) count += image->rgb[3 * (size_t)i] > 0;
    return count;
}

static void a_line(void **state) {
    (void)state;
    Image image = black(SIDE, SIDE);
    draw_line(&image, (double[2]){10, 20}, (double[2]){30, 20}, &WHITE);
    for (int x = 10; x <= 30; x++) assert_int_equal(at(&image, x, 20), 255);
    assert_int_equal(lit(&image), 21);
    DrawPen half = {{200, 0, 0}, 3, 0.5};
    draw_line(&image, (double[2]){40, 40}, (double[2]){50, 40}, &half);
    for (int y = 39; y <= 41; y++) assert_int_equal(at(&image, 45, y), 100);
    assert_int_equal(at(&image, 45, 38), 0);
    image_free(&image);
}

/* Halfway between two rows a line lights both alike. */
static void smooth_edges(void **state) {
    (void)state;
    Image image = black(SIDE, SIDE);
    draw_line(&image, (double[2]){10, 20.5}, (double[2]){30, 20.5}, &WHITE);
    assert_int_equal(at(&image, 20, 20), at(&image, 20, 21));
    assert_in_range(at(&image, 20, 20), 120, 135);
    image_free(&image);
}

static void what_lies_outside(void **state) {
    (void)state;
    Image image = black(SIDE, SIDE);
    const double far[][2] = {{-500, 20}, {NAN, 20}, {INFINITY, 20}, {1e9, 20}};
    draw_line(&image, far[0], (double[2]){5, 20}, &WHITE);
    assert_int_equal(lit(&image), 6);
    for (int i = 1; i < 4; i++) draw_line(&image, far[i], (double[2]){50, 50}, &WHITE);
    draw_line(&image, (double[2]){-5, -5}, (double[2]){-5, 500}, &WHITE);
    draw_line(&image, (double[2]){500, 700}, (double[2]){600, 700}, &WHITE);
    assert_int_equal(lit(&image), 6);
    image_free(&image);
}

static void a_box(void **state) {
    (void)state;
    Image image = black(SIDE, SIDE);
    draw_box(&image, (double[4]){10, 20, 30, 50}, &WHITE);
    assert_int_equal(lit(&image), 2 * 21 + 2 * 29);
    assert_int_equal(at(&image, 10, 35), 255);
    assert_int_equal(at(&image, 30, 35), 255);
    assert_int_equal(at(&image, 20, 50), 255);
    assert_int_equal(at(&image, 20, 35), 0);
    image_free(&image);
}

/* ---- people ---- */

static bool has_color(const Image *image, int x, int y, int person) {
    uint8_t rgb[3];
    render_color(person, rgb);
    return !memcmp(image->rgb + 3 * ((size_t)y * (size_t)image->width + (size_t)x), rgb, 3);
}

static Person *add_person(Crowd *crowd, float x, float y, float width, float height) {
    Person *p = crowd_add(crowd);
    p->box[0] = x, p->box[1] = y, p->box[2] = x + width, p->box[3] = y + height;
    p->score = 0.75f;
    return p;
}

static void people(void **state) {
    (void)state;
    Image photo = black(400, 300), out;
    Crowd crowd = {0};
    add_person(&crowd, 40, 60, 80, 200);
    Person *p = add_person(&crowd, 200, 60, 80, 200);
    p->flags = PERSON_HAS_KEYPOINTS;
    const struct {
        int joint;
        float x, y, confidence;
    } known[] = {{HALPE26_L_SHOULDER, 220, 100, 0.9f},
                 {HALPE26_L_ELBOW, 220, 150, 0.9f},
                 {HALPE26_L_WRIST, 260, 150, 0.05f}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        float *k = p->keypoints[known[i].joint];
        k[0] = known[i].x, k[1] = known[i].y, k[2] = known[i].confidence;
    }
    assert_int_equal(sketch_people(&photo, &crowd, &out), OK);
    assert_int_equal(lit(&photo), 0);
    assert_true(has_color(&out, 40, 200, 0) && has_color(&out, 120, 200, 0));
    assert_true(has_color(&out, 200, 200, 1) && has_color(&out, 240, 260, 1));
    assert_true(has_color(&out, 220, 125, 1)); /* upper arm */
    assert_int_equal(at(&out, 245, 150), 0);   /* the wrist is not sure enough */
    assert_int_equal(at(&out, 80, 160), 0);    /* nothing inside a box without keypoints */
    int label = 0;
    for (int y = 45; y < 57; y++)
        for (int x = 40; x < 80; x++) label += has_color(&out, x, y, 0);
    assert_true(label > 20);
    image_free(&out);
    image_free(&photo);
    crowd_free(&crowd);
}

/* Boxes of any size and place, also such that hold no label. */
static void any_box(void **state) {
    (void)state;
    static const float box[][4] = {{-1e6f, -1e6f, 2e6f, 2e6f}, {-50, -50, 60, 60},
                                   {390, 290, 50, 50},         {10, 10, 0.01f, 0.01f},
                                   {5, 0, 300, 300},           {-90, 20, 80, 80}};
    Image photo = black(400, 300), out;
    Crowd crowd = {0};
    for (size_t i = 0; i < sizeof box / sizeof *box; i++)
        add_person(&crowd, box[i][0], box[i][1], box[i][2], box[i][3])->score = -1e30f;
    assert_int_equal(sketch_people(&photo, &crowd, &out), OK);
    assert_true(lit(&out) > 300);
    image_free(&out);
    image_free(&photo);
    crowd_free(&crowd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line),
        cmocka_unit_test(smooth_edges),
        cmocka_unit_test(what_lies_outside),
        cmocka_unit_test(a_box),
        cmocka_unit_test(people),
        cmocka_unit_test(any_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
