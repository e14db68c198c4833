/* Refinement as a whole: the reference's trajectories (every loss term, rate, decay, translation,
 * the change of the weights, final bodies), groups that carry on, the exact two-pass gradient, and
 * iterations whose losses are read together. */
#include "tests/support.h"

#include "autograd/schedule.h"
#include "crowdrec/iterate.h"
#include "crowdrec/refine.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 256, WIDTH = 192 };

typedef struct {
    NetSpec net;
    Params *params;
    Body *body;
    People people;
} World;

static float *copy(const float *values, size_t n) {
    float *out = malloc((n + 1) * sizeof *out);
    assert_non_null(out);
    return n ? memcpy(out, values, n * sizeof *out) : out;
}

/* rule("input") is NCHW. */
static float *rule_pixels(int n) {
    uint64_t stream = rng_stream("input", 1), i = 0;
    float *out = malloc((size_t)n * HEIGHT * WIDTH * 3 * sizeof *out);
    assert_non_null(out);
    for (int k = 0; k < n; k++)
        for (int c = 0; c < 3; c++)
            for (int at = 0; at < HEIGHT * WIDTH; at++)
                out[((size_t)k * HEIGHT * WIDTH + (size_t)at) * 3 + (size_t)c] =
                    rng_signed(stream, i++);
    return out;
}

static void fill_person(People *p, int i, const float *center, float scale, float w, float h,
                        float f) {
    float size = 200 * scale;
    float info[3] = {(center[0] - w / 2) / f * 2.8f, (center[1] - h / 2) / f * 2.8f,
                     (size - 0.24f * f) / (0.06f * f)};
    float box[6] = {center[0], center[1], size, w, h, f};
    float intrinsics[3] = {f, w / 2, h / 2};
    memcpy(p->bbox_info + 3 * i, info, sizeof info);
    memcpy(p->box + 6 * i, box, sizeof box);
    memcpy(p->intrinsics + 3 * i, intrinsics, sizeof intrinsics);
    memcpy(p->center + 2 * i, center, 2 * sizeof *center);
    p->size[i] = size;
}

static People fixture_people(void) {
    ArrayFile f = support_arrays("fixtures_body/refine/refine_trajectory.npz");
    int n = (int)support_array(&f, "scale")->dim[0];
    size_t count = (size_t)n;
    float *detected = support_floats(&f, "detected_keypoints");
    const float *center = support_array(&f, "center")->data,
                *scale = support_array(&f, "scale")->data;
    const float *w = support_array(&f, "img_w")->data, *h = support_array(&f, "img_h")->data;
    const float *focal = support_array(&f, "focal_length")->data;
    float zero[26 * 2 * 64] = {0};
    assert_true(n <= 64);
    People p = {.count = n, .height = HEIGHT, .width = WIDTH, .pixels = rule_pixels(n)};
    p.bbox_info = copy(zero, 3 * count), p.box = copy(zero, 6 * count);
    p.intrinsics = copy(zero, 3 * count), p.center = copy(zero, 2 * count);
    p.size = copy(zero, count), p.keypoints = copy(zero, 52 * count);
    p.confidence = copy(zero, 26 * count);
    for (int i = 0; i < n; i++) fill_person(&p, i, center + 2 * i, scale[i], w[i], h[i], focal[i]);
    for (size_t j = 0; j < 26 * count; j++) {
        p.keypoints[2 * j] = detected[3 * j], p.keypoints[2 * j + 1] = detected[3 * j + 1];
        p.confidence[j] = detected[3 * j + 2];
    }
    free(detected);
    array_file_free(&f);
    return p;
}

/* Rows first .. end-1 of the people, as people of their own. */
static People some_people(const People *all, int first, int end) {
    size_t n = (size_t)(end - first), at = (size_t)first, crop = (size_t)HEIGHT * WIDTH * 3;
    return (People){.count = end - first,
                    .height = HEIGHT,
                    .width = WIDTH,
                    .pixels = copy(all->pixels + at * crop, n * crop),
                    .bbox_info = copy(all->bbox_info + 3 * at, 3 * n),
                    .box = copy(all->box + 6 * at, 6 * n),
                    .intrinsics = copy(all->intrinsics + 3 * at, 3 * n),
                    .center = copy(all->center + 2 * at, 2 * n),
                    .size = copy(all->size + at, n),
                    .keypoints = copy(all->keypoints + 52 * at, 52 * n),
                    .confidence = copy(all->confidence + 26 * at, 26 * n)};
}

