/* The detector's training: samples and their labels, colours, the score, and that it learns. */
#include "autograd/plan.h"
#include "crowdrec/detect.h"
#include "crowdrec/detsample.h"
#include "crowdrec/hsv.h"
#include "crowdrec/jsonfile.h"
#include "crowdrec/traindetect.h"
#include "crowdrec/trainset.h"
#include "nets/init.h"
#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- colours ---- */

static void check_move(HsvShift shift, float b, float g, float r, const float want[3]) {
    float got[3] = {b, g, r};
    hsv_move(&shift, got, 1);
    support_close("b, g, r", got, want, 3, 1e-3);
}

static void test_colours(void **state) {
    (void)state;
    check_move((HsvShift){0, 0, 0}, 10, 120, 77, (float[]){10, 120, 77});
    check_move((HsvShift){60, 0, 0}, 0, 0, 200, (float[]){0, 200, 200});  /* red -> yellow */
    check_move((HsvShift){-60, 0, 0}, 0, 0, 200, (float[]){200, 0, 200}); /* red -> magenta */
    check_move((HsvShift){0, 0, 30}, 50, 100, 200, (float[]){57.5f, 115, 230});
    check_move((HsvShift){0, -51, 0}, 0, 0, 200, (float[]){40, 40, 200}); /* a fifth less */
    check_move((HsvShift){10, 30, -20}, 90, 90, 90, (float[]){70, 70, 70});
    check_move((HsvShift){0, 0, 30}, 250, 250, 250, (float[]){255, 255, 255});
}

/* ---- photos: black, each person a red rectangle ---- */

typedef struct {
    int width, height, people;
    int box[3][4]; /* x0, y0, x1, y1, whole pixels */
    double visible[3];
} Made;

static const Made MADE[] = {{320, 240, 1, {{100, 60, 140, 180}}, {1}},
                            {200, 300, 1, {{30, 100, 80, 220}}, {1}}};
enum { MADES = sizeof MADE / sizeof *MADE };

static void paint_photo(const Made *m, const char *path) {
    Image photo;
    assert_int_equal(image_new(m->width, m->height, &photo), OK);
    for (int i = 0; i < m->people; i++)
        for (int y = m->box[i][1]; y < m->box[i][3]; y++)
            for (int x = m->box[i][0]; x < m->box[i][2]; x++)
                photo.rgb[3 * ((size_t)y * (size_t)m->width + (size_t)x)] = 255;
    assert_int_equal(image_write_png(path, &photo), OK);
    image_free(&photo);
}

/* Writes photos and annotations into the folder of that name; returns it. */
static const char *write_set(const char *name, const Made *made, int count) {
    const char *folder = support_in_folder(name);
    json_t *images = json_array(), *people = json_array();
    char path[4300], file[32];
    assert_int_equal(file_make_folder(folder), OK);
    for (int i = 0; i < count; i++) {
        const Made *m = &made[i];
        snprintf(file, sizeof file, "%d.png", i);
        snprintf(path, sizeof path, "%s/%s", folder, file);
        paint_photo(m, path);
        json_array_append_new(images, json_pack("{s:i, s:s, s:i, s:i}", "id", i, "file_name", file,
                                                "width", m->width, "height", m->height));
        for (int k = 0; k < m->people; k++) {
            const int *b = m->box[k];
            json_array_append_new(people, json_pack("{s:i, s:[iiii], s:f}", "image_id", i, "bbox",
                                                    b[0], b[1], b[2] - b[0], b[3] - b[1], "visible",
                                                    m->visible[k]));
        }
    }
    snprintf(path, sizeof path, "%s/person_keypoints.json", folder);
    assert_int_equal(
        jsonfile_write(path, JSONFILE_FLOAT,
                       json_pack("{s:o, s:o}", "images", images, "annotations", people)),
        OK);
    return folder;
}

static Dataset *open_set(const char *path) {
    Dataset *d;
    if (dataset_open(&(DatasetChoice){.path = path}, &d)) fail_msg("%s", error_reason());
    return d;
}

/* ---- samples ---- */

enum { SIZE = 96, BOXES = 3 };
static float input[SIZE * SIZE * 3], labels[5 * BOXES];

static bool is_red(const float *pixel) { return pixel[2] > 127 && pixel[0] < 60; }

