#include "tests/madecrowd.h"

#include "tensor/rng.h"

#include <math.h>
#include <string.h>

static void fill(const char *key, int person, float *out, size_t count, float scale) {
    uint64_t stream = rng_stream(key, (uint64_t)person);
    for (size_t i = 0; i < count; i++) out[i] = scale * rng_signed(stream, i);
}

static void make_person(Person *p, int i, unsigned flags) {
    p->id = i + 1;
    p->flags = flags;
    p->score = rng_uniform(rng_stream("score", 1), (uint64_t)i);
    for (int k = 0; k < 2; k++) {
        p->box[k] = 100 + 50 * rng_signed(rng_stream("box", (uint64_t)i), (uint64_t)k);
        p->box[2 + k] = p->box[k] + 60 + (float)(10 * k);
    }
    fill("keypoints", i, &p->keypoints[0][0], sizeof p->keypoints / sizeof(float), 200);
    for (int j = 0; j < CROWD_KEYPOINTS; j++) {
        p->keypoints[j][2] = fabsf(p->keypoints[j][2]) / 200;
    }
    fill("pose", i, p->pose, CROWD_POSE, 1);
    fill("betas", i, p->betas, CROWD_BETAS, 2);
    fill("trans", i, p->trans, 3, 3);
    fill("joints", i, &p->joints[0][0], sizeof p->joints / sizeof(float), 3);
    fill("losses", i, &p->loss_keypoints, 1, 1);
    p->trans[2] += 10;
    p->ground_distance = 0.25f * (float)i;
    p->group = flags & PERSON_REFINED ? 0 : -1;
}

Crowd madecrowd_new(const char *photo, int people, unsigned flags) {
    Crowd crowd = {.width = MADECROWD_WIDTH,
                   .height = MADECROWD_HEIGHT,
                   .camera = {800, 320, 240, "image diagonal"},
                   .ground_normal = {0, -1, 0},
                   .ground_offset = -1.5f,
                   .ground_spread = 0.1f};
    crowd.photo = strdup(photo);
    for (int i = 0; i < people; i++) make_person(crowd_add(&crowd), i, flags);
    return crowd;
}
