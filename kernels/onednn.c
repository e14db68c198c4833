#include "kernels/onednn.h"

#ifndef HAVE_ONEDNN

const char *onednn_version(void) { return NULL; }
const char *onednn_isa(void) { return NULL; }

bool onednn_usable(size_t real_size) {
    (void)real_size;
    return false;
}

OnednnConv *onednn_conv_new(const Call *c, unsigned passes, Act act, size_t *workspace) {
    (void)c, (void)passes, (void)act, (void)workspace;
    return NULL;
}

void onednn_conv_free(OnednnConv *conv) { (void)conv; }

void onednn_conv_forward(const OnednnConv *conv, const Call *c, void *y, void *workspace) {
    (void)conv, (void)c, (void)y, (void)workspace;
    CHECK(false, "this build has no oneDNN");
}

void onednn_conv_input_gradient(const OnednnConv *conv, const Call *c, void *workspace) {
    (void)conv, (void)c, (void)workspace;
    CHECK(false, "this build has no oneDNN");
}

void onednn_conv_weight_gradient(const OnednnConv *conv, const Call *c, void *workspace) {
    (void)conv, (void)c, (void)workspace;
    CHECK(false, "this build has no oneDNN");
}

void onednn_gemm(int m, int n, int k, OnednnMatrix a, OnednnMatrix b, void *c, int ldc, bool add) {
    (void)m, (void)n, (void)k, (void)a, (void)b, (void)c, (void)ldc, (void)add;
    CHECK(false, "this build has no oneDNN");
}

#else

#include "kernels/onednn2.h"
#include "tensor/parallel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ARGS = 7, ALIGN = 64 };

/* One primitive with its arguments, and the reorder between the weights' plain OHWI layout and the
 * one the primitive works in: before it, or after it for the gradient of the weights.
 * Workspace: weights in the primitive's layout, scratchpad, then the bytes of `extra`. */
typedef struct {
    dnnl_primitive_t primitive, reorder, reorder_add;
    dnnl_memory_t plain, packed; /* weights */
    dnnl_exec_arg_t arg[MAX_ARGS];
    int args;
    size_t packed_bytes, scratch_bytes, extra;
} Pass;

struct OnednnConv {
    dnnl_stream_t stream; /* of its own: convs of several lanes run at a time */
    Pass forward, input_gradient, weight_gradient;
};

static void need(dnnl_status_t status, const char *what) {
    CHECK(status == dnnl_success, "onednn: %s: %s", what, dnnl_status2str(status));
}

