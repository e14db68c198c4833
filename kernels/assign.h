/* Label assignment: what assign computes of one anchor, one box or one pair, in C and in CUDA.
 *
 *     anchor[i] = assign_anchor(&job, image, i);          // 1. all anchors of all images
 *     AssignChoice choice = {0};                          // 2. all boxes of all images
 *     assign_choose(&job, anchor, image, &box, 0, 1, &choice);
 *     int count = assign_count(&choice);                  //    the box takes these cheapest ones
 *     int g = assign_cheapest(&job, &anchor[i], image, i); // 3. anchors that several boxes took
 */
#ifndef KERNELS_ASSIGN_H
#define KERNELS_ASSIGN_H

#include "kernels/box.h"

enum { ASSIGN_MOST = 10 }; /* anchors that a box may take */

/* One call: its attributes, tensors and sizes. */
typedef struct {
    AssignAttr attr;
    const REAL *decoded, *labels; /* [n,anchors,columns], [n,boxes,5] */
    int anchors, columns, boxes;
    int used; /* of the image at hand: rows of labels behind these are empty */
} AssignJob;

/* background: sum over classes of -log(1 - sqrt(class * objectness)); negative when the anchor is
 * no candidate.  x, y: centre of its cell in pixels. */
typedef struct {
    REAL background, x, y, stride;
} AssignAnchor;

typedef struct {
    REAL at[4]; /* cx, cy, w, h */
    int label;
    bool present;
} AssignBox;

INLINE const REAL *assign_row(const AssignJob *j, int image, int anchor) {
    return j->decoded + ((size_t)image * (size_t)j->anchors + (size_t)anchor) * (size_t)j->columns;
}

INLINE AssignBox assign_box(const AssignJob *j, int image, int box) {
    const REAL *row = j->labels + 5 * ((size_t)image * (size_t)j->boxes + (size_t)box);
    AssignBox b;
    for (int k = 0; k < 4; k++) b.at[k] = row[1 + k];
    b.present = row[3] > 0 && row[4] > 0 && row[0] >= 0 && row[0] < (REAL)(j->columns - 5);
    b.label = b.present ? (int)row[0] : 0;
    return b;
}

/* How an anchor lies to a box. */
typedef enum { ASSIGN_AWAY, ASSIGN_CANDIDATE, ASSIGN_NEAR } AssignPlace;

INLINE AssignPlace assign_place(const AssignAttr *a, const AssignAnchor *at, const AssignBox *b) {
    bool megvii = a->variant == ASSIGN_MEGVII;
    REAL radius = (megvii ? (REAL)1.5 : (REAL)2.5) * at->stride;
    REAL cx = megvii ? b->at[0] : fmin(fmax(b->at[0], (REAL)0), (REAL)a->width);
    REAL cy = megvii ? b->at[1] : fmin(fmax(b->at[1], (REAL)0), (REAL)a->height);
    bool central = fabs(at->x - cx) < radius && fabs(at->y - cy) < radius;
    if (megvii) return central ? ASSIGN_NEAR : ASSIGN_AWAY;
    bool inside = fabs(at->x - b->at[0]) < b->at[2] / 2 && fabs(at->y - b->at[1]) < b->at[3] / 2;
    return central && inside ? ASSIGN_NEAR : central || inside ? ASSIGN_CANDIDATE : ASSIGN_AWAY;
}

/* -log(value) and no more than 100, as PyTorch's binary_cross_entropy has it. */
INLINE REAL assign_log(REAL value) {
    REAL loss = -log(value);
    return loss > 100 ? 100 : loss;
}

INLINE REAL assign_background(const REAL *row, int columns) {
    REAL sum = 0;
    for (int k = 5; k < columns; k++) sum += assign_log(1 - sqrt(row[k] * row[4]));
    return sum;
}

INLINE AssignAnchor assign_anchor(const AssignJob *j, int image, int anchor) {
    BoxdecodeAttr size = {j->attr.height, j->attr.width};
    BoxAnchor cell = box_anchor(&size, anchor);
    REAL half = (REAL)cell.stride / 2;
    AssignAnchor at = {-1, (REAL)cell.x + half, (REAL)cell.y + half, (REAL)cell.stride};
    for (int g = 0; g < j->used && at.background < 0; g++) {
        AssignBox b = assign_box(j, image, g);
        if (b.present && assign_place(&j->attr, &at, &b) != ASSIGN_AWAY)
            at.background = assign_background(assign_row(j, image, anchor), j->columns);
    }
    return at;
}

INLINE REAL assign_iou(const REAL *row, const AssignBox *b) {
    BoxMeeting m = box_meet(row, b->at);
    return m.common == 0 ? 0 : m.common / m.both;
}

INLINE REAL assign_cost(const REAL *row, const AssignAnchor *at, const AssignBox *b, REAL iou) {
    REAL p = sqrt(row[5 + b->label] * row[4]);
    REAL classes = at->background - assign_log(1 - p) + assign_log(p);
    return classes - 3 * log(iou + (REAL)1e-8);
}

