#include "crowdrec/trainpose.h"

#include "crowdrec/ap.h"
#include "crowdrec/augment.h"
#include "crowdrec/crop.h"
#include "crowdrec/metrics.h"
#include "crowdrec/pose2d.h"
#include "crowdrec/span.h"
#include "crowdrec/trainset.h"
#include "autograd/plan.h"
#include "smpl/joints.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STRIDE = 4, VALIDATION_BATCH = 32, LEAST_JOINTS = 4 };

/* A person's area as a share of the box, for annotations without one, as public trainers take it.
 */
static const double BODY_SHARE = 0.53;

/* Deviation of a target in heatmap pixels: 2 for inputs of height 256. */
static const double DEVIATION = 2.0 / 256;

typedef struct {
    TrainOptions o;
    NetSpec spec;
    AffineAttr pixels;
    int heat_h, heat_w;
    TrainSet train, validation;
} PoseTask;

/* ---- the loss ---- */

Tensor *trainpose_loss(const Scope *m, Tensor *heatmaps, Tensor *target, Tensor *weight,
                       Tensor *emphasis) {
    Tensor *counts = square(m, weight);
    if (emphasis) counts = mul(m, offset(m, mul(m, target, emphasis), 1), counts);
    Tensor *element = loss(m, MSE, heatmaps, target, counts);
    return scale(m, mean(m, element, AXES_ALL), 0.5f);
}

static TrainGraph build(const void *self, const Scope *m, int batch) {
    const PoseTask *t = self;
    const NetSpec *s = &t->spec;
    Shape image = {batch, s->height, s->width, 3};
    Shape heat = {batch, t->heat_h, t->heat_w, s->joints};
    TrainGraph g = {.inputs = 4};
    g.input[0] = graph_input(m->graph, "input", F32, image);
    g.input[1] = graph_input(m->graph, "target", F32, heat);
    g.input[2] = graph_input(m->graph, "weight", F32, (Shape){batch, 1, 1, s->joints});
    g.input[3] = graph_input(m->graph, "emphasis", F32, (Shape){batch, 1, 1, 1});
    Tensor *heatmaps = net_build(s, m, g.input[0], NULL).raw;
    g.loss = trainpose_loss(m, heatmaps, g.input[1], g.input[2], g.input[3]);
    return g;
}

/* ---- samples ---- */

static bool usable(const DatasetPerson *p) {
    int seen = 0;
    for (int j = 0; j < CROWD_KEYPOINTS; j++) seen += p->keypoints[j][2] > 0;
    return (p->has & DATASET_KEYPOINTS) && seen >= LEAST_JOINTS && crop_usable(p->box);
}

/* The crop's middle and the photo's pixels for one of the crop's. */
typedef struct {
    Augment a;
    double cx, cy, step; /* step: of the network's input */
} View;

static View view_of(const PoseTask *t, const DatasetPerson *p, uint64_t key) {
    View v = {.a = augment_draw(&t->o, key)};
    float around[4];
    augment_box(&v.a, p, around);
    CropBox box = crop_pose_box(around, (double)t->spec.width / t->spec.height);
    v.cx = box.cx + v.a.shift[0] * box.width;
    v.cy = box.cy + v.a.shift[1] * box.height;
    v.step = v.a.size * box.width / t->spec.width;
    return v;
}

static Crop crop_of(const PoseTask *t, const View *v) {
    double x[2], y[2], w = 0.5 * t->spec.width, h = 0.5 * t->spec.height;
    augment_turn_back(&v->a, (double[]){v->step, 0}, x);
    augment_turn_back(&v->a, (double[]){0, v->step}, y);
    return (Crop){.map = {x[0], y[0], v->cx - x[0] * w - y[0] * h, /**/
                          x[1], y[1], v->cy - x[1] * w - y[1] * h},
                  .rectangle = {-INFINITY, -INFINITY, INFINITY, INFINITY}};
}

bool trainpose_target(double x, double y, double deviation, int h, int w, int joints, int j,
                      float *target) {
    int x0, x1, y0, y1;
    span_whole(x - 3 * deviation, x + 3 * deviation, w, &x0, &x1);
    span_whole(y - 3 * deviation, y + 3 * deviation, h, &y0, &y1);
    double factor = -0.5 / (deviation * deviation);
    for (int row = y0; row <= y1; row++)
        for (int column = x0; column <= x1; column++) {
            double dx = column - x, dy = row - y;
            target[((size_t)row * (size_t)w + (size_t)column) * (size_t)joints + (size_t)j] =
                (float)exp(factor * (dx * dx + dy * dy));
        }
    return x0 <= x1 && y0 <= y1;
}

