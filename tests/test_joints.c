/* Joint orders and maps against the public lists, and the orders' own consistency. */
#include "tests/support.h"

#include "smpl/joints.h"

#include <stdio.h>
#include <string.h>

static const char MAPS[] = "fixtures_body/formats/joint_maps.json";

static void check_list(const json_t *root, const char *key, const int *got, int count) {
    const json_t *list = json_object_get(root, key);
    assert_non_null(got);
    assert_int_equal(json_array_size(list), count);
    for (int i = 0; i < count; i++)
        if (json_integer_value(json_array_get(list, (size_t)i)) != got[i])
            fail_msg("%s[%d] is %d", key, i, got[i]);
}

static void check_names(const json_t *root, const char *key, JointOrder order) {
    const JointOrderInfo *o = joints_order(order);
    const json_t *list = json_object_get(root, key);
    assert_int_equal(json_array_size(list), o->count);
    for (int i = 0; i < o->count; i++)
        assert_string_equal(json_string_value(json_array_get(list, (size_t)i)), o->joint[i].name);
}

static void check_flip(const json_t *root, const char *key, JointOrder order) {
    const JointOrderInfo *o = joints_order(order);
    int flip[64];
    for (int i = 0; i < o->count; i++) flip[i] = o->joint[i].flip;
    check_list(root, key, flip, o->count);
}

static void orders_are_the_public_ones(void **state) {
    (void)state;
    json_t *root = support_json(MAPS);
    check_names(root, "smpl24", JOINTS_SMPL24);
    check_names(root, "halpe26", JOINTS_HALPE26);
    check_names(root, "gt24", JOINTS_TRAINING24);
    check_flip(root, "smpl24_flip", JOINTS_SMPL24);
    check_flip(root, "halpe26_flip", JOINTS_HALPE26);
    check_flip(root, "gt24_flip", JOINTS_TRAINING24);
    check_flip(root, "openpose25_flip", JOINTS_OPENPOSE25);
    int parent[SMPL24_COUNT];
    for (int i = 0; i < SMPL24_COUNT; i++) parent[i] = joints_order(JOINTS_SMPL24)->joint[i].parent;
    check_list(root, "smpl_parents", parent, SMPL24_COUNT);
    json_decref(root);
}

/* The sparse map lists pairs "training joint": Halpe joint. */
static void check_training_to_halpe(const json_t *pairs) {
    const int *map = joints_map(JOINTS_HALPE26, JOINTS_TRAINING24);
    size_t partners = 0;
    for (int i = 0; i < HALPE26_COUNT; i++) {
        if (map[i] < 0) continue;
        char key[16];
        snprintf(key, sizeof key, "%d", map[i]);
        assert_int_equal(json_integer_value(json_object_get(pairs, key)), i);
        partners++;
    }
    assert_int_equal(partners, json_object_size(pairs));
}

static void maps_are_the_public_ones(void **state) {
    static const struct {
        const char *key;
        JointOrder target, source;
    } CASES[] = {
        {"coco17_to_gt24", JOINTS_COCO17, JOINTS_TRAINING24},
        {"mpii16_to_gt24", JOINTS_MPII16, JOINTS_TRAINING24},
        {"h36m17_to_gt24", JOINTS_H36M17, JOINTS_TRAINING24},
        {"lsp14_to_gt24", JOINTS_LSP14, JOINTS_TRAINING24},
        {"gt24_to_j17", JOINTS_EVALUATION17, JOINTS_TRAINING24},
        {"h36m_regressor17_to_lsp14", JOINTS_LSP14, JOINTS_H36M17},
        {"h36m_regressor17_to_j17", JOINTS_EVALUATION17, JOINTS_H36M17},
        {"halpe26_to_lsp14", JOINTS_LSP14, JOINTS_HALPE26},
        {"halpe26_to_h36m17_group_code", JOINTS_GROUP17, JOINTS_HALPE26},
        {"halpe26_to_coco17", JOINTS_COCO17, JOINTS_HALPE26},
    };
    (void)state;
    json_t *root = support_json(MAPS);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        check_list(root, CASES[i].key, joints_map(CASES[i].target, CASES[i].source),
                   joints_order(CASES[i].target)->count);
    check_training_to_halpe(json_object_get(root, "gt24_to_halpe26_project_reading"));
    assert_null(joints_map(JOINTS_SMPL24, JOINTS_COCO17));
    json_decref(root);
}