/* The process has one engine, made at first use; prepare is not called in parallel. */
static dnnl_engine_t the_engine(void) {
    static dnnl_engine_t engine;
    if (!engine) need(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    return engine;
}

const char *onednn_version(void) {
    static char text[32];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

/* "cpu_isa_avx512_core_bf16" without what all names have in front. */
const char *onednn_isa(void) {
    const char *name = dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa());
    return strncmp(name, "cpu_isa_", 8) ? name : name + 8;
}

bool onednn_usable(size_t real_size) { return real_size == sizeof(float); }

/* --- layouts: oneDNN's sizes are n,c,h,w and (g,)o,i,h,w whatever the order in memory --- */

typedef struct {
    Layout x, w_any, w_plain, b, y; /* b NULL without bias */
    dnnl_dims_t stride, dilate, pad;
} ConvLayouts;

static Layout strided(int dims, const dnnl_dim_t *size, const dnnl_dim_t *strides) {
    Layout layout;
    need(dnnl_memory_desc_create_with_strides(&layout, dims, size, dnnl_f32, strides), "layout");
    return layout;
}

static Layout nhwc(Shape s) {
    dnnl_dims_t size = {s.n, s.c, s.h, s.w};
    dnnl_dims_t strides = {(dnnl_dim_t)s.h * s.w * s.c, 1, (dnnl_dim_t)s.w * s.c, s.c};
    return strided(4, size, strides);
}

static ConvLayouts conv_layouts(const Call *c) {
    const ConvAttr *a = c->attr;
    Shape w = c->in[1].shape;
    Shape y = shape_size(c->out[0].shape) ? c->out[0].shape : c->dout[0].shape;
    int groups = a->groups ? a->groups : 1, stride = a->stride ? a->stride : 1;
    int dilate = a->dilation ? a->dilation - 1 : 0;
    dnnl_dim_t filter = (dnnl_dim_t)w.h * w.w * w.c, out = w.n / groups;
    dnnl_dims_t size = {groups, out, w.c, w.h, w.w}, bias = {w.n}, one = {1};
    dnnl_dims_t strides = {out * filter, filter, 1, (dnnl_dim_t)w.w * w.c, w.c};
    int skip = groups == 1;
    ConvLayouts l = {.x = nhwc(c->in[0].shape),
                     .w_plain = strided(5 - skip, size + skip, strides + skip),
                     .y = nhwc(y),
                     .stride = {stride, stride},
                     .dilate = {dilate, dilate},
                     .pad = {a->pad, a->pad}};
    need(dnnl_memory_desc_create_with_tag(&l.w_any, 5 - skip, size + skip, dnnl_f32,
                                          dnnl_format_tag_any),
         "layout");
    if (shape_size(c->in[2].shape)) l.b = strided(1, bias, one);
    return l;
}

static void conv_layouts_free(ConvLayouts *l) {
    Layout all[] = {l->x, l->w_any, l->w_plain, l->b, l->y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) dnnl_memory_desc_destroy(all[i]);
}

/* --- making a pass --- */

/* Scratchpads come from the workspace; post operations of forward: + residual, then activation. */
static dnnl_primitive_attr_t attributes(bool sum, ConstLayout residual, Act act, float slope) {
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    need(dnnl_primitive_attr_create(&attr), "attributes");
    need(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "scratchpad");
    need(dnnl_post_ops_create(&ops), "post operations");
    if (sum) need(append_sum(ops), "sum");
    if (residual) need(dnnl_post_ops_append_binary(ops, dnnl_binary_add, residual), "residual");
    if (act != ACT_NONE)
        need(append_eltwise(ops, act == ACT_SILU ? dnnl_eltwise_swish : dnnl_eltwise_relu,
                            act == ACT_SILU    ? 1
                            : act == ACT_LEAKY ? slope
                                               : 0),
             "activation");
    need(dnnl_primitive_attr_set_post_ops(attr, ops), "post operations");
    dnnl_post_ops_destroy(ops);
    return attr;
}

static dnnl_memory_t memory(ConstLayout layout) {
    dnnl_memory_t m;
    need(dnnl_memory_create(&m, layout, the_engine(), DNNL_MEMORY_NONE), "memory");
    return m;
}

static void pass_arg(Pass *p, int id, ConstLayout layout) {
    CHECK(p->args < MAX_ARGS, "argument %d", id);
    p->arg[p->args++] = (dnnl_exec_arg_t){id, memory(layout)};
}

static size_t aligned(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

static dnnl_primitive_t reorder(ConstLayout from, ConstLayout to, bool add) {
    dnnl_primitive_attr_t attr = attributes(add, NULL, ACT_NONE, 0);
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    need(dnnl_reorder_primitive_desc_create(&desc, from, the_engine(), to, the_engine(), attr),
         "reorder");
    CHECK(
        !dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0)),
        "onednn: a reorder of weights wants a scratchpad");
    need(dnnl_primitive_create(&primitive, desc), "reorder");
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attr);
    return primitive;
}

/* Makes the primitive and what surrounds it; the weights' argument is `weights`. */
static void pass_make(Pass *p, dnnl_primitive_desc_t desc, int weights, ConstLayout plain) {
    bool gradient = weights == DNNL_ARG_DIFF_WEIGHTS;
    ConstLayout packed = dnnl_primitive_desc_query_md(
        desc, gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    ConstLayout scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    need(dnnl_primitive_create(&p->primitive, desc), "primitive");
    pass_arg(p, weights, packed);
    p->packed = p->arg[p->args - 1].memory;
    p->plain = memory(plain);
    p->packed_bytes = aligned(dnnl_memory_desc_get_size(packed));
    p->scratch_bytes = aligned(dnnl_memory_desc_get_size(scratch));
    if (p->scratch_bytes) pass_arg(p, DNNL_ARG_SCRATCHPAD, scratch);
    p->reorder = gradient ? reorder(packed, plain, false) : reorder(plain, packed, false);
    if (gradient) p->reorder_add = reorder(packed, plain, true);
}

static void pass_free(Pass *p) {
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->reorder) dnnl_primitive_destroy(p->reorder);
    if (p->reorder_add) dnnl_primitive_destroy(p->reorder_add);
    if (p->plain) dnnl_memory_destroy(p->plain);
    for (int i = 0; i < p->args; i++) dnnl_memory_destroy(p->arg[i].memory);
}