/* The joint that is seen at the place of joint j in a mirrored photo. */
static int source_joint(const View *v, int j) {
    return v->a.flip ? joints_order(JOINTS_HALPE26)->joint[j].flip : j;
}

static void fill_targets(const PoseTask *t, const DatasetPerson *p, const View *v, float *target,
                         float *weight) {
    int joints = t->spec.joints, h = t->heat_h, w = t->heat_w;
    double deviation = DEVIATION * t->spec.height, step = v->step * STRIDE;
    memset(target, 0, (size_t)(h * w * joints) * sizeof *target);
    for (int j = 0; j < joints; j++) {
        const float *k = p->keypoints[source_joint(v, j)];
        double place[2];
        weight[j] = 0;
        if (!(k[2] > 0)) continue;
        augment_turn(&v->a, (double[]){(double)k[0] - v->cx, (double)k[1] - v->cy}, place);
        weight[j] = trainpose_target(place[0] / step + 0.5 * w, place[1] / step + 0.5 * h,
                                     deviation, h, w, joints, j, target);
    }
}

static float emphasis_at(const PoseTask *t, double progress) {
    return (float)(t->o.emphasis * 0.5 * (1 + cos(M_PI * progress)));
}

static Status sample(void *self, const TrainDraw *draw, void *const *input) {
    const PoseTask *t = self;
    TrainPick pick = trainset_pick(&t->train, draw);
    const DatasetPerson *p = pick.person;
    View v = view_of(t, p, draw->key);
    Crop crop = crop_of(t, &v);
    Image photo;
    TRY(dataset_photo(pick.set, p->photo, &photo));
    crop_run(&photo, &crop, 1, &t->pixels, input[0]);
    dataset_release(pick.set, p->photo);
    augment_colour(&v.a, &t->pixels, input[0], t->spec.height * t->spec.width);
    fill_targets(t, p, &v, input[1], input[2]);
    *(float *)input[3] = emphasis_at(t, draw->progress);
    return OK;
}

/* ---- validation ---- */

/* An estimate held against its own person. */
typedef struct {
    double score, oks, near,
        labelled; /* near: joints within a tenth of the box, of those labelled */
} Held;

static Held hold(const DatasetPerson *p, const float (*found)[3], int joints) {
    double coco[COCO17_COUNT][2], truth[COCO17_COUNT][3], score = 0;
    Held h = {0};
    double bw = (double)p->box[2] - p->box[0], bh = (double)p->box[3] - p->box[1];
    for (int j = 0; j < COCO17_COUNT; j++) {
        for (int k = 0; k < 2; k++) coco[j][k] = found[j][k];
        for (int k = 0; k < 3; k++) truth[j][k] = p->keypoints[j][k];
    }
    for (int j = 0; j < joints; j++) {
        score += found[j][2];
        if (!(p->keypoints[j][2] > 0)) continue;
        double d = hypot((double)found[j][0] - p->keypoints[j][0],
                         (double)found[j][1] - p->keypoints[j][1]);
        h.labelled++;
        h.near += d <= 0.1 * fmax(bw, bh);
    }
    h.score = score / joints;
    h.oks =
        metrics_oks(coco, truth, BODY_SHARE * bw * bh, (double[]){p->box[0], p->box[1], bw, bh});
    return h;
}

/* Each estimate may only be its own person's. */
static void summarise(const Held *h, int n, TrainMetrics *out) {
    double near = 0, labelled = 0;
    Ap *ap = ap_new();
    for (int i = 0; i < n; i++) {
        ap_add(ap,
               &(ApImage){.score = &h[i].score, .boxes = 1, .truths = 1, .similarity = &h[i].oks});
        near += h[i].near, labelled += h[i].labelled;
    }
    *out = (TrainMetrics){.name = {"ap", "ap50", "pck"},
                          .value = {ap_mean(ap), ap_at(ap, 0.5), near / labelled},
                          .count = 3};
    ap_free(ap);
}

typedef struct {
    Graph *graph;
    Plan *plan;
    Tensor *input, *peaks; /* [VALIDATION_BATCH,1,joints,3] */
    float *crops;
    float (*found)[3]; /* peaks on the host */
    Crop crop[VALIDATION_BATCH];
} Validator;

