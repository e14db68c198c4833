#include "crowdrec/trainmesh.h"

#include "crowdrec/crop.h"
#include "crowdrec/losses.h"
#include "crowdrec/metrics.h"
#include "crowdrec/people.h"
#include "crowdrec/predict.h"
#include "crowdrec/trainset.h"
#include "nets/cliff.h"
#include "nets/rule.h"
#include "smpl/contract.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

enum { VALIDATION_BATCH = 32 };

/* Places in TrainGraph.input. */
enum {
    PIXELS,
    INFO,
    BOX,
    INTRINSICS,
    CENTER,
    HEIGHT,
    KEYPOINTS,
    CONFIDENCE,
    ROTATIONS,
    BETAS,
    JOINTS,
    HAS,
    INPUTS
};

typedef struct {
    TrainOptions o;
    NetSpec spec;
    AffineAttr pixels;
    Body *body;
    Arena *arena;
    BodyTables vertices; /* rows 0: none */
    LossTrainingWeights weights;
    TrainSet train, validation;
} MeshTask;

/* ---- the graph ---- */

static TrainGraph graph_inputs(const MeshTask *t, const Scope *m, int n) {
    static const struct {
        const char *name;
        int w, c;
    } rows[INPUTS] = {
        [INFO] = {"bbox_info", 1, 3},
        [BOX] = {"box", 1, 6},
        [INTRINSICS] = {"intrinsics", 1, 3},
        [CENTER] = {"center", 1, 2},
        [HEIGHT] = {"height", 1, 1},
        [KEYPOINTS] = {"keypoints", HALPE26_COUNT, 2},
        [CONFIDENCE] = {"confidence", HALPE26_COUNT, 1},
        [ROTATIONS] = {"true rotations", BODY_JOINTS, 9},
        [BETAS] = {"true betas", 1, BODY_BETAS},
        [JOINTS] = {"true joints", HALPE26_COUNT, 4},
        [HAS] = {"has", 1, 2},
    };
    TrainGraph g = {.inputs = INPUTS};
    g.input[PIXELS] =
        graph_input(m->graph, "input", F32, (Shape){n, t->spec.height, t->spec.width, 3});
    for (int i = INFO; i < INPUTS; i++)
        g.input[i] = graph_input(m->graph, rows[i].name, F32, (Shape){n, 1, rows[i].w, rows[i].c});
    return g;
}

static void add_term(TrainGraph *g, const char *name, Tensor *value) {
    if (!value) return;
    g->term_name[g->terms] = name;
    g->term[g->terms++] = value;
}

static TrainGraph build(const void *self, const Scope *m, int batch) {
    const MeshTask *t = self;
    TrainGraph g = graph_inputs(t, m, batch);
    NetOutput y = net_build(&t->spec, m, g.input[PIXELS], g.input[INFO]);
    LossTargets place = {.box = g.input[BOX],
                         .intrinsics = g.input[INTRINSICS],
                         .center = g.input[CENTER],
                         .height = g.input[HEIGHT]};
    LossTruth truth = {g.input[KEYPOINTS], g.input[CONFIDENCE], g.input[ROTATIONS],
                       g.input[BETAS],     g.input[JOINTS],     g.input[HAS]};
    LossBodies bodies =
        losses_bodies(m, t->body, &(LossPrediction){y.pose6d, y.betas, y.cam}, &place);
    LossTraining l = losses_training(
        m, &t->weights, t->body, t->vertices.rows ? &t->vertices : NULL, &bodies, y.betas, &truth);
    g.loss = l.total;
    g.seed = y.seed;
    add_term(&g, "keypoints", l.keypoints);
    add_term(&g, "pose", l.pose);
    add_term(&g, "betas", l.betas);
    add_term(&g, "joints", l.joints);
    add_term(&g, "vertices", l.vertices);
    return g;
}

/* ---- samples ---- */

