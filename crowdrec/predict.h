/* Predict: the body network run forward over people, some at a time, without gradients.
 *
 *     Predictor *p;
 *     TRY(predict_new(net, params, 8, &p));
 *     Prediction out;
 *     TRY(predict_run(p, &people, &out));
 *     predict_result_free(&out);
 *     predict_free(p);
 */
#ifndef CROWDREC_PREDICT_H
#define CROWDREC_PREDICT_H

#include "crowdrec/people.h"
#include "nets/net.h"

typedef struct {
    float *pose6d;    /* [n,24,6] */
    float *betas;     /* [n,10] */
    float *cam;       /* [n,3] */
    float *rotations; /* [n,24,9] */
    float *angles;    /* [n,24,3] */
} Prediction;

typedef struct Predictor Predictor;

/* batch: people per run; fewer, where memory is short. */
Status predict_new(const NetSpec *net, Params *params, int batch, Predictor **out);
void predict_free(Predictor *p); /* NULL is allowed */

/* A row for each of the people, in their order; free with predict_result_free.  ERR_MEMORY. */
Status predict_run(Predictor *p, const People *people, Prediction *out);
void predict_result_free(Prediction *out);

#endif
