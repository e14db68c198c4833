/* Detloss: losses and label assignment of a YOLOX in training against the reference, for both
 * variants, and cases of assignment that can be worked out by hand. */
#include "crowdrec/detloss.h"

#include "tests/netrun.h"
#include "tests/oprun.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char JSON[] = "fixtures/train/yolox_nano_train_seed1.json",
                  NPZ[] = "fixtures/train/yolox_nano_train_seed1.npz";

static float *read_floats(const NetRun *run, const Tensor *t) {
    float *values = malloc((shape_size(t->shape) + 1) * sizeof *values);
    assert_non_null(values);
    plan_read(run->plan, t, F32, values);
    return values;
}

static void check_losses(const NetRun *run, const DetLoss *l, const char *name,
                         const json_t *want) {
    const struct {
        const char *key;
        const Tensor *t;
    } rows[] = {{"total_loss", l->total},
                {"iou_loss", l->box},
                {"conf_loss", l->object},
                {"cls_loss", l->class},
                {"l1_loss", l->l1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        float got;
        plan_read(run->plan, rows[i].t, F32, &got);
        double value = support_number(want, rows[i].key);
        if (!(fabs((double)got - value) <= 1e-4 * support_slack() * fabs(value)))
            fail_msg("%s: %s is %.9g, not %.9g", name, rows[i].key, (double)got, value);
    }
}

/* The anchors of one image that answer for a person, which person, and with which IoU; want is NULL
 * for an image without labels. */
static void check_image(const char *name, const json_t *want, const float *labels,
                        const float *foreground, const float *match, const float *target,
                        int anchors, int classes) {
    const json_t *index = json_object_get(want, "fg_anchor_index"),
                 *matched = json_object_get(want, "matched_gt");
    size_t next = 0;
    for (int i = 0; i < anchors; i++) {
        if (foreground[i] == 0) continue;
        if (json_integer_value(json_array_get(index, next)) != i)
            fail_msg("%s: anchor %d, not %lld", name, i,
                     json_integer_value(json_array_get(index, next)));
        const float *label = labels + 5 * json_integer_value(json_array_get(matched, next));
        support_close("matched box", match + 8 * (size_t)i, label + 1, 4, 0);
        const float *row = target + (size_t)i * (size_t)classes;
        double iou = support_number_at(json_object_get(want, "matched_iou"), next);
        for (int k = 0; k < classes; k++) {
            double value = k == (int)label[0] ? iou : 0;
            if (!(fabs((double)row[k] - value) <= 1e-4 * support_slack()))
                fail_msg("%s: class %d of anchor %d is %g, not %g", name, k, i, (double)row[k],
                         value);
        }
        next++;
    }
    if (next != json_array_size(index))
        fail_msg("%s: %zu anchors, not %zu", name, next, json_array_size(index));
}

static void check_assignment(const NetRun *run, const DetLoss *l, const char *name,
                             const json_t *want, const float *labels) {
    float *foreground = read_floats(run, l->foreground), *match = read_floats(run, l->match);
    float *target = read_floats(run, l->target);
    Shape s = l->target->shape;
    assert_true(json_array_size(want) > 0);
    for (int n = 0; n < s.n; n++) {
        size_t first = (size_t)n * (size_t)s.h;
        check_image(name, json_array_get(want, (size_t)n), labels + 5 * n * l->labels->shape.h,
                    foreground + first, match + 8 * first, target + first * (size_t)s.c, s.h, s.c);
    }
    free(foreground);
    free(match);
    free(target);
}

static void check_variant(const json_t *json, const ArrayFile *file, const char *name) {
    const json_t *want = support_get(support_get(json, "variants"), name);
    const char *key = json_string_value(support_get(want, "labels"));
    Rule rule = {.seed = (uint64_t)json_integer_value(support_get(json, "seed")),
                 .gain = support_number(json, "conv_gain")};
    NetRun run =
        netrun_new(json_string_value(support_get(json, "net")), &rule,
                   netrun_shape(support_get(support_get(json, "input"), "shape")), NETRUN_TRAIN);
    AssignVariant variant = strncmp(name, "megvii", 6) ? ASSIGN_BYTETRACK : ASSIGN_MEGVII;
    int boxes = (int)support_array(file, key)->dim[1];
    DetLoss l = detloss_build(&run.scope, &run.y, run.x->shape, boxes, variant);
    Tensor *keep[] = {l.foreground, l.match, l.target, l.total, l.box, l.object, l.class, l.l1};
    netrun_plan(&run, &(PlanOptions){.keep = keep, .keeps = sizeof keep / sizeof *keep});
    float *labels = support_floats(file, key),
          on = (float)json_is_true(support_get(want, "use_l1"));
    plan_write(run.plan, l.labels, F32, labels);
    plan_write(run.plan, l.l1_weight, F32, (float[]){on, on});
    netrun_write_rule(&run, run.x, "input", rule.seed);
    plan_run(run.plan);
    check_losses(&run, &l, name, support_get(want, "losses_fp64"));
    check_assignment(&run, &l, name, support_get(want, "assignment"), labels);
    free(labels);
    netrun_free(&run);
}

static void test_reference(void **state) {
    (void)state;
    json_t *json = support_json(JSON);
    ArrayFile file = support_arrays(NPZ);
    const char *name;
    json_t *variant;
    assert_int_equal(json_object_size(support_get(json, "variants")), 6);
    json_object_foreach((json_t *)support_get(json, "variants"), name, variant)
        check_variant(json, &file, name);
    array_file_free(&file);
    json_decref(json);
}

/* ---- assignment by hand: 32 x 32 pixels, 16 + 4 + 1 anchors, one class ---- */

enum { ANCHORS = 21, COLUMNS = 6 };

/* Every anchor predicts a box that meets nothing, all scores 1/2; no labels. */
typedef struct {
    double row[ANCHORS][COLUMNS], label[2][5];
} Hand;

static Hand hand_new(void) {
    Hand h = {0};
    for (int i = 0; i < ANCHORS; i++) {
        const double row[COLUMNS] = {-100, -100, 4, 4, 0.5, 0.5};
        memcpy(h.row[i], row, sizeof row);
    }
    return h;
}

static void set_box(double box[4], double x, double y, double w, double height) {
    const double values[4] = {x, y, w, height};
    memcpy(box, values, sizeof values);
}

/* owner[i]: the label that anchor i answers for, -1 for none. */
static void check_hand(const Hand *h, AssignVariant variant, const int owner[ANCHORS]) {
    OpRun r = oprun_make(&backend_ref, OP_assign, &(AssignAttr){32, 32, variant});
    oprun_input(&r, 0, (Shape){1, ANCHORS, 1, COLUMNS}, &h->row[0][0]);
    oprun_input(&r, 1, (Shape){1, 2, 1, 5}, &h->label[0][0]);
    const double *foreground = oprun_forward(&r, 0);
    for (int i = 0; i < ANCHORS; i++)
        if (!(foreground[i] == (owner[i] >= 0))) fail_msg("anchor %d: %g", i, foreground[i]);
    const double *match = oprun_forward(&r, 1), none[8] = {0};
    for (int i = 0; i < ANCHORS; i++)
        if (owner[i] >= 0)
            support_close64("box", match + 8 * i, h->label[owner[i]] + 1, 4, 0);
        else
            support_close64("no box", match + 8 * i, none, 8, 0);
    oprun_free(&r);
}

static void fill(int owner[ANCHORS], int value) {
    for (int i = 0; i < ANCHORS; i++) owner[i] = value;
}

/* The sum of the best IoUs says how many anchors a box takes. */
static void test_count(void **state) {
    (void)state;
    Hand h = hand_new();
    int owner[ANCHORS];
    fill(owner, -1);
    set_box(h.label[0] + 1, 12, 12, 16, 16);
    set_box(h.row[5], 12, 12, 16, 16);
    owner[5] = 0;
    check_hand(&h, ASSIGN_MEGVII, owner);
    set_box(h.row[0], 12, 12, 16, 16);
    set_box(h.row[16], 12, 12, 16, 16);
    owner[0] = owner[16] = 0;
    check_hand(&h, ASSIGN_MEGVII, owner);
    set_box(h.row[16], 12, 12, 16, 8); /* IoU 1/2: the sum is 2.5 */
    owner[16] = -1;
    check_hand(&h, ASSIGN_MEGVII, owner);
}

static void test_raw_form(void **state) {
    (void)state;
    Hand h = hand_new();
    set_box(h.label[0] + 1, 12, 13, 16, 8);
    set_box(h.row[5], 12, 13, 16, 8);
    OpRun r = oprun_make(&backend_ref, OP_assign, &(AssignAttr){32, 32, ASSIGN_MEGVII});
    oprun_input(&r, 0, (Shape){1, ANCHORS, 1, COLUMNS}, &h.row[0][0]);
    oprun_input(&r, 1, (Shape){1, 2, 1, 5}, &h.label[0][0]);
    const double want[] = {0.5, 0.625, log(2 + 1e-8), log(1 + 1e-8)}, one = 1;
    support_close64("raw", oprun_forward(&r, 1) + 8 * 5 + 4, want, 4, 1e-12);
    support_close64("class", oprun_forward(&r, 2) + 5, &one, 1, 1e-12);
    oprun_free(&r);
}

/* An anchor that two boxes take goes to the one with the lower cost; the other gets none. */
static void test_conflict(void **state) {
    (void)state;
    Hand h = hand_new();
    int owner[ANCHORS];
    fill(owner, -1);
    set_box(h.label[0] + 1, 14, 12, 16, 16);
    set_box(h.label[1] + 1, 12, 12, 16, 16);
    set_box(h.row[5], 12, 12, 16, 16);
    owner[5] = 1;
    check_hand(&h, ASSIGN_MEGVII, owner);
    check_hand(&h, ASSIGN_BYTETRACK, owner);
}

/* The outer anchors of a large box: inside it, but 12 pixels = 1.5 strides from its centre. */
static void test_variants(void **state) {
    (void)state;
    Hand h = hand_new();
    int owner[ANCHORS];
    fill(owner, -1);
    set_box(h.label[0] + 1, 16, 16, 32, 32);
    set_box(h.row[0], 16, 16, 32, 32);
    owner[5] = 0; /* the first of those near */
    check_hand(&h, ASSIGN_MEGVII, owner);
    owner[5] = -1, owner[0] = 0;
    check_hand(&h, ASSIGN_BYTETRACK, owner);
}

/* A box with no anchor near takes what is near another one. */
static void test_far(void **state) {
    (void)state;
    Hand h = hand_new();
    int owner[ANCHORS];
    fill(owner, -1);
    set_box(h.label[0] + 1, 12, 12, 16, 16);
    set_box(h.label[1] + 1, 200, 200, 4, 4);
    set_box(h.row[5], 12, 12, 16, 16);
    owner[5] = 0, owner[0] = 1;
    check_hand(&h, ASSIGN_MEGVII, owner);
    h.label[0][3] = 0; /* no label: nobody is near */
    fill(owner, -1);
    check_hand(&h, ASSIGN_MEGVII, owner);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference), cmocka_unit_test(test_count),
        cmocka_unit_test(test_raw_form),  cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_variants),  cmocka_unit_test(test_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