static World world_new(double gain) {
    char weights[4400];
    snprintf(weights, sizeof weights, "rule:cliff_hr48:1:%g:%s", gain,
             support_fixture("fixtures_body/cliff/cliff_hr48_forward.npz"));
    World w = {.people = fixture_people()};
    if (net_open(weights, support_backend(), &w.net, &w.params) != OK ||
        body_load(support_fixture("fixtures_body/smpl/body_stored.npz"),
                  support_fixture("fixtures_body/smpl/J_regressor_halpe.npy"), &w.body) != OK ||
        params_snapshot(w.params) != OK)
        fail_msg("%s", error_reason());
    return w;
}

static void world_free(World *w) {
    people_free(&w->people);
    body_free(w->body);
    params_free(w->params);
}

static Iterator *iterator_of(const World *w, const People *people, int micro) {
    IterateOptions o = {.net = &w->net,
                        .params = w->params,
                        .body = w->body,
                        .weights = refine_recipe_weights(refine_recipe("released")),
                        .people = people,
                        .micro = micro};
    Iterator *it;
    if (iterate_new(&o, &it) != OK || iterate_start(it) != OK) fail_msg("%s", error_reason());
    return it;
}

static IterateTerms step_of(Iterator *it, double rate, double decay, int step) {
    IterateTerms terms;
    assert_int_equal(iterate_several(it, &(PlanHyper){rate, decay, step}, 1, &terms), OK);
    return terms;
}

/* One pass: rate and decay exactly, loss terms relative to the total. */
static void check_pass(const json_t *pass, ScheduleValue v, const IterateTerms *t,
                       double tolerance) {
    double rate = support_number(pass, "lr"), decay = support_number(pass, "weight_decay");
    support_near("rate", v.rate, rate, 1e-12 * rate);
    support_near("decay", v.decay, decay, 1e-12);
    const double want[] = {support_number(pass, "total"), support_number(pass, "plane_loss"),
                           support_number(pass, "keyp_Loss"), support_number(pass, "shape_Loss"),
                           support_number(pass, "pose_Loss")};
    const double got[] = {t->total, t->crowd, t->keypoints, t->betas, t->pose};
    static const char *const name[] = {"total", "crowd", "keypoints", "betas", "pose"};
    for (int i = 0; i < 5; i++)
        support_near(name[i], got[i], want[i], tolerance * support_slack() * want[0]);
}

static void check_trans(const json_t *pass, const Iterator *it, double tolerance) {
    IterateBodies b;
    assert_int_equal(iterate_bodies(it, &b), OK);
    const json_t *rows = support_get(pass, "trans");
    for (size_t i = 0; i < json_array_size(rows); i++)
        for (size_t k = 0; k < 3; k++) {
            double want = support_number_at(json_array_get(rows, i), k);
            support_near("translation", b.trans[3 * i + k], want, tolerance * support_slack());
        }
    iterate_bodies_free(&b);
}

static bool in_group(const char *key, const char *group) {
    size_t length = strlen(group);
    return !strncmp(key, group, length) && key[length] == '.';
}

/* |weights - start|_2 of a group of layers; start is what params_reset would bring back. */
static double change_of(const Params *p, const Params *start, const char *group) {
    double sum = 0;
    for (int i = 0; i < params_count(p); i++) {
        const Param *a = params_at(p, i);
        if (a->kind != PARAM_WEIGHT || !in_group(a->key, group)) continue;
        size_t n = shape_size(a->shape);
        double *now = malloc(n * sizeof *now), *then = malloc(n * sizeof *then);
        params_get(p, i, now);
        params_get(start, i, then);
        for (size_t k = 0; k < n; k++) sum += (now[k] - then[k]) * (now[k] - then[k]);
        free(now);
        free(then);
    }
    return sqrt(sum);
}

