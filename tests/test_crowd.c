/* The box that keypoints give: what each format of them leaves out, and how far a box moves. */
#include "tests/support.h"

#include "crowdrec/crowd.h"
#include "smpl/joints.h"

/* Keypoints that span 40 x 200 pixels from (100, 50) on; the joints from `count` on are unknown. */
static Person standing(int count) {
    Person p = {.box = {90, 30, 150, 270}};
    for (int i = 0; i < count; i++) {
        p.keypoints[i][0] = 100 + (float)(40 * (i % 2));
        p.keypoints[i][1] = 50 + (float)(200 * (i % 3 == 1));
        p.keypoints[i][2] = 0.5f;
    }
    return p;
}

static void check_box(const Person *p, double left, double top, double right, double bottom) {
    const float want[4] = {(float)left, (float)top, (float)right, (float)bottom};
    support_close("box", p->box, want, 4, 1e-4);
}

static void whole_body(void **state) {
    (void)state;
    Person p = standing(HALPE26_COUNT);
    assert_true(crowd_box_of_keypoints(&p, 1));
    check_box(&p, 100 - 6, 50 - 2.4, 140 + 6, 250 + 3.6);
}

static void from_eyes_to_ankles(void **state) {
    (void)state;
    Person p = standing(COCO17_COUNT);
    assert_true(crowd_box_of_keypoints(&p, 1));
    check_box(&p, 100 - 6, 50 - 16, 140 + 6, 250 + 11);
    p = standing(COCO17_COUNT);
    p.keypoints[HALPE26_R_HEEL][0] = 120, p.keypoints[HALPE26_R_HEEL][1] = 200;
    p.keypoints[HALPE26_R_HEEL][2] = 0.1f;
    assert_true(crowd_box_of_keypoints(&p, 1));
    check_box(&p, 100 - 6, 50 - 16, 140 + 6, 250 + 3.6);
}

/* Between the box of before, 90, 30, 150, 270, and that of the keypoints. */
static void part_of_the_way(void **state) {
    (void)state;
    Person p = standing(HALPE26_COUNT);
    assert_true(crowd_box_of_keypoints(&p, 0.75f));
    check_box(&p, 0.25 * 90 + 0.75 * 94, 0.25 * 30 + 0.75 * 47.6, 0.25 * 150 + 0.75 * 146,
              0.25 * 270 + 0.75 * 253.6);
}

static void no_span(void **state) {
    (void)state;
    for (int count = 0; count < 2; count++) {
        Person p = standing(count);
        assert_false(crowd_box_of_keypoints(&p, 1));
        check_box(&p, 90, 30, 150, 270);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_body),
        cmocka_unit_test(from_eyes_to_ankles),
        cmocka_unit_test(part_of_the_way),
        cmocka_unit_test(no_span),
    };
    return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
