/* Build: the short verbs that networks are written in.  A network reads like its paper's figure:
 *
 *     Tensor *bottleneck(const Scope *m, Tensor *x, int width) {
 *         Tensor *y = conv(m, "conv1", x, .out = width, .norm = "bn1", .act = ACT_RELU);
 *         y = conv(m, "conv2", y, .out = width, .k = 3, .norm = "bn2", .act = ACT_RELU);
 *         y = conv(m, "conv3", y, .out = 4 * width, .norm = "bn3");
 *         return relu(m, add(m, y, x));
 *     }
 *     Scope layer = scope(m, "layer1.%d", i);
 *     x = bottleneck(&layer, x, 64);
 *
 * The strings are the state-dict keys; shapes are checked at the call.  Each verb remembers the
 * line of the net.  A conv's output before its activation carries the norm's path as name (or the
 * conv's, without norm); `named` gives a tensor its module's path.  With train set, norms use and
 * update batch statistics and dropout drops; otherwise a norm is folded into its conv (op fold) and
 * dropout is the identity.
 */
#ifndef AUTOGRAD_BUILD_H
#define AUTOGRAD_BUILD_H

#include "autograd/graph.h"

typedef struct {
    Graph *graph;
    Params *params;
    bool train;
    float eps, momentum; /* of the norms; 0: 1e-5 and 0.1 */
    char prefix[160];    /* "layer1.0." */
} Scope;

#define BUILD_TEXT_(x) #x
#define BUILD_TEXT(x) BUILD_TEXT_(x)
#define WHERE (__FILE__ ":" BUILD_TEXT(__LINE__))

