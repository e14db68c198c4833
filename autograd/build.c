#include "autograd/build.h"

#include "tensor/rng.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Scope scope(const Scope *m, const char *format, ...) {
    Scope child = *m;
    size_t used = strlen(m->prefix), room = sizeof child.prefix - used;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(child.prefix + used, room, format, args);
    va_end(args);
    CHECK(length >= 0 && (size_t)length + 1 < room, "scope below %s is too long", m->prefix);
    strcat(child.prefix, ".");
    return child;
}

/* The scope's own path, without the last dot. */
static int path_length(const Scope *m) {
    int length = (int)strlen(m->prefix);
    return length ? length - 1 : 0;
}

Tensor *named(const Scope *m, Tensor *t) {
    graph_name(m->graph, t, "%.*s", path_length(m), m->prefix);
    return t;
}

Tensor *named_output(const Scope *m, Tensor *t, int i) {
    graph_name(m->graph, t, "%.*s#%d", path_length(m), m->prefix, i);
    return t;
}

Tensor *build_param(const Scope *m, const char *name, ParamKind kind, int dims, const int *dim) {
    char key[256];
    int length = snprintf(key, sizeof key, "%s%s", m->prefix, name);
    CHECK(length > 0 && (size_t)length < sizeof key, "key %s%s is too long", m->prefix, name);
    return graph_param(m->graph, m->params, params_declare(m->params, key, kind, dims, dim));
}

/* The entry "name.leaf" of a module. */
static Tensor *entry(const Scope *m, const char *name, const char *leaf, ParamKind kind, int dims,
                     const int *dim) {
    char both[160];
    snprintf(both, sizeof both, "%s.%s", name, leaf);
    return build_param(m, both, kind, dims, dim);
}

typedef struct {
    Tensor *gamma, *beta, *mean, *variance; /* [1,1,1,c] */
} Norm;

static Norm norm_entries(const Scope *m, const char *name, int c) {
    return (Norm){entry(m, name, "weight", PARAM_WEIGHT, 1, &c),
                  entry(m, name, "bias", PARAM_WEIGHT, 1, &c),
                  entry(m, name, "running_mean", PARAM_BUFFER, 1, &c),
                  entry(m, name, "running_var", PARAM_BUFFER, 1, &c)};
}

static float eps_of(const Scope *m) { return m->eps > 0 ? m->eps : 1e-5f; }

static Tensor *norm_trained(const Scope *m, Tensor *x, const Norm *n, const char *where) {
    BatchnormAttr attr = {eps_of(m), m->momentum > 0 ? m->momentum : 0.1f};
    Tensor *in[] = {x, n->gamma, n->beta, n->mean, n->variance};
    return graph_add(m->graph, OP_batchnorm, &attr, in, 5, where);
}

/* An activation as a node of its own; the plan moves it into the conv before it. */
static Tensor *activated(const Scope *m, Tensor *x, Act act, float slope, const char *where) {
    static const UnaryKind kind[] = {
        [ACT_RELU] = UNARY_RELU, [ACT_SILU] = UNARY_SILU, [ACT_LEAKY] = UNARY_LEAKY};
    if (act == ACT_NONE) return x;
    return graph_add(m->graph, OP_unary, &(UnaryAttr){kind[act], slope}, &x, 1, where);
}

static ConvAttr conv_attr(const ConvOptions *o, int k) {
    int dilation = o->dilation ? o->dilation : 1;
    int pad = o->pad ? o->pad : dilation * (k - 1) / 2;
    return (ConvAttr){.stride = o->stride ? o->stride : 1,
                      .pad = pad < 0 ? 0 : pad,
                      .dilation = dilation,
                      .groups = o->groups ? o->groups : 1};
}

Tensor *build_conv(const Scope *m, const char *name, Tensor *x, ConvOptions o, const char *where) {
    int k = o.k ? o.k : 1;
    ConvAttr attr = conv_attr(&o, k);
    int dim[4] = {o.out, x->shape.c / attr.groups, k, k};
    Tensor *w = entry(m, name, "weight", PARAM_WEIGHT, 4, dim);
    bool bias = o.norm ? o.bias : !o.no_bias;
    Tensor *b = bias ? entry(m, name, "bias", PARAM_WEIGHT, 1, &o.out) : NULL;
    Norm norm = {0};
    if (o.norm) norm = norm_entries(m, o.norm, o.out);
    if (o.norm && !m->train) {
        Tensor *in[] = {w, norm.gamma, norm.beta, norm.mean, norm.variance, b};
        w = graph_add(m->graph, OP_fold, &(FoldAttr){eps_of(m)}, in, 6, where);
        b = graph_output(m->graph, w, 1);
    }
    Tensor *y = graph_add(m->graph, OP_conv, &attr, (Tensor *[]){x, w, b}, 3, where);
    if (o.norm && m->train) y = norm_trained(m, y, &norm, where);
    graph_name(m->graph, y, "%s%s", m->prefix, o.norm ? o.norm : name);
    return activated(m, y, o.act, o.slope, where);
}

Tensor *build_batchnorm(const Scope *m, const char *name, Tensor *x, const char *where) {
    Norm n = norm_entries(m, name, x->shape.c);
    if (m->train) return norm_trained(m, x, &n, where);
    /* x * gamma * s + beta - mean * gamma * s, s = (variance + eps)^-1/2 */
    Tensor *s =
        graph_add(m->graph, OP_unary, &(UnaryAttr){UNARY_OFFSET, eps_of(m)}, &n.variance, 1, where);
    s = graph_add(m->graph, OP_unary, &(UnaryAttr){UNARY_POW, -0.5f}, &s, 1, where);
    Tensor *factor = mul(m, n.gamma, s);
    return add(m, mul(m, sub(m, x, n.mean), factor), n.beta);
}

Tensor *build_linear(const Scope *m, const char *name, Tensor *x, int out, Act act,
                     const char *where) {
    int dim[2] = {out, x->shape.c};
    Tensor *w = entry(m, name, "weight", PARAM_WEIGHT, 2, dim);
    Tensor *b = entry(m, name, "bias", PARAM_WEIGHT, 1, &out);
    Tensor *y = graph_add(m->graph, OP_conv, &(ConvAttr){0}, (Tensor *[]){x, w, b}, 3, where);
    graph_name(m->graph, y, "%s%s", m->prefix, name);
    return activated(m, y, act, 0, where);
}

Tensor *build_op(const Scope *m, OpKind op, const void *attr, Tensor *a, Tensor *b, Tensor *c,
                 const char *where) {
    Tensor *in[] = {a, b, c};
    return graph_add(m->graph, op, attr, in, c ? 3 : b ? 2 : 1, where);
}

Tensor *build_concat(const Scope *m, Axis axis, Tensor *const *parts, const char *where) {
    return graph_add(m->graph, OP_concat, &(AxisAttr){axis}, parts, OP_MAX_IN, where);
}

Tensor *build_dropout(const Scope *m, const char *name, Tensor *x, float p, Tensor *seed,
                      const char *where) {
    if (!m->train || p <= 0) return x;
    char key[256];
    snprintf(key, sizeof key, "%s%s", m->prefix, name);
    return build_op(m, OP_dropout, &(DropoutAttr){p, rng_fnv1a(key)}, x, seed, NULL, where);
}