/* Of numbers that come out of sums over many roundings: no looser than a tenth. */
static double loosened(double tolerance) { return fmin(tolerance * support_slack(), 0.1); }

static void check_changes(const json_t *run, const World *w, const World *start) {
    const char *group;
    json_t *want;
    json_object_foreach(support_get(run, "parameter_change_l2"), group, want) {
        double got = change_of(w->params, start->params, group), value = json_number_value(want);
        support_near(group, got, value, loosened(0.01) * value);
    }
}

static void check_returned(const Iterator *it, const char *name, double tolerance) {
    ArrayFile f = support_arrays("fixtures_body/refine/refine_trajectory.npz");
    char key[64];
    IterateBodies b;
    assert_int_equal(iterate_bodies(it, &b), OK);
    snprintf(key, sizeof key, "%s_returned_joints", name);
    float *joints = support_floats(&f, key);
    support_close(key, b.joints, joints, array_size(support_array(&f, key)),
                  tolerance * support_slack());
    iterate_bodies_free(&b);
    free(joints);
    array_file_free(&f);
}

typedef struct {
    const char *name;
    double rate, loss, metres;
} Run;

static void check_run(World *w, const World *start, const json_t *root, const Run *run) {
    const json_t *rows = json_object_get(root, run->name);
    const json_t *passes = json_object_get(rows, "iterations");
    Schedule s = {SCHEDULE_RESTARTS, run->rate, 1e-7, 0.01,
                  (int)support_number(root, "restart_period")};
    params_reset(w->params);
    Iterator *it = iterator_of(w, &w->people, 0);
    assert_true(json_array_size(passes) > 0);
    for (size_t t = 0; t < json_array_size(passes); t++) {
        const json_t *pass = json_array_get(passes, t);
        ScheduleValue v = schedule_at(&s, (int)t);
        IterateTerms terms = step_of(it, v.rate, v.decay, (int)t + 1);
        double want = support_number(pass, "total");
        print_message("%s pass %zu: total %.9g, off by %.2g relative\n", run->name, t, terms.total,
                      fabs(terms.total - want) / want);
        check_pass(pass, v, &terms, run->loss);
        check_trans(pass, it, run->metres);
    }
    check_changes(rows, w, start);
    check_returned(it, run->name, run->metres);
    iterate_free(it);
}

/* Tolerances of fixtures_body/README.md section 8. */
static void trajectory_matches_reference(void **state) {
    (void)state;
    support_heavy();
    static const Run runs[] = {{"lr1e-6_f64", 1e-6, 3e-5, 2e-4},
                               {"lr1e-5_f64", 1e-5, 1e-3, 2e-3},
                               {"lr1e-4_f64", 1e-4, 5e-3, 1}};
    json_t *root = support_json("fixtures_body/refine/refine_trajectory.json");
    World w = world_new(support_number(root, "conv_gain")),
          start = world_new(support_number(root, "conv_gain"));
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) check_run(&w, &start, root, &runs[i]);
    world_free(&start);
    world_free(&w);
    json_decref(root);
}

/* Weights, moments, step count and the last decay go on to the second group. */
static void groups_carry_on(void **state) {
    (void)state;
    json_t *root = support_json("fixtures_body/refine/refine_groups.json");
    const json_t *passes = json_object_get(json_object_get(root, "f64"), "passes");
    int each = (int)support_number(root, "passes_per_group"), step = 0;
    double rate = support_number(root, "initial_lr"), decay = 0.01;
    World w = world_new(support_number(root, "conv_gain"));
    for (size_t g = 0; g < 2; g++) {
        const json_t *range = json_array_get(json_object_get(root, "groups"), g);
        People people = some_people(&w.people, (int)json_integer_value(json_array_get(range, 0)),
                                    (int)json_integer_value(json_array_get(range, 1)));
        const json_t *period = json_array_get(json_object_get(root, "restart_periods"), g);
        Schedule s = {SCHEDULE_RESTARTS, rate, 1e-7, decay, (int)json_integer_value(period)};
        Iterator *it = iterator_of(&w, &people, 0);
        for (int t = 0; t < each; t++) {
            ScheduleValue v = schedule_at(&s, t);
            IterateTerms terms = step_of(it, v.rate, v.decay, ++step);
            check_pass(json_array_get(passes, g * (size_t)each + (size_t)t), v, &terms, 3e-5);
        }
        decay = schedule_at(&s, each).decay;
        iterate_free(it);
        people_free(&people);
    }
    world_free(&w);
    json_decref(root);
}

