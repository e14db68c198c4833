/* Crowd losses and their gradients against fixtures_body/refine/losses, group ranges and the stop
 * rule against rules.json. */
#include "tests/support.h"

#include "autograd/plan.h"
#include "crowdrec/group.h"
#include "crowdrec/losses.h"
#include "crowdrec/refine.h"
#include "crowdrec/trainmesh.h"
#include "smpl/contract.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Graph *graph;
    Scope m;
    LossBodies bodies;
    Tensor *betas;
    LossTargets targets;
    LossTerms terms;
    Plan *plan;
} Setup;

static Tensor *input(const Setup *s, const char *name, int n, int w, int c) {
    return graph_input(s->graph, name, F32, (Shape){n, 1, w, c});
}

static Setup setup_new(const LossWeights *w, int n) {
    Setup s = {.graph = graph_new()};
    s.m = (Scope){.graph = s.graph};
    s.bodies.joints = input(&s, "joints", n, 26, 3);
    s.bodies.projected = input(&s, "projected", n, 26, 2);
    s.bodies.rotations = input(&s, "rotations", n, 24, 9);
    s.bodies.angles = input(&s, "angles", n, 24, 3);
    s.betas = input(&s, "betas", n, 1, 10);
    s.targets = losses_targets(&s.m, n, w->pose_as_matrices);
    s.terms = losses_build(&s.m, w, &s.bodies, s.betas, &s.targets);
    Tensor *pose = w->pose_as_matrices ? s.bodies.rotations : s.bodies.angles;
    Tensor *wrt[] = {s.bodies.joints, s.bodies.projected, pose, s.betas};
    Tensor *keep[] = {s.terms.crowd, s.terms.keypoints, s.terms.betas, s.terms.pose};
    PlanOptions o = {.loss = s.terms.total, .keep = keep, .keeps = 4, .wrt = wrt, .wrts = 4};
    if (plan_new(s.graph, &backend_ref, &o, &s.plan) != OK) fail_msg("%s", error_reason());
    return s;
}

static void setup_free(Setup *s) {
    plan_free(s->plan);
    graph_free(s->graph);
}

static void write_array(const Setup *s, const Tensor *t, const ArrayFile *f, const char *name) {
    double *v = support_doubles(f, name);
    plan_write(s->plan, t, F64, v);
    free(v);
}

/* keypoints_detected is [n,26,3]: x, y, confidence. */
static void write_keypoints(const Setup *s, const ArrayFile *f, bool confident) {
    double *v = support_doubles(f, "keypoints_detected");
    size_t n = array_size(support_array(f, "keypoints_detected")) / 3;
    double *xy = malloc(2 * n * sizeof *xy), *confidence = malloc(n * sizeof *confidence);
    for (size_t i = 0; i < n; i++) {
        xy[2 * i] = v[3 * i], xy[2 * i + 1] = v[3 * i + 1];
        confidence[i] = confident ? 1 : v[3 * i + 2];
    }
    plan_write(s->plan, s->targets.keypoints, F64, xy);
    plan_write(s->plan, s->targets.confidence, F64, confidence);
    free(xy);
    free(confidence);
    free(v);
}

static void write_common(const Setup *s, const ArrayFile *f) {
    write_array(s, s->bodies.joints, f, "joints");
    write_array(s, s->bodies.projected, f, "keypoints_pred");
    write_array(s, s->betas, f, "betas");
    write_array(s, s->targets.betas, f, "betas_init");
}

static double read_one(const Setup *s, const Tensor *t) {
    double v;
    plan_read(s->plan, t, F64, &v);
    return v;
}

static void check_value(const char *name, double got, double want) {
    support_near(name, got, want, 1e-7 * want);
}