/* Bytes of workspace before `extra`. */
static size_t pass_fixed(const Pass *p) { return p->packed_bytes + p->scratch_bytes; }

/* oneDNN answers every shape, some with plain loops that are slower than ours, and where it takes
 * the conv for a product of matrices (2.6, "x64:gemm:jit") it adds another tensor wrongly. */
static bool is_good(const_dnnl_primitive_desc_t desc, bool residual) {
    const char *name = "";
    need(dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name), "name");
    return !strstr(name, "ref") && !(residual && strstr(name, "gemm"));
}

static dnnl_primitive_desc_t forward_desc(const ConvLayouts *l, dnnl_prop_kind_t prop,
                                          const_dnnl_primitive_attr_t attr) {
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = dnnl_convolution_forward_primitive_desc_create(
        &desc, the_engine(), prop, dnnl_convolution_direct, l->x, l->w_any, l->b, l->y, l->stride,
        l->dilate, l->pad, l->pad, attr);
    return status ? NULL : desc;
}

static bool make_forward(Pass *p, const ConvLayouts *l, const Call *c, Act act) {
    const ConvAttr *a = c->attr;
    bool residual = shape_size(c->in[3].shape) != 0;
    dnnl_primitive_attr_t attr = attributes(false, residual ? l->y : NULL, act, a->slope);
    dnnl_primitive_desc_t desc = forward_desc(l, dnnl_forward_inference, attr);
    dnnl_primitive_attr_destroy(attr);
    bool ok = desc && is_good(desc, residual);
    if (ok) {
        pass_make(p, desc, DNNL_ARG_WEIGHTS, l->w_plain);
        pass_arg(p, DNNL_ARG_SRC, l->x);
        pass_arg(p, DNNL_ARG_DST, l->y);
        if (l->b) pass_arg(p, DNNL_ARG_BIAS, l->b);
        if (residual) pass_arg(p, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, l->y);
    }
    if (desc) dnnl_primitive_desc_destroy(desc);
    return ok;
}

static bool make_input_gradient(Pass *p, const ConvLayouts *l, const_dnnl_primitive_desc_t forward,
                                const_dnnl_primitive_attr_t attr, bool add) {
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = dnnl_convolution_backward_data_primitive_desc_create(
        &desc, the_engine(), dnnl_convolution_direct, l->x, l->w_any, l->y, l->stride, l->dilate,
        l->pad, l->pad, forward, attr);
    bool ok = !status && is_good(desc, false);
    if (ok) {
        pass_make(p, desc, DNNL_ARG_WEIGHTS, l->w_plain);
        pass_arg(p, DNNL_ARG_DIFF_SRC, l->x);
        pass_arg(p, DNNL_ARG_DIFF_DST, l->y);
        if (add) p->extra = aligned(dnnl_memory_desc_get_size(l->x));
    }
    if (!status) dnnl_primitive_desc_destroy(desc);
    return ok;
}

/* With steps over few channels 2.6's 1x1 gradient of weights writes behind its scratchpad. */
static bool overruns(const Call *c) {
    Shape x = c->in[0].shape, w = c->in[1].shape;
    return w.h == 1 && w.w == 1 && ((const ConvAttr *)c->attr)->stride > 1 && x.c < 16;
}