/* Gradients in two passes, two people at a time (the last pass is padded), against one plan. */
static void two_passes_are_exact(void **state) {
    (void)state;
    World w = world_new(0.5);
    double *gradient[2], total[2];
    int i = params_find(w.params, "encoder.stage2.0.branches.0.0.conv1.weight");
    assert_true(i >= 0);
    size_t n = shape_size(params_at(w.params, i)->shape);
    for (int k = 0; k < 2; k++) {
        params_reset(w.params);
        Iterator *it = iterator_of(&w, &w.people, k ? 2 : w.people.count);
        assert_int_equal(iterate_micro(it), k ? 2 : w.people.count);
        step_of(it, 1e-6, 0.01, 1);
        total[k] = step_of(it, 1e-6, 0.01, 2).total;
        gradient[k] = malloc(n * sizeof *gradient[k]);
        params_get_gradient(w.params, i, gradient[k]);
        iterate_free(it);
    }
    double norm = 0;
    for (size_t k = 0; k < n; k++) norm = fmax(norm, fabs(gradient[0][k]));
    support_near("loss after a step", total[1], total[0], loosened(3e-5) * total[0]);
    support_close64("gradient", gradient[1], gradient[0], n, loosened(2e-3) * norm);
    free(gradient[0]);
    free(gradient[1]);
    world_free(&w);
}

/* --- memory that is refused --- */

static size_t largest_alloc, refused_alloc; /* bytes; 0: none */
static bool refuse_all;

static void *scarce_alloc(size_t bytes) {
    if (refuse_all || bytes == refused_alloc) return NULL;
    if (bytes > largest_alloc) largest_alloc = bytes;
    return backend_cpu.alloc(bytes);
}

/* An estimate that comes out too low is answered with fewer people a pass. */
static void refused_memory_makes_smaller_passes(void **state) {
    (void)state;
    Backend scarce = backend_cpu;
    World w = {.people = fixture_people()};
    People two = some_people(&w.people, 0, 2);
    scarce.alloc = scarce_alloc;
    if (net_open("rule:cliff_res50:1", &scarce, &w.net, &w.params) != OK ||
        body_load(support_fixture("fixtures_body/smpl/body_stored.npz"), NULL, &w.body) != OK)
        fail_msg("%s", error_reason());
    assert_true(params_gradients(w.params) && params_moment(w.params, 0) &&
                params_moment(w.params, 1));
    largest_alloc = 0;
    Iterator *it = iterator_of(&w, &two, 0);
    assert_int_equal(iterate_micro(it), 2);
    iterate_free(it);
    refused_alloc = largest_alloc;
    it = iterator_of(&w, &two, 0);
    assert_int_equal(iterate_micro(it), 1);
    assert_true(isfinite(step_of(it, 1e-6, 0.01, 1).total));
    iterate_free(it);
    refused_alloc = 0;
    people_free(&two);
    world_free(&w);
}

/* --- how far ahead of the host the iterations run --- */

enum { AHEAD_STEPS = 8 };

typedef struct {
    RefineStep step[AHEAD_STEPS];
    int steps;
    RefineReport report;
    Person person[2];
} Refined;

static void keep_step(const RefineStep *step, void *context) {
    Refined *r = context;
    assert_true(r->steps < AHEAD_STEPS);
    r->step[r->steps] = *step;
    r->step[r->steps++].seconds = 0;
}

