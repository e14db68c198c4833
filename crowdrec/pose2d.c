#include "crowdrec/pose2d.h"

#include "crowdrec/cutter.h"
#include "nets/net.h"
#include "smpl/joints.h"
#include "tensor/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH = 8, COCO_KEYPOINTS = 17 };

struct Pose2d {
    NetSpec spec;
    AffineAttr pixels;
    int largest_batch, batch; /* batch: of the present plan, 0: none */
    bool flip, fit;
    Params *params;
    Graph *graph;
    Plan *plan;
    Tensor *input, *mirrored; /* the crops, and with flip their mirror images */
    Tensor *peaks;            /* [batch,1,joints,3] */
    int heat_h, heat_w;
    float (*found)[3]; /* peaks on the host */
    const volatile int *interrupted;
};

/* Column x of the result is column w - x of the mirror image, the first one its last. */
static Tensor *mirrored_back(const Scope *m, Tensor *heat) {
    int w = heat->shape.w, joints = heat->shape.c;
    CHECK(joints <= CROWD_KEYPOINTS, "heatmaps %s", shape_text(heat->shape));
    int32_t joint[CROWD_KEYPOINTS];
    int32_t *column = arena_alloc(graph_arena(m->graph), (size_t)w * sizeof *column);
    for (int x = 0; x < w; x++) column[x] = x ? w - x : w - 1;
    /* Halpe-26 begins with COCO-17. */
    for (int j = 0; j < joints; j++) joint[j] = joints_order(JOINTS_HALPE26)->joint[j].flip;
    Shape columns = {1, 1, 1, w}, all = {1, 1, 1, joints};
    heat = gather(m, heat, AXIS_W, graph_constant(m->graph, "columns", I32, columns, column));
    return gather(m, heat, AXIS_C, graph_constant(m->graph, "partners", I32, all, joint));
}

Tensor *pose2d_peaks(const Scope *m, Tensor *heat, bool fit) {
    /* Targets deviate by h / 32; found on validation photos (docs/models.md). */
    return heatpeak(m, heat, .quarter = !fit, .deviation = fit ? (float)heat->shape.h / 24 : 0);
}

Tensor *pose2d_merge_flip(const Scope *m, Tensor *heat, Tensor *mirrored) {
    return scale(m, add(m, heat, mirrored_back(m, mirrored)), 0.5f);
}

void pose2d_place(const float (*peak)[3], int joints, const Crop *crop, float (*keypoint)[3]) {
    for (int j = 0; j < joints; j++) {
        double photo[2];
        crop_to_photo(crop, (double)peak[j][0], (double)peak[j][1], photo);
        keypoint[j][0] = (float)photo[0], keypoint[j][1] = (float)photo[1];
        keypoint[j][2] = peak[j][2];
    }
}

static Status open_pose(Pose2d *p, const char *weights, const Backend *backend) {
    TRY(net_open(weights, backend ? backend : &backend_cpu, &p->spec, &p->params));
    if (p->spec.kind != NET_HRNET_POSE && p->spec.kind != NET_FASTPOSE)
        return fail(ERR_MODEL, "%s: holds %s, a 2d pose network must be a fastpose or hrnet_pose",
                    weights, p->spec.name);
    if (p->spec.joints != COCO_KEYPOINTS && p->spec.joints != CROWD_KEYPOINTS)
        return fail(ERR_MODEL, "%s: has %d joints, must have 26 (halpe) or 17 (coco)", weights,
                    p->spec.joints);
    CropPixels rule = p->spec.kind == NET_FASTPOSE ? CROP_FASTPOSE : CROP_HRNET;
    p->pixels = crop_pixels(rule, p->spec.height, p->spec.width);
    return OK;
}

Status pose2d_open(const char *weights, const Pose2dOptions *options, Pose2d **out) {
    Pose2d *p = *out = calloc(1, sizeof *p);
    if (!p) return fail(ERR_MEMORY, "no memory for a pose network");
    p->largest_batch = options->batch > 0 ? options->batch : DEFAULT_BATCH;
    p->flip = options->flip, p->fit = options->fit, p->interrupted = options->interrupted;
    Status status = open_pose(p, weights, options->backend);
    if (status != OK) pose2d_close(p), *out = NULL;
    return status;
}

static void drop_plan(Pose2d *p) {
    if (p->plan) plan_free(p->plan);
    if (p->graph) graph_free(p->graph);
    free(p->found);
    p->plan = NULL, p->graph = NULL, p->found = NULL, p->batch = 0;
}

void pose2d_close(Pose2d *p) {
    if (!p) return;
    drop_plan(p);
    if (p->params) params_free(p->params);
    free(p);
}

/* The network on crops of its own, and its heatmaps. */
static Tensor *network(const Pose2d *p, const Scope *m, const char *name, int batch,
                       Tensor **input) {
    Shape shape = {batch, p->pixels.out_h, p->pixels.out_w, 3};
    *input = graph_input(m->graph, name, F32, shape);
    return net_build(&p->spec, m, *input, NULL).raw;
}

