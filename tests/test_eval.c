/* Results held against the truth, from files to numbers that are computed here by other means. */
#include "tests/smallbody.h"
#include "tests/support.h"

#include "crowdrec/coco.h"
#include "crowdrec/evaluate.h"
#include "crowdrec/gigacrowd.h"
#include "crowdrec/jsonfile.h"
#include "crowdrec/metrics.h"
#include "crowdrec/score.h"
#include "smpl/body.h"
#include "tensor/rng.h"

#include <math.h>
#include <string.h>

enum { PEOPLE = 4, WIDTH = 1600, HEIGHT = 900 };
static const double FOCAL = 1000;
static const char PHOTO[] = "a.jpg";

static Body *body;

static int prepare(void **state) {
    (void)state;
    SmallBody *made = smallbody_new(60, 40);
    smallbody_write(made, support_in_folder("body.npz"));
    smallbody_free(made);
    return body_load(support_in_folder("body.npz"), NULL, &body);
}

static int finish(void **state) {
    (void)state;
    body_free(body);
    return 0;
}

/* ---- made people ---- */

/* Upright, a little bent, side by side at depths of 5, 7, 9 and 11 metres, 0.1 m apart in height.
 */
static GigaPerson made_person(int i) {
    GigaPerson p = {.scale = 1, .visible = 1};
    for (int k = 3; k < CROWD_POSE; k++)
        p.pose[k] = 0.2f * rng_signed(rng_stream("pose", (uint64_t)i), (uint64_t)k);
    for (int k = 0; k < CROWD_BETAS; k++)
        p.betas[k] = rng_signed(rng_stream("betas", (uint64_t)i), (uint64_t)k);
    p.pose[0] = (float)M_PI;
    p.trans[0] = 2 * (float)i - 3, p.trans[1] = 0.1f * (float)i, p.trans[2] = 5 + 2 * (float)i;
    return p;
}

typedef struct {
    GigaPerson person[PEOPLE + 2];
    int people;
} Group;

static Group made_group(void) {
    Group g = {.people = PEOPLE};
    for (int i = 0; i < PEOPLE; i++) g.person[i] = made_person(i);
    return g;
}

static void joints_of(const GigaPerson *p, double out[HALPE26_COUNT][3]) {
    static const float nowhere[3] = {0};
    float joint[HALPE26_COUNT][3];
    body_pose(body, p->pose, p->betas, nowhere, NULL, NULL, &joint[0][0]);
    for (int i = 0; i < HALPE26_COUNT; i++)
        for (int k = 0; k < 3; k++) out[i][k] = (double)p->scale * joint[i][k] + p->trans[k];
}

/* A box of the person's joints, that two people share only where they stand. */
static void give_box(GigaPerson *p) {
    double joint[HALPE26_COUNT][3], low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};
    const double centre[2] = {WIDTH / 2.0, HEIGHT / 2.0};
    joints_of(p, joint);
    for (int i = 0; i < HALPE26_COUNT; i++)
        for (int k = 0; k < 2; k++) {
            double x = FOCAL * joint[i][k] / joint[i][2] + centre[k];
            low[k] = fmin(low[k], x), high[k] = fmax(high[k], x);
        }
    p->has_box = true;
    for (int k = 0; k < 2; k++) p->box[k] = low[k], p->box[2 + k] = high[k];
}

static void give_boxes(Group *g) {
    for (int i = 0; i < g->people; i++) give_box(&g->person[i]);
}

static json_t *person_json(const GigaPerson *p) {
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:f, s:s, s:f, s:[i]}", "pose", jsonfile_floats(p->pose, CROWD_POSE),
        "shape", jsonfile_floats(p->betas, CROWD_BETAS), "trans_cam", jsonfile_floats(p->trans, 3),
        "scale_smpl", (double)p->scale, "gender", "neutral", "visible", p->visible, "hvip2d", 7);
    if (p->has_box)
        json_object_set_new(json, "bbox",
                            json_pack("[f,f,f,f]", p->box[0], p->box[1], p->box[2] - p->box[0],
                                      p->box[3] - p->box[1]));
    return json;
}

static json_t *group_json(const Group *g) {
    json_t *list = json_array();
    for (int i = 0; i < g->people; i++) json_array_append_new(list, person_json(&g->person[i]));
    return json_pack("{s:[[f,i,f],[i,f,f],[i,i,i]], s:o, s:[]}", "Intrinsic_matrix", FOCAL, 0,
                     WIDTH / 2.0, 0, FOCAL, HEIGHT / 2.0, 0, 0, 1, "person_list", list, "planes");
}