static bool make_weight_gradient(Pass *p, const ConvLayouts *l, const_dnnl_primitive_desc_t forward,
                                 const_dnnl_primitive_attr_t attr) {
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = dnnl_convolution_backward_weights_primitive_desc_create(
        &desc, the_engine(), dnnl_convolution_direct, l->x, l->w_any, l->b, l->y, l->stride,
        l->dilate, l->pad, l->pad, forward, attr);
    bool ok = !status && is_good(desc, false);
    if (ok) {
        pass_make(p, desc, DNNL_ARG_DIFF_WEIGHTS, l->w_plain);
        pass_arg(p, DNNL_ARG_SRC, l->x);
        pass_arg(p, DNNL_ARG_DIFF_DST, l->y);
        if (l->b) pass_arg(p, DNNL_ARG_DIFF_BIAS, l->b);
        if (l->b) p->extra = aligned(dnnl_memory_desc_get_size(l->b));
    }
    if (!status) dnnl_primitive_desc_destroy(desc);
    return ok;
}

static bool make_gradients(OnednnConv *conv, const ConvLayouts *l, const Call *c, unsigned passes) {
    dnnl_primitive_attr_t attr = attributes(false, NULL, ACT_NONE, 0);
    dnnl_primitive_desc_t hint = forward_desc(l, dnnl_forward_training, attr);
    bool ok = hint != NULL;
    if (ok && (passes & ONEDNN_INPUT_GRADIENT))
        ok = make_input_gradient(&conv->input_gradient, l, hint, attr, c->add[0]);
    if (ok && (passes & ONEDNN_WEIGHT_GRADIENT))
        ok = !overruns(c) && make_weight_gradient(&conv->weight_gradient, l, hint, attr);
    if (hint) dnnl_primitive_desc_destroy(hint);
    dnnl_primitive_attr_destroy(attr);
    return ok;
}

OnednnConv *onednn_conv_new(const Call *c, unsigned passes, Act act, size_t *workspace) {
    OnednnConv *conv = calloc(1, sizeof *conv);
    CHECK(conv, "out of memory");
    need(dnnl_stream_create(&conv->stream, the_engine(), dnnl_stream_default_flags), "stream");
    ConvLayouts l = conv_layouts(c);
    bool ok = true;
    if (passes & ONEDNN_FORWARD) ok = make_forward(&conv->forward, &l, c, act);
    if (ok && (passes & ~(unsigned)ONEDNN_FORWARD)) ok = make_gradients(conv, &l, c, passes);
    conv_layouts_free(&l);
    if (!ok) {
        onednn_conv_free(conv);
        return NULL;
    }
    const Pass *all[] = {&conv->forward, &conv->input_gradient, &conv->weight_gradient};
    *workspace = 0;
    for (int i = 0; i < 3; i++)
        if (pass_fixed(all[i]) + all[i]->extra > *workspace)
            *workspace = pass_fixed(all[i]) + all[i]->extra;
    return conv;
}

void onednn_conv_free(OnednnConv *conv) {
    if (!conv) return;
    pass_free(&conv->forward);
    pass_free(&conv->input_gradient);
    pass_free(&conv->weight_gradient);
    dnnl_stream_destroy(conv->stream);
    free(conv);
}

/* --- running --- */

static void place(dnnl_memory_t m, const void *data) {
    need(dnnl_memory_set_data_handle(m, (void *)(uintptr_t)data), "address");
}

static void pass_place(const Pass *p, int id, const void *data) {
    for (int i = 0; i < p->args; i++)
        if (p->arg[i].arg == id) place(p->arg[i].memory, data);
}

static void execute(const OnednnConv *conv, dnnl_primitive_t primitive, int args,
                    const dnnl_exec_arg_t *arg) {
    need(dnnl_primitive_execute(primitive, conv->stream, args, arg), "execute");
    need(dnnl_stream_wait(conv->stream), "wait");
}

/* Addresses of weights (plain, theirs or their gradient's) and workspace. */
static void pass_begin(const Pass *p, const void *weights, char *workspace) {
    place(p->plain, weights);
    place(p->packed, workspace);
    pass_place(p, DNNL_ARG_SCRATCHPAD, workspace + p->packed_bytes);
}

static void pass_reorder(const OnednnConv *conv, dnnl_primitive_t primitive, dnnl_memory_t from,
                         dnnl_memory_t to) {
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    execute(conv, primitive, 2, arg);
}

