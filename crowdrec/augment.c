#include "crowdrec/augment.h"

#include "crowdrec/crop.h"
#include "smpl/joints.h"
#include "tensor/rng.h"

#include <math.h>
#include <string.h>

static const double TURNED = 0.6; /* share of the draws that are turned */

static double within(double value, double limit) { return fmax(-limit, fmin(limit, value)); }

Augment augment_draw(const TrainOptions *o, uint64_t key) {
    uint64_t s = rng_stream("augment", key);
    double rotate = o->rotate * M_PI / 180;
    Augment a = {
        .size = 1 + o->scale * (double)rng_signed(s, 0),
        .shift = {o->jitter * (double)rng_signed(s, 1), o->jitter * (double)rng_signed(s, 2)},
        .flip = !o->no_flip && rng_uniform(s, 3) < 0.5f,
        .armless = (double)rng_uniform(s, 8) < o->armless};
    if ((double)rng_uniform(s, 4) < TURNED)
        a.roll = within(rotate * rng_normal(rng_stream("augment roll", key), 0), 2 * rotate);
    for (uint64_t k = 0; k < 3; k++)
        a.gain[k] = (float)(1 + o->colour * (double)rng_signed(s, 5 + k));
    return a;
}

static bool of_arm(int j) { return j >= HALPE26_L_ELBOW && j <= HALPE26_R_WRIST; }

/* The box without what only arms reach; as it is where nothing else is known. */
static void armless_box(const DatasetPerson *p, float box[4]) {
    float all[4], body[4], cut[4];
    memcpy(box, p->box, sizeof p->box);
    if (!(p->has & DATASET_KEYPOINTS)) return;
    crowd_hull(p->keypoints, NULL, all);
    crowd_hull(p->keypoints, of_arm, body);
    for (int side = 0; side < 4; side++) cut[side] = p->box[side] + body[side] - all[side];
    if (crop_usable(cut)) memcpy(box, cut, sizeof cut);
}

void augment_box(const Augment *a, const DatasetPerson *p, float box[4]) {
    if (a->armless)
        armless_box(p, box);
    else
        memcpy(box, p->box, sizeof p->box);
}

static double area(const float box[4]) {
    return ((double)box[2] - box[0]) * ((double)box[3] - box[1]);
}

bool augment_reaches(const DatasetPerson *p) {
    float without[4];
    armless_box(p, without);
    return area(without) < 0.7 * area(p->box);
}

void augment_colour(const Augment *a, const AffineAttr *rule, float *crop, int pixels) {
    for (int i = 0; i < pixels; i++) {
        for (int k = 0; k < 3; k++) {
            float deviation = rule->deviation[k] != 0 ? rule->deviation[k] : 1;
            float share = crop[3 * i + k] * deviation + rule->mean[k];
            share = fminf(a->gain[k] * share, 1);
            crop[3 * i + k] = (share - rule->mean[k]) / deviation;
        }
    }
}

void augment_turn(const Augment *a, const double in[2], double out[2]) {
    double x = a->flip ? -in[0] : in[0], y = in[1], c = cos(a->roll), s = sin(a->roll);
    out[0] = c * x - s * y;
    out[1] = s * x + c * y;
}

void augment_turn_back(const Augment *a, const double in[2], double out[2]) {
    double c = cos(a->roll), s = sin(a->roll);
    double x = c * in[0] + s * in[1];
    out[0] = a->flip ? -x : x;
    out[1] = c * in[1] - s * in[0];
}