/* Photos a.jpg, b.jpg, ... */
static void write_groups(const char *file, const Group *g, int photos) {
    json_t *root = json_object();
    for (int i = 0; i < photos; i++) {
        char name[] = "a.jpg";
        name[0] = (char)('a' + i);
        json_object_set_new(root, name, group_json(&g[i]));
    }
    assert_int_equal(jsonfile_write(support_in_folder(file), JSONFILE_DOUBLE, root), OK);
}

/* ---- asking ---- */

static json_t *eval(const char *predict, const char *truth) {
    CrowdrecEval o = {.predict = support_in_folder(predict),
                      .truth = support_in_folder(truth),
                      .output = support_in_folder("eval.json")};
    if (evaluate_run(&o, NULL)) fail_msg("%s", error_reason());
    return support_read_json(o.output);
}

static const json_t *result_of(const json_t *root) {
    return json_array_get(json_object_get(root, "results"), 0);
}

static json_t *eval_groups(const Group *found, const Group *truth, int photos) {
    write_groups("predict.json", found, photos);
    write_groups("truth.json", truth, photos);
    return eval("predict.json", "truth.json");
}

static void check_row(const json_t *row, const char *key, double want, double tolerance) {
    support_near(key, support_number(row, key), want, tolerance);
}

static void check(const json_t *root, const char *key, double want) {
    check_row(json_object_get(result_of(root), "total"), key, want, 1e-4);
}

static void check_undefined(const json_t *root, const char *key) {
    const json_t *total = json_object_get(result_of(root), "total");
    if (!json_is_null(json_object_get(total, key))) fail_msg("%s is defined", key);
}

/* ---- a photo ---- */

static void perfect(void **state) {
    (void)state;
    static const char *const ones[] = {
        "pa_ppds",        "ss",          "pcod", "oks", "detection_precision", "detection_recall",
        "detection_ap50", "detection_ap"};
    static const char *const zeros[] = {
        "rp", "mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "root_error_median_m", "root_error_mean_m"};
    Group g = made_group();
    for (int boxes = 0; boxes < 2; boxes++) { /* of the vertices, and from the file */
        if (boxes) give_boxes(&g);
        json_t *root = eval_groups(&g, &g, 1);
        for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) check(root, ones[i], 1);
        for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) check(root, zeros[i], 0);
        check(root, "people", PEOPLE);
        check(root, "bodies_matched", PEOPLE);
        check(root, "boxes_matched", PEOPLE);
        check_undefined(root, "keypoint_oks");
        const json_t *total = json_object_get(result_of(root), "total");
        double spread = support_number(total, "ground_spread_true_m");
        assert_true(spread > 0.01);
        check(root, "ground_spread_m", spread);
        json_decref(root);
    }
}

/* Everybody 0.5 m away, the photo's boxes kept. */
static void shifted(void **state) {
    (void)state;
    Group truth = made_group(), found;
    give_boxes(&truth);
    found = truth;
    for (int i = 0; i < PEOPLE; i++)
        found.person[i].trans[0] += 0.3f, found.person[i].trans[2] += 0.4f;
    json_t *root = eval_groups(&found, &truth, 1);
    check(root, "root_error_median_m", 0.5);
    check(root, "root_error_mean_m", 0.5);
    check(root, "mpjpe_mm", 0);
    check(root, "pve_mm", 0);
    check(root, "pa_ppds", 1);
    check(root, "ss", 1);
    check(root, "pcod", 1);
    json_decref(root);
}

/* One person alone is moved: the median does not see it, the mean a quarter. */
static void one_moved(void **state) {
    (void)state;
    Group truth = made_group(), found;
    give_boxes(&truth);
    found = truth;
    found.person[2].trans[2] += 1;
    json_t *root = eval_groups(&found, &truth, 1);
    check(root, "root_error_median_m", 0);
    check(root, "root_error_mean_m", 0.25);
    check(root, "pcod", 1);
    json_decref(root);
}

