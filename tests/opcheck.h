/* What every op must prove, from one row per case.
 *
 *     CASE(conv, "3x3 stride 2, no bias", 1e-5, LIBRARY, (.stride = 2, .pad = 1),
 *          UNIFORM(2, 7, 5, 6), UNIFORM(4, 3, 3, 6), ABSENT, ABSENT)
 *
 * is op, name, tolerance, flags, (attributes, or 0), inputs in the order of attr.h; inputs that
 * follow the last one given are absent.  The rows are in cases_math.def and cases_nn.def.  Proven
 * are:
 *
 * 1. Backward of `ref` is the derivative of its forward: finite differences in double of the loss
 *    sum(w * outputs) with random w, within 1e-6 of the gradient's largest entry.  The differences
 *    reach 2e-3 to either side, so inputs keep that distance from kinks: see GAP and RANKS.
 * 2. `cpu` gives the values and gradients of `ref` within tolerance * (largest entry + 0.01).
 * 3. add gives the gradient plus what was there; wanting fewer gradients changes nothing for the
 *    rest; gradients made from one output at a time sum to the whole.
 * 4. Nothing is written outside of outputs, gradients and workspace, or into inputs; nothing is
 * read that was not written, nor by backward what op_reads does not name (data is NULL there).
 * 5. One, two and three threads give the same bits (LIBRARY: the same within the tolerance).
 *
 * Calls are made as a Plan makes them: one Call is either forward (no din, no dout) or backward
 * (every dout); prepare sees shapes and whether data is NULL, not yet an address.
 */
#ifndef TESTS_OPCHECK_H
#define TESTS_OPCHECK_H

#include "kernels/backend.h"

/* What is in an input; OPCHECK_MADE takes element i from the row's own function. */
typedef enum {
    OPCHECK_ABSENT,
    OPCHECK_UNIFORM,
    OPCHECK_GAP,
    OPCHECK_RANKS,
    OPCHECK_WHOLE,
    OPCHECK_MADE
} OpFill;
typedef struct {
    OpFill fill;
    Dtype dtype;
    Shape shape;
    double low, high;
    double (*make)(uint64_t stream, size_t i);
} OpInput;

typedef struct {
    OpKind op;
    const char *name;
    double tolerance;
    unsigned flags;
    const void *attr;
    OpInput in[OP_MAX_IN];
} OpCase;

/* Flags: CONSTANT(i), no gradient is asked for input i; LIBRARY, oneDNN makes the sums. */
#define CONSTANT(i) IN(i)
#define LIBRARY (1u << OP_MAX_IN)

/* Sizes are n, h, w, c.  UNIFORM is in [-1, 1), RANGE in [lo, hi), GAP of either sign with sizes in
 * [0.1, 1).  RANKS shuffles evenly spaced numbers in [-1, 1], at most 400: no two are equal.  WHOLE
 * holds 0 .. limit-1; INDEX the same as a list of m of dtype I32; BYTES 0 .. 255 of dtype U8.  MADE
 * calls double function(uint64_t stream, size_t i) for element i.  All values are exact in float.
 */
#define ABSENT \
    { .fill = OPCHECK_ABSENT }
#define RANGE(lo, hi, ...) \
    { .fill = OPCHECK_UNIFORM, .shape = {__VA_ARGS__}, .low = lo, .high = hi }
#define UNIFORM(...) RANGE(-1, 1, __VA_ARGS__)
#define GAP(...)                                      \
    {                                                 \
        .fill = OPCHECK_GAP, .shape = { __VA_ARGS__ } \
    }
#define RANKS(...)                                      \
    {                                                   \
        .fill = OPCHECK_RANKS, .shape = { __VA_ARGS__ } \
    }
#define WHOLE(limit, ...) \
    { .fill = OPCHECK_WHOLE, .shape = {__VA_ARGS__}, .high = limit }
#define INDEX(limit, m) \
    { .fill = OPCHECK_WHOLE, .dtype = I32, .shape = {1, 1, 1, m}, .high = limit }
#define BYTES(...) \
    { .fill = OPCHECK_WHOLE, .dtype = U8, .shape = {__VA_ARGS__}, .high = 256 }
#define MADE(function, ...) \
    { .fill = OPCHECK_MADE, .shape = {__VA_ARGS__}, .make = function }

/* Proves the points above for one row.  The reason of a failure names op, case, seed, what was
 * compared, the worst index and both values. */
Status opcheck_run(const OpCase *c, const Backend *ref, const Backend *cpu);

#endif
