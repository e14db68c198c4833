/* assign: SimOTA (YOLOX, Ge et al. 2021) in the versions of YOLOX and ByteTrack. */
#include "kernels/kernel.h"
#include "kernels/assign.h"

enum { NONE = -1, SEVERAL = -2 };

/* Parts of the workspace: one image's. */
typedef struct {
    AssignAnchor *anchor; /* [anchors] */
    int *owner;           /* [anchors]: a box, NONE, SEVERAL */
    int *taken;           /* [boxes][ASSIGN_MOST]: anchors, NONE behind the last */
} Work;

static AssignJob job_of(const Call *c) {
    return (AssignJob){.attr = *(const AssignAttr *)c->attr,
                       .decoded = c->in[0].data,
                       .labels = c->in[1].data,
                       .anchors = c->in[0].shape.h,
                       .columns = c->in[0].shape.c,
                       .boxes = c->in[1].shape.h};
}

void KERNEL(assign_prepare)(Call *c, bool backward) {
    (void)backward;
    c->workspace_size = (size_t)c->in[0].shape.h * (sizeof(AssignAnchor) + sizeof(int)) +
                        (size_t)c->in[1].shape.h * ASSIGN_MOST * sizeof(int);
}

void KERNEL(assign_drop)(Call *c) { (void)c; }

static void choose(const AssignJob *j, const Work *w, int image, int g) {
    int *taken = w->taken + (size_t)g * ASSIGN_MOST;
    AssignChoice choice = {.offers = 0};
    AssignBox b = assign_box(j, image, g);
    if (b.present) assign_choose(j, w->anchor, image, &b, 0, 1, &choice);
    int count = assign_count(&choice);
    for (int i = 0; i < ASSIGN_MOST; i++) taken[i] = i < count ? choice.offer[i].anchor : NONE;
}

/* Gives each anchor its box, as far as one alone took it. */
static void own(const AssignJob *j, const Work *w) {
    for (int i = 0; i < j->anchors; i++) w->owner[i] = NONE;
    for (int k = 0; k < j->used * ASSIGN_MOST; k++) {
        if (w->taken[k] == NONE) continue;
        int *owner = &w->owner[w->taken[k]];
        *owner = *owner == NONE ? k / ASSIGN_MOST : SEVERAL;
    }
}

static void write_rows(const Call *c, const AssignJob *j, const Work *w, int image) {
    size_t first = (size_t)image * (size_t)j->anchors, classes = (size_t)j->columns - 5;
    REAL *foreground = (REAL *)c->out[0].data + first, *match = (REAL *)c->out[1].data + 8 * first;
    REAL *target = (REAL *)c->out[2].data + classes * first;
    PARALLEL_FOR
    for (int i = 0; i < j->anchors; i++) {
        int g = w->owner[i];
        if (g == SEVERAL) g = assign_cheapest(j, &w->anchor[i], image, i);
        assign_write(j, &w->anchor[i], image, i, g, foreground + i, match + 8 * (size_t)i,
                     target + classes * (size_t)i);
    }
}

static int used_labels(const AssignJob *j, int image) {
    int used = j->boxes;
    while (used && !assign_box(j, image, used - 1).present) used--;
    return used;
}

void KERNEL(assign_forward)(const Call *c) {
    AssignJob j = job_of(c);
    Work w = {.anchor = c->workspace};
    w.owner = (int *)(w.anchor + j.anchors);
    w.taken = w.owner + j.anchors;
    for (int image = 0; image < c->in[0].shape.n; image++) {
        j.used = used_labels(&j, image);
        PARALLEL_FOR
        for (int i = 0; i < j.anchors; i++) w.anchor[i] = assign_anchor(&j, image, i);
        PARALLEL_FOR_DYNAMIC
        for (int g = 0; g < j.used; g++) choose(&j, &w, image, g);
        own(&j, &w);
        write_rows(c, &j, &w, image);
    }
}