/* Two people in a grey photo, whose keypoints are not where their bodies are. */
static Crowd two_people(void) {
    Crowd crowd = {.width = 320, .height = 240, .camera = {400, 160, 120, "--focal-px"}};
    for (int i = 0; i < 2; i++) {
        Person *p = crowd_add(&crowd);
        const float box[] = {40 + 120.f * (float)i, 30, 120 + 120.f * (float)i, 220};
        memcpy(p->box, box, sizeof box);
        for (int j = 0; j < CROWD_KEYPOINTS; j++) {
            p->keypoints[j][0] = box[0] + 3 * (float)j, p->keypoints[j][1] = 40 + 6 * (float)j;
            p->keypoints[j][2] = 0.9f;
        }
        p->flags |= PERSON_HAS_KEYPOINTS;
    }
    return crowd;
}

static void open_both(Regressor **regressor, Image *photo) {
    RegressOptions r = {.backend = support_backend(), .mesh = "rule:cliff_res50:1"};
    r.body = support_fixture("fixtures_body/smpl/body_stored.npz");
    if (regress_open(&r, regressor) != OK || image_new(320, 240, photo) != OK)
        fail_msg("%s", error_reason());
}

static Refined refined(Regressor *regressor, const Image *photo, RefineOptions o) {
    Refined r = {0};
    Crowd crowd = two_people();
    o.step = keep_step, o.context = &r;
    if (regress_reset(regressor) != OK || regress_run(regressor, photo, &crowd) != OK ||
        refine_run(regressor, photo, &crowd, &o, &r.report) != OK)
        fail_msg("%s", error_reason());
    r.report.seconds = 0;
    memcpy(r.person, crowd.person, sizeof r.person);
    crowd_free(&crowd);
    return r;
}

/* The released recipe goes on beyond its iterations, one at a time, until it converges. */
static void running_ahead_changes_nothing(void **state) {
    (void)state;
    static const struct {
        const char *recipe, *reason;
        double rate;
        int iterations, cap, ran;
    } runs[] = {{"paper", "iterations", 1e-6, 3, 0, 3},
                {"paper", "diverged", 1e30, 3, 0, 0},
                {"released", "converged", 1e-6, 1, 3, 3}};
    Regressor *regressor;
    Image photo;
    open_both(&regressor, &photo);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        RefineOptions o = {.recipe = refine_recipe(runs[i].recipe), .rate = runs[i].rate};
        o.iterations = runs[i].iterations, o.max_iterations = runs[i].cap;
        o.ahead = 1;
        Refined one = refined(regressor, &photo, o);
        o.ahead = 2;
        Refined two = refined(regressor, &photo, o);
        assert_string_equal(one.report.reason, runs[i].reason);
        assert_true(runs[i].ran ? one.steps == runs[i].ran : one.steps < runs[i].iterations);
        assert_int_equal(two.steps, one.steps);
        assert_memory_equal(two.step, one.step, sizeof one.step);
        assert_memory_equal(&two.report, &one.report, sizeof one.report);
        assert_memory_equal(two.person, one.person, sizeof one.person);
    }
    image_free(&photo);
    regress_close(regressor);
}

static void refuse_from_now_on(const RefineStep *step, void *context) {
    (void)step, (void)context;
    refuse_all = true;
}

/* The first group changes the weights, the second gets no memory: the next photo must not notice.
 */
static void failure_leaves_the_loaded_weights(void **state) {
    (void)state;
    Backend scarce = backend_cpu;
    scarce.alloc = scarce_alloc;
    RegressOptions with = {.backend = &scarce, .mesh = "rule:cliff_res50:1"};
    with.body = support_fixture("fixtures_body/smpl/body_stored.npz");
    Regressor *regressor;
    Image photo;
    Crowd crowd[2] = {two_people(), two_people()};
    RefineReport report;
    RefineOptions o = {.rate = 1e-3, .iterations = 1, .group = 1, .step = refuse_from_now_on};
    if (regress_open(&with, &regressor) != OK || image_new(320, 240, &photo) != OK ||
        regress_run(regressor, &photo, &crowd[0]) != OK)
        fail_msg("%s", error_reason());
    Person first = crowd[0].person[0];
    assert_int_equal(refine_run(regressor, &photo, &crowd[0], &o, &report), ERR_MEMORY);
    assert_int_equal(report.iterations, 1);
    refuse_all = false;
    assert_int_equal(regress_run(regressor, &photo, &crowd[1]), OK);
    assert_memory_equal(crowd[1].person[0].pose, first.pose, sizeof first.pose);
    assert_memory_equal(crowd[1].person[0].trans, first.trans, sizeof first.trans);
    for (int i = 0; i < 2; i++) crowd_free(&crowd[i]);
    image_free(&photo);
    regress_close(regressor);
}