static void check_gradient(const Setup *s, const Tensor *t, const ArrayFile *f, const char *name) {
    size_t n = shape_size(t->shape);
    double *got = malloc(n * sizeof *got), *want = support_doubles(f, name), largest = 0;
    plan_read_gradient(s->plan, t, F64, got);
    for (size_t i = 0; i < n; i++) largest = want[i] > largest ? want[i] : largest;
    support_close64(name, got, want, n, 1e-7 * largest + 1e-15);
    free(got);
    free(want);
}

static void released_losses(void **state) {
    (void)state;
    ArrayFile f = support_arrays("fixtures_body/refine/losses.npz");
    json_t *root = support_json("fixtures_body/refine/losses.json");
    json_t *values = json_object_get(root, "values");
    const LossWeights *w = refine_recipe_weights(refine_recipe("released"));
    Setup s = setup_new(w, (int)json_integer_value(json_object_get(root, "N")));
    write_common(&s, &f);
    write_keypoints(&s, &f, false);
    write_array(&s, s.bodies.rotations, &f, "code_rotmat");
    write_array(&s, s.targets.pose, &f, "code_crowd_target_rotmat");
    plan_run(s.plan);
    const Tensor *term[] = {s.terms.pose, s.terms.betas, s.terms.keypoints, s.terms.crowd,
                            s.terms.total};
    static const char *const name[] = {"code.pose_Loss.x60", "code.shape_Loss.x60",
                                       "code.keyp_Loss.x60", "code.plane_loss.x60",
                                       "code.total_x60"};
    for (int i = 0; i < 5; i++)
        check_value(name[i], read_one(&s, term[i]), support_number(values, name[i]));
    check_gradient(&s, s.bodies.joints, &f, "code_grad_joints");
    check_gradient(&s, s.bodies.projected, &f, "code_grad_keypoints");
    check_gradient(&s, s.bodies.rotations, &f, "code_grad_rotmat");
    check_gradient(&s, s.betas, &f, "code_grad_betas");
    setup_free(&s);
    json_decref(root);
    array_file_free(&f);
}

/* The reference prints the paper's sums for full confidence and, separately, the weighted
 * keypoints. */
static void paper_losses(void **state) {
    (void)state;
    ArrayFile f = support_arrays("fixtures_body/refine/losses.npz");
    json_t *root = support_json("fixtures_body/refine/losses.json");
    json_t *values = json_object_get(root, "values");
    const LossWeights *w = refine_recipe_weights(refine_recipe("paper"));
    Setup s = setup_new(w, (int)json_integer_value(json_object_get(root, "N")));
    write_common(&s, &f);
    write_array(&s, s.bodies.angles, &f, "pose");
    write_array(&s, s.targets.pose, &f, "pose_init");
    write_keypoints(&s, &f, false);
    plan_run(s.plan);
    const char *weighted = "paper.L_keyp_conf_weighted_sum";
    check_value(weighted, read_one(&s, s.terms.keypoints) / w->keypoints,
                support_number(values, weighted));
    write_keypoints(&s, &f, true);
    plan_run(s.plan);
    static const char *const name[] = {
        "crowd.std_unbiased", "paper.L_keyp_sum_over_joints_mean_over_people",
        "paper.beta_term_mean_over_people", "paper.theta_term_axis_angle",
        "paper.total_sensible_unbiased"};
    const double got[] = {read_one(&s, s.terms.crowd) / w->crowd,
                          read_one(&s, s.terms.keypoints) / w->keypoints,
                          read_one(&s, s.terms.betas) / w->betas,
                          read_one(&s, s.terms.pose) / w->pose, read_one(&s, s.terms.total)};
    for (int i = 0; i < 5; i++) check_value(name[i], got[i], support_number(values, name[i]));
    check_gradient(&s, s.bodies.projected, &f, "paper_sensible_population_grad_keypoints");
    check_gradient(&s, s.bodies.angles, &f, "paper_sensible_population_grad_pose");
    check_gradient(&s, s.betas, &f, "paper_sensible_population_grad_betas");
    setup_free(&s);
    json_decref(root);
    array_file_free(&f);
}

