/* Average precision against values counted by hand. */
#include "tests/support.h"

#include "crowdrec/ap.h"

#include <math.h>

typedef const double (*Boxes)[4];

static const double PLACE[4][4] = {
    {0, 0, 10, 10}, {20, 0, 30, 10}, {40, 0, 50, 10}, {60, 0, 70, 10}};

static void check(const char *what, double got, double want) {
    support_near(what, got, want, 1e-12);
}

static double ap_of(const ApImage *image, double iou) {
    Ap *ap = ap_new();
    ap_add(ap, image);
    double value = ap_at(ap, iou);
    ap_free(ap);
    return value;
}

static void perfect(void **state) {
    (void)state;
    const double score[4] = {0.2, 0.9, 0.5, 0.4};
    Ap *ap = ap_new();
    ap_add(ap, &(ApImage){PLACE, score, 4, PLACE, NULL, 4, NULL});
    ap_add(ap, &(ApImage){NULL, NULL, 0, NULL, NULL, 0, NULL}); /* an empty photo changes nothing */
    check("ap50", ap_at(ap, 0.5), 1);
    check("ap", ap_mean(ap), 1);
    ap_free(ap);
}

/* By falling score: right, wrong, right, and one of four people is never found: precision 1 up to a
 * recall of 1/4, 2/3 up to 1/2, 3/4 (of the fourth box) up to 3/4. */
static void counted_by_hand(void **state) {
    (void)state;
    const double box[4][4] = {{0, 0, 10, 10}, {80, 0, 90, 10}, {20, 0, 30, 10}, {40, 0, 50, 10}};
    const double score[4] = {0.9, 0.8, 0.7, 0.6};
    double want = (26 * 1 + 50 * 0.75) / 101;
    check("ap", ap_of(&(ApImage){box, score, 4, PLACE, NULL, 4, NULL}, 0.5), want);
}

/* Scores of all images stand in one row. */
static void over_images(void **state) {
    (void)state;
    const double right[1] = {0.5}, wrong[1] = {0.6}, late[1] = {0.4};
    for (int i = 0; i < 2; i++) {
        Ap *ap = ap_new();
        ap_add(ap, &(ApImage){PLACE, right, 1, PLACE, NULL, 1, NULL});
        ap_add(ap, &(ApImage){PLACE + 1, i ? late : wrong, 1, PLACE, NULL, 0, NULL});
        check(i ? "wrong one last" : "wrong one first", ap_at(ap, 0.5), i ? 1 : 0.5);
        ap_free(ap);
    }
}

/* OKS in place of overlap: the first estimate is near both people and takes the nearer one; the
 * second is near that one only, the third near nobody.  At 0.5 the first alone is right; a truth
 * that does not count excuses the second. */
static void by_similarity(void **state) {
    (void)state;
    const double score[3] = {0.9, 0.8, 0.7}, similarity[3 * 2] = {0.6, 0.8, 0.2, 0.7, 0, 0.1};
    const ApKind kind[2] = {AP_COUNTED, AP_IGNORED};
    ApImage image = {.score = score, .boxes = 3, .truths = 2, .similarity = similarity};
    check("two people", ap_of(&image, 0.5), 51.0 / 101);
    check("a higher limit", ap_of(&image, 0.85), 0);
    image.kind = kind;
    check("one person", ap_of(&image, 0.5), 1);
}

/* Half of the box: an IoU of exactly 0.5. */
static void limits(void **state) {
    (void)state;
    const double half[1][4] = {{0, 0, 10, 5}}, score[1] = {1};
    check("at 0.5", ap_of(&(ApImage){half, score, 1, PLACE, NULL, 1, NULL}, 0.5), 1);
    check("at 0.55", ap_of(&(ApImage){half, score, 1, PLACE, NULL, 1, NULL}, 0.55), 0);
    Ap *ap = ap_new();
    ap_add(ap, &(ApImage){half, score, 1, PLACE, NULL, 1, NULL});
    check("mean", ap_mean(ap), 0.1);
    ap_free(ap);
}

static void ties_keep_their_order(void **state) {
    (void)state;
    const double box[2][4] = {{0, 0, 10, 10}, {80, 0, 90, 10}},
                 swapped[2][4] = {{80, 0, 90, 10}, {0, 0, 10, 10}};
    const double score[2] = {1, 1};
    check("right one first", ap_of(&(ApImage){box, score, 2, PLACE, NULL, 1, NULL}, 0.5), 1);
    check("wrong one first", ap_of(&(ApImage){swapped, score, 2, PLACE, NULL, 1, NULL}, 0.5), 0.5);
}

static void doubled_boxes_are_wrong(void **state) {
    (void)state;
    const double box[2][4] = {{0, 0, 10, 10}, {0, 0, 10, 9}}, score[2] = {0.9, 0.95};
    /* The worse one comes first and takes the truth. */
    check("doubled", ap_of(&(ApImage){box, score, 2, PLACE, NULL, 1, NULL}, 0.5), 1);
    check("missed", ap_of(&(ApImage){box, score, 2, PLACE, NULL, 2, NULL}, 0.5), 51.0 / 101);
}

static void what_does_not_count(void **state) {
    (void)state;
    const double box[3][4] = {{0, 0, 10, 10}, {0, 0, 10, 10}, {20, 0, 30, 10}};
    const double score[3] = {0.9, 0.8, 0.7};
    const ApKind ignored[2] = {AP_IGNORED, AP_COUNTED}, region[2] = {AP_REGION, AP_COUNTED};
    /* The second box of an ignored person is wrong, one in a region never is. */
    check("ignored", ap_of(&(ApImage){box, score, 3, PLACE, ignored, 2, NULL}, 0.5), 0.5);
    check("region", ap_of(&(ApImage){box, score, 3, PLACE, region, 2, NULL}, 0.5), 1);
    /* A counted truth comes first, even where an ignored one fits better. */
    const double both[2][4] = {{0, 0, 10, 10}, {0, 0, 10, 8}};
    check("counted first", ap_of(&(ApImage){box, score, 1, both, ignored, 2, NULL}, 0.5), 1);
    /* A region's overlap is the share of the box. */
    const double large[1][4] = {{0, 0, 1000, 1000}};
    check("small in large", ap_of(&(ApImage){box, score, 1, large, NULL, 1, NULL}, 0.5), 0);
    const double two[2][4] = {{0, 0, 1000, 1000}, {2000, 0, 2010, 10}};
    const double found[2][4] = {{5, 5, 10, 10}, {2000, 0, 2010, 10}};
    check("inside a region", ap_of(&(ApImage){found, score, 2, two, region, 2, NULL}, 0.5), 1);
}

static void without_truth(void **state) {
    (void)state;
    const double score[1] = {1};
    const ApKind ignored[1] = {AP_IGNORED};
    assert_true(isnan(ap_of(&(ApImage){PLACE, score, 1, NULL, NULL, 0, NULL}, 0.5)));
    assert_true(isnan(ap_of(&(ApImage){PLACE, score, 1, PLACE, ignored, 1, NULL}, 0.5)));
    check("nothing found", ap_of(&(ApImage){NULL, NULL, 0, PLACE, NULL, 1, NULL}, 0.5), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perfect),
        cmocka_unit_test(counted_by_hand),
        cmocka_unit_test(over_images),
        cmocka_unit_test(by_similarity),
        cmocka_unit_test(limits),
        cmocka_unit_test(ties_keep_their_order),
        cmocka_unit_test(doubled_boxes_are_wrong),
        cmocka_unit_test(what_does_not_count),
        cmocka_unit_test(without_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
