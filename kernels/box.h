/* Boxes of people in a photo: what boxdecode and nms compute of one row or one pair of rows, in C
 * and in CUDA.
 *
 *     BoxAnchor at = box_anchor(attr, i);
 *     for (int k = 0; k < columns; k++) y[k] = box_decode(&at, k, x[k]);
 */
#ifndef KERNELS_BOX_H
#define KERNELS_BOX_H

#include "kernels/kernel.h"

/* Where an anchor is: its map's stride and its cell, all in input pixels. */
typedef struct {
    int stride, x, y;
} BoxAnchor;

INLINE BoxAnchor box_anchor(const BoxdecodeAttr *a, int i) {
    BoxAnchor anchor = {8, 0, 0};
    for (; anchor.stride < 32; anchor.stride *= 2) {
        int cells = a->height / anchor.stride * (a->width / anchor.stride);
        if (i < cells) break;
        i -= cells;
    }
    int columns = a->width / anchor.stride;
    anchor.x = i % columns * anchor.stride;
    anchor.y = i / columns * anchor.stride;
    return anchor;
}

/* Column k of a decoded row from that of the raw one (YOLOX, Ge et al. 2021). */
INLINE REAL box_decode(const BoxAnchor *at, int k, REAL x) {
    REAL stride = (REAL)at->stride;
    if (k < 2) return x * stride + (REAL)(k == 0 ? at->x : at->y);
    return k < 4 ? exp(x) * stride : 1 / (1 + exp(-x));
}

/* Its derivative, from the decoded value. */
INLINE REAL box_slope(const BoxAnchor *at, int k, REAL y) {
    return k < 2 ? (REAL)at->stride : k < 4 ? y : y * (1 - y);
}

/* What two boxes share and what they cover together; edge[k]: whether it is the first box's side
 * (left, top, right, bottom) that bounds what they share. */
typedef struct {
    REAL common, both, w, h;
    bool edge[4];
} BoxMeeting;

/* a, b: centre x, centre y, w, h. */
INLINE BoxMeeting box_meet(const REAL *a, const REAL *b) {
    BoxMeeting m = {0, 0, 0, 0, {false, false, false, false}};
    REAL side[4];
    for (int k = 0; k < 2; k++) {
        REAL low = a[k] - a[2 + k] / 2, other_low = b[k] - b[2 + k] / 2;
        REAL high = a[k] + a[2 + k] / 2, other_high = b[k] + b[2 + k] / 2;
        m.edge[k] = low > other_low, m.edge[2 + k] = high < other_high;
        side[k] = other_low > low ? other_low : low; /* a NaN stays one */
        side[2 + k] = other_high < high ? other_high : high;
    }
    m.w = side[2] - side[0], m.h = side[3] - side[1];
    m.common = (m.w < 0 ? 0 : m.w) * (m.h < 0 ? 0 : m.h);
    m.both = a[2] * a[3] + b[2] * b[3] - m.common;
    return m;
}

/* 1 - IoU^2 of a box p with its target t. */
INLINE REAL box_loss(const REAL *p, const REAL *t) {
    BoxMeeting m = box_meet(p, t);
    REAL iou = m.common / (m.both + (REAL)1e-16);
    return 1 - iou * iou;
}

/* Its derivative for p. */
INLINE void box_loss_slope(const REAL *p, const REAL *t, REAL slope[4]) {
    BoxMeeting m = box_meet(p, t);
    REAL both = m.both + (REAL)1e-16, iou = m.common / both;
    for (int k = 0; k < 2; k++) {
        REAL across = m.common > 0 ? (k == 0 ? m.h : m.w) : 0;
        REAL low = m.edge[k] ? -across : 0, high = m.edge[2 + k] ? across : 0;
        REAL common[2] = {low + high, (high - low) / 2};
        for (int i = 0; i < 2; i++) {
            REAL area = i ? p[3 - k] : 0;
            REAL d = (common[i] * both - m.common * (area - common[i])) / (both * both);
            slope[2 * i + k] = -2 * iou * d;
        }
    }
}

/* A row above the threshold; corners in pixels. */
typedef struct {
    REAL score, objectness, x0, y0, x1, y1;
    int anchor, label;
} BoxCandidate;

/* False for a row below the threshold, and for a row with a number or corner that is not finite. */
INLINE bool box_candidate(const REAL *row, int columns, REAL conf, int anchor, BoxCandidate *out) {
    int best = 5;
    for (int k = 0; k < columns; k++) {
        if (!isfinite(row[k])) return false;
        if (k > 5 && row[k] > row[best]) best = k;
    }
    REAL half_w = row[2] / 2, half_h = row[3] / 2;
    out->score = row[4] * row[best];
    out->objectness = row[4];
    out->x0 = row[0] - half_w, out->y0 = row[1] - half_h;
    out->x1 = row[0] + half_w, out->y1 = row[1] + half_h;
    out->anchor = anchor, out->label = best - 5;
    return out->score >= conf && isfinite(out->x0) && isfinite(out->y0) && isfinite(out->x1) &&
           isfinite(out->y1);
}

/* No two candidates of an image are equal. */
INLINE bool box_before(const BoxCandidate *a, const BoxCandidate *b) {
    return a->score > b->score || (a->score == b->score && a->anchor < b->anchor);
}

INLINE REAL box_overlap(const BoxCandidate *a, const BoxCandidate *b) {
    REAL w = fmin(a->x1, b->x1) - fmax(a->x0, b->x0), h = fmin(a->y1, b->y1) - fmax(a->y0, b->y0);
    if (!(w > 0 && h > 0)) return 0;
    REAL area_a = (a->x1 - a->x0) * (a->y1 - a->y0), area_b = (b->x1 - b->x0) * (b->y1 - b->y0);
    return w * h / (area_a + area_b - w * h);
}

/* Whether b, which comes after a, goes because of it. */
INLINE bool box_suppresses(const NmsAttr *attr, const BoxCandidate *a, const BoxCandidate *b) {
    return (attr->agnostic || a->label == b->label) && box_overlap(a, b) > (REAL)attr->iou;
}

/* The result's row [8]. */
INLINE void box_row(const BoxCandidate *k, REAL *row) {
    row[0] = k->x0, row[1] = k->y0, row[2] = k->x1, row[3] = k->y1;
    row[4] = k->score, row[5] = k->objectness;
    row[6] = (REAL)k->label, row[7] = (REAL)k->anchor;
}

#endif