static void crowd_loss_alone(void **state) {
    (void)state;
    ArrayFile f = support_arrays("fixtures_body/refine/losses.npz");
    Graph *g = graph_new();
    Scope m = {.graph = g};
    int n = (int)support_array(&f, "joints")->dim[0];
    Tensor *joints = graph_input(g, "joints", F32, (Shape){n, 1, 26, 3});
    PlanOptions o = {.loss = losses_crowd(&m, joints, 0), .wrt = &joints, .wrts = 1};
    Setup s = {.graph = g};
    assert_int_equal(plan_new(g, &backend_ref, &o, &s.plan), OK);
    write_array(&s, joints, &f, "joints");
    plan_run(s.plan);
    check_gradient(&s, joints, &f, "grad_joints_std_unbiased");
    setup_free(&s);
    array_file_free(&f);
}

/* ---- pre-training ---- */

enum { TRAINED = 2, TRAINING_TERMS = 6 };

typedef struct {
    ArrayFile targets, crops;
    json_t *json;
    Body *body;
    Graph *graph;
    Scope m;
    Plan *plan;
    LossPrediction p;
    LossTargets place;
    LossTruth truth;
    Tensor *term[TRAINING_TERMS];
} Training;

static const char *const training_term[TRAINING_TERMS] = {"reproj", "smpl_pose", "smpl_betas",
                                                          "joint",  "verts",     "total"};

static Tensor *people_input(const Training *t, const char *name, int w, int c) {
    return graph_input(t->graph, name, F32, (Shape){TRAINED, 1, w, c});
}

static void training_graph(Training *t) {
    t->graph = graph_new();
    t->m = (Scope){.graph = t->graph};
    t->p = (LossPrediction){people_input(t, "pose6d", 24, 6), people_input(t, "betas", 1, 10),
                            people_input(t, "cam", 1, 3)};
    t->place = losses_targets(&t->m, TRAINED, true);
    t->truth = (LossTruth){people_input(t, "kp", 26, 2),        people_input(t, "sure", 26, 1),
                           people_input(t, "rotations", 24, 9), people_input(t, "betas_gt", 1, 10),
                           people_input(t, "j3d", 26, 4),       people_input(t, "has", 1, 2)};
    int v = t->body->vertices;
    float *one = calloc((size_t)v * (size_t)v, sizeof *one);
    assert_non_null(one);
    for (int i = 0; i < v; i++) one[i * v + i] = 1;
    BodyTables all = contract_regressor(t->body, graph_arena(t->graph), one, v);
    free(one);
    LossBodies bodies = losses_bodies(&t->m, t->body, &t->p, &t->place);
    LossTraining l = losses_training(&t->m, &losses_paper_weights, t->body, &all, &bodies,
                                     t->p.betas, &t->truth);
    Tensor *term[] = {l.keypoints, l.pose, l.betas, l.joints, l.vertices, l.total};
    memcpy(t->term, term, sizeof term);
    Tensor *wrt[] = {t->p.pose6d, t->p.betas, t->p.cam};
    PlanOptions o = {
        .loss = l.total, .keep = t->term, .keeps = TRAINING_TERMS, .wrt = wrt, .wrts = 3};
    if (plan_new(t->graph, &backend_ref, &o, &t->plan) != OK) fail_msg("%s", error_reason());
}

static void training_write(const Training *t, const Tensor *to, const ArrayFile *f,
                           const char *name) {
    double *v = support_doubles(f, name);
    assert_int_equal(array_size(support_array(f, name)), shape_size(to->shape));
    plan_write(t->plan, to, F64, v);
    free(v);
}

/* x, y, confidence apart. */
static void training_keypoints(const Training *t) {
    double *v = support_doubles(&t->targets, "gt_kp"), xy[TRAINED * 52], sure[TRAINED * 26];
    for (int i = 0; i < TRAINED * 26; i++) {
        xy[2 * i] = v[3 * i], xy[2 * i + 1] = v[3 * i + 1];
        sure[i] = v[3 * i + 2];
    }
    plan_write(t->plan, t->truth.keypoints, F64, xy);
    plan_write(t->plan, t->truth.confidence, F64, sure);
    free(v);
}

