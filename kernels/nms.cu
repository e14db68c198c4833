/* nms: greedy non-maximum suppression.  Every row's place in the order of scores is the number of
 * rows before it; then one block per image walks down that order. */
#include "kernels/cuda.cuh"
#include "kernels/box.h"

/* Where a candidate's anchor would be: a row that is none, or no longer one. */
enum { END = -1, GONE = -2 };
enum { THREADS = 512 };

void CUDA(nms_prepare)(Call *c, bool backward) {
    (void)backward;
    Shape s = c->in[0].shape;
    c->workspace_size = 2 * (size_t)s.n * (size_t)s.h * sizeof(BoxCandidate);
}

void CUDA(nms_drop)(Call *c) { (void)c; }

/* count rows [n,anchors,1,columns] to a list and an empty order, both [n][anchors]. */
static __global__ void nms_collect(size_t count, REAL conf, int anchors, int columns,
                                   const REAL *__restrict__ rows, BoxCandidate *list,
                                   BoxCandidate *order) {
    EACH(i, count) {
        BoxCandidate candidate = {};
        const REAL *row = rows + i * (size_t)columns;
        bool found = box_candidate(row, columns, conf, (int)(i % (size_t)anchors), &candidate);
        if (!found) candidate.anchor = END;
        list[i] = candidate;
        order[i].anchor = END;
    }
}

static __global__ void nms_order(size_t count, int anchors, const BoxCandidate *__restrict__ list,
                                 BoxCandidate *__restrict__ order) {
    EACH(i, count) {
        const BoxCandidate own = list[i];
        if (own.anchor == END) continue;
        size_t first = i / (size_t)anchors * (size_t)anchors, before = 0;
        for (int k = 0; k < anchors; k++) {
            const BoxCandidate *other = &list[first + (size_t)k];
            before += other->anchor != END && box_before(other, &own);
        }
        order[first + before] = own;
    }
}

/* Block n: image n.  All threads find the same candidate i, for a turn changes only what follows.
 */
static __global__ void nms_suppress(NmsAttr a, int anchors, BoxCandidate *orders, REAL *rows,
                                    REAL *counts) {
    BoxCandidate *order = orders + (size_t)blockIdx.x * (size_t)anchors;
    REAL *out = rows + (size_t)blockIdx.x * (size_t)a.limit * 8;
    int thread = (int)threadIdx.x, threads = (int)blockDim.x, kept = 0;
    for (int i = 0; i < anchors && kept < a.limit; i++) {
        if (order[i].anchor == END) break;
        if (order[i].anchor == GONE) continue;
        if (thread == 0) box_row(&order[i], out + 8 * kept);
        for (int k = i + 1 + thread; k < anchors && order[k].anchor != END; k += threads)
            if (order[k].anchor != GONE && box_suppresses(&a, &order[i], &order[k]))
                order[k].anchor = GONE;
        kept++;
        __syncthreads();
    }
    for (int i = 8 * kept + thread; i < 8 * a.limit; i += threads) out[i] = 0;
    if (thread == 0) counts[blockIdx.x] = (REAL)kept;
}

void CUDA(nms_forward)(const Call *c) {
    const NmsAttr *a = (const NmsAttr *)c->attr;
    Shape s = c->in[0].shape;
    size_t count = (size_t)s.n * (size_t)s.h;
    BoxCandidate *list = (BoxCandidate *)c->workspace, *order = list + count;
    LAUNCH_EACH(nms_collect, count, a->conf, s.h, s.c, cuda_data(&c->in[0]), list, order);
    LAUNCH_EACH(nms_order, count, s.h, list, order);
    if (s.n)
        LAUNCH(nms_suppress, (unsigned)s.n, THREADS, 0, *a, s.h, order, cuda_data(&c->out[0]),
               cuda_data(&c->out[1]));
}
