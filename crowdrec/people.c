#include "crowdrec/people.h"

#include <stdlib.h>
#include <string.h>

static Status take(float **out, int n, int numbers) {
    *out = calloc((size_t)n * (size_t)numbers + 1, sizeof **out);
    if (*out) return OK;
    return fail(ERR_MEMORY, "no memory for the crops of %d people; use a smaller --group", n);
}

static Status take_all(People *p) {
    p->crop = calloc((size_t)p->count + 1, sizeof *p->crop);
    if (!p->crop) return fail(ERR_MEMORY, "no memory for the crops of %d people", p->count);
    if (!cutter_on_device(p->cutter)) TRY(take(&p->pixels, p->count, p->height * p->width * 3));
    TRY(take(&p->bbox_info, p->count, 3));
    TRY(take(&p->box, p->count, 6));
    TRY(take(&p->intrinsics, p->count, 3));
    TRY(take(&p->center, p->count, 2));
    TRY(take(&p->size, p->count, 1));
    TRY(take(&p->keypoints, p->count, 2 * HALPE26_COUNT));
    return take(&p->confidence, p->count, HALPE26_COUNT);
}

void people_free(People *p) {
    float *all[] = {p->pixels, p->bbox_info, p->box,       p->intrinsics,
                    p->center, p->size,      p->keypoints, p->confidence};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(p->crop);
    *p = (People){0};
}

/* CLIFF's box information, normalised as in its public code; a principal point beside the image
 * centre stands for the centre of a larger image. */
void people_place(const float center[2], float scale, const Camera *camera, float *info, float *box,
                  float *k) {
    double cx = center[0], cy = center[1], f = camera->focal, height = 200.0 * scale;
    info[0] = (float)((cx - camera->cx) / f * 2.8);
    info[1] = (float)((cy - camera->cy) / f * 2.8);
    info[2] = (float)((height - 0.24 * f) / (0.06 * f));
    double values[] = {cx, cy, height, 2 * camera->cx, 2 * camera->cy, f};
    for (int c = 0; c < 6; c++) box[c] = (float)values[c];
    k[0] = (float)f, k[1] = (float)camera->cx, k[2] = (float)camera->cy;
}

static void fill_camera(People *p, int i, const Person *person, const Camera *camera) {
    people_place(person->center, person->scale, camera, p->bbox_info + 3 * i, p->box + 6 * i,
                 p->intrinsics + 3 * i);
    p->center[2 * i] = person->center[0], p->center[2 * i + 1] = person->center[1];
    p->size[i] = (float)(200.0 * person->scale);
}

static void fill_keypoints(People *p, int i, const Person *person) {
    for (int j = 0; j < HALPE26_COUNT; j++) {
        const float *from = person->keypoints[j];
        float *to = p->keypoints + 2 * (i * HALPE26_COUNT + j);
        p->confidence[i * HALPE26_COUNT + j] = from[2];
        for (int axis = 0; axis < 2 && from[2] > 0; axis++)
            to[axis] = (from[axis] - person->center[axis]) / p->size[i];
    }
}

Status people_new(Cutter *cutter, Crowd *crowd, const int *index, int n, int height, int width,
                  People *out) {
    *out = (People){.count = n, .height = height, .width = width, .cutter = cutter};
    Status status = take_all(out);
    if (status != OK) {
        people_free(out);
        return status;
    }
    AffineAttr pixels = crop_pixels(CROP_CLIFF, height, width);
    for (int i = 0; i < n; i++) {
        Person *person = &crowd->person[index[i]];
        crop_cliff_box(person->box, person->center, &person->scale);
        out->crop[i] = crop_cliff(person->center, person->scale, height, width);
        fill_camera(out, i, person, &crowd->camera);
        fill_keypoints(out, i, person);
    }
    if (out->pixels) crop_run(cutter_photo(cutter), out->crop, n, &pixels, out->pixels);
    return OK;
}

PeopleInputs people_inputs(const Scope *m, int batch, int height, int width) {
    return (PeopleInputs){
        graph_input(m->graph, "input", F32, (Shape){batch, height, width, 3}),
        graph_input(m->graph, "bbox_info", F32, (Shape){batch, 1, 1, 3}),
    };
}

void people_write(const People *p, Plan *plan, int first, const Tensor *input,
                  const float *values) {
    int batch = input->shape.n;
    size_t row = shape_size(input->shape) / (size_t)batch;
    if (first + batch <= p->count) {
        plan_write(plan, input, F32, values + (size_t)first * row);
        return;
    }
    float *padded = malloc((size_t)batch * row * sizeof *padded);
    CHECK(padded, "out of memory");
    for (int i = 0; i < batch; i++) {
        int from = first + i < p->count ? first + i : p->count - 1;
        memcpy(padded + (size_t)i * row, values + (size_t)from * row, row * sizeof *padded);
    }
    plan_write(plan, input, F32, padded);
    free(padded);
}

static void cut_pixels(const People *p, Plan *plan, int first, const Tensor *input) {
    AffineAttr pixels = crop_pixels(CROP_CLIFF, p->height, p->width);
    int batch = input->shape.n;
    Crop *crop = malloc((size_t)batch * sizeof *crop + 1);
    CHECK(crop, "out of memory");
    for (int i = 0; i < batch; i++)
        crop[i] = p->crop[first + i < p->count ? first + i : p->count - 1];
    cutter_feed(p->cutter, crop, &pixels, plan, input);
    free(crop);
}

void people_write_inputs(const People *p, Plan *plan, int first, const PeopleInputs *in) {
    if (p->pixels)
        people_write(p, plan, first, in->pixels, p->pixels);
    else
        cut_pixels(p, plan, first, in->pixels);
    people_write(p, plan, first, in->bbox_info, p->bbox_info);
}

void people_write_targets(const People *p, Plan *plan, int first, const LossTargets *t) {
    people_write(p, plan, first, t->box, p->box);
    people_write(p, plan, first, t->intrinsics, p->intrinsics);
    people_write(p, plan, first, t->center, p->center);
    people_write(p, plan, first, t->height, p->size);
    people_write(p, plan, first, t->keypoints, p->keypoints);
    people_write(p, plan, first, t->confidence, p->confidence);
}