static void training_rotations(const Training *t) {
    double *v = support_doubles(&t->targets, "gt_pose");
    float pose[CROWD_POSE], rotations[TRAINED * 24 * 9];
    for (int i = 0; i < TRAINED; i++) {
        for (int k = 0; k < CROWD_POSE; k++) pose[k] = (float)v[i * CROWD_POSE + k];
        trainmesh_pose(&(Augment){.size = 1}, pose, rotations + i * 24 * 9);
    }
    plan_write(t->plan, t->truth.rotations, F32, rotations);
    free(v);
}

/* Centre, height 200*scale, image size and focal length of the two crops. */
static void training_places(const Training *t) {
    double *center = support_doubles(&t->crops, "center"), *h = support_doubles(&t->crops, "img_h"),
           *scale = support_doubles(&t->crops, "scale"), *w = support_doubles(&t->crops, "img_w"),
           *f = support_doubles(&t->crops, "focal_length"), height[TRAINED];
    double box[TRAINED * 6], intrinsics[TRAINED * 3];
    for (int i = 0; i < TRAINED; i++) {
        height[i] = 200 * scale[i];
        const double b[] = {center[2 * i], center[2 * i + 1], height[i], w[i], h[i], f[i]};
        const double k[] = {f[i], w[i] / 2, h[i] / 2};
        memcpy(box + 6 * i, b, sizeof b);
        memcpy(intrinsics + 3 * i, k, sizeof k);
    }
    plan_write(t->plan, t->place.box, F64, box);
    plan_write(t->plan, t->place.intrinsics, F64, intrinsics);
    plan_write(t->plan, t->place.center, F64, center);
    plan_write(t->plan, t->place.height, F64, height);
    double *all[] = {center, h, scale, w, f};
    for (int i = 0; i < 5; i++) free(all[i]);
}

static void training_check(const Training *t, const char *masks) {
    const json_t *mask = json_object_get(json_object_get(t->json, "masks"), masks);
    const json_t *want = json_object_get(json_object_get(t->json, "terms_by_mask"), masks);
    double has[2 * TRAINED];
    assert_non_null(want);
    for (size_t i = 0; i < TRAINED; i++) {
        has[2 * i] = support_number_at(json_object_get(mask, "has_smpl"), i);
        has[2 * i + 1] = support_number_at(json_object_get(mask, "has_3d"), i);
    }
    plan_write(t->plan, t->truth.has, F64, has);
    plan_run(t->plan);
    for (int k = 0; k < TRAINING_TERMS; k++) {
        double got, value = support_number(want, training_term[k]);
        plan_read(t->plan, t->term[k], F64, &got);
        support_near(training_term[k], got, value, 1e-5 * value + 1e-12);
    }
}

static void training_gradient(const Training *t, const Tensor *head, const char *name) {
    double *want = support_doubles(&t->targets, name), got[TRAINED * 144], largest = 0;
    size_t n = shape_size(head->shape);
    plan_read_gradient(t->plan, head, F64, got);
    for (size_t i = 0; i < n; i++) largest = want[i] > largest ? want[i] : largest;
    support_close64(name, got, want, n, 1e-4 * largest);
    free(want);
}

