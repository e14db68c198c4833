/* People: what the body network and the crowd losses get of some people of a photo, as host arrays.
 *
 *     People p;
 *     TRY(people_new(cutter, &crowd, index, n, 256, 192, &p));
 *     people_write_inputs(&p, plan, first, &inputs); // rows first .. first + batch - 1
 *     people_free(&p);
 */
#ifndef CROWDREC_PEOPLE_H
#define CROWDREC_PEOPLE_H

#include "autograd/plan.h"
#include "crowdrec/crowd.h"
#include "crowdrec/cutter.h"
#include "crowdrec/losses.h"

typedef struct {
    int count, height, width;
    float *pixels; /* [n,height,width,3], as CLIFF wants them; NULL: cut for each run */
    Crop *crop;    /* [n], and where they are cut, when pixels is NULL */
    Cutter *cutter;
    float *bbox_info;  /* [n,3]: place and size of the crop relative to the focal length (CLIFF) */
    float *box;        /* [n,6]: op camera */
    float *intrinsics; /* [n,3]: f, cx, cy */
    float *center;     /* [n,2] */
    float *size;       /* [n,1]: crop height, pixels */
    float *keypoints;  /* [n,26,2], (pixel - centre) / crop height */
    float *confidence; /* [n,26] */
} People;

/* The people crowd->person[index[0..n-1]]; sets their center and scale from their boxes.  The
 * cutter must outlive them. */
Status people_new(Cutter *cutter, Crowd *crowd, const int *index, int n, int height, int width,
                  People *out);
void people_free(People *p);

/* What CLIFF and its camera want to know of a crop with that centre (pixels) and scale
 * (height/200): bbox_info [3], box [6] of op camera, intrinsics [3] of op project. */
void people_place(const float center[2], float scale, const Camera *camera, float *bbox_info,
                  float *box, float *intrinsics);

/* Inputs of a network graph for some people at a time. */
typedef struct {
    Tensor *pixels;    /* [b,height,width,3] */
    Tensor *bbox_info; /* [b,1,1,3] */
} PeopleInputs;

PeopleInputs people_inputs(const Scope *m, int batch, int height, int width);

/* Rows from `first`; beyond the last person the last one is repeated. */
void people_write_inputs(const People *p, Plan *plan, int first, const PeopleInputs *in);
void people_write_targets(const People *p, Plan *plan, int first, const LossTargets *t);

/* Any host array [n][numbers] of F32 in the same way. */
void people_write(const People *p, Plan *plan, int first, const Tensor *input, const float *values);

#endif
