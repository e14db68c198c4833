/* Heatmaps to keypoints, the flip test, and a whole run over a crowd. */
#include "autograd/plan.h"
#include "crowdrec/pose2d.h"
#include "crowdrec/trainpose.h"
#include "nets/init.h"
#include "tensor/rng.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Heatmaps in the engine's order [h,w,joints]. */
typedef struct {
    int h, w, joints;
    float *values;
} Heat;

static Heat heat_new(int joints, int h, int w) {
    Heat heat = {h, w, joints, calloc((size_t)joints * h * w, sizeof(float))};
    assert_non_null(heat.values);
    return heat;
}

/* From [joints,h,w]; value i of the flat array is from[i]. */
static Heat heat_from(const float *from, int joints, int h, int w) {
    Heat heat = heat_new(joints, h, w);
    for (int i = 0; i < joints * h * w; i++)
        heat.values[i % (h * w) * joints + i / (h * w)] = from[i];
    return heat;
}

static Heat heat_load(const ArrayFile *arrays, const char *name, int joints) {
    const Array *a = support_array(arrays, name);
    float *values = support_floats(arrays, name);
    assert_int_equal(a->dims, 3);
    Heat heat = heat_from(values, joints ? joints : (int)a->dim[0], (int)a->dim[1], (int)a->dim[2]);
    free(values);
    return heat;
}

/* "random_26x64x48": the raw rule of the key "heatmap"; other names are arrays. */
static Heat case_heat(const ArrayFile *arrays, const char *name, uint64_t seed) {
    char array[128];
    int joints, h, w;
    if (sscanf(name, "random_%dx%dx%d", &joints, &h, &w) != 3) {
        snprintf(array, sizeof array, "heatmap.%s", name);
        return heat_load(arrays, array, 0);
    }
    float *values = malloc((size_t)joints * h * w * sizeof *values);
    assert_non_null(values);
    uint64_t stream = rng_stream("heatmap", seed);
    for (int i = 0; i < joints * h * w; i++) values[i] = rng_signed(stream, (uint64_t)i);
    Heat heat = heat_from(values, joints, h, w);
    free(values);
    return heat;
}

/* FastPose's cases give the enlarged box, HRNet's centre and scale (in units of 200 pixels). */
static CropBox case_box(const json_t *item) {
    const json_t *box = json_object_get(item, "bbox");
    if (box)
        return (CropBox){(support_number_at(box, 0) + support_number_at(box, 2)) / 2,
                         (support_number_at(box, 1) + support_number_at(box, 3)) / 2,
                         support_number_at(box, 2) - support_number_at(box, 0),
                         support_number_at(box, 3) - support_number_at(box, 1)};
    const json_t *center = support_get(item, "center"), *scale = support_get(item, "scale");
    return (CropBox){support_number_at(center, 0), support_number_at(center, 1),
                     200 * support_number_at(scale, 0), 200 * support_number_at(scale, 1)};
}

/* The network's way: op and place. */
static void decode(const Heat *heat, const Crop *crop, HeatpeakAttr how, float (*keypoint)[3]) {
    float(*peak)[3] = malloc((size_t)heat->joints * sizeof *peak);
    assert_non_null(peak);
    backend_cpu.op[OP_heatpeak].forward(&(Call){
        .attr = &how,
        .in = {{"heat", F32, {1, heat->h, heat->w, heat->joints}, heat->values, 0}},
        .out = {{"peaks", F32, {1, 1, heat->joints, 3}, peak, 1}},
    });
    pose2d_place((const float(*)[3])peak, heat->joints, crop, keypoint);
    free(peak);
}

