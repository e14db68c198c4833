/* Shape rules: what each op of ops.def makes of its inputs' sizes.  See attr.h for the meaning. */
#include "kernels/op.h"

/* One rule at work: the op's inputs, its outputs, and the line of the net to blame. */
typedef struct {
    const Tensor *in;
    Tensor *out;
    const char *where;
} Rule;

#define NEED(condition, ...)                                                        \
    do {                                                                            \
        if (!(condition)) error_check_failed(r->where, 0, #condition, __VA_ARGS__); \
    } while (0)

static bool absent(const Tensor *t) { return !shape_size(t->shape); }

static Shape vector(int c) { return (Shape){1, 1, 1, c}; }

static void need_shape(const Rule *r, int i, Shape want) {
    NEED(shape_equal(r->in[i].shape, want), "input %d is %s, expected %s", i,
         shape_text(r->in[i].shape), shape_text(want));
}

static void need_optional(const Rule *r, int i, Shape want) {
    if (!absent(&r->in[i])) need_shape(r, i, want);
}

static int *axis_of(Shape *s, Axis axis) {
    return axis == AXIS_N ? &s->n : axis == AXIS_H ? &s->h : axis == AXIS_W ? &s->w : &s->c;
}

/* 0 where the window does not fit. */
static int window(int size, int pad, int dilation, int k, int stride) {
    int steps = size + 2 * pad - dilation * (k - 1) - 1;
    return steps < 0 ? 0 : steps / (stride ? stride : 1) + 1;
}

static void shape_conv(const ConvAttr *a, const Rule *r) {
    Shape x = r->in[0].shape, w = r->in[1].shape;
    int groups = a->groups ? a->groups : 1, dilation = a->dilation ? a->dilation : 1;
    NEED(x.c == w.c * groups && w.n % groups == 0, "%s convolved with %s in %d groups",
         shape_text(x), shape_text(w), groups);
    int h = window(x.h, a->pad, dilation, w.h, a->stride);
    int wide = window(x.w, a->pad, dilation, w.w, a->stride);
    NEED(h > 0 && wide > 0, "%s is smaller than the kernel %s", shape_text(x), shape_text(w));
    r->out[0].shape = (Shape){x.n, h, wide, w.n};
    need_optional(r, 2, vector(w.n));
    need_optional(r, 3, r->out[0].shape);
}

static void shape_matmul(const MatmulAttr *attr, const Rule *r) {
    Shape a = r->in[0].shape, b = r->in[1].shape;
    int m = attr->transpose_a ? a.c : a.w, k = attr->transpose_a ? a.w : a.c;
    int kb = attr->transpose_b ? b.c : b.w, p = attr->transpose_b ? b.w : b.c;
    NEED(a.n == b.n && a.h == b.h && k == kb, "%s times %s", shape_text(a), shape_text(b));
    r->out[0].shape = (Shape){a.n, a.h, m, p};
}

static void shape_batchnorm(const BatchnormAttr *a, const Rule *r) {
    (void)a;
    Shape x = r->in[0].shape;
    for (int i = 1; i < 5; i++) need_shape(r, i, vector(x.c));
    r->out[0].shape = x;
    r->out[1].shape = r->out[2].shape = vector(x.c);
}

static void shape_fold(const FoldAttr *a, const Rule *r) {
    (void)a;
    Shape w = r->in[0].shape;
    for (int i = 1; i < 5; i++) need_shape(r, i, vector(w.n));
    need_optional(r, 5, vector(w.n));
    r->out[0].shape = w;
    r->out[1].shape = vector(w.n);
}

static void shape_pool(const PoolAttr *a, const Rule *r) {
    Shape x = r->in[0].shape;
    NEED(a->k > 0 && 2 * a->pad <= a->k, "window %d with padding %d", a->k, a->pad);
    int h = window(x.h, a->pad, 1, a->k, a->stride), w = window(x.w, a->pad, 1, a->k, a->stride);
    NEED(h > 0 && w > 0, "%s is smaller than the window %d", shape_text(x), a->k);
    r->out[0].shape = (Shape){x.n, h, w, x.c};
}

static void shape_maxpool(const PoolAttr *a, const Rule *r) { shape_pool(a, r); }
static void shape_avgpool(const PoolAttr *a, const Rule *r) { shape_pool(a, r); }

static void shape_resize(const ResizeAttr *a, const Rule *r) {
    Shape x = r->in[0].shape;
    NEED(a->out_h > 0 && a->out_w > 0, "size %dx%d", a->out_h, a->out_w);
    r->out[0].shape = (Shape){x.n, a->out_h, a->out_w, x.c};
    need_optional(r, 1, r->out[0].shape);
}

static void shape_shuffle(const ShuffleAttr *a, const Rule *r) {
    Shape x = r->in[0].shape;
    NEED(a->r > 0 && x.c % (a->r * a->r) == 0, "%s by factor %d", shape_text(x), a->r);
    r->out[0].shape = (Shape){x.n, x.h * a->r, x.w * a->r, x.c / (a->r * a->r)};
}

static void shape_focus(const NoAttr *a, const Rule *r) {
    (void)a;
    Shape x = r->in[0].shape;
    NEED(x.h % 2 == 0 && x.w % 2 == 0, "odd size %s", shape_text(x));
    r->out[0].shape = (Shape){x.n, x.h / 2, x.w / 2, 4 * x.c};
}

static void shape_reshape(const ReshapeAttr *a, const Rule *r) {
    Shape s = {a->n, a->h, a->w, a->c};
    NEED(shape_size(s) == shape_size(r->in[0].shape), "%s to %s", shape_text(r->in[0].shape),
         shape_text(s));
    r->out[0].shape = s;
    r->out[0].dtype = r->in[0].dtype;
}

static void shape_concat(const AxisAttr *a, const Rule *r) {
    Shape sum = r->in[0].shape;
    for (int i = 1; i < OP_MAX_IN && !absent(&r->in[i]); i++) {
        Shape other = r->in[i].shape;
        *axis_of(&sum, a->axis) += *axis_of(&other, a->axis);
        *axis_of(&other, a->axis) = *axis_of(&sum, a->axis);
        NEED(shape_equal(other, sum), "input %d is %s beside %s", i, shape_text(r->in[i].shape),
             shape_text(r->in[0].shape));
    }
    r->out[0].shape = sum;
}

static void shape_slice(const SliceAttr *a, const Rule *r) {
    Shape s = r->in[0].shape;
    int *size = axis_of(&s, a->axis);
    NEED(a->start >= 0 && a->size > 0 && a->size <= *size - a->start, "%d..+%d of %s", a->start,
         a->size, shape_text(s));
    *size = a->size;
    r->out[0].shape = s;
}

static void shape_gather(const AxisAttr *a, const Rule *r) {
    Shape s = r->in[0].shape, index = r->in[1].shape;
    NEED(r->in[1].dtype == I32 && shape_equal(index, vector(index.c)), "indices %s of dtype %s",
         shape_text(index), dtype_name(r->in[1].dtype));
    *axis_of(&s, a->axis) = index.c;
    r->out[0].shape = s;
}

static void shape_same(const Rule *r) { r->out[0].shape = r->in[0].shape; }

static void shape_unary(const UnaryAttr *a, const Rule *r) {
    NEED(a->kind < UNARY_COUNT, "kind %d", a->kind);
    shape_same(r);
}

static Shape broadcast(const Rule *r, Shape a, Shape b) {
    Shape s;
    for (Axis axis = AXIS_N; axis <= AXIS_C; axis++) {
        int p = *axis_of(&a, axis), q = *axis_of(&b, axis);
        NEED(p == q || p == 1 || q == 1, "%s with %s", shape_text(a), shape_text(b));
        *axis_of(&s, axis) = p == 1 ? q : p;
    }
    return s;
}

static void shape_binary(const BinaryAttr *a, const Rule *r) {
    (void)a;
    r->out[0].shape = broadcast(r, r->in[0].shape, r->in[1].shape);
}

static void shape_dropout(const DropoutAttr *a, const Rule *r) {
    NEED(a->p >= 0 && a->p < 1, "probability %g", (double)a->p);
    need_shape(r, 1, vector(2));
    shape_same(r);
}

static void shape_softmax(const NoAttr *a, const Rule *r) {
    (void)a;
    shape_same(r);
}

static void shape_reduce(const ReduceAttr *a, const Rule *r) {
    Shape s = r->in[0].shape;
    for (Axis axis = AXIS_N; axis <= AXIS_C; axis++)
        if (a->axes & 1u << axis) *axis_of(&s, axis) = 1;
    r->out[0].shape = s;
}

static void shape_loss(const LossAttr *a, const Rule *r) {
    (void)a;
    need_shape(r, 1, r->in[0].shape);
    if (!absent(&r->in[2]))
        NEED(shape_equal(broadcast(r, r->in[0].shape, r->in[2].shape), r->in[0].shape),
             "weight %s for %s", shape_text(r->in[2].shape), shape_text(r->in[0].shape));
    shape_same(r);
}

static void points(const Rule *r, int c, int out_c) {
    Shape s = r->in[0].shape;
    NEED(s.c == c, "%s, expected [..,%d]", shape_text(s), c);
    s.c = out_c;
    r->out[0].shape = s;
}

static void shape_rot6d(const NoAttr *a, const Rule *r) { (void)a, points(r, 6, 9); }
static void shape_rodrigues(const NoAttr *a, const Rule *r) { (void)a, points(r, 3, 9); }

static void shape_axisangle(const NoAttr *a, const Rule *r) {
    (void)a, points(r, 9, 3);
    if (!absent(&r->in[1])) need_shape(r, 1, r->out[0].shape);
}

static void shape_project(const NoAttr *a, const Rule *r) {
    (void)a;
    points(r, 3, 2);
    need_shape(r, 1, (Shape){r->in[0].shape.n, 1, 1, 3});
}

static void shape_camera(const NoAttr *a, const Rule *r) {
    (void)a;
    int n = r->in[0].shape.n;
    need_shape(r, 0, (Shape){n, 1, 1, 3});
    need_shape(r, 1, (Shape){n, 1, 1, 6});
    r->out[0].shape = (Shape){n, 1, 1, 3};
}

static void shape_plane(const PlaneAttr *a, const Rule *r) {
    NEED(a->prior > 0 && a->prior < 1e9f, "prior %g", (double)a->prior);
    need_shape(r, 0, (Shape){r->in[0].shape.n, 1, 1, 3});
    need_shape(r, 1, (Shape){1, 1, 1, 3});
    r->out[0].shape = (Shape){1, 1, 1, 3};
}

static void shape_skin(const SkinAttr *a, const Rule *r) {
    (void)a;
    Shape rot = r->in[0].shape;
    int n = rot.n, j = rot.w, b = r->in[1].shape.c, v = r->in[2].shape.w;
    NEED(j <= SKIN_JOINTS, "%d joints", j);
    need_shape(r, 0, (Shape){n, 1, j, 9});
    need_shape(r, 1, (Shape){n, 1, 1, b});
    need_shape(r, 2, (Shape){1, 1, v, 3});
    need_shape(r, 3, (Shape){1, v, 3, b});
    need_optional(r, 4, (Shape){1, v, 3, 9 * (j - 1)});
    need_shape(r, 5, (Shape){1, 1, j, 3});
    need_shape(r, 6, (Shape){1, j, 3, b});
    need_shape(r, 7, (Shape){1, 1, v, j});
    r->out[0].shape = (Shape){n, 1, v, 3};
    r->out[1].shape = (Shape){n, 1, j, 3};
}

static void shape_joints(const SkinAttr *a, const Rule *r) {
    (void)a;
    Shape rot = r->in[0].shape;
    int n = rot.n, j = rot.w, b = r->in[1].shape.c, k = r->in[4].shape.h;
    NEED(j <= SKIN_JOINTS, "%d joints", j);
    need_shape(r, 0, (Shape){n, 1, j, 9});
    need_shape(r, 1, (Shape){n, 1, 1, b});
    need_shape(r, 2, (Shape){1, 1, j, 3});
    need_shape(r, 3, (Shape){1, j, 3, b});
    need_shape(r, 4, (Shape){1, k, j, 4});
    need_shape(r, 5, (Shape){1, k, 3 * j, b});
    need_optional(r, 6, (Shape){1, k, 3 * j, 9 * (j - 1)});
    r->out[0].shape = (Shape){n, 1, k, 3};
}

static int anchors_of(int height, int width) {
    int anchors = 0;
    for (int stride = 8; stride <= 32; stride *= 2) anchors += height / stride * (width / stride);
    return anchors;
}

static void need_anchors(const Rule *r, int height, int width) {
    Shape x = r->in[0].shape;
    NEED(x.h == anchors_of(height, width) && x.w == 1 && x.c > 5,
         "%s for an input of %dx%d with %d anchors", shape_text(x), height, width,
         anchors_of(height, width));
}

static void shape_boxdecode(const BoxdecodeAttr *a, const Rule *r) {
    need_anchors(r, a->height, a->width);
    shape_same(r);
}

static void shape_assign(const AssignAttr *a, const Rule *r) {
    Shape x = r->in[0].shape;
    need_anchors(r, a->height, a->width);
    need_shape(r, 1, (Shape){x.n, r->in[1].shape.h, 1, 5});
    r->out[0].shape = (Shape){x.n, x.h, 1, 1};
    r->out[1].shape = (Shape){x.n, x.h, 1, 8};
    r->out[2].shape = (Shape){x.n, x.h, 1, x.c - 5};
}

static void shape_iouloss(const NoAttr *a, const Rule *r) {
    (void)a;
    Shape x = r->in[0].shape;
    NEED(x.w == 1 && x.c == 4, "%s, expected boxes of four numbers", shape_text(x));
    need_shape(r, 1, x);
    need_optional(r, 2, (Shape){x.n, x.h, 1, 1});
    r->out[0].shape = (Shape){x.n, x.h, 1, 1};
}

static void shape_nms(const NmsAttr *a, const Rule *r) {
    Shape x = r->in[0].shape;
    NEED(a->limit > 0 && x.w == 1 && x.c > 5, "%s, limit %d", shape_text(x), a->limit);
    r->out[0].shape = (Shape){x.n, a->limit, 1, 8};
    r->out[1].shape = (Shape){x.n, 1, 1, 1};
}

static void shape_heatpeak(const HeatpeakAttr *a, const Rule *r) {
    Shape x = r->in[0].shape;
    NEED(x.h > 0 && x.w > 0, "heatmaps without pixels, %s", shape_text(x));
    NEED(a->deviation >= 0 && a->deviation <= 1000, "deviation %g", (double)a->deviation);
    r->out[0].shape = (Shape){x.n, 1, x.c, 3};
}

static void shape_affine(const AffineAttr *a, const Rule *r) {
    Shape image = r->in[0].shape;
    int n = r->in[1].shape.n;
    NEED(image.n == 1 && image.c == 3 && r->in[0].dtype == U8, "photo %s of dtype %s",
         shape_text(image), dtype_name(r->in[0].dtype));
    need_shape(r, 1, (Shape){n, 1, 1, 6});
    need_optional(r, 2, (Shape){n, 1, 1, 4});
    r->out[0].shape = (Shape){n, a->out_h, a->out_w, 3};
}

static void shape_update(const UpdateAttr *a, const Rule *r) {
    (void)a;
    need_shape(r, 1, r->in[0].shape);
    need_optional(r, 2, r->in[0].shape);
    need_optional(r, 3, r->in[0].shape);
    need_shape(r, 4, (Shape){r->in[4].shape.n, 1, 1, UPDATE_HYPER});
    need_optional(r, 5, vector(1));
}

static void shape_record(const NoAttr *a, const Rule *r) {
    (void)a;
    int values = 0;
    while (values < RECORD_MAX && !absent(&r->in[RECORD_FIRST + values]))
        need_shape(r, RECORD_FIRST + values++, vector(1));
    need_shape(r, 0, vector(1));
    need_optional(r, 1, (Shape){r->in[1].shape.n, 1, 1, values});
    NEED(!values || !absent(&r->in[1]), "%d values without a history", values);
}

void op_shape(OpKind kind, const void *attr, const Tensor *in, Tensor *out, const char *where) {
    Rule rule = {in, out, where};
    for (int i = 0; i < op_info(kind)->n_out; i++) out[i].dtype = F32;
    switch (kind) {
#define OP(name, Attr, n_in, n_out, grads, reads, kernels) \
    case OP_##name:                                        \
        shape_##name(attr, &rule);                         \
        return;
#include "kernels/ops.def"
#undef OP
    case OP_COUNT: break;
    }
    CHECK(false, "op %d", kind);
}

double op_flops(OpKind kind, const void *attr, const Tensor *in, const Tensor *out) {
    double size = out ? (double)shape_size(out[0].shape) : 0;
    Shape w = in[1].shape;
    switch (kind) {
    case OP_conv: return 2 * size * w.h * w.w * w.c;
    case OP_matmul:
        return 2 * size * (((const MatmulAttr *)attr)->transpose_a ? in[0].shape.w : in[0].shape.c);
    default: return 0;
    }
}
