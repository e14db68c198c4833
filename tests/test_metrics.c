/* Evaluation metrics against the reference values, and where they are degenerate. */
#include "tests/support.h"

#include "crowdrec/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = 1e-9;

typedef const double (*Points)[3];
typedef const double (*Boxes)[4];
typedef const double (*Lsp)[LSP14_COUNT][3];

typedef struct {
    ArrayFile arrays;
    json_t *json;
} Fixture;

static Fixture fixture_open(void) {
    Fixture f = {support_arrays("fixtures_body/metrics/metrics.npz"), NULL};
    f.json = support_json("fixtures_body/metrics/metrics.json");
    return f;
}

static void fixture_close(Fixture *f) {
    array_file_free(&f->arrays);
    json_decref(f->json);
}

static int rows(const Fixture *f, const char *name) {
    return (int)support_array(&f->arrays, name)->dim[0];
}

/* The number at a path such as "ss/raw" or "oks/per_person/3". */
static double number(const Fixture *f, const char *path) {
    char text[128], *rest = text, *part;
    const json_t *at = f->json;
    snprintf(text, sizeof text, "%s", path);
    while ((part = strsep(&rest, "/")))
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(part)) : json_object_get(at, part);
    if (!json_is_number(at)) fail_msg("no number %s", path);
    return json_number_value(at);
}

static void close_to(const char *what, double got, double want) {
    support_near(what, got, want, TOLERANCE);
}

static double row_number(const Fixture *f, const char *path, int row) {
    char full[128];
    snprintf(full, sizeof full, "%s/%d", path, row);
    return number(f, full);
}

static void joint_errors(void **state) {
    (void)state;
    Fixture f = fixture_open();
    double *found = support_doubles(&f.arrays, "pose_pred"),
           *truth = support_doubles(&f.arrays, "pose_gt"),
           *confidence = support_doubles(&f.arrays, "pose_conf"), mpjpe[64], pa[64];
    int n = rows(&f, "pose_gt");
    assert_true(n <= 64);
    for (int i = 0; i < n; i++) {
        const double(*p)[3] = ((Lsp)found)[i], (*t)[3] = ((Lsp)truth)[i];
        const double *weight = confidence + LSP14_COUNT * i;
        double visible = 0;
        for (int k = 0; k < LSP14_COUNT; k++) visible += weight[k];
        mpjpe[i] = 1000 * metrics_mpjpe(p, t, NULL);
        pa[i] = 1000 * metrics_pa_mpjpe(p, t, LSP14_COUNT);
        double seen = 1000 * metrics_mpjpe(p, t, weight);
        close_to("mpjpe", mpjpe[i], row_number(&f, "mpjpe_mm/per_person", i));
        close_to("pa_mpjpe", pa[i], row_number(&f, "pa_mpjpe_mm/per_person", i));
        close_to("visible", seen, row_number(&f, "mpjpe_mm/per_person_conf_mean_over_visible", i));
        close_to("over 14", seen * visible / LSP14_COUNT,
                 row_number(&f, "mpjpe_mm/per_person_conf_zeroed_mean_over_14", i));
    }
    close_to("mean mpjpe", metrics_mean(mpjpe, n), number(&f, "mpjpe_mm/mean"));
    close_to("mean pa_mpjpe", metrics_mean(pa, n), number(&f, "pa_mpjpe_mm/mean"));
    free(found), free(truth), free(confidence);
    fixture_close(&f);
}

static void procrustes_of_each_person(void **state) {
    (void)state;
    Fixture f = fixture_open();
    double *found = support_doubles(&f.arrays, "pose_pred"),
           *truth = support_doubles(&f.arrays, "pose_gt"),
           *aligned = support_doubles(&f.arrays, "pose_pred_aligned"),
           *scale = support_doubles(&f.arrays, "procrustes_scale"),
           *rotation = support_doubles(&f.arrays, "procrustes_R"),
           *shift = support_doubles(&f.arrays, "procrustes_t");
    for (int i = 0; i < rows(&f, "pose_gt"); i++) {
        double out[LSP14_COUNT][3];
        MetricsSimilarity s = metrics_procrustes(((Lsp)found)[i], ((Lsp)truth)[i], LSP14_COUNT);
        metrics_transform(&s, ((Lsp)found)[i], LSP14_COUNT, out);
        close_to("scale", s.scale, scale[i]);
        support_close64("rotation", s.rotation, rotation + 9 * i, 9, TOLERANCE);
        support_close64("shift", s.shift, shift + 3 * i, 3, TOLERANCE);
        support_close64("aligned", &out[0][0], aligned + 3 * LSP14_COUNT * i, 3 * LSP14_COUNT,
                        TOLERANCE);
    }
    free(found), free(truth), free(aligned), free(scale), free(rotation), free(shift);
    fixture_close(&f);
}

