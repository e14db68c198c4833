#include "nets/yolox.h"

/* Convolution, norm and SiLU. */
#define base_conv(m, x, ...) convolve(m, x, (ConvOptions){__VA_ARGS__}, WHERE)

static Tensor *convolve(const Scope *m, Tensor *x, ConvOptions o, const char *where) {
    o.norm = "bn", o.act = ACT_SILU;
    return named(m, build_conv(m, "conv", x, o, where));
}

/* The 3x3 convolutions that YOLOX-nano makes depthwise. */
static Tensor *spatial_conv(const Scope *m, const NetSpec *s, Tensor *x, int out, int stride) {
    if (!s->depthwise) return base_conv(m, x, .out = out, .k = 3, .stride = stride);
    int c = x->shape.c;
    x = base_conv(at(m, "dconv"), x, .out = c, .k = 3, .stride = stride, .groups = c);
    return named(m, base_conv(at(m, "pconv"), x, .out = out));
}

static Tensor *bottleneck(const Scope *m, const NetSpec *s, Tensor *x, bool shortcut) {
    Tensor *y = base_conv(at(m, "conv1"), x, .out = x->shape.c);
    y = spatial_conv(at(m, "conv2"), s, y, x->shape.c, 1);
    return named(m, shortcut ? add(m, y, x) : y);
}

static Tensor *csp_layer(const Scope *m, const NetSpec *s, Tensor *x, int out, int blocks,
                         bool shortcut) {
    Tensor *deep = base_conv(at(m, "conv1"), x, .out = out / 2);
    Tensor *side = base_conv(at(m, "conv2"), x, .out = out / 2);
    for (int i = 0; i < blocks; i++) deep = bottleneck(at(m, "m.%d", i), s, deep, shortcut);
    return named(m, base_conv(at(m, "conv3"), concat(m, AXIS_C, deep, side), .out = out));
}

/* Spatial pyramid pooling. */
static Tensor *spp(const Scope *m, Tensor *x, int out) {
    x = base_conv(at(m, "conv1"), x, .out = x->shape.c / 2);
    x = concat(m, AXIS_C, x, maxpool(m, x, 5, 1, 2), maxpool(m, x, 9, 1, 4),
               maxpool(m, x, 13, 1, 6));
    return named(m, base_conv(at(m, "conv2"), x, .out = out));
}

/* A stage of CSP-Darknet: half the size, twice the channels. */
static Tensor *dark(const Scope *m, const NetSpec *s, Tensor *x, int blocks) {
    int out = 2 * x->shape.c;
    x = spatial_conv(at(m, "0"), s, x, out, 2);
    return named(m, csp_layer(at(m, "1"), s, x, out, blocks, true));
}

static Tensor *dark_last(const Scope *m, const NetSpec *s, Tensor *x, int blocks) {
    int out = 2 * x->shape.c;
    x = spatial_conv(at(m, "0"), s, x, out, 2);
    x = spp(at(m, "1"), x, out);
    return named(m, csp_layer(at(m, "2"), s, x, out, blocks, false));
}

enum { LEVELS = 3 };

/* Backbone and pyramid: maps of strides 8, 16, 32 with 4, 8, 16 times the stem's channels. */
static void pafpn(const Scope *m, const NetSpec *s, Tensor *x, Tensor *out[LEVELS]) {
    const Scope *b = at(m, "backbone");
    int c = s->channels, n = s->blocks;
    x = named(at(b, "stem"), base_conv(at(b, "stem.conv"), focus(m, x), .out = c, .k = 3));
    x = dark(at(b, "dark2"), s, x, n);
    Tensor *dark3 = dark(at(b, "dark3"), s, x, 3 * n);
    Tensor *dark4 = dark(at(b, "dark4"), s, dark3, 3 * n);
    Tensor *dark5 = dark_last(at(b, "dark5"), s, dark4, n);

    Tensor *top = base_conv(at(m, "lateral_conv0"), dark5, .out = 8 * c);
    x = concat(m, AXIS_C, upsample(m, top, 2), dark4);
    x = csp_layer(at(m, "C3_p4"), s, x, 8 * c, n, false);
    Tensor *middle = base_conv(at(m, "reduce_conv1"), x, .out = 4 * c);
    x = concat(m, AXIS_C, upsample(m, middle, 2), dark3);
    out[0] = csp_layer(at(m, "C3_p3"), s, x, 4 * c, n, false);

    x = spatial_conv(at(m, "bu_conv2"), s, out[0], 4 * c, 2);
    out[1] = csp_layer(at(m, "C3_n3"), s, concat(m, AXIS_C, x, middle), 8 * c, n, false);
    x = spatial_conv(at(m, "bu_conv1"), s, out[1], 8 * c, 2);
    out[2] = csp_layer(at(m, "C3_n4"), s, concat(m, AXIS_C, x, top), 16 * c, n, false);
}

static Tensor *tower(const Scope *m, const NetSpec *s, Tensor *x) {
    for (int i = 0; i < 2; i++) x = spatial_conv(at(m, "%d", i), s, x, x->shape.c, 1);
    return named(m, x);
}

/* One level of the head: [n,h,w,c] -> [n,h*w,1,5+classes]. */
static Tensor *head(const Scope *m, const NetSpec *s, Tensor *x, int level) {
    const char *key = (const char *[LEVELS]){"0", "1", "2"}[level];
    x = base_conv(at(m, "stems.%d", level), x, .out = 4 * s->channels);
    Tensor *what = tower(at(m, "cls_convs.%d", level), s, x);
    Tensor *where = tower(at(m, "reg_convs.%d", level), s, x);
    Tensor *box = conv(at(m, "reg_preds"), key, where, .out = 4);
    Tensor *object = conv(at(m, "obj_preds"), key, where, .out = 1);
    Tensor *class = conv(at(m, "cls_preds"), key, what, .out = s->classes);
    Tensor *row = concat(m, AXIS_C, box, object, class);
    Shape r = row->shape;
    return reshape(m, row, r.n, r.h * r.w, 1, r.c);
}

Tensor *yolox_build(const Scope *m, const NetSpec *s, Tensor *x, Tensor **decoded) {
    Scope root = *m;
    root.eps = 1e-3f, root.momentum = 0.03f;
    Tensor *map[LEVELS], *row[LEVELS];
    pafpn(at(&root, "backbone"), s, x, map);
    for (int i = 0; i < LEVELS; i++) row[i] = head(at(&root, "head"), s, map[i], i);
    Tensor *raw = concat(m, AXIS_H, row[0], row[1], row[2]);
    *decoded = BUILD_OP(m, boxdecode, BoxdecodeAttr, raw, NULL, NULL, x->shape.h, x->shape.w);
    return raw;
}