/* Twice as large and twice as far away: the same picture. */
static void scaled(void **state) {
    (void)state;
    Group truth = made_group(), found = truth;
    double mean[HALPE26_COUNT][3], size = 0, root_error = 0;
    const int *lsp = joints_map(JOINTS_LSP14, JOINTS_HALPE26);
    for (int i = 0; i < PEOPLE; i++) {
        GigaPerson *p = &found.person[i];
        joints_of(&truth.person[i], mean);
        p->scale = 2;
        for (int k = 0; k < 3; k++) p->trans[k] *= 2;
        for (int j = 0; j < LSP14_COUNT; j++) {
            double square = 0;
            for (int k = 0; k < 3; k++) {
                double hip = (mean[HALPE26_L_HIP][k] + mean[HALPE26_R_HIP][k]) / 2;
                square += (mean[lsp[j]][k] - hip) * (mean[lsp[j]][k] - hip);
            }
            size += sqrt(square) / (LSP14_COUNT * PEOPLE);
        }
        const double *r = mean[HALPE26_HIP];
        root_error += sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]) / PEOPLE;
    }
    json_t *root = eval_groups(&found, &truth, 1);
    const json_t *total = json_object_get(result_of(root), "total");
    check(root, "oks", 1);
    check(root, "pa_ppds", 1);
    check(root, "ss", 1);
    check(root, "pcod", 1);
    check_row(total, "mpjpe_mm", 1000 * size, 1e-2);
    check_row(total, "pa_mpjpe_mm", 0, 1e-2);
    check_row(total, "root_error_mean_m", root_error, 1e-4);
    json_decref(root);
}

/* The nearest two change places in depth: one of six pairs is in the wrong order. */
static void swapped(void **state) {
    (void)state;
    Group truth = made_group(), found;
    double before[PEOPLE][3], after[PEOPLE][3], joint[HALPE26_COUNT][3];
    give_boxes(&truth);
    found = truth;
    found.person[0].trans[2] = truth.person[1].trans[2];
    found.person[1].trans[2] = truth.person[0].trans[2];
    for (int i = 0; i < PEOPLE; i++) {
        joints_of(&truth.person[i], joint);
        memcpy(before[i], joint[HALPE26_HIP], sizeof before[i]);
        joints_of(&found.person[i], joint);
        memcpy(after[i], joint[HALPE26_HIP], sizeof after[i]);
    }
    json_t *root = eval_groups(&found, &truth, 1);
    check(root, "pcod", 5.0 / 6);
    check(root, "pa_ppds",
          metrics_pa_ppds((const double(*)[3])after, (const double(*)[3])before, PEOPLE));
    check(root, "root_error_mean_m", 1);
    check(root, "mpjpe_mm", 0);
    json_decref(root);
}

/* The same number of everything, in any order. */
static void order_does_not_matter(void **state) {
    (void)state;
    Group truth = made_group(), found, turned;
    give_boxes(&truth);
    found = truth;
    for (int i = 0; i < PEOPLE; i++)
        found.person[i].trans[2] += 0.7f * rng_signed(rng_stream("depth", 1), (uint64_t)i);
    turned = found;
    for (int i = 0; i < PEOPLE; i++) turned.person[i] = found.person[PEOPLE - 1 - i];
    json_t *a = eval_groups(&found, &truth, 1), *b = eval_groups(&turned, &truth, 1), *value;
    const char *key;
    const json_t *total = json_object_get(result_of(b), "total");
    json_object_foreach(support_get(result_of(a), "total"), key, value) {
        if (json_is_number(value)) check_row(total, key, json_number_value(value), 1e-6);
    }
    json_decref(a);
    json_decref(b);
}

static void missing(void **state) {
    (void)state;
    Group truth = made_group(), found = truth;
    found.people--;
    json_t *root = eval_groups(&found, &truth, 1);
    check(root, "detection_recall", 0.75);
    check(root, "detection_precision", 1);
    check(root, "detection_ap50", 76.0 / 101);
    check(root, "rp", 0);
    check(root, "pa_ppds", 1);
    json_decref(root);
}

static void redundant(void **state) {
    (void)state;
    Group truth = made_group(), found = truth;
    found.person[found.people++] = truth.person[1]; /* once more */
    json_t *root = eval_groups(&found, &truth, 1);
    check(root, "rp", 0.2);
    check(root, "detection_precision", 0.8);
    check(root, "detection_recall", 1);
    check(root, "bodies", PEOPLE + 1);
    check(root, "mpjpe_mm", 0);
    json_decref(root);
}

/* Behind the camera there is no box, so the person cannot be matched. */
static void behind_the_camera(void **state) {
    (void)state;
    Group truth = made_group(), found = truth;
    found.person[0].trans[2] *= -1;
    json_t *root = eval_groups(&found, &truth, 1);
    check(root, "bodies_matched", PEOPLE - 1);
    check(root, "rp", 0.25);
    /* With a box it is matched, and seen nowhere. */
    give_boxes(&truth);
    found = truth;
    found.person[0].trans[2] *= -1;
    json_decref(root);
    root = eval_groups(&found, &truth, 1);
    check(root, "bodies_matched", PEOPLE);
    check(root, "oks", 0.75);
    assert_true(json_is_number(
        json_object_get(json_object_get(result_of(root), "total"), "ground_spread_m")));
    json_decref(root);
    /* One alone before the camera has no spread. */
    for (int i = 1; i < PEOPLE - 1; i++) found.person[i].trans[2] *= -1;
    root = eval_groups(&found, &truth, 1);
    check(root, "bodies_matched", PEOPLE);
    check_undefined(root, "ground_spread_m");
    json_decref(root);
}

