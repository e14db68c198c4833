/* assign: SimOTA.  One block for each box finds what it takes; then each anchor looks who took it.
 */
#include "kernels/cuda.cuh"
#include "kernels/assign.h"

enum { NONE = -1 };
enum { THREADS = 64 };

void CUDA(assign_prepare)(Call *c, bool backward) {
    (void)backward;
    size_t n = (size_t)c->in[0].shape.n;
    c->workspace_size = n * (size_t)c->in[0].shape.h * sizeof(AssignAnchor) +
                        n * (size_t)c->in[1].shape.h * ASSIGN_MOST * sizeof(int);
}

void CUDA(assign_drop)(Call *c) { (void)c; }

/* anchor [n][anchors]. */
static __global__ void assign_anchors(size_t count, AssignJob j, AssignAnchor *anchor) {
    EACH(i, count) {
        int image = (int)(i / (size_t)j.anchors);
        anchor[i] = assign_anchor(&j, image, (int)(i % (size_t)j.anchors));
    }
}

/* Block k: box k of all, taken [n][boxes][ASSIGN_MOST].  Each thread looks at its share of the
 * anchors; the first one puts all choices together. */
static __global__ void assign_boxes(AssignJob j, const AssignAnchor *anchor, int *taken) {
    __shared__ AssignChoice choices[THREADS];
    int image = (int)blockIdx.x / j.boxes, thread = (int)threadIdx.x;
    AssignBox b = assign_box(&j, image, (int)blockIdx.x % j.boxes);
    AssignChoice own = {};
    if (b.present)
        assign_choose(&j, anchor + (size_t)image * (size_t)j.anchors, image, &b, thread, THREADS,
                      &own);
    choices[thread] = own;
    __syncthreads();
    if (thread > 0) return;
    for (int t = 1; t < THREADS; t++)
        for (int i = 0; i < ASSIGN_MOST; i++) {
            assign_add_iou(&own, choices[t].iou[i]);
            if (i < choices[t].offers) assign_add_offer(&own, choices[t].offer[i]);
        }
    int count = assign_count(&own);
    for (int i = 0; i < ASSIGN_MOST; i++)
        taken[blockIdx.x * ASSIGN_MOST + i] = i < count ? own.offer[i].anchor : NONE;
}

static __global__ void assign_rows(size_t count, AssignJob j, const AssignAnchor *anchor,
                                   const int *taken, REAL *foreground, REAL *match, REAL *classes) {
    EACH(i, count) {
        int image = (int)(i / (size_t)j.anchors), own = (int)(i % (size_t)j.anchors);
        const int *list = taken + (size_t)image * (size_t)j.boxes * ASSIGN_MOST;
        int takers = 0, g = NONE;
        for (int k = 0; k < j.boxes * ASSIGN_MOST; k++)
            if (list[k] == own) takers++, g = k / ASSIGN_MOST;
        if (takers > 1) g = assign_cheapest(&j, &anchor[i], image, own);
        assign_write(&j, &anchor[i], image, own, g, foreground + i, match + 8 * i,
                     classes + i * (size_t)(j.columns - 5));
    }
}

void CUDA(assign_forward)(const Call *c) {
    Shape s = c->in[0].shape;
    int boxes = c->in[1].shape.h;
    AssignJob j = {*(const AssignAttr *)c->attr,
                   cuda_data(&c->in[0]),
                   cuda_data(&c->in[1]),
                   s.h,
                   s.c,
                   boxes,
                   boxes};
    size_t anchors = (size_t)s.n * (size_t)s.h;
    AssignAnchor *anchor = (AssignAnchor *)c->workspace;
    int *taken = (int *)(anchor + anchors);
    LAUNCH_EACH(assign_anchors, anchors, j, anchor);
    if (s.n && j.boxes)
        LAUNCH(assign_boxes, (unsigned)(s.n * j.boxes), THREADS, 0, j, anchor, taken);
    LAUNCH_EACH(assign_rows, anchors, j, anchor, taken, cuda_data(&c->out[0]),
                cuda_data(&c->out[1]), cuda_data(&c->out[2]));
}
