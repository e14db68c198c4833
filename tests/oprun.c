#include "tests/oprun.h"

OpRun oprun_make(const Backend *b, OpKind op, const void *attr) {
    return (OpRun){
        .arena = arena_new(),
        .b = b,
        .op = op,
        .call = {.attr = attr, .precision = b->precision, .exact = b->exact, .tune = b->tune}};
}

void oprun_free(OpRun *r) {
    for (int i = 0; i < OP_MAX_IN; i++) {
        opblock_drop(&r->in[i]);
        opblock_drop(&r->din[i]);
    }
    for (int i = 0; i < OP_MAX_OUT; i++) {
        opblock_drop(&r->out[i]);
        opblock_drop(&r->dout[i]);
    }
    arena_free(r->arena);
    *r = (OpRun){0};
}

static void place(OpRun *r, Tensor *t, OpBlock *block, Dtype dtype, Shape shape,
                  const double *values) {
    opblock_drop(block);
    *block = opblock_make(r->arena, r->b, dtype, shape_size(shape));
    if (values) opblock_write(block, values);
    *t = (Tensor){.dtype = dtype, .shape = shape, .data = opblock_data(block)};
}

static const double *read(OpRun *r, const OpBlock *block) {
    double *values = NULL;
    CHECK(opblock_read(block, r->arena, &values) == OK, "%s: %s", op_info(r->op)->name,
          error_reason());
    return values;
}

void oprun_input_of(OpRun *r, int i, Dtype dtype, Shape shape, const double *values) {
    place(r, &r->call.in[i], &r->in[i], dtype, shape, values);
}

void oprun_input(OpRun *r, int i, Shape shape, const double *values) {
    oprun_input_of(r, i, F32, shape, values);
}

static void run(OpRun *r, bool backward) {
    const OpKernels *k = &r->b->op[r->op];
    if (k->prepare) k->prepare(&r->call, backward);
    OpBlock workspace = opblock_make(r->arena, r->b, U8, r->call.workspace_size);
    r->call.workspace = opblock_data(&workspace);
    if (backward)
        k->backward(&r->call);
    else
        k->forward(&r->call);
    r->b->sync();
    if (k->drop) k->drop(&r->call);
    CHECK(opblock_read(&workspace, r->arena, NULL) == OK, "%s: its workspace: %s",
          op_info(r->op)->name, error_reason());
    opblock_drop(&workspace);
}

const double *oprun_forward(OpRun *r, int i) {
    Tensor out[OP_MAX_OUT] = {0};
    op_shape(r->op, r->call.attr, r->call.in, out, __FILE__);
    for (int k = 0; k < op_info(r->op)->n_out; k++)
        place(r, &r->call.out[k], &r->out[k], out[k].dtype, out[k].shape, NULL);
    run(r, false);
    return i < 0 ? NULL : read(r, &r->out[i]);
}

const double *oprun_read(OpRun *r, int i) { return read(r, &r->in[i]); }

const double *oprun_backward(OpRun *r, const double *dout, int i) {
    for (int k = 0; k < op_info(r->op)->n_out; k++) {
        size_t n = shape_size(r->call.out[k].shape);
        const double *zero = arena_alloc(r->arena, (n + 1) * sizeof *zero);
        place(r, &r->call.dout[k], &r->dout[k], F32, r->call.out[k].shape, k ? zero : dout);
    }
    place(r, &r->call.din[i], &r->din[i], F32, r->call.in[i].shape, NULL);
    run(r, true);
    r->call.din[i] = (Tensor){0};
    return read(r, &r->din[i]);
}
