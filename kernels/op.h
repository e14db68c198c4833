/* Op: what the engine knows of an operation without running it, and the Call that runs it.
 *
 * A Call is one op on one set of addresses.  Forward reads `in` and writes `out`, and the inputs
 * that op_changes tells.  Backward reads `dout` and the values that ops.def says it reads, and for
 * every i with din[i].data writes (add[i] false) or adds to (add[i] true) the gradient of in[i].
 * dout is dead afterwards, so backward may use it as scratch.  Absent tensors have data NULL and
 * all sizes 0.  A gradient is stored as its value is (Tensor.dtype).
 */
#ifndef KERNELS_OP_H
#define KERNELS_OP_H

#include "kernels/attr.h"
#include "tensor/tensor.h"

typedef enum {
#define OP(name, Attr, n_in, n_out, grads, reads, prepared) OP_##name,
#include "kernels/ops.def"
#undef OP
    OP_COUNT
} OpKind;

enum { OP_MAX_IN = 8, OP_MAX_OUT = 3 };

/* Masks over inputs and outputs, as used in ops.def. */
#define IN(i) (1u << (i))
#define OUT(i) (1u << (OP_MAX_IN + (i)))
#define ALL_IN 0xffu

/* How convolutions and products multiply where the device offers a choice; sums are single
 * precision in all three.  TF32 keeps 10 bits of each factor, BF16 7; with BF16 a plan on such a
 * device also stores what only convolutions and the like read in that form. */
typedef enum { PRECISION_TF32, PRECISION_FP32, PRECISION_BF16, PRECISIONS } Precision;

typedef struct Call {
    const void *attr;
    Tensor in[OP_MAX_IN], out[OP_MAX_OUT];
    Tensor din[OP_MAX_IN], dout[OP_MAX_OUT];
    bool add[OP_MAX_IN];
    Precision precision; /* the backend's, as the next */
    bool exact, tune;
    void *workspace;
    size_t workspace_size;   /* set by prepare, bytes */
    void *state;             /* set by prepare, freed by drop */
    const struct Call *next; /* of the same op, runs with this one (Backend.folds_together) */
} Call;

typedef struct {
    const char *name;
    int n_in, n_out;
    size_t attr_size;
    unsigned grads; /* mask of differentiable inputs */
} OpInfo;

const OpInfo *op_info(OpKind kind);

/* Mask of the inputs and outputs that backward reads. */
unsigned op_reads(OpKind kind, const void *attr);

/* Mask of the inputs that forward writes as well. */
unsigned op_changes(OpKind kind);

/* Whether kernels of this op keep numbers of their own between two launches (SCRATCH, cuda.cuh):
 * two calls of it never run side by side. */
bool op_keeps_numbers(OpKind kind);

/* Shapes and dtypes of the outputs from the inputs; a mismatch is bad code and aborts with `where`
 * ("hrnet.c:42") in the message. */
void op_shape(OpKind kind, const void *attr, const Tensor *in, Tensor *out, const char *where);

/* Multiplications and additions of one forward run, for reports; 0 for ops that move or map data.
 */
double op_flops(OpKind kind, const void *attr, const Tensor *in, const Tensor *out);

#endif