static void regression_can_be_interrupted(void **state) {
    (void)state;
    static const volatile int interrupted = 1;
    RegressOptions with = {.mesh = "rule:cliff_hr16_small:1", .interrupted = &interrupted};
    with.body = support_fixture("fixtures_body/smpl/body_stored.npz");
    Regressor *regressor;
    Image photo;
    Crowd crowd = two_people();
    if (regress_open(&with, &regressor) != OK || image_new(320, 240, &photo) != OK)
        fail_msg("%s", error_reason());
    /* One body is there already: the ground is that of those who have one. */
    static const float none[CROWD_BETAS] = {0}, upright[CROWD_POSE] = {(float)M_PI},
                       there[3] = {0, 1, 9};
    Person *first = &crowd.person[0], *second = &crowd.person[1];
    body_pose(regress_body(regressor), upright, none, there, NULL, NULL, first->joints[0]);
    crowd_mark_body(first);
    assert_int_equal(regress_run(regressor, &photo, &crowd), ERR_INTERRUPTED);
    assert_false(second->flags & PERSON_HAS_BODY);
    assert_true(crowd.ground_normal[1] < -0.9f);
    crowd_free(&crowd);
    image_free(&photo);
    regress_close(regressor);
}

static void plans_all_groups(void **state) {
    (void)state;
    const RefineOptions paper = {0}, released = {.recipe = refine_recipe("released")};
    assert_int_equal(refine_planned(&paper, 0), 0);
    assert_int_equal(refine_planned(&paper, 51), 2 * 260);
    assert_int_equal(refine_planned(&released, 120), 260 + 2 * 100);
    assert_int_equal(refine_planned(&(RefineOptions){.group = -1}, 120), 260);
    assert_int_equal(refine_planned(&(RefineOptions){.group = 7, .iterations = 3}, 15), 9);
}

/* Somebody's keypoints are out of all range; the next group starts afresh, even where weights carry
 * on. */
static void one_group_diverges_alone(void **state) {
    (void)state;
    static const char *const recipe[] = {"paper", "released"};
    Regressor *regressor;
    Image photo;
    open_both(&regressor, &photo);
    for (size_t i = 0; i < sizeof recipe / sizeof *recipe; i++) {
        Crowd crowd = two_people();
        RefineReport report = {0};
        RefineOptions o = {.recipe = refine_recipe(recipe[i]), .rate = 1e-6, .group = 1};
        o.iterations = o.max_iterations = 2;
        crowd.person[0].keypoints[3][0] = 1e30f;
        if (regress_reset(regressor) != OK || regress_run(regressor, &photo, &crowd) != OK ||
            refine_run(regressor, &photo, &crowd, &o, &report) != OK)
            fail_msg("%s", error_reason());
        assert_string_equal(report.reason, "diverged");
        assert_false(crowd.person[0].flags & PERSON_REFINED);
        assert_true(crowd.person[1].flags & PERSON_REFINED);
        assert_true(isfinite(report.last) && isfinite(crowd.person[1].trans[2]));
        crowd_free(&crowd);
    }
    image_free(&photo);
    regress_close(regressor);
}

static void refine_two(Regressor *regressor, const Image *photo, Crowd *crowd,
                       RefineReport *report) {
    RefineOptions o = {.rate = 1e-6, .iterations = 2};
    if (refine_run(regressor, photo, crowd, &o, report) != OK) fail_msg("%s", error_reason());
}

