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

/* batchnorm: running statistics; update: weights, moments, the norm beside the hyper parameters;
 * record: cursor and history. */
unsigned op_changes(OpKind kind) {
    switch (kind) {
    case OP_batchnorm: return IN(3) | IN(4);
    case OP_update: return IN(0) | IN(2) | IN(3) | IN(4);
    case OP_record: return IN(0) | IN(1);
    default: return 0;
    }
}

bool op_keeps_numbers(OpKind kind) {
    return kind == OP_reduce || kind == OP_binary || kind == OP_batchnorm || kind == OP_update;
}