static bool usable(const DatasetPerson *p) {
    return crop_usable(p->box) && (p->has & (DATASET_KEYPOINTS | DATASET_SMPL | DATASET_JOINTS));
}

static bool has_truth(const DatasetPerson *p) {
    return crop_usable(p->box) && (p->has & DATASET_SMPL);
}

/* The camera about whose axis the photo is turned and through which it is mirrored. */
static Camera camera_for(const DatasetPhoto *photo, const Image *image) {
    double f = photo->focal > 0 ? photo->focal : hypot(image->width, image->height);
    return (Camera){.focal = f, .cx = 0.5 * image->width, .cy = 0.5 * image->height};
}

typedef struct {
    Augment a;
    Camera camera;
    float center[2], scale; /* of the crop in the augmented photo */
} View;

static void turn_point(const View *v, const float in[2], double out[2]) {
    const double from[2] = {(double)in[0] - v->camera.cx, (double)in[1] - v->camera.cy};
    augment_turn(&v->a, from, out);
    out[0] += v->camera.cx, out[1] += v->camera.cy;
}

static View view_of(const MeshTask *t, const DatasetPerson *p, const Camera *camera, uint64_t key) {
    View v = {.a = augment_draw(&t->o, key), .camera = *camera};
    float around[4], middle[2];
    double place[2];
    augment_box(&v.a, p, around);
    crop_cliff_box(around, middle, &v.scale);
    turn_point(&v, middle, place);
    v.scale *= (float)v.a.size;
    double height = 200 * (double)v.scale, width = height * t->spec.width / t->spec.height;
    v.center[0] = (float)(place[0] + v.a.shift[0] * width);
    v.center[1] = (float)(place[1] + v.a.shift[1] * height);
    return v;
}

/* Crop -> augmented photo, as without augmentation, and on to the photo. */
static Crop crop_of(const MeshTask *t, const View *v) {
    Crop c = crop_cliff(v->center, v->scale, t->spec.height, t->spec.width);
    double x[2], y[2], o[2];
    augment_turn_back(&v->a, (double[]){c.map[0], 0}, x);
    augment_turn_back(&v->a, (double[]){0, c.map[4]}, y);
    augment_turn_back(&v->a, (double[]){c.map[2] - v->camera.cx, c.map[5] - v->camera.cy}, o);
    return (Crop){.map = {x[0], y[0], o[0] + v->camera.cx, x[1], y[1], o[1] + v->camera.cy},
                  .rectangle = {-INFINITY, -INFINITY, INFINITY, INFINITY}};
}

static int mirrored(const View *v, int j) {
    return v->a.flip ? joints_order(JOINTS_HALPE26)->joint[j].flip : j;
}

static void fill_keypoints(const View *v, const DatasetPerson *p, float *place, float *sure) {
    double height = 200 * (double)v->scale;
    for (int j = 0; j < HALPE26_COUNT; j++) {
        const float *k = p->keypoints[mirrored(v, j)];
        double at[2];
        sure[j] = (p->has & DATASET_KEYPOINTS) && k[2] > 0;
        turn_point(v, k, at);
        for (int axis = 0; axis < 2; axis++)
            place[2 * j + axis] =
                sure[j] > 0 ? (float)((at[axis] - (double)v->center[axis]) / height) : 0;
    }
}

/* Turned and mirrored like the photo; only differences to the hip count. */
static void fill_joints(const View *v, const DatasetPerson *p, float *out) {
    for (int j = 0; j < HALPE26_COUNT; j++) {
        const float *from = p->joints[mirrored(v, j)];
        double at[2];
        augment_turn(&v->a, (double[]){from[0], from[1]}, at);
        float row[4] = {(float)at[0], (float)at[1], from[2], from[3]};
        memcpy(out + 4 * j, row, sizeof row);
    }
}