/* They keep what they have, and the others are refined as if they were not there. */
static void people_behind_the_camera_are_left_alone(void **state) {
    (void)state;
    Regressor *regressor;
    Image photo;
    open_both(&regressor, &photo);
    Crowd crowd = two_people(), alone = {0};
    RefineReport report[2];
    if (regress_run(regressor, &photo, &crowd) != OK) fail_msg("%s", error_reason());
    Person *p = crowd.person;
    for (int j = 0; j < CROWD_KEYPOINTS; j++) p->joints[j][2] -= 1000;
    crowd_mark_body(p);
    crowd_ground(&crowd);
    alone = crowd, alone.person = NULL, alone.count = alone.capacity = 0;
    *crowd_add(&alone) = crowd.person[1];
    Person before = *p;
    refine_two(regressor, &photo, &crowd, &report[0]);
    refine_two(regressor, &photo, &alone, &report[1]);
    assert_true(before.flags & PERSON_BEHIND_CAMERA);
    assert_memory_equal(p, &before, sizeof before);
    assert_int_equal(report[0].iterations, 2);
    assert_true(report[0].last == report[1].last);
    assert_memory_equal(&crowd.person[1], alone.person, sizeof *alone.person);
    crowd_free(&alone);
    crowd_free(&crowd);
    image_free(&photo);
    regress_close(regressor);
}

static void ask_to_end(const RefineStep *step, void *context) {
    (void)step;
    *(volatile int *)context = 1;
}

/* A group that was not begun is not counted. */
static void groups_that_ran_are_counted(void **state) {
    (void)state;
    Regressor *regressor;
    Image photo;
    volatile int stop = 0;
    open_both(&regressor, &photo);
    Crowd crowd = two_people();
    RefineReport report = {0};
    RefineOptions o = {.rate = 1e-6, .group = 1, .iterations = 1, .interrupted = &stop};
    for (int stops = 0; stops < 2; stops++) {
        if (stops) o.step = ask_to_end, o.context = (void *)&stop;
        if (regress_run(regressor, &photo, &crowd) != OK ||
            refine_run(regressor, &photo, &crowd, &o, &report) != OK)
            fail_msg("%s", error_reason());
        assert_int_equal(report.groups, stops ? 1 : 2);
    }
    assert_string_equal(report.reason, "interrupted");
    crowd_free(&crowd);
    image_free(&photo);
    regress_close(regressor);
}

/* The released recipe draws betas to zero: crowd, keypoints and betas count from the first step on,
 * poses from the second. */
static void weights_can_be_told(void **state) {
    (void)state;
    Regressor *regressor;
    Image photo;
    open_both(&regressor, &photo);
    RefineOptions o = {.recipe = refine_recipe("released"), .rate = 1e-4, .iterations = 2};
    o.max_iterations = 2;
    Refined own = refined(regressor, &photo, o);
    const LossWeights *w = refine_recipe_weights(o.recipe);
    o.crowd = 3 * w->crowd, o.betas = 20 * w->betas, o.pose = w->pose / 4;
    Refined told = refined(regressor, &photo, o);
    const RefineStep *a = &own.step[0], *b = &told.step[0];
    assert_true(a->crowd > 0 && a->betas > 0);
    assert_true(fabs(b->crowd / a->crowd - 3) < 1e-5);
    assert_true(fabs(b->betas / a->betas - 20) < 1e-4);
    assert_true(b->keypoints == a->keypoints);
    a = &own.step[1], b = &told.step[1]; /* poses have moved */
    assert_true(b->pose > 0 && b->pose < 0.5 * a->pose);
    image_free(&photo);
    regress_close(regressor);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trajectory_matches_reference),
        cmocka_unit_test(groups_carry_on),
        cmocka_unit_test(two_passes_are_exact),
        cmocka_unit_test(refused_memory_makes_smaller_passes),
        cmocka_unit_test(running_ahead_changes_nothing),
        cmocka_unit_test(failure_leaves_the_loaded_weights),
        cmocka_unit_test(regression_can_be_interrupted),
        cmocka_unit_test(plans_all_groups),
        cmocka_unit_test(one_group_diverges_alone),
        cmocka_unit_test(people_behind_the_camera_are_left_alone),
        cmocka_unit_test(groups_that_ran_are_counted),
        cmocka_unit_test(weights_can_be_told),
    };
    return cmocka_run_group_tests_name("refine", tests, NULL, NULL);
}