/* x0, y0, x1, y1 of all red pixels; false without any. */
static bool red_box(float box[4]) {
    float found[4] = {SIZE, SIZE, 0, 0};
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++) {
            if (!is_red(input + 3 * (y * SIZE + x))) continue;
            found[0] = fminf(found[0], (float)x), found[1] = fminf(found[1], (float)y);
            found[2] = fmaxf(found[2], (float)x + 1), found[3] = fmaxf(found[3], (float)y + 1);
        }
    memcpy(box, found, sizeof found);
    return found[2] > found[0];
}

static void make(const DetSource *source, uint64_t key, int photo, bool mosaic) {
    if (detsample_make(source, key, photo, mosaic, input, labels)) fail_msg("%s", error_reason());
}

static void test_labels_fit(void **state) {
    (void)state;
    Dataset *d = open_set(write_set("fit", MADE, MADES));
    DetPhoto photo[MADES] = {{d, 0}, {d, 1}};
    DetSource source = {SIZE, SIZE, BOXES, photo, MADES, false, true, CROP_YOLOX_BGR};
    int labelled = 0, mirrored = 0;
    for (uint64_t key = 0; key < 60; key++) {
        make(&source, key, (int)(key % MADES), false);
        float red[4], *l = labels;
        if (!(l[3] > 0)) continue;
        labelled++;
        assert_true(red_box(red));
        float box[4] = {l[1] - l[3] / 2, l[2] - l[4] / 2, l[1] + l[3] / 2, l[2] + l[4] / 2};
        support_close("red pixels", red, box, 4, 1.5);
        assert_true(l[0] == 0 && labels[5 + 3] == 0);
        DetSource plain = source;
        float middle = l[1];
        plain.no_flip = true;
        make(&plain, key, (int)(key % MADES), false);
        mirrored += fabsf(middle - (SIZE - labels[1])) < 1e-3f && fabsf(middle - labels[1]) > 1e-3f;
    }
    assert_true(labelled >= 40);
    assert_true(mirrored >= 10 && mirrored <= labelled - 10);
    dataset_close(d);
}

static void test_mosaic(void **state) {
    (void)state;
    Dataset *d = open_set(write_set("mosaic", MADE, MADES));
    DetPhoto photo[MADES] = {{d, 0}, {d, 1}};
    DetSource source = {SIZE, SIZE, BOXES, photo, MADES, false, true, CROP_YOLOX_BGR};
    static float again[SIZE * SIZE * 3];
    int most = 0;
    for (uint64_t key = 0; key < 20; key++) {
        make(&source, key, 0, true);
        int count = 0;
        for (; count < BOXES && labels[5 * count + 3] > 0; count++) {
            const float *l = labels + 5 * count;
            assert_true(is_red(input + 3 * ((int)l[2] * SIZE + (int)l[1])));
        }
        if (count > most) most = count;
        memcpy(again, input, sizeof input);
        make(&source, key, 0, true);
        assert_memory_equal(again, input, sizeof input);
    }
    assert_int_equal(most, BOXES); /* four tiles, but no more labels than there is room for */
    dataset_close(d);
}

/* The same sample in the other convention: R, G, B by ImageNet's mean and deviation. */
static void test_imagenet_pixels(void **state) {
    (void)state;
    static const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
    static float bgr[SIZE * SIZE * 3];
    Dataset *d = open_set(write_set("imagenet", MADE, MADES));
    DetPhoto photo[MADES] = {{d, 0}, {d, 1}};
    DetSource source = {SIZE, SIZE, BOXES, photo, MADES, false, false, CROP_YOLOX_BGR};
    make(&source, 5, 0, true);
    memcpy(bgr, input, sizeof bgr);
    source.pixels = CROP_YOLOX_IMAGENET;
    make(&source, 5, 0, true);
    for (int i = 0; i < SIZE * SIZE * 3; i++) {
        int k = i % 3;
        float back = 255 * (input[i] * deviation[k] + mean[k]);
        if (!(fabsf(back - bgr[i - k + 2 - k]) <= 1e-3f))
            fail_msg("number %d: %g, not %g", i, (double)back, (double)bgr[i - k + 2 - k]);
    }
    dataset_close(d);
}

/* Hidden, too small, and a crowd region: nobody is labelled. */
static void test_unlabelled(void **state) {
    (void)state;
    static const Made made = {100, 100, 2, {{10, 10, 40, 90}, {60, 60, 63, 65}}, {0.2, 1}};
    Dataset *d = open_set(write_set("hidden", &made, 1));
    DetPhoto photo = {d, 0};
    DetSource source = {SIZE, SIZE, BOXES, &photo, 1, false, false, CROP_YOLOX_BGR};
    for (uint64_t key = 0; key < 20; key++) {
        make(&source, key, 0, false);
        assert_true(labels[3] == 0);
    }
    double box[4];
    DatasetPerson p = {.box = {-10, 20, 30, 150}};
    detsample_clip(&p, &d->photo[0], box);
    support_close64("clipped", box, (double[]){0, 20, 30, 100}, 4, 0);
    dataset_close(d);
}