static Status make_plan(Pose2d *p, int batch) {
    if (p->batch == batch) return OK;
    drop_plan(p);
    p->graph = graph_new();
    Scope m = {.graph = p->graph, .params = p->params};
    Tensor *heat = network(p, &m, "input", batch, &p->input);
    p->heat_h = heat->shape.h, p->heat_w = heat->shape.w;
    if (p->flip)
        heat = pose2d_merge_flip(&m, heat, network(p, &m, "mirrored", batch, &p->mirrored));
    p->peaks = pose2d_peaks(&m, heat, p->fit);
    TRY(plan_new(p->graph, params_backend(p->params), &(PlanOptions){.keep = &p->peaks, .keeps = 1},
                 &p->plan));
    p->found = malloc((size_t)(batch * p->spec.joints) * sizeof *p->found);
    if (!p->found)
        return fail(ERR_MEMORY, "pose: no memory for %d crops, use a smaller batch", batch);
    p->batch = batch;
    return OK;
}

static void fill_person(Person *person, const Pose2d *p, const CropBox *box,
                        const float (*peak)[3]) {
    Crop crop = crop_around(box, p->heat_h, p->heat_w);
    memset(person->keypoints, 0, sizeof person->keypoints);
    pose2d_place(peak, p->spec.joints, &crop, person->keypoints);
    bool any = false;
    for (int j = 0; j < p->spec.joints; j++) {
        any = any || person->keypoints[j][2] > 0;
        person->keypoints[j][2] = fmaxf(person->keypoints[j][2], 0);
    }
    if (any)
        person->flags |= PERSON_HAS_KEYPOINTS;
    else
        memset(person->keypoints, 0, sizeof person->keypoints);
}

static CropBox box_of(const Pose2d *p, const Person *person) {
    return crop_pose_box(person->box, (double)p->pixels.out_w / p->pixels.out_h);
}

/* What is left of `count` people from the first of a batch on, at most the batch. */
static int batch_size(const Pose2d *p, int first, int count) {
    return count - first < p->batch ? count - first : p->batch;
}

/* The crops of a batch; one that is not full repeats its first. */
static void feed_batch(Pose2d *p, Cutter *cutter, Person *const *people, int count, Crop *crop) {
    for (int i = 0; i < p->batch; i++) {
        CropBox box = box_of(p, people[i < count ? i : 0]);
        crop[i] = crop_around(&box, p->pixels.out_h, p->pixels.out_w);
    }
    cutter_feed(cutter, crop, &p->pixels, p->plan, p->input);
    if (!p->flip) return;
    for (int i = 0; i < p->batch; i++) crop[i] = crop_mirrored(&crop[i], p->pixels.out_w);
    cutter_feed(cutter, crop, &p->pixels, p->plan, p->mirrored);
}

static void read_batch(Pose2d *p, Person *const *people, int count) {
    plan_read(p->plan, p->peaks, F32, p->found);
    for (int i = 0; i < count; i++) {
        CropBox box = box_of(p, people[i]);
        fill_person(people[i], p, &box, (const float(*)[3])p->found + i * p->spec.joints);
    }
}

/* Equal batches, so that little of the last one is wasted. */
static int even_batch(int people, int largest) {
    int runs = (people + largest - 1) / largest;
    return (people + runs - 1) / runs;
}

/* Fewer people a run where memory is short. */
static Status make_plan_that_fits(Pose2d *p, int people) {
    int batch = even_batch(people, p->largest_batch);
    Status status = make_plan(p, batch);
    while (status == ERR_MEMORY && batch > 1) {
        p->largest_batch = (batch + 1) / 2;
        batch = even_batch(people, p->largest_batch);
        status = make_plan(p, batch);
    }
    return status;
}

static Status run_people(Pose2d *p, Cutter *cutter, Person *const *people, int count, Crop *crop) {
    if (!count) return OK;
    TRY(make_plan_that_fits(p, count));
    feed_batch(p, cutter, people, batch_size(p, 0, count), crop);
    for (int first = 0; first < count; first += p->batch) {
        int size = batch_size(p, first, count), next = first + size;
        plan_run(p->plan);
        /* What the next batch needs goes over while this one computes. */
        if (next < count) feed_batch(p, cutter, people + next, batch_size(p, next, count), crop);
        read_batch(p, people + first, size);
        log_progress("pose: %d of %d people", next, count);
        if (next < count && p->interrupted && *p->interrupted)
            return fail(ERR_INTERRUPTED, "%d of %d people have no 2D pose", count - next, count);
    }
    log_progress_end();
    return OK;
}

Status pose2d_run(Pose2d *p, const Image *photo, Crowd *crowd) {
    Person **people = malloc(((size_t)crowd->count + 1) * sizeof *people);
    Crop *crop = malloc((size_t)p->largest_batch * sizeof *crop);
    CHECK(people && crop, "no memory for a list of %d people", crowd->count);
    int count = 0;
    for (int i = 0; i < crowd->count; i++)
        if (crop_usable(crowd->person[i].box)) people[count++] = &crowd->person[i];
    if (count < crowd->count)
        log_info("pose: %d of %d boxes are empty or out of range and get no keypoints",
                 crowd->count - count, crowd->count);
    Cutter *cutter = NULL;
    Status status = cutter_new(photo, params_backend(p->params), 0, &cutter);
    if (status == OK) status = run_people(p, cutter, people, count, crop);
    cutter_free(cutter);
    free(people);
    free(crop);
    return status;
}
