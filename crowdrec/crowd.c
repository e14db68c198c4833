#include "crowdrec/crowd.h"

#include "kernels/plane.h"
#include "smpl/joints.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

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

void crowd_mark_body(Person *p) {
    p->flags = (p->flags | PERSON_HAS_BODY) & ~(unsigned)PERSON_BEHIND_CAMERA;
    if (!(p->joints[HALPE26_HIP][2] > 0)) p->flags |= PERSON_BEHIND_CAMERA;
}

void crowd_filter(Crowd *crowd, bool (*keep)(const Person *, void *), void *context) {
    int kept = 0;
    for (int i = 0; i < crowd->count; i++)
        if (keep(&crowd->person[i], context)) crowd->person[kept++] = crowd->person[i];
    crowd->count = kept;
}

bool crowd_sees(const Crowd *crowd, const float box[4]) {
    return box[0] < (float)crowd->width && box[1] < (float)crowd->height && box[2] > 0 &&
           box[3] > 0;
}

/* How far a body reaches beyond its outermost keypoints to the left, top, right and bottom, as a
 * share of the longer side of their span: as measured on people of this program's making
 * (docs/models.md). Halpe-26 has the top of the head, toes and heels, COCO-17 ends at the eyes and
 * the ankles. */
static void reach(const Person *p, float margin[4]) {
    bool top = p->keypoints[HALPE26_HEAD][2] > 0, feet = false;
    for (int i = HALPE26_L_BIG_TOE; i < CROWD_KEYPOINTS; i++) feet = feet || p->keypoints[i][2] > 0;
    margin[0] = margin[2] = 0.03f;
    margin[1] = top ? 0.012f : 0.08f;
    margin[3] = feet ? 0.018f : 0.055f;
}

void crowd_hull(const float (*keypoints)[3], bool (*without)(int joint), float hull[4]) {
    hull[0] = hull[1] = INFINITY, hull[2] = hull[3] = -INFINITY;
    for (int i = 0; i < CROWD_KEYPOINTS; i++) {
        if (!(keypoints[i][2] > 0) || (without && without(i))) continue;
        for (int k = 0; k < 2; k++) {
            hull[k] = fminf(hull[k], keypoints[i][k]);
            hull[2 + k] = fmaxf(hull[2 + k], keypoints[i][k]);
        }
    }
}

bool crowd_box_of_keypoints(Person *p, float share) {
    float hull[4], margin[4], *low = hull, *high = hull + 2;
    crowd_hull((const float(*)[3])p->keypoints, NULL, hull);
    if (!(high[0] > low[0] && high[1] > low[1])) return false;
    float side = fmaxf(high[0] - low[0], high[1] - low[1]);
    reach(p, margin);
    for (int k = 0; k < 2; k++) {
        p->box[k] += share * (low[k] - margin[k] * side - p->box[k]);
        p->box[2 + k] += share * (high[k] + margin[2 + k] * side - p->box[2 + k]);
    }
    return true;
}

double crowd_confidence(const Person *p) {
    double sum = 0;
    for (int j = 0; j < COCO17_COUNT; j++) sum += (double)p->keypoints[j][2];
    return sum / COCO17_COUNT;
}

double crowd_strength(const Person *p) { return (double)p->score * crowd_confidence(p); }

/* Unit vector from the middle of the ankles to the head; false where there is none. */
static bool body_axis(const Person *p, double axis[3]) {
    if (!(p->flags & PERSON_HAS_BODY) || p->flags & PERSON_BEHIND_CAMERA) return false;
    double length = 0;
    for (int k = 0; k < 3; k++) {
        double bottom =
            0.5 * ((double)p->joints[HALPE26_L_ANKLE][k] + p->joints[HALPE26_R_ANKLE][k]);
        axis[k] = p->joints[HALPE26_HEAD][k] - bottom;
        length += axis[k] * axis[k];
    }
    length = sqrt(length);
    if (!(length > 1e-9) || !isfinite(length)) return false;
    for (int k = 0; k < 3; k++) axis[k] /= length;
    for (int k = 0; k < 3; k++)
        if (!isfinite(p->joints[HALPE26_HIP][k])) return false;
    return true;
}

static void root_of(const Person *p, double root[3]) {
    for (int k = 0; k < 3; k++) root[k] = (double)p->joints[HALPE26_HIP][k];
}

/* The ground's unit normal and the mean root; how many people they are of, 0 where there is none.
 */
static int find_ground(const Crowd *crowd, double normal[3], double mean[3]) {
    double axis[3], root[3], up[3] = {0};
    PlaneSums sums = {0};
    for (int i = 0; i < crowd->count; i++) {
        if (!body_axis(&crowd->person[i], axis)) continue;
        root_of(&crowd->person[i], root);
        for (int k = 0; k < 3; k++) up[k] += axis[k];
        plane_sum_point(&sums, root[0], root[1], root[2]);
    }
    for (int i = 0; i < crowd->count; i++) {
        if (!body_axis(&crowd->person[i], axis)) continue;
        root_of(&crowd->person[i], root);
        plane_sum_square(&sums, root[0], root[1], root[2]);
    }
    if (!(sqrt(geom_dot(up, up)) > 1e-9)) return 0;
    plane_normal(&sums, up, CROWD_AXIS_WORTH, normal);
    for (int k = 0; k < 3; k++) mean[k] = sums.point[k] / sums.count;
    return (int)sums.count;
}

int crowd_ground(Crowd *crowd) {
    double axis[3], normal[3], root[3], mean[3], squares = 0;
    memset(crowd->ground_normal, 0, sizeof crowd->ground_normal);
    crowd->ground_offset = crowd->ground_spread = 0;
    for (int i = 0; i < crowd->count; i++) crowd->person[i].ground_distance = 0;
    int used = find_ground(crowd, normal, mean);
    if (!used) return 0;
    double height = geom_dot(mean, normal);
    for (int i = 0; i < crowd->count; i++) {
        Person *p = &crowd->person[i];
        if (!body_axis(p, axis)) continue;
        root_of(p, root);
        double distance = geom_dot(root, normal) - height;
        p->ground_distance = (float)distance;
        squares += distance * distance;
    }
    for (int k = 0; k < 3; k++) crowd->ground_normal[k] = (float)normal[k];
    crowd->ground_offset = (float)height;
    if (used > 1) crowd->ground_spread = (float)sqrt(squares / (used - 1));
    return used;
}