/* ---- score ---- */

/* Writes annotations of a photo: the people that the detector itself sees, and one at `extra` that
 * it does not.  Returns how many of the former need to be found. */
static int write_seen(const char *weights, const char *photo, const int extra[4]) {
    Detector *d;
    Crowd crowd = {0};
    Image image;
    assert_int_equal(image_read(photo, &image), OK);
    DetectOptions o = {.confidence = 0.5f,
                       .iou = 0.65f,
                       .height = (image.height + 31) / 32 * 32,
                       .width = (image.width + 31) / 32 * 32,
                       .input = "bgr255"};
    if (detect_open(weights, &o, &d)) fail_msg("%s", error_reason());
    assert_int_equal(detect_run(d, &image, &crowd), OK);
    json_t *people = json_array();
    int needed = 0;
    for (int i = 0; i < crowd.count; i++) {
        const float *b = crowd.person[i].box;
        double x = b[0], y = b[1], width = (double)b[2] - x, height = (double)b[3] - y;
        needed += height >= 40;
        json_array_append_new(
            people, json_pack("{s:i, s:[ffff]}", "image_id", 1, "bbox", x, y, width, height));
    }
    json_array_append_new(people, json_pack("{s:i, s:[iiii]}", "image_id", 1, "bbox", extra[0],
                                            extra[1], extra[2], extra[3]));
    json_t *root = json_pack("{s:[{s:i, s:s}], s:o}", "images", "id", 1, "file_name",
                             strrchr(photo, '/') + 1, "annotations", people);
    assert_int_equal(jsonfile_write(support_in_folder("seen.json"), JSONFILE_FLOAT, root), OK);
    detect_close(d);
    crowd_free(&crowd);
    image_free(&image);
    return needed;
}

static void test_score(void **state) {
    (void)state;
    support_heavy();
    const char *weights = support_fixture("fixtures/weights/yolox_nano_official.pth");
    const char *photo = support_fixture("fixtures/images/group_00019.jpg");
    int needed = write_seen(weights, photo, (int[]){1, 2, 40, 50}); /* x, y, w, h: a bare corner */
    assert_true(needed > 0);
    char folder[4200];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(photo, '/') - photo), photo);
    DatasetChoice choice = {.path = support_in_folder("seen.json"), .photos = folder};
    Dataset *set;
    NetSpec spec;
    Params *params;
    TrainMetrics m;
    if (dataset_open(&choice, &set)) fail_msg("%s", error_reason());
    if (net_open(weights, support_backend(), &spec, &params)) fail_msg("%s", error_reason());
    if (traindetect_score(&spec, params, set, &m)) fail_msg("%s", error_reason());
    double recall = (double)needed / (needed + 1), want = (floor(100 * recall) + 1) / 101;
    print_message("%d people, AP50 %g, AP %g\n", needed, m.value[0], m.value[1]);
    assert_string_equal(m.name[0], "ap50");
    if (!(fabs(m.value[0] - want) <= 1e-9)) fail_msg("AP50 %g, not %g", m.value[0], want);
    assert_true(m.value[1] <= m.value[0] && m.value[1] > 0.8 * want);
    params_free(params);
    dataset_close(set);
}

static void test_score_refused(void **state) {
    (void)state;
    static const Made made = {64, 64, 2, {{0, 0, 10, 39}, {20, 0, 30, 60}}, {1, 0.4}};
    Dataset *set = open_set(write_set("nobody", &made, 1));
    NetSpec spec;
    Params *params;
    TrainMetrics m;
    if (net_open("rule:yolox_nano:1", support_backend(), &spec, &params))
        fail_msg("%s", error_reason());
    assert_int_equal(traindetect_score(&spec, params, set, &m), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "nobody"));
    params_free(params);
    dataset_close(set);
}

/* ---- learning ---- */

enum { BATCH = 2, STEPS = 90 };

static TrainTask open_task(const char *folder) {
    TrainOptions o = {
        .task = CROWDREC_TRAIN_DETECTOR, .data = {folder}, .sets = 1, .input_size = {SIZE, SIZE}};
    TrainTask task;
    if (traindetect_open(&o, &task)) fail_msg("%s", error_reason());
    return task;
}

