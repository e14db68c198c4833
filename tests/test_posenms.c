/* Non-maximum suppression by pose: who goes, who stays, and in which order. */
#include "tests/support.h"

#include "crowdrec/posenms.h"

#include <math.h>
#include <string.h>

enum { JOINTS = 17 };

/* Of COCO's keypoints, half of what its similarity divides by. */
static const double SIGMA[JOINTS] = {.026, .025, .025, .035, .035, .079, .079, .072, .072,
                                     .062, .062, .107, .107, .087, .087, .089, .089};

/* Somebody with a box of 40 x 100 pixels at (x, 50), joints spread over it, all equally sure. */
static Person *add_person(Crowd *crowd, double x, double score, double confidence) {
    Person *p = crowd_add(crowd);
    const float box[4] = {(float)x, 50, (float)x + 40, 150};
    memcpy(p->box, box, sizeof box);
    p->score = (float)score;
    p->flags = PERSON_HAS_KEYPOINTS;
    for (int j = 0; j < JOINTS; j++) {
        p->keypoints[j][0] = (float)x + (float)(j % 4) * 10;
        p->keypoints[j][1] = 50 + (float)j * 6;
        p->keypoints[j][2] = (float)confidence;
    }
    return p;
}

/* Of two poses that are `shift` pixels apart. */
static double similarity(double shift) {
    double sum = 0;
    for (int j = 0; j < JOINTS; j++) {
        double k = 2 * SIGMA[j];
        sum += exp(-shift * shift / (2 * 40 * 100 * k * k));
    }
    return sum / JOINTS;
}

static void check_ids(Crowd *crowd, const PoseNms *rule, const int *id, int count) {
    posenms_run(crowd, rule);
    assert_int_equal(crowd->count, count);
    for (int i = 0; i < count; i++) assert_int_equal(crowd->person[i].id, id[i]);
    crowd_free(crowd);
}

static void nothing_is_asked(void **state) {
    (void)state;
    Crowd crowd = {0};
    for (int i = 0; i < 3; i++) add_person(&crowd, 10, 0.5, 0.1);
    check_ids(&crowd, &(PoseNms){0}, (int[]){0, 1, 2}, 3);
    check_ids(&crowd, &(PoseNms){.overlap = 0.5}, NULL, 0);
}

static void the_weaker_goes(void **state) {
    (void)state;
    Crowd crowd = {0};
    add_person(&crowd, 300, 0.3, 0.9);
    add_person(&crowd, 10, 0.5, 0.9);
    add_person(&crowd, 12, 0.9, 0.6); /* 0.54, more than 0.45 */
    add_person(&crowd, 500, 0.3, 0.9);
    add_person(&crowd, 10, 0.5, 0.9);
    check_ids(&crowd, &(PoseNms){.overlap = 0.5}, (int[]){0, 2, 3}, 3);
}

static void equals_leave_the_first(void **state) {
    (void)state;
    Crowd crowd = {0};
    for (int i = 0; i < 4; i++) add_person(&crowd, 10, 0.5, 0.5);
    check_ids(&crowd, &(PoseNms){.overlap = 0.99}, (int[]){0}, 1);
}

/* Just above and just below the similarity of poses 8 pixels apart. */
static void the_limit_is_cocos_similarity(void **state) {
    (void)state;
    double s = similarity(8);
    assert_true(s > 0.2 && s < 0.8);
    Crowd crowd = {0};
    add_person(&crowd, 10, 0.9, 0.9);
    add_person(&crowd, 18, 0.8, 0.9);
    check_ids(&crowd, &(PoseNms){.overlap = s + 1e-6}, (int[]){0, 1}, 2);
    add_person(&crowd, 10, 0.9, 0.9);
    add_person(&crowd, 18, 0.8, 0.9);
    check_ids(&crowd, &(PoseNms){.overlap = s - 1e-6}, (int[]){0}, 1);
}

/* The second goes for the first; the third, like the second alone, stays. */
static void who_went_drops_nobody(void **state) {
    (void)state;
    double limit = similarity(8) - 0.01;
    assert_true(similarity(16) < limit);
    Crowd crowd = {0};
    for (int i = 0; i < 3; i++) add_person(&crowd, 10 + 8 * i, 0.9 - 0.1 * i, 0.9);
    check_ids(&crowd, &(PoseNms){.overlap = limit}, (int[]){0, 2}, 2);
}

static void the_unsure_go(void **state) {
    (void)state;
    Crowd crowd = {0};
    add_person(&crowd, 10, 0.9, 0.4);
    add_person(&crowd, 100, 0.1, 0.6);
    add_person(&crowd, 200, 1, 0)->flags = 0; /* has no keypoints */
    check_ids(&crowd, &(PoseNms){.confidence = 0.5}, (int[]){1}, 1);
}

static void without_keypoints_nobody_is_similar(void **state) {
    (void)state;
    Crowd crowd = {0};
    for (int i = 0; i < 2; i++) add_person(&crowd, 10, 0.9, 0)->flags = 0;
    add_person(&crowd, 10, 0.9, 0.9);
    check_ids(&crowd, &(PoseNms){.overlap = 0.3}, (int[]){0, 1, 2}, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked),
        cmocka_unit_test(the_weaker_goes),
        cmocka_unit_test(equals_leave_the_first),
        cmocka_unit_test(the_limit_is_cocos_similarity),
        cmocka_unit_test(who_went_drops_nobody),
        cmocka_unit_test(the_unsure_go),
        cmocka_unit_test(without_keypoints_nobody_is_similar),
    };
    return cmocka_run_group_tests_name("posenms", tests, NULL, NULL);
}