/* Hidden or small people are neither right when found nor wrong when missed. */
static void people_who_do_not_count(void **state) {
    (void)state;
    Group truth = made_group(), found = truth;
    truth.person[1].visible = 0.49;
    truth.person[3].trans[2] = found.person[3].trans[2] = 60; /* about 25 pixels tall */
    for (int i = 0; i < 2; i++) {
        json_t *root = eval_groups(&found, &truth, 1);
        check(root, "people", 2);
        check(root, "ignored", 2);
        check(root, "bodies", 2);
        check(root, "bodies_matched", 2);
        check(root, "rp", 0);
        check(root, "detection_precision", 1);
        check(root, "detection_recall", 1);
        check(root, "detection_ap", 1);
        json_decref(root);
        found.person[1] = found.person[2]; /* then only those who count are found */
        found.people = 2;
    }
}

/* ---- photos ---- */

/* With one matched person there are no pairs; the mean is that of the other photo. */
static void photo_with_one_person(void **state) {
    (void)state;
    Group truth[2] = {made_group(), made_group()}, found[2];
    give_boxes(&truth[0]);
    memcpy(found, truth, sizeof found);
    found[0].person[0].trans[2] = truth[0].person[1].trans[2];
    found[0].person[1].trans[2] = truth[0].person[0].trans[2];
    found[1].people = 1;
    json_t *root = eval_groups(found, truth, 2);
    const json_t *photos = json_object_get(result_of(root), "photos");
    check(root, "pcod", 5.0 / 6);
    check(root, "detection_recall", 5.0 / 8);
    assert_int_equal(json_array_size(photos), 2);
    const json_t *second = json_array_get(photos, 1);
    assert_string_equal(json_string_value(json_object_get(second, "photo")), "b.jpg");
    assert_true(json_is_null(json_object_get(second, "pcod")));
    assert_true(json_is_null(json_object_get(second, "pa_ppds")));
    assert_true(json_is_null(json_object_get(second, "ground_spread_m")));
    check_row(second, "root_error_mean_m", 0, 1e-9);
    check_row(second, "ss", 1, 1e-9);
    json_decref(root);
}

static void nobody_found(void **state) {
    (void)state;
    Group truth = made_group(), found = {.people = 0};
    json_t *root = eval_groups(&found, &truth, 1);
    check(root, "detection_recall", 0);
    check(root, "detection_ap50", 0);
    check(root, "rp", 0);
    check_undefined(root, "detection_precision");
    check_undefined(root, "oks");
    check_undefined(root, "mpjpe_mm");
    check_undefined(root, "pa_ppds");
    json_decref(root);
}

static void photos_in_common(void **state) {
    (void)state;
    Group g[2] = {made_group(), made_group()};
    CrowdrecEval o = {.predict = support_in_folder("other.json"),
                      .truth = support_in_folder("truth.json")};
    write_groups("truth.json", g, 2);
    write_groups("predict.json", g, 1);
    json_t *root = eval("predict.json", "truth.json");
    check(root, "people", PEOPLE);
    json_decref(root);
    if (file_write(o.predict, "{}\n", 3)) fail_msg("%s", error_reason());
    assert_int_equal(evaluate_run(&o, NULL), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "in common"));
}

/* ---- bodies ---- */