/* The fixture's pelvis stands in as the mean of the first four vertices. */
static void pelvis(const double *vertices, double out[3]) {
    for (int k = 0; k < 3; k++)
        out[k] = (vertices[k] + vertices[3 + k] + vertices[6 + k] + vertices[9 + k]) / 4;
}

static void vertex_errors(void **state) {
    (void)state;
    Fixture f = fixture_open();
    double *found = support_doubles(&f.arrays, "verts_pred"),
           *truth = support_doubles(&f.arrays, "verts_gt");
    int v = (int)support_array(&f.arrays, "verts_gt")->dim[1];
    for (int i = 0; i < rows(&f, "verts_gt"); i++) {
        const double *a = found + 3 * v * i, *b = truth + 3 * v * i;
        double a0[3], b0[3];
        pelvis(a, a0);
        pelvis(b, b0);
        close_to("pve", 1000 * metrics_distance((Points)a, NULL, (Points)b, NULL, NULL, v),
                 row_number(&f, "pve_mm/raw", i));
        close_to("aligned pve", 1000 * metrics_distance((Points)a, a0, (Points)b, b0, NULL, v),
                 row_number(&f, "pve_mm/pelvis_aligned", i));
    }
    free(found), free(truth);
    fixture_close(&f);
}

/* The last person of the fixture has no labelled joint. */
static void keypoint_similarity(void **state) {
    (void)state;
    Fixture f = fixture_open();
    double *found = support_doubles(&f.arrays, "oks_pred_halpe26"),
           *truth = support_doubles(&f.arrays, "oks_gt_halpe26"),
           *area = support_doubles(&f.arrays, "oks_area"),
           *box = support_doubles(&f.arrays, "oks_bbox_xywh");
    const int *map = joints_map(JOINTS_COCO17, JOINTS_HALPE26);
    for (int i = 0; i < rows(&f, "oks_area"); i++) {
        double p[COCO17_COUNT][2], t[COCO17_COUNT][3];
        for (int k = 0; k < COCO17_COUNT; k++) {
            memcpy(p[k], found + 2 * (HALPE26_COUNT * i + map[k]), sizeof p[k]);
            memcpy(t[k], truth + 3 * (HALPE26_COUNT * i + map[k]), sizeof t[k]);
        }
        close_to("oks", metrics_oks((const double(*)[2])p, (Points)t, area[i], box + 4 * i),
                 row_number(&f, "oks/per_person", i));
    }
    free(found), free(truth), free(area), free(box);
    fixture_close(&f);
}

static void crowd_positions(void **state) {
    (void)state;
    Fixture f = fixture_open();
    double *found = support_doubles(&f.arrays, "roots_pred"),
           *truth = support_doubles(&f.arrays, "roots_gt"),
           *aligned = support_doubles(&f.arrays, "roots_pred_aligned");
    int n = rows(&f, "roots_gt");
    double(*out)[3] = calloc((size_t)n, sizeof *out);
    assert_non_null(out);
    MetricsSimilarity s = metrics_procrustes((Points)found, (Points)truth, n);
    metrics_transform(&s, (Points)found, n, out);
    close_to("scale", s.scale, number(&f, "crowd_procrustes/scale"));
    for (int i = 0; i < 9; i++) {
        char path[64];
        snprintf(path, sizeof path, "crowd_procrustes/R/%d/%d", i / 3, i % 3);
        close_to(path, s.rotation[i], number(&f, path));
    }
    for (int i = 0; i < 3; i++) close_to("t", s.shift[i], row_number(&f, "crowd_procrustes/t", i));
    support_close64("aligned", &out[0][0], aligned, 3 * (size_t)n, TOLERANCE);
    close_to("ppds", metrics_ppds((Points)found, (Points)truth, n), number(&f, "ppds"));
    close_to("pa_ppds", metrics_pa_ppds((Points)found, (Points)truth, n), number(&f, "pa_ppds"));
    free(found), free(truth), free(aligned), free(out);
    fixture_close(&f);
}