static Status validator_open(const PoseTask *t, Params *params, Validator *v) {
    v->graph = graph_new();
    Scope m = {.graph = v->graph, .params = params};
    v->input = graph_input(v->graph, "input", F32,
                           (Shape){VALIDATION_BATCH, t->spec.height, t->spec.width, 3});
    v->peaks = pose2d_peaks(&m, net_build(&t->spec, &m, v->input, NULL).raw, true);
    v->crops = calloc(shape_size(v->input->shape), sizeof *v->crops);
    v->found = calloc((size_t)(VALIDATION_BATCH * t->spec.joints), sizeof *v->found);
    CHECK(v->crops && v->found, "out of memory");
    PlanOptions o = {.keep = &v->peaks, .keeps = 1, .fix_params = true};
    return plan_new(v->graph, params_backend(params), &o, &v->plan);
}

static void validator_close(Validator *v) {
    plan_free(v->plan);
    graph_free(v->graph);
    free(v->crops);
    free(v->found);
}

static Status validator_crop(const PoseTask *t, Validator *v, const DatasetPerson *p, Dataset *set,
                             int i) {
    Image photo;
    CropBox box = crop_pose_box(p->box, (double)t->spec.width / t->spec.height);
    Crop crop = crop_around(&box, t->spec.height, t->spec.width);
    v->crop[i] = crop_around(&box, t->heat_h, t->heat_w);
    TRY(dataset_photo(set, p->photo, &photo));
    crop_run(&photo, &crop, 1, &t->pixels,
             v->crops + (size_t)i * (size_t)(t->spec.height * t->spec.width * 3));
    dataset_release(set, p->photo);
    return OK;
}

/* People first .. first + n - 1 of the validation set. */
static Status validator_batch(const PoseTask *t, Validator *v, int first, int n, Held *held) {
    const TrainPart *part = &t->validation.part[0];
    for (int i = 0; i < n; i++)
        TRY(validator_crop(t, v, &part->set->person[part->person[first + i]], part->set, i));
    plan_write(v->plan, v->input, F32, v->crops);
    plan_run(v->plan);
    plan_read(v->plan, v->peaks, F32, v->found);
    for (int i = 0; i < n; i++) {
        float found[CROWD_KEYPOINTS][3];
        pose2d_place((const float(*)[3])v->found + i * t->spec.joints, t->spec.joints, &v->crop[i],
                     found);
        held[first + i] = hold(&part->set->person[part->person[first + i]],
                               (const float(*)[3])found, t->spec.joints);
    }
    return OK;
}

static Status validate(void *self, Params *params, TrainMetrics *out) {
    const PoseTask *t = self;
    int people = t->validation.part[0].people;
    Held *held = calloc((size_t)people, sizeof *held);
    CHECK(held, "out of memory");
    Validator v = {0};
    Status status = validator_open(t, params, &v);
    for (int first = 0; first < people && status == OK; first += VALIDATION_BATCH) {
        int left = people - first;
        status =
            validator_batch(t, &v, first, left < VALIDATION_BATCH ? left : VALIDATION_BATCH, held);
    }
    if (status == OK) summarise(held, people, out);
    validator_close(&v);
    free(held);
    return status;
}

/* ---- opening ---- */

static void close_task(void *self) {
    PoseTask *t = self;
    trainset_close(&t->train);
    trainset_close(&t->validation);
    free(t);
}

static Status open_parts(PoseTask *t) {
    TRY(train_spec(&t->o, NET_HRNET_POSE, "hrnet_pose_w16_small", &t->spec));
    if (t->spec.joints != COCO17_COUNT && t->spec.joints != HALPE26_COUNT)
        return fail(ERR_MODEL, "%s: %d joints, expected 26 (Halpe) or 17 (COCO)", t->spec.name,
                    t->spec.joints);
    t->pixels = crop_pixels(CROP_HRNET, t->spec.height, t->spec.width);
    t->heat_h = t->spec.height / STRIDE, t->heat_w = t->spec.width / STRIDE;
    TRY(trainset_open(&t->o, usable, &t->train));
    return trainset_open_validation(&t->o, usable, &t->validation);
}

Status trainpose_open(const TrainOptions *options, TrainTask *out) {
    PoseTask *t = calloc(1, sizeof *t);
    CHECK(t, "out of memory");
    t->o = *options;
    Status status = open_parts(t);
    if (status != OK) {
        close_task(t);
        return status;
    }
    *out = (TrainTask){.self = t,
                       .spec = t->spec,
                       .samples = t->train.samples,
                       .build = build,
                       .sample = sample,
                       .validate = t->validation.parts ? validate : NULL,
                       .close = close_task};
    return OK;
}