void trainmesh_pose(const Augment *a, const float pose[CROWD_POSE], float *rotations) {
    const JointOrderInfo *order = joints_order(JOINTS_SMPL24);
    const double c = cos(a->roll), s = sin(a->roll);
    for (int j = 0; j < BODY_JOINTS; j++) {
        const float *from = pose + 3 * (a->flip ? order->joint[j].flip : j);
        double axis[3] = {from[0], from[1], from[2]}, r[9];
        if (a->flip) axis[1] = -axis[1], axis[2] = -axis[2];
        geom_rodrigues(axis, r);
        for (int k = 0; k < 3 && j == 0; k++) {
            double x = r[k], y = r[3 + k];
            r[k] = c * x - s * y, r[3 + k] = s * x + c * y;
        }
        for (int k = 0; k < 9; k++) rotations[9 * j + k] = (float)r[k];
    }
}

/* The identity stands where the body is unknown, so that no number is NaN. */
static void fill_body(const View *v, const DatasetPerson *p, void *const *input) {
    static const float zero[CROWD_POSE];
    bool known = p->has & DATASET_SMPL;
    bool joints = (p->has & DATASET_JOINTS) && p->joints[HALPE26_HIP][3] > 0;
    float *has = input[HAS];
    trainmesh_pose(&v->a, known ? p->pose : zero, input[ROTATIONS]);
    memcpy(input[BETAS], known ? p->betas : zero, sizeof p->betas);
    if (joints)
        fill_joints(v, p, input[JOINTS]);
    else
        memset(input[JOINTS], 0, sizeof p->joints);
    has[0] = known, has[1] = joints;
}

static Status sample(void *self, const TrainDraw *draw, void *const *input) {
    const MeshTask *t = self;
    TrainPick pick = trainset_pick(&t->train, draw);
    const DatasetPerson *p = pick.person;
    Image image;
    TRY(dataset_photo(pick.set, p->photo, &image));
    Camera camera = camera_for(&pick.set->photo[p->photo], &image);
    View v = view_of(t, p, &camera, draw->key);
    Crop crop = crop_of(t, &v);
    crop_run(&image, &crop, 1, &t->pixels, input[PIXELS]);
    dataset_release(pick.set, p->photo);
    augment_colour(&v.a, &t->pixels, input[PIXELS], t->spec.height * t->spec.width);
    people_place(v.center, v.scale, &camera, input[INFO], input[BOX], input[INTRINSICS]);
    memcpy(input[CENTER], v.center, sizeof v.center);
    *(float *)input[HEIGHT] = 200 * v.scale;
    fill_keypoints(&v, p, input[KEYPOINTS], input[CONFIDENCE]);
    fill_body(&v, p, input);
    return OK;
}

/* ---- the mean body ---- */

/* Adds one person's rotations as six numbers a joint (op rot6d: first two columns, row by row). */
static void add_pose(const DatasetPerson *p, double *pose) {
    float r[9 * BODY_JOINTS];
    trainmesh_pose(&(Augment){.size = 1}, p->pose, r);
    for (int j = 0; j < BODY_JOINTS; j++)
        for (int row = 0; row < 3; row++)
            for (int k = 0; k < 2; k++) pose[6 * j + 2 * row + k] += (double)r[9 * j + 3 * row + k];
}

static int add_set(const TrainPart *part, double *pose, double *betas) {
    int n = 0;
    for (int i = 0; i < part->people; i++) {
        const DatasetPerson *p = &part->set->person[part->person[i]];
        if (!(p->has & DATASET_SMPL)) continue;
        add_pose(p, pose);
        for (int k = 0; k < BODY_BETAS; k++) betas[k] += (double)p->betas[k];
        n++;
    }
    return n;
}

static Status start(void *self, Params *params) {
    const MeshTask *t = self;
    double pose[CLIFF_POSE] = {0}, betas[BODY_BETAS] = {0};
    int n = 0;
    if (t->o.mean) return rule_mean_file(t->o.mean, params);
    for (int i = 0; i < t->train.parts; i++) n += add_set(&t->train.part[i], pose, betas);
    if (!n) return OK;
    for (int k = 0; k < CLIFF_POSE; k++) pose[k] /= n;
    for (int k = 0; k < BODY_BETAS; k++) betas[k] /= n;
    params_set(params, params_find(params, "init_pose"), pose);
    params_set(params, params_find(params, "init_shape"), betas);
    return OK;
}

