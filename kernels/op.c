#include "kernels/op.h"

static const OpInfo INFO[OP_COUNT] = {
#define OP(name, Attr, n_in, n_out, grads, reads, kernels) \
    [OP_##name] = {#name, n_in, n_out, sizeof(Attr), grads},
#include "kernels/ops.def"
#undef OP
};

const OpInfo *op_info(OpKind kind) { return &INFO[kind]; }

static const unsigned UNARY_READS[] = {
#define UNARY(NAME, reads, value, slope) reads,
#include "kernels/unary.def"
#undef UNARY
};

#define OP(name, Attr, n_in, n_out, grads, reads, kernels) \
    static unsigned reads_##name(const Attr *a) {          \
        (void)a;                                           \
        return reads;                                      \
    }
#include "kernels/ops.def"
#undef OP

unsigned op_reads(OpKind kind, const void *attr) {
    switch (kind) {
#define OP(name, Attr, n_in, n_out, grads, reads, kernels) \
    case OP_##name:                                        \
        return reads_##name(attr);
#include "kernels/ops.def"
#undef OP
    case OP_COUNT: break;
    }
    CHECK(false, "op %d", kind);
}