static void test_decode(void **state) {
    (void)state;
    json_t *root = support_json("fixtures/pose_decode/decode.json"), *item;
    ArrayFile arrays = support_arrays("fixtures/pose_decode/decode.npz");
    uint64_t seed = (uint64_t)json_integer_value(support_get(root, "seed"));
    size_t i;
    json_array_foreach(support_get(root, "cases"), i, item) {
        Heat heat = case_heat(&arrays, json_string_value(support_get(item, "heatmap")), seed);
        bool quarter =
            !strstr(json_string_value(support_get(item, "decoder")), "no_quarter_offset");
        CropBox box = case_box(item);
        Crop crop = crop_around(&box, heat.h, heat.w);
        float(*got)[3] = malloc((size_t)heat.joints * sizeof *got);
        assert_non_null(got);
        decode(&heat, &crop, (HeatpeakAttr){.quarter = quarter}, got);
        assert_int_equal(json_array_size(support_get(item, "keypoints")), heat.joints);
        for (int j = 0; j < heat.joints; j++) {
            const json_t *want = json_array_get(support_get(item, "keypoints"), (size_t)j);
            double score = support_number_at(support_get(item, "score"), (size_t)j);
            support_near("x", got[j][0], support_number_at(want, 0), 2e-3);
            support_near("y", got[j][1], support_number_at(want, 1), 2e-3);
            support_near("score", got[j][2], score, 1e-6);
        }
        free(got);
        free(heat.values);
    }
    array_file_free(&arrays);
    json_decref(root);
}

/* The place of a Gaussian is found between the pixels, however wide the one that is fitted; a pixel
 * of noise beside it, even the largest of the map, moves it little. */
static void test_decode_fit(void **state) {
    (void)state;
    enum { H = 48, W = 32, JOINTS = 3 };
    static const double place[JOINTS][2] = {{10.3, 20.7}, {15.49, 30.02}, {7.75, 8.25}};
    CropBox box = {W / 2.0, H / 2.0, W, H}; /* one photo pixel a pixel */
    Crop crop = crop_around(&box, H, W);
    Heat heat = heat_new(JOINTS, H, W);
    for (int j = 0; j < JOINTS; j++)
        assert_true(trainpose_target(place[j][0], place[j][1], 1.5, H, W, JOINTS, j, heat.values));
    float got[JOINTS][3];
    for (float deviation = 1.5f; deviation <= 3; deviation += 0.5f) {
        decode(&heat, &crop, (HeatpeakAttr){.deviation = deviation}, got);
        for (int j = 0; j < JOINTS; j++)
            for (int k = 0; k < 2; k++) support_near("place", got[j][k], place[j][k], 0.03);
    }
    heat.values[(20 * W + 11) * JOINTS] = 1.2f;
    decode(&heat, &crop, (HeatpeakAttr){.deviation = 2}, got);
    support_near("x beside noise", got[0][0], place[0][0], 0.15);
    support_near("y beside noise", got[0][1], place[0][1], 0.15);
    free(heat.values);
}

/* Nothing is written for joints that are far away, however far. */
static void test_far_targets(void **state) {
    (void)state;
    enum { H = 6, W = 5 };
    static const double far[] = {-1e300, -1e10, -5, 20, 3e9, 1e300};
    float target[H * W] = {0}, nothing[H * W] = {0};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        assert_false(trainpose_target(far[i], 3, 1, H, W, 1, 0, target));
        assert_false(trainpose_target(2, far[i], 1, H, W, 1, 0, target));
    }
    assert_memory_equal(target, nothing, sizeof target);
}

static void check_merge(const char *wanted, int joints) {
    ArrayFile arrays = support_arrays("fixtures/pose_decode/decode.npz");
    Heat a = heat_load(&arrays, "flip.a", joints), b = heat_load(&arrays, "flip.b", joints);
    Heat want = heat_load(&arrays, wanted, 0);
    assert_int_equal(want.joints, joints);
    Graph *g = graph_new();
    Scope m = {.graph = g};
    Shape shape = {1, a.h, a.w, joints};
    Tensor *heat = graph_input(g, "a", F32, shape), *mirrored = graph_input(g, "b", F32, shape);
    Tensor *merged = pose2d_merge_flip(&m, heat, mirrored);
    Plan *plan;
    PlanOptions o = {.keep = &merged, .keeps = 1};
    if (plan_new(g, &backend_cpu, &o, &plan) != OK) fail_msg("%s", error_reason());
    plan_write(plan, heat, F32, a.values);
    plan_write(plan, mirrored, F32, b.values);
    plan_run(plan);
    plan_read(plan, merged, F32, a.values);
    plan_free(plan);
    graph_free(g);
    support_close(wanted, a.values, want.values, (size_t)joints * a.h * a.w, 1e-6);
    free(a.values);
    free(b.values);
    free(want.values);
    array_file_free(&arrays);
}