/* Results in another body: joints can be compared, vertices cannot. */
static void two_bodies(void **state) {
    (void)state;
    Group g = made_group();
    SmallBody *made = smallbody_new(72, 40);
    smallbody_write(made, support_in_folder("other.npz"));
    smallbody_free(made);
    give_boxes(&g);
    write_groups("truth.json", &g, 1);
    CrowdrecEval o = {.predict = support_in_folder("truth.json"),
                      .truth = support_in_folder("truth.json"),
                      .body = support_in_folder("other.npz"),
                      .output = support_in_folder("eval.json")};
    assert_int_equal(evaluate_run(&o, NULL), OK);
    json_t *root = support_read_json(o.output);
    check_undefined(root, "pve_mm");
    const json_t *total = json_object_get(result_of(root), "total");
    assert_true(support_number(total, "mpjpe_mm") > 1);
    json_decref(root);
    o.truth_body = o.body;
    assert_int_equal(evaluate_run(&o, NULL), OK);
    root = support_read_json(o.output);
    check(root, "pve_mm", 0);
    json_decref(root);
    o.truth_body = support_in_folder("absent.npz");
    assert_int_equal(evaluate_run(&o, NULL), ERR_MODEL);
    /* A truth without a body beside it is told in that of the results. */
    assert_int_equal(file_make_folder(support_in_folder("alone")), OK);
    write_groups("alone/truth.json", &g, 1);
    o.truth = support_in_folder("alone/truth.json"), o.truth_body = NULL;
    assert_int_equal(evaluate_run(&o, NULL), OK);
    o.body = NULL;
    assert_int_equal(evaluate_run(&o, NULL), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "--truth-body"));
}

/* --body-regressor says where joints are, on both sides where the two are told in one body. */
static void one_body_regressor(void **state) {
    (void)state;
    enum { VERTICES = 60 };
    static float weights[HALPE26_COUNT * VERTICES];
    for (int i = 0; i < HALPE26_COUNT; i++) weights[i * VERTICES + i] = 1;
    Array array = {.dtype = F32, .dims = 2, .dim = {HALPE26_COUNT, VERTICES}, .data = weights};
    Group g = made_group();
    give_boxes(&g);
    CrowdrecEval o = {.predict = support_in_folder("truth.json"),
                      .truth = support_in_folder("alone2/truth.json"),
                      .body = support_in_folder("body.npz"),
                      .body_regressor = support_in_folder("regressor.npy"),
                      .output = support_in_folder("eval.json")};
    assert_int_equal(file_make_folder(support_in_folder("alone2")), OK);
    assert_int_equal(file_write_npy(o.body_regressor, &array), OK);
    write_groups("truth.json", &g, 1);
    write_groups("alone2/truth.json", &g, 1);
    for (int same = 0; same < 2; same++) {
        o.truth_body = same ? support_in_folder("alone2/../body.npz") : NULL;
        if (evaluate_run(&o, NULL)) fail_msg("%s", error_reason());
        json_t *root = support_read_json(o.output);
        check(root, "mpjpe_mm", 0);
        check(root, "root_error_mean_m", 0);
        check(root, "bodies_matched", PEOPLE);
        json_decref(root);
    }
    o.body = NULL;
    assert_int_equal(evaluate_run(&o, NULL), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "--body-regressor: belongs to a body"));
}

/* ---- a folder of results ---- */

/* The truth's own joints as keypoints, all moved by so many pixels. */
static Crowd crowd_of(const Group *g, float shift) {
    Crowd crowd = {.photo = strdup(PHOTO), .width = WIDTH, .height = HEIGHT};
    for (int i = 0; i < g->people; i++) {
        Person *p = crowd_add(&crowd);
        double joint[HALPE26_COUNT][3];
        joints_of(&g->person[i], joint);
        p->score = 0.9f - 0.1f * (float)i;
        p->flags = PERSON_HAS_KEYPOINTS;
        for (int k = 0; k < 4; k++) p->box[k] = (float)g->person[i].box[k];
        for (int j = 0; j < HALPE26_COUNT; j++) {
            p->keypoints[j][0] = (float)(FOCAL * joint[j][0] / joint[j][2] + WIDTH / 2.0) + shift;
            p->keypoints[j][1] = (float)(FOCAL * joint[j][1] / joint[j][2] + HEIGHT / 2.0);
            p->keypoints[j][2] = 0.8f;
        }
    }
    return crowd;
}

/* Mean over COCO's 17 joints of exp(-d^2 / (2 area (2 sigma)^2)). */
static double oks_of_shift(double shift, const double box[4]) {
    static const double sigma[] = {26, 25, 25,  35,  35, 79, 79, 72, 72,
                                   62, 62, 107, 107, 87, 87, 89, 89};
    double area = (box[2] - box[0]) * (box[3] - box[1]), sum = 0;
    for (int i = 0; i < 17; i++) {
        double width = 2 * sigma[i] / 1000;
        sum += exp(-shift * shift / (2 * area * width * width));
    }
    return sum / 17;
}

/* Of the limits 0.5, 0.55 .. 0.95 those that the OKS of `least` people or more reaches. */
static double limits_reached(const Group *truth, double shift, int least) {
    int all = 0;
    for (int percent = 50; percent < 100; percent += 5) {
        int reached = 0;
        for (int i = 0; i < PEOPLE; i++)
            reached += oks_of_shift(shift, truth->person[i].box) >= percent / 100.0;
        all += reached >= least;
    }
    return all / 10.0;
}