static void training_losses(void **state) {
    (void)state;
    Training t = {.targets = support_arrays("fixtures_body/pretrain/pretrain.npz"),
                  .crops = support_arrays("fixtures_body/cliff/cliff_hr48_forward.npz"),
                  .json = support_json("fixtures_body/pretrain/pretrain.json")};
    if (body_load(support_fixture("fixtures_body/smpl/body_stored.npz"),
                  support_fixture("fixtures_body/smpl/J_regressor_halpe.npy"), &t.body) != OK)
        fail_msg("%s", error_reason());
    training_graph(&t);
    training_write(&t, t.p.pose6d, &t.targets, "bn_train_no_dropout_pose6d");
    training_write(&t, t.p.betas, &t.targets, "bn_train_no_dropout_shape");
    training_write(&t, t.p.cam, &t.targets, "bn_train_no_dropout_cam");
    training_write(&t, t.truth.betas, &t.targets, "gt_betas");
    training_write(&t, t.truth.joints, &t.targets, "gt_j3d");
    training_keypoints(&t);
    training_rotations(&t);
    training_places(&t);
    training_check(&t, "B");
    training_check(&t, "C");
    training_check(&t, "D");
    training_gradient(&t, t.p.pose6d, "headgrad_D_total_pose6d");
    training_gradient(&t, t.p.betas, "headgrad_D_total_shape");
    training_gradient(&t, t.p.cam, "headgrad_D_total_cam");
    training_check(&t, "A");
    training_gradient(&t, t.p.pose6d, "headgrad_A_total_pose6d");
    training_gradient(&t, t.p.cam, "headgrad_A_total_cam");
    plan_free(t.plan);
    graph_free(t.graph);
    body_free(t.body);
    json_decref(t.json);
    array_file_free(&t.targets);
    array_file_free(&t.crops);
}

/* One person has no spread: loss and gradient are 0, not NaN. */
static void one_person_has_no_spread(void **state) {
    (void)state;
    Graph *g = graph_new();
    Scope m = {.graph = g};
    Tensor *joints = graph_input(g, "joints", F32, (Shape){1, 1, 26, 3});
    Tensor *l = losses_crowd(&m, joints, 0);
    Plan *plan;
    PlanOptions o = {.loss = l, .wrt = &joints, .wrts = 1};
    assert_int_equal(plan_new(g, &backend_ref, &o, &plan), OK);
    double value[78], gradient[78], zero[78] = {0}, got;
    for (int i = 0; i < 78; i++) value[i] = 0.1 * i;
    plan_write(plan, joints, F64, value);
    plan_run(plan);
    plan_read(plan, l, F64, &got);
    plan_read_gradient(plan, joints, F64, gradient);
    support_close64("loss", &got, zero, 1, 0);
    support_close64("gradient", gradient, zero, 78, 0);
    plan_free(plan);
    graph_free(g);
}

/* Bodies that all lean by ten degrees on level ground: their axis sees metres of height between
 * near and far.  With the roots' plane, roots learn from the bumps alone, and bodies to stand up.
 */
static void plane_of_the_roots(void **state) {
    (void)state;
    enum { N = 20 };
    double joints[N][26][3] = {{{0}}}, gradient[N][26][3], loss[2], sum[3] = {0};
    for (int i = 0; i < N; i++) {
        double bump = i % 2 ? 0.1 : -0.1, x = i % 5 - 2, z = 20 + 3 * i;
        double *hip = joints[i][HALPE26_HIP], *head = joints[i][HALPE26_HEAD];
        hip[0] = x, hip[1] = 5 + bump, hip[2] = z;
        head[0] = x, head[1] = hip[1] - cos(0.17), head[2] = z + sin(0.17);
        for (int k = 0; k < 3; k++)
            joints[i][HALPE26_L_ANKLE][k] = joints[i][HALPE26_R_ANKLE][k] = 2 * hip[k] - head[k];
    }
    for (int way = 0; way < 2; way++) {
        Graph *g = graph_new();
        Scope m = {.graph = g};
        Tensor *input = graph_input(g, "joints", F32, (Shape){N, 1, 26, 3});
        Tensor *l = losses_crowd(&m, input, way ? CROWD_AXIS_WORTH : 0);
        Plan *plan;
        PlanOptions o = {.loss = l, .wrt = &input, .wrts = 1};
        assert_int_equal(plan_new(g, &backend_ref, &o, &plan), OK);
        plan_write(plan, input, F64, joints);
        plan_run(plan);
        plan_read(plan, l, F64, &loss[way]);
        plan_read_gradient(plan, input, F64, gradient);
        plan_free(plan);
        graph_free(g);
    }
    assert_true(loss[0] > 2);
    assert_true(loss[1] - loss[0] > 0.09 && loss[1] - loss[0] < 0.12);
    for (int i = 0; i < N; i++) {
        assert_true(gradient[i][HALPE26_HEAD][2] > 0 && gradient[i][HALPE26_L_ANKLE][2] < 0);
        for (int k = 0; k < 3; k++) sum[k] += gradient[i][HALPE26_HIP][k];
        assert_true((gradient[i][HALPE26_HIP][1] > 0) == (i % 2 > 0));
    }
    support_close64("sum of the roots' gradients", sum, (double[3]){0}, 3, 1e-12);
}