/* A child scope: its keys begin with the parent's prefix, the formatted name and a dot. */
Scope scope(const Scope *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Names t by the scope's own path (without the last dot) and, when given, a suffix "#0"; returns t.
 */
Tensor *named(const Scope *m, Tensor *t);
Tensor *named_output(const Scope *m, Tensor *t, int i);

typedef struct {
    int out;          /* output channels */
    int k;            /* kernel size, 0: 1 */
    int stride;       /* 0: 1 */
    int pad;          /* 0: dilation*(k-1)/2; -1: none */
    int dilation;     /* 0: 1 */
    int groups;       /* 0: 1 */
    const char *norm; /* key of the norm, looked up beside the conv; NULL: none */
    bool bias;        /* a bias although a norm follows */
    bool no_bias;     /* none although no norm follows */
    Act act;
    float slope; /* of ACT_LEAKY */
} ConvOptions;

/* conv [+ norm] [+ act].  Keys: name.weight, name.bias, norm.weight, norm.bias, norm.running_mean,
 * norm.running_var.  x [n,h,w,c] -> [n,ho,wo,out]. */
#define conv(m, name, x, ...) build_conv(m, name, x, (ConvOptions){__VA_ARGS__}, WHERE)
Tensor *build_conv(const Scope *m, const char *name, Tensor *x, ConvOptions o, const char *where);

/* A norm of its own. */
#define batchnorm(m, name, x) build_batchnorm(m, name, x, WHERE)
Tensor *build_batchnorm(const Scope *m, const char *name, Tensor *x, const char *where);

/* y = x W^T + b on [n,1,1,in]; keys name.weight [out,in], name.bias [out]. */
#define linear(m, name, x, out_channels, act) build_linear(m, name, x, out_channels, act, WHERE)
Tensor *build_linear(const Scope *m, const char *name, Tensor *x, int out, Act act,
                     const char *where);

/* A parameter or buffer of its own, e.g. "init_pose". */
Tensor *build_param(const Scope *m, const char *name, ParamKind kind, int dims, const int *dim);

Tensor *build_op(const Scope *m, OpKind op, const void *attr, Tensor *a, Tensor *b, Tensor *c,
                 const char *where);
#define BUILD_OP(m, op, Attr, a, b, c, ...) \
    build_op(m, OP_##op, &(const Attr){__VA_ARGS__}, a, b, c, WHERE)

#define unary(m, NAME, x, value) BUILD_OP(m, unary, UnaryAttr, x, NULL, NULL, UNARY_##NAME, value)
#define relu(m, x) unary(m, RELU, x, 0)
#define silu(m, x) unary(m, SILU, x, 0)
#define sigmoid(m, x) unary(m, SIGMOID, x, 0)
#define square(m, x) unary(m, SQUARE, x, 0)
#define scale(m, x, factor) unary(m, SCALE, x, factor)
#define offset(m, x, summand) unary(m, OFFSET, x, summand)
#define add(m, a, b) BUILD_OP(m, binary, BinaryAttr, a, b, NULL, BINARY_ADD)
#define sub(m, a, b) BUILD_OP(m, binary, BinaryAttr, a, b, NULL, BINARY_SUB)
#define mul(m, a, b) BUILD_OP(m, binary, BinaryAttr, a, b, NULL, BINARY_MUL)
#define divide(m, a, b) BUILD_OP(m, binary, BinaryAttr, a, b, NULL, BINARY_DIV)
#define maxpool(m, x, k, stride, pad) BUILD_OP(m, maxpool, PoolAttr, x, NULL, NULL, k, stride, pad)
#define avgpool(m, x, k, stride, pad) BUILD_OP(m, avgpool, PoolAttr, x, NULL, NULL, k, stride, pad)
#define upsample(m, x, factor)                                                             \
    BUILD_OP(m, resize, ResizeAttr, x, NULL, NULL, RESIZE_NEAREST, (x)->shape.h *(factor), \
             (x)->shape.w *(factor))
#define pixel_shuffle(m, x, r) BUILD_OP(m, shuffle, ShuffleAttr, x, NULL, NULL, r)
#define focus(m, x) BUILD_OP(m, focus, NoAttr, x, NULL, NULL, 0)
#define reshape(m, x, n, h, w, c) BUILD_OP(m, reshape, ReshapeAttr, x, NULL, NULL, n, h, w, c)
#define slice(m, x, axis, start, size) \
    BUILD_OP(m, slice, SliceAttr, x, NULL, NULL, axis, start, size)
#define gather(m, x, axis, index) BUILD_OP(m, gather, AxisAttr, x, index, NULL, axis)
#define concat(m, axis, ...) build_concat(m, axis, (Tensor *[OP_MAX_IN]){__VA_ARGS__}, WHERE)
Tensor *build_concat(const Scope *m, Axis axis, Tensor *const *parts, const char *where);
#define softmax(m, x) BUILD_OP(m, softmax, NoAttr, x, NULL, NULL, 0)

enum { AXES_HW = 1 << AXIS_H | 1 << AXIS_W, AXES_ALL = 15 };
#define sum(m, x, axes) BUILD_OP(m, reduce, ReduceAttr, x, NULL, NULL, REDUCE_SUM, axes)
#define mean(m, x, axes) BUILD_OP(m, reduce, ReduceAttr, x, NULL, NULL, REDUCE_MEAN, axes)
#define deviation(m, x, axes) BUILD_OP(m, reduce, ReduceAttr, x, NULL, NULL, REDUCE_STD, axes)

/* Element by element; weight may be NULL. */
#define loss(m, KIND, prediction, target, weight) \
    BUILD_OP(m, loss, LossAttr, prediction, target, weight, LOSS_##KIND, 0)

/* Identity unless m->train; seed [1,1,1,2] is an input of the graph.  The mask's key is the name.
 */
#define dropout(m, name, x, p, seed) build_dropout(m, name, x, p, seed, WHERE)
Tensor *build_dropout(const Scope *m, const char *name, Tensor *x, float p, Tensor *seed,
                      const char *where);

#define rot6d(m, x) BUILD_OP(m, rot6d, NoAttr, x, NULL, NULL, 0)
#define rodrigues(m, x) BUILD_OP(m, rodrigues, NoAttr, x, NULL, NULL, 0)
#define axisangle(m, x, near) BUILD_OP(m, axisangle, NoAttr, x, near, NULL, 0)
#define project(m, points, camera_fcc) BUILD_OP(m, project, NoAttr, points, camera_fcc, NULL, 0)
/* Heatmaps [n,h,w,j] -> [n,1,j,3] = x, y in heatmap pixels, largest number. */
#define heatpeak(m, heat, ...) BUILD_OP(m, heatpeak, HeatpeakAttr, heat, NULL, NULL, __VA_ARGS__)

/* The normal of the plane near points [n,1,1,3], as op plane says; nothing is learned through it.
 */
#define plane(m, points, up, prior) BUILD_OP(m, plane, PlaneAttr, points, up, NULL, prior)
#define camera(m, crop_camera, box) BUILD_OP(m, camera, NoAttr, crop_camera, box, NULL, 0)

#endif