static void add_to(float *restrict to, const float *restrict from, size_t size) {
    enum { BLOCK = 16384 };
    PARALLEL_FOR
    for (size_t block = 0; block < (size + BLOCK - 1) / BLOCK; block++) {
        size_t end = size - block * BLOCK < BLOCK ? size : (block + 1) * BLOCK;
        for (size_t i = block * BLOCK; i < end; i++) to[i] += from[i];
    }
}

void onednn_conv_forward(const OnednnConv *conv, const Call *c, void *y, void *workspace) {
    const Pass *p = &conv->forward;
    pass_begin(p, c->in[1].data, workspace);
    pass_place(p, DNNL_ARG_SRC, c->in[0].data);
    pass_place(p, DNNL_ARG_BIAS, c->in[2].data);
    pass_place(p, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, c->in[3].data);
    pass_place(p, DNNL_ARG_DST, y);
    pass_reorder(conv, p->reorder, p->plain, p->packed);
    execute(conv, p->primitive, p->args, p->arg);
}

void onednn_conv_input_gradient(const OnednnConv *conv, const Call *c, void *workspace) {
    const Pass *p = &conv->input_gradient;
    float *dx = c->din[0].data, *scratch = (float *)(void *)((char *)workspace + pass_fixed(p));
    CHECK(!c->add[0] || p->extra, "prepared to overwrite, asked to add");
    pass_begin(p, c->in[1].data, workspace);
    pass_place(p, DNNL_ARG_DIFF_DST, c->dout[0].data);
    pass_place(p, DNNL_ARG_DIFF_SRC, c->add[0] ? scratch : dx);
    pass_reorder(conv, p->reorder, p->plain, p->packed);
    execute(conv, p->primitive, p->args, p->arg);
    if (c->add[0]) add_to(dx, scratch, shape_size(c->din[0].shape));
}

void onednn_conv_weight_gradient(const OnednnConv *conv, const Call *c, void *workspace) {
    const Pass *p = &conv->weight_gradient;
    float *db = c->din[2].data, *scratch = (float *)(void *)((char *)workspace + pass_fixed(p));
    pass_begin(p, c->din[1].data, workspace);
    pass_place(p, DNNL_ARG_SRC, c->in[0].data);
    pass_place(p, DNNL_ARG_DIFF_DST, c->dout[0].data);
    pass_place(p, DNNL_ARG_DIFF_BIAS, scratch);
    execute(conv, p->primitive, p->args, p->arg);
    pass_reorder(conv, c->add[1] ? p->reorder_add : p->reorder, p->packed, p->plain);
    if (db && c->add[2])
        add_to(db, scratch, shape_size(c->din[2].shape));
    else if (db)
        memcpy(db, scratch, shape_size(c->din[2].shape) * sizeof *db);
}

static void gemm(int m, int n, int k, OnednnMatrix a, OnednnMatrix b, float *c, int ldc, bool add) {
    need(dnnl_sgemm(a.transpose ? 'T' : 'N', b.transpose ? 'T' : 'N', m, n, k, 1, a.data, a.ld,
                    b.data, b.ld, add, c, ldc),
         "sgemm");
}

/* Inside a parallel loop oneDNN works with one thread.  Left alone it would also cut k into one
 * part per thread, and the sums would depend on their number. */
void onednn_gemm(int m, int n, int k, OnednnMatrix a, OnednnMatrix b, void *c, int ldc, bool add) {
    int rows = m, columns = n;
    if (n >= m)
        columns = n >= 256 ? 128 : 32;
    else
        rows = m >= 4096 ? 512 : m >= 256 ? 128 : 32;
    int row_blocks = (m + rows - 1) / rows, column_blocks = (n + columns - 1) / columns;
    PARALLEL_FOR
    for (int i = 0; i < row_blocks * column_blocks; i++) {
        int row = i / column_blocks * rows, column = i % column_blocks * columns;
        OnednnMatrix part_a = a, part_b = b;
        part_a.data = (const float *)a.data + (size_t)row * (a.transpose ? 1 : a.ld);
        part_b.data = (const float *)b.data + (size_t)column * (b.transpose ? b.ld : 1);
        gemm(m - row < rows ? m - row : rows, n - column < columns ? n - column : columns, k,
             part_a, part_b, (float *)c + (size_t)row * ldc + column, ldc, add);
    }
}

#endif
