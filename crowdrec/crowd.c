#include "crowdrec/crowd.h"

#include "smpl/joints.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void crowd_free(Crowd *crowd) {
    free(crowd->photo);
    free(crowd->person);
    *crowd = (Crowd){0};
}

Person *crowd_add(Crowd *crowd) {
    if (crowd->count == crowd->capacity) {
        int capacity = crowd->capacity ? 2 * crowd->capacity : 64;
        Person *person = realloc(crowd->person, (size_t)capacity * sizeof *person);
        CHECK(person, "no memory for %d people", capacity);
        crowd->person = person, crowd->capacity = capacity;
    }
    Person *p = &crowd->person[crowd->count];
    *p = (Person){.id = crowd->count, .group = -1};
    crowd->count++;
    return p;
}

int crowd_count(const Crowd *crowd, unsigned flags) {
    int count = 0;
    for (int i = 0; i < crowd->count; i++) count += (crowd->person[i].flags & flags) == flags;
    return count;
}

void crowd_filter(Crowd *crowd, bool (*keep)(const Person *, void *), void *context) {
    int kept = 0;
    for (int i = 0; i < crowd->count; i++)
        if (keep(&crowd->person[i], context)) crowd->person[kept++] = crowd->person[i];
    crowd->count = kept;
}

bool crowd_box_of_keypoints(Person *p) {
    const float MARGIN = 0.035f; /* what hands, feet and hair need beyond their keypoints */
    float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int i = 0; i < CROWD_KEYPOINTS; i++)
        for (int k = 0; p->keypoints[i][2] > 0 && k < 2; k++) {
            low[k] = fminf(low[k], p->keypoints[i][k]);
            high[k] = fmaxf(high[k], p->keypoints[i][k]);
        }
    if (!(high[0] > low[0] && high[1] > low[1])) return false;
    float margin = MARGIN * fmaxf(high[0] - low[0], high[1] - low[1]);
    for (int k = 0; k < 2; k++) p->box[k] = low[k] - margin, p->box[2 + k] = high[k] + margin;
    return true;
}

double crowd_confidence(const Person *p) {
    double sum = 0;
    for (int j = 0; j < COCO17_COUNT; j++) sum += (double)p->keypoints[j][2];
    return sum / COCO17_COUNT;
}

double crowd_strength(const Person *p) { return (double)p->score * crowd_confidence(p); }

enum { LEFT_ANKLE = 15, RIGHT_ANKLE = 16, HEAD = 17, ROOT = 19 }; /* Halpe-26 */

/* Unit vector from the middle of the ankles to the head; false where there is none. */
static bool body_axis(const Person *p, double axis[3]) {
    if (!(p->flags & PERSON_HAS_BODY) || p->flags & PERSON_BEHIND_CAMERA) return false;
    double length = 0;
    for (int k = 0; k < 3; k++) {
        double bottom = 0.5 * ((double)p->joints[LEFT_ANKLE][k] + p->joints[RIGHT_ANKLE][k]);
        axis[k] = p->joints[HEAD][k] - bottom;
        length += axis[k] * axis[k];
    }
    length = sqrt(length);
    if (!(length > 1e-9) || !isfinite(length)) return false;
    for (int k = 0; k < 3; k++) axis[k] /= length;
    for (int k = 0; k < 3; k++)
        if (!isfinite(p->joints[ROOT][k])) return false;
    return true;
}

static double root_height(const Person *p, const double up[3]) {
    return p->joints[ROOT][0] * up[0] + p->joints[ROOT][1] * up[1] + p->joints[ROOT][2] * up[2];
}

/* The spread is taken along the mean axis itself (eq. 8), which is a little shorter than 1; plane
 * and distances along the unit normal. */
void crowd_ground(Crowd *crowd) {
    double axis[3], mean[3] = {0}, height = 0, squares = 0;
    int used = 0;
    memset(crowd->ground_normal, 0, sizeof crowd->ground_normal);
    crowd->ground_offset = crowd->ground_spread = 0;
    for (int i = 0; i < crowd->count; i++) {
        crowd->person[i].ground_distance = 0;
        if (!body_axis(&crowd->person[i], axis)) continue;
        for (int k = 0; k < 3; k++) mean[k] += axis[k];
        used++;
    }
    double length = sqrt(mean[0] * mean[0] + mean[1] * mean[1] + mean[2] * mean[2]);
    if (!used || !(length > 1e-9)) return;
    for (int k = 0; k < 3; k++) mean[k] /= length;
    for (int i = 0; i < crowd->count; i++)
        if (body_axis(&crowd->person[i], axis)) height += root_height(&crowd->person[i], mean);
    height /= used;
    for (int i = 0; i < crowd->count; i++) {
        Person *p = &crowd->person[i];
        if (!body_axis(p, axis)) continue;
        double distance = root_height(p, mean) - height;
        p->ground_distance = (float)distance;
        squares += distance * distance;
    }
    for (int k = 0; k < 3; k++) crowd->ground_normal[k] = (float)mean[k];
    crowd->ground_offset = (float)height;
    if (used > 1) crowd->ground_spread = (float)(sqrt(squares / (used - 1)) * length / used);
}