static void test_merge_flip(void **state) {
    (void)state;
    check_merge("flip.merged_halpe26", 26);
    check_merge("flip.merged_coco17", 17);
}

/* Maps without a number above 0, NaN among them, give the corner and never a wild index. */
static void test_decode_no_peak(void **state) {
    (void)state;
    CropBox box = {100, 100, 48, 64};
    Crop crop = crop_around(&box, 16, 12);
    Heat heat = heat_new(2, 16, 12);
    float got[2][3];
    for (int i = 0; i < 16 * 12; i++) heat.values[2 * i] = NAN, heat.values[2 * i + 1] = -1;
    decode(&heat, &crop, (HeatpeakAttr){.quarter = true}, got);
    free(heat.values);
    for (int j = 0; j < 2; j++) {
        assert_true(got[j][0] == 76 && got[j][1] == 68);
        assert_false(got[j][2] > 0);
    }
}

static Image grey_noise(int width, int height) {
    Image image;
    assert_int_equal(image_new(width, height, &image), OK);
    uint64_t stream = rng_stream("photo", 1);
    for (int i = 0; i < 3 * width * height; i++)
        image.rgb[i] = (uint8_t)(256 * rng_uniform(stream, (uint64_t)i));
    return image;
}

static Crowd crowd_of(const float (*box)[4], int count) {
    Crowd crowd = {0};
    for (int i = 0; i < count; i++) memcpy(crowd_add(&crowd)->box, box[i], sizeof box[i]);
    return crowd;
}

static const float boxes[][4] = {
    {20, 10, 90, 150}, {0, 0, 0, 0}, {100, 30, 140, 140}, {-20, 40, 60, 210}, {50, 60, 51, 61}};
enum { BOXES = 5, EMPTY_BOX = 1 };

static Crowd run(const char *weights, const Image *photo, Pose2dOptions options) {
    Pose2d *pose;
    if (pose2d_open(weights, &options, &pose) != OK) fail_msg("%s", error_reason());
    Crowd crowd = crowd_of(boxes, BOXES);
    if (pose2d_run(pose, photo, &crowd) != OK) fail_msg("%s", error_reason());
    pose2d_close(pose);
    return crowd;
}

/* After the batch under way; who was not reached has no keypoints. */
static void test_run_interrupted(void **state) {
    (void)state;
    static const volatile int interrupted = 1;
    Pose2dOptions options = {.batch = 1, .interrupted = &interrupted};
    Image photo = grey_noise(64, 64);
    Pose2d *pose;
    if (pose2d_open("rule:hrnet_pose_w16_small:1", &options, &pose)) fail_msg("%s", error_reason());
    Crowd crowd = crowd_of(boxes, BOXES);
    assert_int_equal(pose2d_run(pose, &photo, &crowd), ERR_INTERRUPTED);
    assert_true(crowd.person[0].flags & PERSON_HAS_KEYPOINTS);
    assert_false(crowd.person[2].flags & PERSON_HAS_KEYPOINTS);
    pose2d_close(pose);
    crowd_free(&crowd);
    image_free(&photo);
}

/* The batch changes nothing, an empty box gets nothing, every keypoint lies in its crop. */
static void test_run(void **state) {
    (void)state;
    Image photo = grey_noise(200, 220);
    Crowd one = run("rule:fastpose_res50_halpe26:1", &photo, (Pose2dOptions){.batch = 1});
    Crowd all = run("rule:fastpose_res50_halpe26:1", &photo, (Pose2dOptions){.batch = 3});
    for (int i = 0; i < BOXES; i++) {
        const Person *p = &all.person[i];
        assert_int_equal(!(p->flags & PERSON_HAS_KEYPOINTS), i == EMPTY_BOX);
        CropBox box = crop_pose_box(p->box, 0.75);
        for (int j = 0; j < CROWD_KEYPOINTS; j++) {
            const float *k = p->keypoints[j];
            if (i == EMPTY_BOX)
                assert_true(k[0] == 0 && k[1] == 0 && k[2] == 0);
            else
                assert_true(k[2] >= 0 && fabs(k[0] - box.cx) <= box.width / 2 + 0.01 &&
                            fabs(k[1] - box.cy) <= box.height / 2 + 0.01);
        }
        support_close("keypoints", p->keypoints[0], one.person[i].keypoints[0], 3 * CROWD_KEYPOINTS,
                      1e-3);
    }
    crowd_free(&one);
    crowd_free(&all);
    image_free(&photo);
}

