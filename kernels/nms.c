/* nms: greedy non-maximum suppression (the rule of YOLOX's demo and evaluator). */
#include "kernels/kernel.h"

/* A row above the threshold; corners in pixels. */
typedef struct {
    REAL score, objectness, x0, y0, x1, y1;
    int anchor, class;
} Candidate;

void KERNEL(nms_prepare)(Call *c, bool backward) {
    (void)backward;
    Shape s = c->in[0].shape;
    c->workspace_size = (size_t)s.n * (size_t)s.h * sizeof(Candidate);
}

void KERNEL(nms_drop)(Call *c) { (void)c; }

/* False for a row below the threshold, and for a row with a number or corner that is not finite. */
static bool candidate_make(const REAL *row, int columns, REAL conf, int anchor, Candidate *out) {
    int best = 5;
    for (int k = 0; k < columns; k++) {
        if (!isfinite(row[k])) return false;
        if (k > 5 && row[k] > row[best]) best = k;
    }
    REAL half_w = row[2] / 2, half_h = row[3] / 2, score = row[4] * row[best];
    *out = (Candidate){score,           row[4],          row[0] - half_w, row[1] - half_h,
                       row[0] + half_w, row[1] + half_h, anchor,          best - 5};
    return score >= conf && isfinite(out->x0) && isfinite(out->y0) && isfinite(out->x1) &&
           isfinite(out->y1);
}

static bool before(const Candidate *a, const Candidate *b) {
    return a->score > b->score || (a->score == b->score && a->anchor < b->anchor);
}

static void sift(Candidate *heap, size_t at, size_t count) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(&heap[child], &heap[child + 1])) child++;
        if (!before(&heap[at], &heap[child])) return;
        Candidate moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
    }
}

/* Heap sort: in place, and no two candidates are equal. */
static void sort(Candidate *list, size_t count) {
    for (size_t i = count / 2; i-- > 0;) sift(list, i, count);
    for (size_t end = count; end-- > 1;) {
        Candidate last = list[end];
        list[end] = list[0];
        list[0] = last;
        sift(list, 0, end);
    }
}

static REAL overlap(const Candidate *a, const Candidate *b) {
    REAL w = fmin(a->x1, b->x1) - fmax(a->x0, b->x0), h = fmin(a->y1, b->y1) - fmax(a->y0, b->y0);
    if (!(w > 0 && h > 0)) return 0;
    REAL area_a = (a->x1 - a->x0) * (a->y1 - a->y0), area_b = (b->x1 - b->x0) * (b->y1 - b->y0);
    return w * h / (area_a + area_b - w * h);
}

/* Moves the kept ones to the front of the list; returns how many. */
static size_t suppress(const NmsAttr *a, Candidate *list, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < (size_t)a->limit; i++) {
        bool keep = true;
        for (size_t k = 0; k < kept && keep; k++)
            if (a->agnostic || list[k].class == list[i].class)
                keep = !(overlap(&list[k], &list[i]) > (REAL)a->iou);
        if (keep) list[kept++] = list[i];
    }
    return kept;
}

void KERNEL(nms_forward)(const Call *c) {
    const NmsAttr *a = c->attr;
    Shape s = c->in[0].shape;
    PARALLEL_FOR
    for (int n = 0; n < s.n; n++) {
        size_t first = (size_t)n * (size_t)s.h, count = 0;
        const REAL *rows = (const REAL *)c->in[0].data + first * (size_t)s.c;
        REAL *out = (REAL *)c->out[0].data + (size_t)n * (size_t)a->limit * 8;
        Candidate *list = (Candidate *)c->workspace + first;
        for (int i = 0; i < s.h; i++)
            count +=
                candidate_make(rows + (size_t)i * (size_t)s.c, s.c, (REAL)a->conf, i, &list[count]);
        sort(list, count);
        count = suppress(a, list, count);
        memset(out, 0, (size_t)a->limit * 8 * sizeof *out);
        for (size_t i = 0; i < count; i++) {
            const Candidate *k = &list[i];
            const REAL row[8] = {k->x0,    k->y0,         k->x1,          k->y1,
                                 k->score, k->objectness, (REAL)k->class, (REAL)k->anchor};
            memcpy(out + 8 * i, row, sizeof row);
        }
        ((REAL *)c->out[1].data)[n] = (REAL)count;
    }
}