/* An anchor that a box may take.  Whatever its cost, one that is not near comes after those that
 * are: the original adds a constant above all costs. */
typedef struct {
    REAL cost;
    int far, anchor;
} AssignOffer;

INLINE bool assign_cheaper(const AssignOffer *a, const AssignOffer *b) {
    if (a->far != b->far) return a->far < b->far;
    return a->cost < b->cost || (a->cost == b->cost && a->anchor < b->anchor);
}

/* The cheapest offers, rising, and the largest IoUs, falling. */
typedef struct {
    AssignOffer offer[ASSIGN_MOST];
    REAL iou[ASSIGN_MOST]; /* 0 beyond what there is */
    int offers;
} AssignChoice;

INLINE void assign_add_offer(AssignChoice *c, AssignOffer offer) {
    if (c->offers == ASSIGN_MOST) {
        if (!assign_cheaper(&offer, &c->offer[ASSIGN_MOST - 1])) return;
        c->offers--;
    }
    int i = c->offers++;
    for (; i > 0 && assign_cheaper(&offer, &c->offer[i - 1]); i--) c->offer[i] = c->offer[i - 1];
    c->offer[i] = offer;
}

INLINE void assign_add_iou(AssignChoice *c, REAL iou) {
    if (!(iou > c->iou[ASSIGN_MOST - 1])) return;
    int i = ASSIGN_MOST - 1;
    for (; i > 0 && iou > c->iou[i - 1]; i--) c->iou[i] = c->iou[i - 1];
    c->iou[i] = iou;
}

/* Anchor i's offer, unless a number of its row is no number. */
INLINE void assign_offer(const AssignJob *j, const AssignAnchor *at, int image, const AssignBox *b,
                         int i, bool far, AssignChoice *c) {
    const REAL *row = assign_row(j, image, i);
    AssignOffer offer = {assign_cost(row, at, b, assign_iou(row, b)), far, i};
    if (offer.cost == offer.cost) assign_add_offer(c, offer);
}

/* Adds what anchors first, first + step, ... of an image, anchor [anchors], offer to a box. */
INLINE void assign_choose(const AssignJob *j, const AssignAnchor *anchor, int image,
                          const AssignBox *b, int first, int step, AssignChoice *c) {
    for (int i = first; i < j->anchors; i += step) {
        if (anchor[i].background < 0) continue;
        assign_add_iou(c, assign_iou(assign_row(j, image, i), b));
        if (assign_place(&j->attr, &anchor[i], b) == ASSIGN_NEAR)
            assign_offer(j, &anchor[i], image, b, i, false, c);
    }
    if (c->offers == ASSIGN_MOST) return; /* far ones would come last */
    for (int i = first; i < j->anchors; i += step)
        if (anchor[i].background >= 0 && assign_place(&j->attr, &anchor[i], b) != ASSIGN_NEAR)
            assign_offer(j, &anchor[i], image, b, i, true, c);
}

/* How many offers the box takes: the first ones. */
INLINE int assign_count(const AssignChoice *c) {
    REAL sum = 0;
    for (int i = 0; i < ASSIGN_MOST; i++) sum += c->iou[i];
    int count = sum < 1 ? 1 : (int)sum;
    return count < c->offers ? count : c->offers;
}

/* The box to which an anchor is cheapest, whether it took the anchor or not. */
INLINE int assign_cheapest(const AssignJob *j, const AssignAnchor *at, int image, int anchor) {
    const REAL *row = assign_row(j, image, anchor);
    AssignOffer best;
    int found = -1;
    for (int g = 0; g < j->used; g++) {
        AssignBox b = assign_box(j, image, g);
        if (!b.present) continue;
        bool far = assign_place(&j->attr, at, &b) != ASSIGN_NEAR;
        AssignOffer offer = {assign_cost(row, at, &b, assign_iou(row, &b)), far, 0};
        if (found < 0 || assign_cheaper(&offer, &best)) best = offer, found = g;
    }
    return found;
}

/* The three outputs' rows of an anchor with box g, or none (-1). */
INLINE void assign_write(const AssignJob *j, const AssignAnchor *at, int image, int anchor, int g,
                         REAL *foreground, REAL *match, REAL *classes) {
    *foreground = g >= 0;
    for (int k = 0; k < 8; k++) match[k] = 0;
    for (int k = 0; k < j->columns - 5; k++) classes[k] = 0;
    if (g < 0) return;
    AssignBox b = assign_box(j, image, g);
    for (int k = 0; k < 4; k++) match[k] = b.at[k];
    match[4] = (b.at[0] - at->x) / at->stride + (REAL)0.5;
    match[5] = (b.at[1] - at->y) / at->stride + (REAL)0.5;
    match[6] = log(b.at[2] / at->stride + (REAL)1e-8);
    match[7] = log(b.at[3] / at->stride + (REAL)1e-8);
    classes[b.label] = assign_iou(assign_row(j, image, anchor), &b);
}

#endif