static void folder_of_results(void **state) {
    (void)state;
    enum { SHIFT = 6 };
    Group truth = made_group();
    double want = 0;
    give_boxes(&truth);
    assert_int_equal(file_make_folder(support_in_folder("run")), OK);
    for (int i = 0; i < PEOPLE; i++) want += oks_of_shift(SHIFT, truth.person[i].box) / PEOPLE;
    double least = limits_reached(&truth, SHIFT, PEOPLE), most = limits_reached(&truth, SHIFT, 1);
    Crowd crowd = crowd_of(&truth, SHIFT);
    /* A fifth detection, of nobody and with the best score; it has no body. */
    Person *nobody = crowd_add(&crowd);
    *nobody = (Person){.box = {10, 10, 60, 200}, .score = 1};
    write_groups("truth.json", &truth, 1);
    assert_int_equal(coco_write(support_in_folder("run/detections.json"), COCO_BOXES, &crowd, 1),
                     OK);
    json_t *root = eval("run", "truth.json"); /* only boxes so far */
    check(root, "detection_precision", 0.8);
    check(root, "detection_ap50", 0.8);
    check_undefined(root, "rp");
    check_undefined(root, "keypoint_oks");
    json_decref(root);
    assert_int_equal(coco_write(support_in_folder("run/keypoints.json"), COCO_KEYPOINTS, &crowd, 1),
                     OK);
    write_groups("run/predict.json", &truth, 1);
    root = eval("run", "truth.json");
    check(root, "detection_precision", 0.8);
    check(root, "keypoint_oks", want);
    check(root, "keypoint_ap50", 1); /* the fifth one has no keypoints and so the least score */
    double ap = json_number_value(
        json_object_get(json_object_get(result_of(root), "total"), "keypoint_ap"));
    assert_true(least > 0 && most < 1 && least <= ap && ap <= most);
    check(root, "oks", 1);
    check(root, "rp", 0);
    json_decref(root);
    crowd_free(&crowd);
}

/* What is read is not written to. */
static void inputs_stay(void **state) {
    (void)state;
    Group truth = made_group();
    give_boxes(&truth);
    Crowd crowd = crowd_of(&truth, 0);
    assert_int_equal(file_make_folder(support_in_folder("read")), OK);
    write_groups("truth.json", &truth, 1);
    write_groups("read/predict.json", &truth, 1);
    assert_int_equal(
        coco_write(support_in_folder("read/keypoints.json"), COCO_KEYPOINTS, &crowd, 1), OK);
    static const char *const read[] = {"read/predict.json", "read/keypoints.json", "truth.json",
                                       "body.npz"};
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) {
        Bytes before, after;
        CrowdrecEval o = {.predict = support_in_folder("read"),
                          .truth = support_in_folder("truth.json"),
                          .output = support_in_folder(read[i])};
        assert_int_equal(file_read(o.output, 1 << 24, &before), OK);
        assert_int_equal(evaluate_run(&o, NULL), ERR_USAGE);
        assert_non_null(strstr(error_reason(), "would be overwritten by the results"));
        assert_non_null(strstr(error_reason(), read[i]));
        assert_int_equal(file_read(o.output, 1 << 24, &after), OK);
        assert_int_equal(before.size, after.size);
        assert_memory_equal(before.data, after.data, before.size);
        file_release(&before);
        file_release(&after);
    }
    crowd_free(&crowd);
}

/* Who is found and has no keypoints is left out, as in a keypoints.json. */
static void people_without_keypoints(void **state) {
    (void)state;
    enum { SHIFT = 6 };
    Group truth = made_group();
    give_boxes(&truth);
    double want = 0;
    for (int i = 1; i < PEOPLE; i++)
        want += oks_of_shift(SHIFT, truth.person[i].box) / (PEOPLE - 1);
    Crowd crowd = crowd_of(&truth, SHIFT);
    CHECK(crowd.person, "a crowd without people");
    crowd.person[0].flags = 0;
    memset(crowd.person[0].keypoints, 0, sizeof crowd.person[0].keypoints);
    GigaPhoto photo = {PHOTO,
                       {FOCAL, 0, WIDTH / 2.0, 0, FOCAL, HEIGHT / 2.0, 0, 0, 1},
                       truth.person,
                       truth.people};
    Score *score = score_new(NULL, body);
    ScoreRow total;
    score_add(score, &(ScorePhoto){.truth = &photo, .boxes = &crowd, .keypoints = &crowd});
    score_total(score, &total);
    support_near("keypoint_oks", total.value[SCORE_KEYPOINT_OKS], want, 1e-4);
    assert_int_equal(total.boxes_right, PEOPLE);
    score_free(score);
    crowd_free(&crowd);
}

