#include "crowdrec/pose2d.h"

#include "crowdrec/cutter.h"
#include "nets/net.h"
#include "tensor/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH = 8, COCO_KEYPOINTS = 17 };

struct Pose2d {
    NetSpec spec;
    AffineAttr pixels;
    int largest_batch, batch; /* batch: of the present plan, 0: none */
    bool flip;
    Params *params;
    Graph *graph;
    Plan *plan;
    Tensor *input, *heat;
    float *heatmaps, *mirrored; /* [batch,h,w,joints] */
};

/* Left and right joints of Halpe-26; COCO-17 has the first eight. */
static const int pairs[][2] = {{1, 2},   {3, 4},   {5, 6},   {7, 8},   {9, 10}, {11, 12},
                               {13, 14}, {15, 16}, {20, 21}, {22, 23}, {24, 25}};

static int partner(int joint) {
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i][0] == joint) return pairs[i][1];
        if (pairs[i][1] == joint) return pairs[i][0];
    }
    return joint;
}

void pose2d_merge_flip(float *heat, const float *mirrored, int h, int w, int joints) {
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            int source = x ? w - x : w - 1;
            float *row = heat + ((size_t)y * w + x) * joints;
            const float *other = mirrored + ((size_t)y * w + source) * joints;
            for (int j = 0; j < joints; j++) row[j] = 0.5f * (row[j] + other[partner(j)]);
        }
    }
}

static double sign(float difference) { return (difference > 0) - (difference < 0); }

void pose2d_decode(const float *heat, int h, int w, int joints, const Crop *crop, bool quarter,
                   float (*keypoint)[3]) {
    for (int j = 0; j < joints; j++) {
        const float *map = heat + j;
        ptrdiff_t best = 0, right = joints, down = (ptrdiff_t)w * joints;
        for (ptrdiff_t i = 1; i < (ptrdiff_t)h * w; i++)
            if (map[i * right] > map[best * right]) best = i;
        float score = map[best * right];
        double x = score > 0 ? (double)(best % w) : 0, y = score > 0 ? (double)(best / w) : 0;
        if (quarter && x > 1 && x < w - 1 && y > 1 && y < h - 1) {
            const float *peak = map + best * right;
            x += 0.25 * sign(peak[right] - peak[-right]);
            y += 0.25 * sign(peak[down] - peak[-down]);
        }
        double photo[2];
        crop_to_photo(crop, x, y, photo);
        keypoint[j][0] = (float)photo[0], keypoint[j][1] = (float)photo[1];
        keypoint[j][2] = score;
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
    p->flip = options->flip;
    Status status = open_pose(p, weights, options->backend);
    if (status != OK) pose2d_close(p), *out = NULL;
    return status;
}

static void drop_plan(Pose2d *p) {
    if (p->plan) plan_free(p->plan);
    if (p->graph) graph_free(p->graph);
    free(p->heatmaps);
    free(p->mirrored);
    p->plan = NULL, p->graph = NULL, p->heatmaps = p->mirrored = NULL, p->batch = 0;
}

void pose2d_close(Pose2d *p) {
    if (!p) return;
    drop_plan(p);
    if (p->params) params_free(p->params);
    free(p);
}

static Status make_plan(Pose2d *p, int batch) {
    if (p->batch == batch) return OK;
    drop_plan(p);
    p->graph = graph_new();
    Scope m = {.graph = p->graph, .params = p->params};
    p->input =
        graph_input(p->graph, "input", F32, (Shape){batch, p->pixels.out_h, p->pixels.out_w, 3});
    p->heat = net_build(&p->spec, &m, p->input, NULL).raw;
    TRY(plan_new(p->graph, params_backend(p->params), &(PlanOptions){.keep = &p->heat, .keeps = 1},
                 &p->plan));
    p->heatmaps = malloc(shape_size(p->heat->shape) * sizeof *p->heatmaps);
    p->mirrored = malloc(shape_size(p->heat->shape) * sizeof *p->mirrored);
    if (!p->heatmaps || !p->mirrored)
        return fail(ERR_MEMORY, "pose: no memory for %d crops, use a smaller batch", batch);
    p->batch = batch;
    return OK;
}

/* The heatmaps of a batch of crops. */
static void run_network(Pose2d *p, Cutter *cutter, const Crop *crop, float *heat) {
    cutter_feed(cutter, crop, &p->pixels, p->plan, p->input);
    plan_run(p->plan);
    plan_read(p->plan, p->heat, F32, heat);
}

static void fill_person(Person *person, const Pose2d *p, const CropBox *box, float *heat) {
    int h = p->heat->shape.h, w = p->heat->shape.w;
    Crop crop = crop_around(box, h, w);
    memset(person->keypoints, 0, sizeof person->keypoints);
    pose2d_decode(heat, h, w, p->spec.joints, &crop, true, person->keypoints);
    for (int j = 0; j < p->spec.joints; j++)
        person->keypoints[j][2] = fmaxf(person->keypoints[j][2], 0);
    person->flags |= PERSON_HAS_KEYPOINTS;
}

/* A batch that is not full repeats its first crop. */
static void run_batch(Pose2d *p, Cutter *cutter, Person *const *people, int count, Crop *crop) {
    int height = p->pixels.out_h, width = p->pixels.out_w;
    size_t size = shape_size(p->heat->shape) / (size_t)p->batch;
    for (int i = 0; i < p->batch; i++) {
        CropBox box = crop_pose_box(people[i < count ? i : 0]->box, (double)width / height);
        crop[i] = crop_around(&box, height, width);
    }
    run_network(p, cutter, crop, p->heatmaps);
    if (p->flip) {
        for (int i = 0; i < p->batch; i++) crop[i] = crop_mirrored(&crop[i], width);
        run_network(p, cutter, crop, p->mirrored);
    }
    for (int i = 0; i < count; i++) {
        CropBox box = crop_pose_box(people[i]->box, (double)width / height);
        float *heat = p->heatmaps + (size_t)i * size;
        if (p->flip)
            pose2d_merge_flip(heat, p->mirrored + (size_t)i * size, p->heat->shape.h,
                              p->heat->shape.w, p->spec.joints);
        fill_person(people[i], p, &box, heat);
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
    for (int first = 0; first < count; first += p->batch) {
        int left = count - first;
        run_batch(p, cutter, people + first, left < p->batch ? left : p->batch, crop);
        log_progress("pose: %d of %d people", left < p->batch ? count : first + p->batch, count);
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