/* ---- validation ---- */

/* Errors of everybody in millimetres. */
typedef struct {
    double *mpjpe, *pa, *pve;
    int n;
    float *vertices[2]; /* found, true */
} Errors;

static void to_double(const float *in, size_t n, double *out) {
    for (size_t i = 0; i < n; i++) out[i] = (double)in[i];
}

static double pve(const Errors *e, int n, const double *hip) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double d[3];
        for (int k = 0; k < 3; k++)
            d[k] = (double)e->vertices[0][3 * i + k] - (double)e->vertices[1][3 * i + k] - hip[k];
        sum += sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    }
    return sum / n;
}

/* Bodies are compared in the camera frame, aligned at their hips. */
static void compare(const MeshTask *t, const DatasetPerson *p, const float *angles,
                    const float *betas, Errors *e) {
    const float zero[3] = {0};
    float halpe[2][HALPE26_COUNT][3], lsp[2][LSP14_COUNT][3];
    double joints[2][LSP14_COUNT][3], hip[3];
    body_pose(t->body, angles, betas, zero, e->vertices[0], NULL, &halpe[0][0][0]);
    body_pose(t->body, p->pose, p->betas, zero, e->vertices[1], NULL, &halpe[1][0][0]);
    for (int i = 0; i < 2; i++) {
        joints_convert(JOINTS_HALPE26, JOINTS_LSP14, &halpe[i][0][0], 3, &lsp[i][0][0]);
        to_double(&lsp[i][0][0], sizeof lsp[i] / sizeof(float), &joints[i][0][0]);
    }
    for (int k = 0; k < 3; k++)
        hip[k] = (double)halpe[0][HALPE26_HIP][k] - (double)halpe[1][HALPE26_HIP][k];
    const double(*found)[3] = (const double(*)[3])joints[0];
    const double(*truth)[3] = (const double(*)[3])joints[1];
    e->mpjpe[e->n] = 1000 * metrics_mpjpe(found, truth, NULL);
    e->pa[e->n] = 1000 * metrics_pa_mpjpe(found, truth, LSP14_COUNT);
    e->pve[e->n++] = 1000 * pve(e, t->body->vertices, hip);
}

/* The people first .. first + n - 1 of the part, which are in one photo. */
static Status validate_photo(const MeshTask *t, Predictor *predictor, const TrainPart *part,
                             int first, int n, Errors *e) {
    const DatasetPerson *person = part->set->person;
    int photo = person[part->person[first]].photo, *index = malloc((size_t)n * sizeof *index);
    CHECK(index, "out of memory");
    Crowd crowd = {0};
    for (int i = 0; i < n; i++) {
        memcpy(crowd_add(&crowd)->box, person[part->person[first + i]].box, sizeof(float[4]));
        index[i] = i;
    }
    Image image;
    Cutter *cutter = NULL;
    People people = {0};
    Prediction found = {0};
    Status status = dataset_photo(part->set, photo, &image);
    if (status == OK) {
        crowd.camera = camera_for(&part->set->photo[photo], &image);
        status = cutter_new(&image, &backend_cpu, 0, &cutter);
        if (status == OK)
            status = people_new(cutter, &crowd, index, n, t->spec.height, t->spec.width, &people);
        if (status == OK) status = predict_run(predictor, &people, &found);
        cutter_free(cutter);
        dataset_release(part->set, photo);
    }
    for (int i = 0; i < n && status == OK; i++)
        compare(t, &person[part->person[first + i]], found.angles + (size_t)i * CROWD_POSE,
                found.betas + (size_t)i * CROWD_BETAS, e);
    predict_result_free(&found);
    people_free(&people);
    crowd_free(&crowd);
    free(index);
    return status;
}