/* Bodies get the boxes of as many detections: here the truth's, from which the vertices differ. */
static void bodies_take_the_detections_boxes(void **state) {
    (void)state;
    Group truth = made_group(), found = truth;
    give_boxes(&truth);
    assert_int_equal(file_make_folder(support_in_folder("boxes")), OK);
    Crowd crowd = crowd_of(&truth, 0);
    found.person[0].trans[0] += 3;
    write_groups("truth.json", &truth, 1);
    write_groups("boxes/predict.json", &found, 1);
    json_t *root = eval("boxes", "truth.json");
    check(root, "bodies_matched", 0);
    json_decref(root);
    assert_int_equal(coco_write(support_in_folder("boxes/detections.json"), COCO_BOXES, &crowd, 1),
                     OK);
    root = eval("boxes", "truth.json");
    check(root, "bodies_matched", PEOPLE);
    check(root, "root_error_mean_m", 0.75);
    json_decref(root);
    crowd_free(&crowd);
}

static void empty_folder(void **state) {
    (void)state;
    assert_int_equal(file_make_folder(support_in_folder("empty")), OK);
    Group g = made_group();
    write_groups("truth.json", &g, 1);
    CrowdrecEval o = {.predict = support_in_folder("empty"),
                      .truth = support_in_folder("truth.json")};
    assert_int_equal(evaluate_run(&o, NULL), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "predict.json"));
}

/* ---- hostile files ---- */

/* The truth with one thing wrong in its first person or photo. */
static void check_refused(const char *where, const char *key, json_t *value, const char *reason) {
    Group g = made_group();
    json_t *root = json_pack("{s:o}", PHOTO, group_json(&g)), *at = json_object_get(root, PHOTO);
    if (!strcmp(where, "person")) at = json_array_get(json_object_get(at, "person_list"), 0);
    if (value)
        json_object_set_new(at, key, value);
    else
        json_object_del(at, key);
    assert_int_equal(jsonfile_write(support_in_folder("bad.json"), JSONFILE_DOUBLE, root), OK);
    GigaFile file;
    if (gigacrowd_read(support_in_folder("bad.json"), &file) != ERR_INPUT)
        fail_msg("%s of a %s: not refused", key, where);
    if (!strstr(error_reason(), reason) || !strstr(error_reason(), "bad.json"))
        fail_msg("%s: '%s' without '%s'", key, error_reason(), reason);
    assert_null(file.arena);
}

static void hostile_entries(void **state) {
    (void)state;
    float numbers[CROWD_POSE] = {0};
    check_refused("person", "pose", NULL, "pose: expected 72 numbers");
    check_refused("person", "pose", jsonfile_floats(numbers, 71), "pose");
    check_refused("person", "pose", json_string("72"), "pose");
    check_refused("person", "shape",
                  json_pack("[s,i,i,i,i,i,i,i,i,i]", "x", 0, 0, 0, 0, 0, 0, 0, 0, 0), "shape");
    check_refused("person", "trans_cam", json_pack("[f,f,f]", 0.0, 0.0, 1e300), "trans_cam");
    check_refused("person", "trans_cam", json_pack("[f,f,n]", 0.0, 0.0), "trans_cam");
    check_refused("person", "scale_smpl", json_real(0), "scale_smpl");
    check_refused("person", "scale_smpl", json_string("1"), "scale_smpl");
    check_refused("person", "visible", json_real(1.5), "visible");
    check_refused("person", "bbox", json_pack("[i,i,i]", 1, 2, 3), "bbox");
    check_refused("person", "bbox", json_pack("[i,i,i,i]", 1, 2, 0, 4), "bbox");
    check_refused("photo", "person_list", json_object(), "person_list");
    check_refused("photo", "person_list", json_pack("[i]", 5), "person_list[0]");
    check_refused("photo", "Intrinsic_matrix", NULL, "Intrinsic_matrix");
    check_refused("photo", "Intrinsic_matrix",
                  json_pack("[[f,i,i],[i,f,i],[i,i,i]]", -5.0, 0, 0, 0, 5.0, 0, 0, 0, 1),
                  "Intrinsic_matrix");
    check_refused("photo", "Intrinsic_matrix", json_pack("[i,i,i]", 1, 2, 3), "Intrinsic_matrix");
}