static void test_epoch(void **state) {
    (void)state;
    const char *folder = write_set("epoch", MADE, MADES);
    char ratio[2][4300];
    snprintf(ratio[0], sizeof ratio[0], "%s:3", folder);
    snprintf(ratio[1], sizeof ratio[1], "%s:0.5", folder);
    TrainOptions o = {.data = {ratio[0], ratio[1]}, .sets = 2, .input_size = {SIZE, SIZE}};
    TrainTask task;
    if (traindetect_open(&o, &task)) fail_msg("%s", error_reason());
    assert_int_equal(task.samples, 3 * MADES + MADES / 2);
    assert_int_equal(task.spec.classes, 1);
    assert_null(task.validate);
    assert_string_equal(task.spec.input, "bgr255");
    task.close(task.self);
    o.net = "bytetrack_x";
    if (traindetect_open(&o, &task)) fail_msg("%s", error_reason());
    assert_string_equal(task.spec.input, "imagenet");
    task.close(task.self);
    o.net = "hrnet_pose_w32";
    assert_int_equal(traindetect_open(&o, &task), ERR_USAGE);
}

/* Photos count, not people, and what is asked for is rounded once. */
static void test_ratio(void **state) {
    (void)state;
    const Made made[] = {MADE[0], MADE[1], MADE[0], {.width = 200, .height = 300}};
    char ratio[4300];
    snprintf(ratio, sizeof ratio, "%s:0.5", write_set("ratio", made, 4));
    TrainOptions o = {.data = {ratio}, .sets = 1, .input_size = {SIZE, SIZE}};
    TrainTask task;
    if (traindetect_open(&o, &task)) fail_msg("%s", error_reason());
    assert_int_equal(task.samples, 2);
    task.close(task.self);
    assert_int_equal(trainset_entries(0.1, 30), 3); /* the product is above 3 */
    assert_int_equal(trainset_entries(0.5, 5), 3);
    assert_int_equal(trainset_entries(1e-9, 5), 1);
}

/* The same two samples again and again: the loss falls from more than 10 below 4. */
static void test_learns(void **state) {
    (void)state;
    TrainTask task = open_task(write_set("learn", MADE, MADES));
    Params *params = params_new(support_backend());
    Graph *graph = graph_new();
    Scope m = {.graph = graph, .params = params, .train = true};
    TrainGraph g = task.build(task.self, &m, BATCH);
    UpdateAttr adam = {.kind = UPDATE_ADAM};
    Plan *plan;
    assert_int_equal(params_alloc(params), OK);
    init_fill(&task.spec, 1, params);
    assert_int_equal(
        plan_new(graph, support_backend(), &(PlanOptions){.loss = g.loss, .update = &adam}, &plan),
        OK);
    void *batch[TRAIN_INPUTS];
    for (int i = 0; i < g.inputs; i++) {
        size_t size = shape_size(g.input[i]->shape);
        batch[i] = malloc(size * sizeof(float));
        assert_non_null(batch[i]);
    }
    for (int k = 0; k < BATCH; k++) {
        void *part[TRAIN_INPUTS];
        for (int i = 0; i < g.inputs; i++)
            part[i] = (float *)batch[i] + (size_t)k * (shape_size(g.input[i]->shape) / BATCH);
        TrainDraw draw = {.key = 7 + (uint64_t)k, .index = k, .progress = 1};
        if (task.sample(task.self, &draw, part)) fail_msg("%s", error_reason());
    }
    float first = 0, last = 0;
    for (int i = 0; i < g.inputs; i++) plan_write(plan, g.input[i], F32, batch[i]);
    for (int step = 1; step <= STEPS; step++) {
        plan_hyper(plan, 2e-3, 0, step);
        plan_run(plan);
        plan_read(plan, g.loss, F32, &last);
        if (step == 1) first = last;
    }
    print_message("loss %g, after %d steps %g\n", (double)first, STEPS, (double)last);
    assert_true(first > 10);
    assert_true(last < 4);
    for (int i = 0; i < g.inputs; i++) free(batch[i]);
    plan_free(plan);
    graph_free(graph);
    params_free(params);
    task.close(task.self);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_colours),       cmocka_unit_test(test_labels_fit),
        cmocka_unit_test(test_mosaic),        cmocka_unit_test(test_imagenet_pixels),
        cmocka_unit_test(test_unlabelled),    cmocka_unit_test(test_score),
        cmocka_unit_test(test_score_refused), cmocka_unit_test(test_epoch),
        cmocka_unit_test(test_ratio),         cmocka_unit_test(test_learns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
