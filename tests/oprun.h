/* One op on numbers of the host, without a graph: for tests against reference values.
 *
 *     OpRun r = oprun_make(&backend_cpu, OP_project, NULL);
 *     oprun_input(&r, 0, (Shape){n, 1, 26, 3}, points);
 *     oprun_input(&r, 1, (Shape){n, 1, 1, 3}, cameras);
 *     const double *pixels = oprun_forward(&r, 0);         // lives until oprun_free
 *     const double *gradient = oprun_backward(&r, dpixels, 0);
 *     oprun_free(&r);
 */
#ifndef TESTS_OPRUN_H
#define TESTS_OPRUN_H

#include "tests/opblock.h"

typedef struct {
    Arena *arena;
    const Backend *b;
    OpKind op;
    Call call;
    OpBlock in[OP_MAX_IN], out[OP_MAX_OUT], din[OP_MAX_IN], dout[OP_MAX_OUT];
} OpRun;

OpRun oprun_make(const Backend *b, OpKind op, const void *attr);
void oprun_free(OpRun *r);

/* Gives input i; the values are copied. */
void oprun_input(OpRun *r, int i, Shape shape, const double *values);
void oprun_input_of(OpRun *r, int i, Dtype dtype, Shape shape, const double *values);

/* Runs forward; returns output i, or NULL for -1. */
const double *oprun_forward(OpRun *r, int i);

/* What input i holds now, for ops that change it. */
const double *oprun_read(OpRun *r, int i);

/* The gradient of input i from that of output 0, after a forward. */
const double *oprun_backward(OpRun *r, const double *dout, int i);

#endif