static void hostile_texts(void **state) {
    (void)state;
    static const char *const text[] = {"",
                                       "[",
                                       "[]",
                                       "7",
                                       "null",
                                       "{\"a.jpg\": 5}",
                                       "{\"a.jpg\": []}",
                                       "{\"a.jpg\": {}}",
                                       "{\"a.jpg\": {}, \"a.jpg\": {}}",
                                       "\xff\xfe"};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        GigaFile file;
        if (gigacrowd_read(support_write_text("bad.json", text[i]), &file) != ERR_INPUT)
            fail_msg("'%s': not refused", text[i]);
        assert_non_null(strstr(error_reason(), "bad.json"));
    }
}

/* Numbers that are allowed and make no body: nothing breaks, nothing is NaN. */
static void absurd_numbers(void **state) {
    (void)state;
    Group truth = made_group(), found = truth;
    for (int k = 0; k < CROWD_POSE; k++) found.person[0].pose[k] = 1e6f;
    for (int k = 0; k < CROWD_BETAS; k++) found.person[1].betas[k] = -1e6f;
    for (int k = 0; k < 3; k++) found.person[2].trans[k] = 1e6f;
    found.person[3].scale = 1000;
    json_t *root = eval_groups(&found, &truth, 1);
    check(root, "people", PEOPLE);
    check(root, "bodies", PEOPLE);
    json_decref(root);
}

/* ---- reading back ---- */

static void crowd_and_file_agree(void **state) {
    (void)state;
    Group truth = made_group();
    give_boxes(&truth);
    Crowd crowd = crowd_of(&truth, 0);
    crowd.camera = (Camera){FOCAL, WIDTH / 2.0, HEIGHT / 2.0, ""};
    CHECK(crowd.person, "a crowd without people");
    for (int i = 1; i < PEOPLE; i++) { /* the first has no body */
        Person *p = &crowd.person[i];
        p->flags |= PERSON_HAS_BODY;
        memcpy(p->pose, truth.person[i].pose, sizeof p->pose);
        memcpy(p->betas, truth.person[i].betas, sizeof p->betas);
        memcpy(p->trans, truth.person[i].trans, sizeof p->trans);
    }
    GigaFile file;
    Arena *arena = arena_new();
    GigaPhoto own = gigacrowd_photo(&crowd, arena);
    assert_int_equal(jsonfile_write(support_in_folder("predict.json"), JSONFILE_DOUBLE,
                                    gigacrowd_json(&crowd, 1)),
                     OK);
    assert_int_equal(gigacrowd_read(support_in_folder("predict.json"), &file), OK);
    const GigaPhoto *read = gigacrowd_find(&file, PHOTO);
    assert_non_null(read);
    assert_null(gigacrowd_find(&file, "b.jpg"));
    assert_int_equal(own.people, PEOPLE - 1);
    assert_int_equal(read->people, PEOPLE - 1);
    support_close64("camera", read->camera, own.camera, 9, 0);
    for (int i = 0; i < own.people; i++) {
        const GigaPerson *a = &read->person[i], *b = &own.person[i];
        support_close("pose", a->pose, b->pose, CROWD_POSE, 0);
        support_close("betas", a->betas, b->betas, CROWD_BETAS, 0);
        support_close("trans", a->trans, b->trans, 3, 0);
        assert_true(b->has_box && !a->has_box && a->scale == 1 && a->visible == 1);
    }
    gigacrowd_free(&file);
    arena_free(arena);
    crowd_free(&crowd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perfect),
        cmocka_unit_test(shifted),
        cmocka_unit_test(one_moved),
        cmocka_unit_test(scaled),
        cmocka_unit_test(swapped),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(missing),
        cmocka_unit_test(redundant),
        cmocka_unit_test(behind_the_camera),
        cmocka_unit_test(people_who_do_not_count),
        cmocka_unit_test(photo_with_one_person),
        cmocka_unit_test(nobody_found),
        cmocka_unit_test(photos_in_common),
        cmocka_unit_test(two_bodies),
        cmocka_unit_test(one_body_regressor),
        cmocka_unit_test(folder_of_results),
        cmocka_unit_test(inputs_stay),
        cmocka_unit_test(people_without_keypoints),
        cmocka_unit_test(bodies_take_the_detections_boxes),
        cmocka_unit_test(empty_folder),
        cmocka_unit_test(hostile_entries),
        cmocka_unit_test(hostile_texts),
        cmocka_unit_test(absurd_numbers),
        cmocka_unit_test(crowd_and_file_agree),
    };
    return cmocka_run_group_tests(tests, prepare, finish);
}