/* One root, every joint reaches it, the mirror image of a limb is a limb. */
static void orders_are_consistent(void **state) {
    (void)state;
    for (JointOrder order = 0; order < JOINTS_ORDERS; order++) {
        const JointOrderInfo *o = joints_order(order);
        int roots = 0;
        for (int i = 0; i < o->count; i++) {
            const Joint *j = &o->joint[i];
            assert_int_equal(o->joint[j->flip].flip, i);
            roots += j->parent < 0;
            int steps = 0;
            for (int up = i; up >= 0; up = o->joint[up].parent) assert_true(++steps <= o->count);
            int mirrored = o->joint[j->flip].parent;
            assert_int_equal(mirrored, j->parent < 0 ? -1 : o->joint[j->parent].flip);
        }
        assert_int_equal(roots, 1);
    }
}

/* A map never leads to the other side: names with left stay left. */
static void maps_keep_sides(void **state) {
    (void)state;
    for (JointOrder t = 0; t < JOINTS_ORDERS; t++)
        for (JointOrder s = 0; s < JOINTS_ORDERS; s++) {
            const int *map = joints_map(t, s);
            const JointOrderInfo *target = joints_order(t), *source = joints_order(s);
            for (int i = 0; map && i < target->count; i++) {
                if (map[i] < 0) continue;
                int mirrored = map[target->joint[i].flip];
                assert_int_equal(mirrored, source->joint[map[i]].flip);
            }
        }
}

static void convert_goes_both_ways(void **state) {
    (void)state;
    float halpe[HALPE26_COUNT][2], training[TRAINING24_COUNT][2], back[HALPE26_COUNT][2];
    for (int i = 0; i < HALPE26_COUNT; i++) halpe[i][0] = (float)i + 1, halpe[i][1] = (float)-i;
    joints_convert(JOINTS_HALPE26, JOINTS_TRAINING24, &halpe[0][0], 2, &training[0][0]);
    assert_true(training[TRAINING24_L_WRIST][0] == HALPE26_L_WRIST + 1);
    assert_true(training[TRAINING24_THORAX][0] == 0 && training[TRAINING24_THORAX][1] == 0);
    joints_convert(JOINTS_TRAINING24, JOINTS_HALPE26, &training[0][0], 2, &back[0][0]);
    for (int i = 0; i < HALPE26_COUNT; i++) {
        bool shared = i < HALPE26_L_BIG_TOE;
        assert_true(back[i][0] == (shared ? halpe[i][0] : 0));
        assert_true(back[i][1] == (shared ? halpe[i][1] : 0));
    }
}

/* Three joints of GROUP17 are Halpe's hip: the first, the pelvis, is what goes back. */
static void inverse_takes_the_first_partner(void **state) {
    (void)state;
    float group[GROUP17_COUNT], halpe[HALPE26_COUNT];
    for (int i = 0; i < GROUP17_COUNT; i++) group[i] = (float)i + 1;
    joints_convert(JOINTS_GROUP17, JOINTS_HALPE26, group, 1, halpe);
    assert_true(halpe[HALPE26_HIP] == GROUP17_PELVIS + 1);
    assert_true(halpe[HALPE26_NOSE] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_the_public_ones),
        cmocka_unit_test(maps_are_the_public_ones),
        cmocka_unit_test(orders_are_consistent),
        cmocka_unit_test(maps_keep_sides),
        cmocka_unit_test(convert_goes_both_ways),
        cmocka_unit_test(inverse_takes_the_first_partner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