static void check_split(const json_t *batch, const char *key) {
    Group group[64];
    const json_t *want = json_object_get(batch, key);
    int people = (int)json_integer_value(json_object_get(batch, "people"));
    int count = group_split(people, 50, group, 64);
    assert_int_equal(count, json_array_size(want));
    for (int i = 0; i < count; i++) {
        const json_t *range = json_array_get(want, (size_t)i);
        assert_int_equal(group[i].first, json_integer_value(json_array_get(range, 0)));
        assert_int_equal(group[i].end, json_integer_value(json_array_get(range, 1)));
    }
}

static void groups_match_reference(void **state) {
    (void)state;
    json_t *root = support_json("fixtures_body/refine/rules.json");
    const json_t *batches = json_object_get(root, "batches");
    assert_true(json_array_size(batches) > 0);
    for (size_t i = 0; i < json_array_size(batches); i++)
        check_split(json_array_get(batches, i), "demo_rule");
    json_decref(root);
}

/* Whatever the size: everybody is in a group, none is larger, and only the last one overlaps. */
static void groups_keep_to_their_size(void **state) {
    (void)state;
    Group group[64];
    for (int size = 1; size <= 20; size++)
        for (int people = 1; people <= 40; people++) {
            int count = group_split(people, size, group, 64);
            assert_int_equal(count, (people + size - 1) / size);
            assert_int_equal(group[count - 1].end, people);
            for (int i = 0; i < count; i++) {
                int length = group[i].end - group[i].first;
                assert_true(length > 0 && length <= size);
                if (i < count - 1) assert_int_equal(group[i].first, i * size);
                if (i) assert_true(group[i].first <= group[i - 1].end);
            }
        }
}

static int passes_until_stop(const json_t *row) {
    const json_t *losses = json_object_get(row, "losses");
    int total = (int)json_integer_value(json_object_get(row, "total"));
    GroupStop stop = {0};
    for (size_t i = 0; i < json_array_size(losses); i++)
        if (group_stop(&stop, support_number_at(losses, i), total)) return (int)i + 1;
    return -1;
}

static void stop_rule_matches_reference(void **state) {
    (void)state;
    json_t *root = support_json("fixtures_body/refine/rules.json");
    const json_t *rows = json_object_get(root, "stop");
    assert_true(json_array_size(rows) > 0);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *want = json_object_get(json_array_get(rows, i), "iterations");
        int passes = json_is_null(want) ? -1 : (int)json_integer_value(want);
        assert_int_equal(passes_until_stop(json_array_get(rows, i)), passes);
    }
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(released_losses),
        cmocka_unit_test(paper_losses),
        cmocka_unit_test(crowd_loss_alone),
        cmocka_unit_test(one_person_has_no_spread),
        cmocka_unit_test(plane_of_the_roots),
        cmocka_unit_test(training_losses),
        cmocka_unit_test(groups_match_reference),
        cmocka_unit_test(groups_keep_to_their_size),
        cmocka_unit_test(stop_rule_matches_reference),
    };
    return cmocka_run_group_tests_name("losses", tests, NULL, NULL);
}