static Status validate_all(const MeshTask *t, Predictor *predictor, Errors *e) {
    const TrainPart *part = &t->validation.part[0];
    const DatasetPerson *person = part->set->person;
    for (int first = 0, n; first < part->people; first += n) {
        n = 1;
        while (first + n < part->people && n < VALIDATION_BATCH &&
               person[part->person[first + n]].photo == person[part->person[first]].photo)
            n++;
        TRY(validate_photo(t, predictor, part, first, n, e));
    }
    return OK;
}

static Status validate(void *self, Params *params, TrainMetrics *out) {
    const MeshTask *t = self;
    Predictor *predictor;
    TRY(predict_new(&t->spec, params, VALIDATION_BATCH, &predictor));
    size_t people = (size_t)t->validation.part[0].people, v = 3 * (size_t)t->body->vertices;
    Errors e = {.mpjpe = calloc(3 * people, sizeof(double)),
                .vertices = {calloc(v, sizeof(float)), calloc(v, sizeof(float))}};
    CHECK(e.mpjpe && e.vertices[0] && e.vertices[1], "out of memory");
    e.pa = e.mpjpe + people, e.pve = e.pa + people;
    Status status = validate_all(t, predictor, &e);
    if (status == OK)
        *out = (TrainMetrics){.name = {"mpjpe_mm", "pa_mpjpe_mm", "pve_mm"},
                              .value = {metrics_mean(e.mpjpe, e.n), metrics_mean(e.pa, e.n),
                                        metrics_mean(e.pve, e.n)},
                              .count = 3,
                              .smaller_is_better = true};
    predict_free(predictor);
    free(e.mpjpe);
    for (int i = 0; i < 2; i++) free(e.vertices[i]);
    return status;
}

/* ---- opening ---- */

static void close_task(void *self) {
    MeshTask *t = self;
    trainset_close(&t->train);
    trainset_close(&t->validation);
    body_free(t->body);
    arena_free(t->arena);
    free(t);
}

/* Vertices spread evenly over the file's order. */
static void choose_vertices(MeshTask *t) {
    int all = t->body->vertices, rows = t->o.vertices;
    if (!rows) return;
    if (rows > all) rows = all;
    float *one = calloc((size_t)rows * (size_t)all, sizeof *one);
    CHECK(one, "out of memory");
    for (int i = 0; i < rows; i++)
        one[(size_t)i * (size_t)all + (size_t)((long long)i * all / rows)] = 1;
    t->vertices = contract_regressor(t->body, t->arena, one, rows);
    free(one);
}

static Status open_parts(MeshTask *t) {
    t->arena = arena_new();
    if (!t->o.body) return fail(ERR_USAGE, "--body is needed: an SMPL-format body model");
    TRY(train_spec(&t->o, NET_CLIFF, "cliff_hr16_small", &t->spec));
    t->spec.no_dropout = !t->o.dropout;
    t->pixels = crop_pixels(CROP_CLIFF, t->spec.height, t->spec.width);
    TRY(body_load(t->o.body, t->o.body_regressor, &t->body));
    choose_vertices(t);
    TRY(trainset_open(&t->o, usable, &t->train));
    return trainset_open_validation(&t->o, has_truth, &t->validation);
}

static LossTrainingWeights weights_of(const TrainOptions *o) {
    const double *w = o->loss_weights;
    LossTrainingWeights given = {w[0], w[1], w[2], w[3], w[4]};
    return w[0] + w[1] + w[2] + w[3] + w[4] > 0 ? given : losses_paper_weights;
}

Status trainmesh_open(const TrainOptions *options, TrainTask *out) {
    MeshTask *t = calloc(1, sizeof *t);
    CHECK(t, "out of memory");
    t->o = *options;
    t->weights = weights_of(options);
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
                       .close = close_task,
                       .start = start};
    return OK;
}