static void depth_order(void **state) {
    static const char PREFIX[] = "threshold_";
    const char *key;
    json_t *value;
    (void)state;
    Fixture f = fixture_open();
    double *found = support_doubles(&f.arrays, "depth_pred"),
           *truth = support_doubles(&f.arrays, "depth_gt");
    json_object_foreach(support_get(f.json, "pcod"), key, value) {
        double limit = atof(key + sizeof PREFIX - 1);
        close_to(key, metrics_pcod(found, truth, rows(&f, "depth_gt"), limit),
                 json_number_value(value));
    }
    free(found), free(truth);
    fixture_close(&f);
}

static void sizes(void **state) {
    (void)state;
    Fixture f = fixture_open();
    double *found = support_doubles(&f.arrays, "height_pred"),
           *truth = support_doubles(&f.arrays, "height_gt");
    double scale = number(&f, "crowd_procrustes/scale");
    int n = rows(&f, "height_gt");
    close_to("raw", metrics_ss(found, truth, n, 1), number(&f, "ss/raw"));
    close_to("scaled", metrics_ss(found, truth, n, scale), number(&f, "ss/after_pa_scale"));
    for (int i = 0; i < n; i++)
        close_to("one", metrics_ss(found + i, truth + i, 1, scale),
                 row_number(&f, "ss/after_pa_scale_per_person", i));
    free(found), free(truth);
    fixture_close(&f);
}

static void matching(void **state) {
    (void)state;
    Fixture f = fixture_open();
    double *found = support_doubles(&f.arrays, "match_pred_boxes"),
           *truth = support_doubles(&f.arrays, "match_gt_boxes"),
           *pairs = support_doubles(&f.arrays, "match_pairs"),
           *overlap = support_doubles(&f.arrays, "match_iou");
    int founds = rows(&f, "match_pred_boxes"), truths = rows(&f, "match_gt_boxes");
    MetricsPair *pair = calloc((size_t)truths, sizeof *pair);
    assert_non_null(pair);
    int n = metrics_match((Boxes)truth, truths, (Boxes)found, founds, pair);
    assert_int_equal(n, rows(&f, "match_pairs"));
    for (int i = 0; i < n; i++) {
        assert_int_equal(pair[i].truth, (int)pairs[2 * i]);
        assert_int_equal(pair[i].found, (int)pairs[2 * i + 1]);
        close_to("iou", pair[i].iou, overlap[i]);
    }
    close_to("rp", metrics_rp(n, founds), number(&f, "rp/rp"));
    free(found), free(truth), free(pairs), free(overlap), free(pair);
    fixture_close(&f);
}

/* ---- without fixtures ---- */

static const double SHAPE[6][3] = {{0, 0, 0},      {1, 0.25, 0},   {0.5, 1, -2},
                                   {-1, 2, 0.125}, {3, -1, -0.75}, {0.5, 0.5, 1.5}};

static void procrustes_finds_a_known_similarity(void **state) {
    (void)state;
    const MetricsSimilarity want = {1.75, {0.6, 0, 0.8, 0, 1, 0, -0.8, 0, 0.6}, {5, -7, 30}};
    double moved[6][3], mirrored[6][3];
    metrics_transform(&want, SHAPE, 6, moved);
    MetricsSimilarity got = metrics_procrustes(SHAPE, (Points)moved, 6);
    close_to("scale", got.scale, want.scale);
    support_close64("rotation", got.rotation, want.rotation, 9, 1e-12);
    support_close64("shift", got.shift, want.shift, 3, 1e-12);
    /* A mirror image is no similarity: the best rotation stays one, and an error remains. */
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 3; k++) mirrored[i][k] = k ? SHAPE[i][k] : -SHAPE[i][k];
    got = metrics_procrustes(SHAPE, (Points)mirrored, 6);
    const double *r = got.rotation;
    double det = r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) +
                 r[2] * (r[3] * r[7] - r[4] * r[6]);
    close_to("determinant", det, 1);
    assert_true(metrics_pa_mpjpe(SHAPE, (Points)mirrored, 6) > 0.1);
}

