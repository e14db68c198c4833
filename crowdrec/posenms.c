#include "crowdrec/posenms.h"

#include "crowdrec/metrics.h"

#include <stdlib.h>

static double similarity(const Person *a, const Person *b) {
    double found[COCO17_COUNT][2], other[COCO17_COUNT][3], area = 0;
    const double none[4] = {0};
    for (int k = 0; k < 2; k++) {
        const float *box = (k ? b : a)->box;
        area += 0.5 * ((double)box[2] - box[0]) * ((double)box[3] - box[1]);
    }
    for (int j = 0; j < COCO17_COUNT; j++) {
        for (int k = 0; k < 2; k++)
            found[j][k] = a->keypoints[j][k], other[j][k] = b->keypoints[j][k];
        other[j][2] = 1;
    }
    return metrics_oks((const double(*)[2])found, (const double(*)[3])other, area, none);
}

/* Of equally strong people the first one comes first. */
static int stronger(const void *a, const void *b) {
    const Person *p = *(const Person *const *)a, *q = *(const Person *const *)b;
    double x = crowd_strength(p), y = crowd_strength(q);
    if (x != y) return x > y ? -1 : 1;
    return (p > q) - (p < q);
}

typedef struct {
    const Person *first;
    bool *stays; /* for each person from `first` on */
} Kept;

static bool is_kept(const Person *p, void *context) {
    const Kept *kept = context;
    return kept->stays[p - kept->first];
}

/* The strongest first, each against those who stay. */
static void choose(const PoseNms *rule, const Person **person, int count, const Kept *kept) {
    int staying = 0;
    for (int i = 0; i < count; i++) {
        const Person *p = person[i];
        bool stays = crowd_confidence(p) >= rule->confidence;
        if (p->flags & PERSON_HAS_KEYPOINTS && rule->overlap > 0)
            for (int k = 0; k < staying && stays; k++)
                stays = !(person[k]->flags & PERSON_HAS_KEYPOINTS) ||
                        similarity(p, person[k]) <= rule->overlap;
        kept->stays[p - kept->first] = stays;
        if (stays) person[staying++] = p;
    }
}

void posenms_run(Crowd *crowd, const PoseNms *rule) {
    const Person **person = malloc(((size_t)crowd->count + 1) * sizeof *person);
    Kept kept = {crowd->person, malloc((size_t)crowd->count + 1)};
    CHECK(person && kept.stays, "no memory for a list of %d people", crowd->count);
    for (int i = 0; i < crowd->count; i++) person[i] = &crowd->person[i];
    qsort(person, (size_t)crowd->count, sizeof *person, stronger);
    choose(rule, person, crowd->count, &kept);
    crowd_filter(crowd, is_kept, &kept);
    free(person);
    free(kept.stays);
}
