/* nms: greedy non-maximum suppression (the rule of YOLOX's demo and evaluator). */
#include "kernels/kernel.h"
#include "kernels/box.h"

void KERNEL(nms_prepare)(Call *c, bool backward) {
    (void)backward;
    Shape s = c->in[0].shape;
    c->workspace_size = (size_t)s.n * (size_t)s.h * sizeof(BoxCandidate);
}

void KERNEL(nms_drop)(Call *c) { (void)c; }

static void sift(BoxCandidate *heap, size_t at, size_t count) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && box_before(&heap[child], &heap[child + 1])) child++;
        if (!box_before(&heap[at], &heap[child])) return;
        BoxCandidate moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
    }
}

/* Heap sort: in place, and no two candidates are equal. */
static void sort(BoxCandidate *list, size_t count) {
    for (size_t i = count / 2; i-- > 0;) sift(list, i, count);
    for (size_t end = count; end-- > 1;) {
        BoxCandidate last = list[end];
        list[end] = list[0];
        list[0] = last;
        sift(list, 0, end);
    }
}

/* Moves the kept ones to the front of the list; returns how many. */
static size_t suppress(const NmsAttr *a, BoxCandidate *list, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < (size_t)a->limit; i++) {
        bool keep = true;
        for (size_t k = 0; k < kept && keep; k++) keep = !box_suppresses(a, &list[k], &list[i]);
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
        BoxCandidate *list = (BoxCandidate *)c->workspace + first;
        for (int i = 0; i < s.h; i++)
            count +=
                box_candidate(rows + (size_t)i * (size_t)s.c, s.c, (REAL)a->conf, i, &list[count]);
        sort(list, count);
        count = suppress(a, list, count);
        memset(out, 0, (size_t)a->limit * 8 * sizeof *out);
        for (size_t i = 0; i < count; i++) box_row(&list[i], out + 8 * i);
        ((REAL *)c->out[1].data)[n] = (REAL)count;
    }
}