static void procrustes_of_degenerate_points(void **state) {
    (void)state;
    const double same[3][3] = {{1, 2, 3}, {1, 2, 3}, {1, 2, 3}};
    const double line[3][3] = {{0, 0, 0}, {1, 1, 1}, {3, 3, 3}};
    const double other_line[3][3] = {{0, 2, 0}, {0, 4, 0}, {0, 8, 0}};
    MetricsSimilarity s = metrics_procrustes(same, line, 3);
    assert_true(s.scale == 0);
    for (int k = 0; k < 3; k++) close_to("centre", s.shift[k], 4.0 / 3);
    close_to("line", metrics_pa_mpjpe(line, other_line, 3), 0);
    close_to("one point", metrics_pa_mpjpe(same, line, 1), 0);
    close_to("gathered crowd", metrics_pa_ppds(same, line, 3), 0);
}

static void too_few_people_are_undefined(void **state) {
    (void)state;
    const double depth[2] = {3, 3}, hidden[LSP14_COUNT] = {0};
    const double joints[LSP14_COUNT][3] = {{0}}, same[2][3] = {{1, 1, 1}, {1, 1, 1}};
    for (int n = 0; n < 2; n++) {
        assert_true(isnan(metrics_ppds(SHAPE, SHAPE, n)));
        assert_true(isnan(metrics_pa_ppds(SHAPE, SHAPE, n)));
        assert_true(isnan(metrics_pcod(depth, depth, n, 0.3)));
    }
    assert_true(isnan(metrics_ppds(SHAPE, same, 2)));
    assert_true(isnan(metrics_ss(depth, depth, 0, 1)));
    assert_true(isnan(metrics_mpjpe(joints, joints, hidden)));
    assert_true(metrics_rp(0, 0) == 0);
    close_to("perfect", metrics_ppds(SHAPE, SHAPE, 6), 1);
    close_to("scaled", metrics_pa_ppds(SHAPE, SHAPE, 6), 1);
    /* Equal depths are wrong unless the threshold saves them. */
    assert_true(metrics_pcod(depth, depth, 2, 0) == 0);
    assert_true(metrics_pcod(depth, depth, 2, 0.3) == 1);
}

static void undefined_frames_are_left_out(void **state) {
    (void)state;
    const double value[4] = {NAN, 1, NAN, 4};
    close_to("mean", metrics_mean(value, 4), 2.5);
    assert_true(isnan(metrics_mean(value, 1)));
}

static void ties_go_to_lower_indices(void **state) {
    (void)state;
    const double box[3][4] = {{0, 0, 10, 10}, {0, 0, 10, 10}, {0, 0, 10, 10}};
    const double empty[1][4] = {{3, 3, 3, 3}}, half[1][4] = {{0, 0, 10, 5}};
    MetricsPair pair[3];
    assert_int_equal(metrics_match(box, 2, box, 3, pair), 2);
    for (int i = 0; i < 2; i++) assert_true(pair[i].truth == i && pair[i].found == i);
    assert_int_equal(metrics_match(box, 1, half, 1, pair), 1); /* an IoU of exactly 0.5 */
    assert_int_equal(metrics_match(empty, 1, empty, 1, pair), 0);
    assert_int_equal(metrics_match(box, 3, box, 0, pair), 0);
}

static void height_is_the_extent_in_y(void **state) {
    (void)state;
    const float vertices[3][3] = {{9, -1.25f, 0}, {0, 0.5f, -9}, {0, 0, 0}};
    close_to("height", metrics_height(&vertices[0][0], 3), 1.75);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joint_errors),
        cmocka_unit_test(procrustes_of_each_person),
        cmocka_unit_test(vertex_errors),
        cmocka_unit_test(keypoint_similarity),
        cmocka_unit_test(crowd_positions),
        cmocka_unit_test(depth_order),
        cmocka_unit_test(sizes),
        cmocka_unit_test(matching),
        cmocka_unit_test(procrustes_finds_a_known_similarity),
        cmocka_unit_test(procrustes_of_degenerate_points),
        cmocka_unit_test(too_few_people_are_undefined),
        cmocka_unit_test(undefined_frames_are_left_out),
        cmocka_unit_test(ties_go_to_lower_indices),
        cmocka_unit_test(height_is_the_extent_in_y),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