/* A COCO network leaves the nine further joints without confidence; the flip test is used. */
static void test_run_coco(void **state) {
    (void)state;
    Image photo = grey_noise(200, 220);
    Crowd plain = run("rule:hrnet_pose_w32:1", &photo, (Pose2dOptions){0});
    Crowd flipped = run("rule:hrnet_pose_w32:1", &photo, (Pose2dOptions){.flip = true});
    double difference = 0;
    for (int j = 0; j < CROWD_KEYPOINTS; j++) {
        const float *a = plain.person[0].keypoints[j], *b = flipped.person[0].keypoints[j];
        if (j >= 17) assert_true(a[2] == 0 && b[2] == 0);
        difference += fabs(a[2] - b[2]);
    }
    assert_true(difference > 0);
    crowd_free(&plain);
    crowd_free(&flipped);
    image_free(&photo);
}

/* A network whose heatmaps are -1 everywhere, those of the first joint `first`; returns its file.
 */
static const char *constant_network(double first) {
    static char path[4300];
    double bias[CROWD_KEYPOINTS];
    NetSpec spec;
    assert_int_equal(net_spec("hrnet_pose_w16_small", &spec), OK);
    Params *p = params_new(&backend_cpu);
    net_declare(&spec, p);
    assert_int_equal(params_alloc(p), OK);
    init_fill(&spec, 1, p);
    int weight = params_find(p, "final_layer.weight");
    double *zero = calloc(shape_size(params_at(p, weight)->shape), sizeof *zero);
    assert_non_null(zero);
    for (int j = 0; j < CROWD_KEYPOINTS; j++) bias[j] = j ? -1 : first;
    params_set(p, weight, zero);
    params_set(p, params_find(p, "final_layer.bias"), bias);
    ArrayFile f = params_arrays(p);
    snprintf(path, sizeof path, "%s/constant.safetensors", support_folder());
    assert_int_equal(file_write_safetensors(path, &f), OK);
    array_file_free(&f);
    params_free(p);
    free(zero);
    return path;
}

/* Who is seen in no joint has no keypoints, as where a file says so. */
static void test_run_unseen(void **state) {
    (void)state;
    Image photo = grey_noise(200, 220);
    for (int seen = 0; seen < 2; seen++) {
        Crowd crowd = run(constant_network(seen ? 0.5 : -1), &photo, (Pose2dOptions){0});
        const Person *p = crowd.person;
        assert_int_equal(!!(p->flags & PERSON_HAS_KEYPOINTS), seen);
        assert_true(p->keypoints[0][2] == (seen ? 0.5f : 0) && p->keypoints[1][2] == 0);
        if (!seen) assert_true(p->keypoints[0][0] == 0 && p->keypoints[0][1] == 0);
        crowd_free(&crowd);
    }
    image_free(&photo);
}

static void test_refusals(void **state) {
    (void)state;
    Pose2d *pose;
    assert_int_equal(pose2d_open("rule:yolox_nano:1", &(Pose2dOptions){0}, &pose), ERR_MODEL);
    assert_null(pose);
    assert_non_null(strstr(error_reason(), "fastpose"));
    assert_int_not_equal(pose2d_open("/no/such/file.pth", &(Pose2dOptions){0}, &pose), OK);
    assert_null(pose);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_fit),
        cmocka_unit_test(test_far_targets),
        cmocka_unit_test(test_merge_flip),
        cmocka_unit_test(test_decode_no_peak),
        cmocka_unit_test(test_run_interrupted),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_run_coco),
        cmocka_unit_test(test_run_unseen),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
