#include "nets/net.h"

#include "nets/cliff.h"
#include "nets/fastpose.h"
#include "nets/hrnet.h"
#include "nets/resnet.h"
#include "nets/rule.h"
#include "nets/yolox.h"
#include "tensor/file.h"

#include <stdio.h>
#include <string.h>

enum { STRIDE = 32, MAX_SIZE = 1 << 15, MAX_CLASSES = 10000, MAX_JOINTS = 1000 };

static const NetSpec variants[] = {
#define NET(title, type, c, n, deep, k, j, meaning, tall, wide) \
    {.name = #title,                                            \
     .kind = NET_##type,                                        \
     .channels = c,                                             \
     .blocks = n,                                               \
     .depthwise = deep,                                         \
     .classes = k,                                              \
     .joints = j,                                               \
     .colors = NET_##meaning,                                   \
     .height = tall,                                            \
     .width = wide},
#include "nets/variants.def"
#undef NET
};
enum { VARIANTS = sizeof variants / sizeof *variants };

const char *net_names(void) {
    static _Thread_local char text[32 * VARIANTS];
    *text = 0;
    for (int i = 0; i < VARIANTS; i++) {
        if (i) strcat(text, ", ");
        strcat(text, variants[i].name);
    }
    return text;
}

Status net_spec(const char *name, NetSpec *out) {
    for (int i = 0; i < VARIANTS; i++) {
        if (strcmp(variants[i].name, name)) continue;
        *out = variants[i];
        return OK;
    }
    return fail(ERR_USAGE, "no network '%s'; there are %s", name, net_names());
}

/* ---- reading the variant off a file ---- */

/* A state dict inside a file. */
typedef struct {
    const ArrayFile *file;
    const char *prefix;
} State;

static const Array *state_find(const State *s, const char *key) {
    char name[256];
    int length = snprintf(name, sizeof name, "%s%s", s->prefix, key);
    return (size_t)length < sizeof name ? array_find(s->file, name) : NULL;
}

/* The first size of a weight, which must have that many sizes and at most `limit` outputs. */
static Status outputs_of(const State *s, const char *key, int dims, int limit, int *out) {
    const Array *a = state_find(s, key);
    if (!a) return fail(ERR_MODEL, "no %s%s in the file", s->prefix, key);
    if (a->dims != dims || a->dim[0] < 1 || a->dim[0] > limit)
        return fail(ERR_MODEL, "%s%s is %s, expected %d sizes, the first in 1..%d", s->prefix, key,
                    array_shape_text(a), dims, limit);
    *out = (int)a->dim[0];
    return OK;
}

static Status identify_yolox(const State *s, NetSpec *found) {
    TRY(outputs_of(s, "backbone.backbone.stem.conv.conv.weight", 4, MAX_SIZE, &found->channels));
    TRY(outputs_of(s, "head.cls_preds.0.weight", 4, MAX_CLASSES, &found->classes));
    found->depthwise = state_find(s, "backbone.backbone.dark2.0.dconv.conv.weight") != NULL;
    char key[80];
    do {
        snprintf(key, sizeof key, "backbone.backbone.dark2.1.m.%d.conv1.conv.weight",
                 found->blocks++);
    } while (state_find(s, key));
    found->blocks--;
    return OK;
}

static Status identify_hrnet_pose(const State *s, NetSpec *found) {
    TRY(outputs_of(s, "transition1.0.0.weight", 4, MAX_SIZE, &found->channels));
    return outputs_of(s, "final_layer.weight", 4, MAX_JOINTS, &found->joints);
}

static Status identify_fastpose(const State *s, NetSpec *found) {
    return outputs_of(s, "conv_out.weight", 4, MAX_JOINTS, &found->joints);
}

static Status identify_cliff(const State *s, NetSpec *found) {
    if (state_find(s, "encoder.layer4.2.conv3.weight")) return OK;
    return outputs_of(s, "encoder.transition1.0.0.weight", 4, MAX_SIZE, &found->channels);
}

static Status identify_hrnet(const State *s, NetSpec *found) {
    return outputs_of(s, "transition1.0.0.weight", 4, MAX_SIZE, &found->channels);
}

static Status identify_resnet(const State *s, NetSpec *found) {
    (void)s, (void)found;
    return OK;
}

/* A key that only networks of this kind have (the encoders alone come last: others contain them),
 * and what tells their variants apart. */
static const struct {
    const char *key, *title;
    NetKind kind;
    Status (*identify)(const State *s, NetSpec *found);
} kinds[] = {
    {"backbone.backbone.stem.conv.conv.weight", "a YOLOX", NET_YOLOX, identify_yolox},
    {"decpose.weight", "a CLIFF", NET_CLIFF, identify_cliff},
    {"duc1.conv.weight", "a FastPose", NET_FASTPOSE, identify_fastpose},
    {"final_layer.weight", "an HRNet for poses", NET_HRNET_POSE, identify_hrnet_pose},
    {"incre_modules.0.0.conv1.weight", "an HRNet", NET_HRNET, identify_hrnet},
    {"layer4.2.conv3.weight", "a ResNet", NET_RESNET, identify_resnet},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static bool same_structure(const NetSpec *a, const NetSpec *b) {
    return a->kind == b->kind && a->channels == b->channels && a->blocks == b->blocks &&
           a->depthwise == b->depthwise;
}

/* The variant of that structure, if there are several the one with the same outputs. */
static const NetSpec *closest_variant(const NetSpec *found) {
    const NetSpec *best = NULL;
    for (int i = 0; i < VARIANTS; i++) {
        const NetSpec *v = &variants[i];
        if (!same_structure(v, found)) continue;
        if (!best || (v->classes == found->classes && v->joints == found->joints)) best = v;
        if (best->classes == found->classes && best->joints == found->joints) break;
    }
    return best;
}

static Status choose_variant(const NetSpec *found, const char *title, NetSpec *out) {
    const NetSpec *v = closest_variant(found);
    if (!v)
        return fail(ERR_MODEL, "%s with %d channels, %d blocks%s is no known variant; known are %s",
                    title, found->channels, found->blocks, found->depthwise ? ", depthwise" : "",
                    net_names());
    *out = *v;
    out->classes = found->classes;
    out->joints = found->joints;
    return OK;
}

Status net_identify(const ArrayFile *file, NetSpec *out) {
    State s = {file, file_state_prefix(file)};
    for (int i = 0; i < KINDS; i++) {
        if (!state_find(&s, kinds[i].key)) continue;
        NetSpec found = {.kind = kinds[i].kind};
        TRY(kinds[i].identify(&s, &found));
        TRY(choose_variant(&found, kinds[i].title, out));
        /* CrowdRec's own checkpoint carries left-overs of its body model. */
        if (!strcmp(out->name, "cliff_hr48") && state_find(&s, "smpl.pose"))
            TRY(net_spec("crowdrec_trained", out));
        const char *input = array_meta(file, "input");
        snprintf(out->input, sizeof out->input, "%s", input ? input : "");
        return OK;
    }
    return fail(ERR_MODEL, "%d arrays of no known network; known are %s", file->count, net_names());
}

/* ---- building ---- */

Status net_check_input(const NetSpec *s, Shape x) {
    if (x.n < 1 || x.c != 3)
        return fail(ERR_INPUT, "%s: input %s, expected at least one image of 3 channels", s->name,
                    shape_text(x));
    if (x.h < STRIDE || x.w < STRIDE || x.h % STRIDE || x.w % STRIDE)
        return fail(ERR_INPUT, "%s: input of height %d and width %d, expected multiples of %d",
                    s->name, x.h, x.w, STRIDE);
    if (x.h > MAX_SIZE || x.w > MAX_SIZE || x.n > MAX_SIZE)
        return fail(ERR_INPUT, "%s: input %s, expected sizes up to %d", s->name, shape_text(x),
                    MAX_SIZE);
    return OK;
}

NetOutput net_build(const NetSpec *s, const Scope *m, Tensor *x, Tensor *bbox_info) {
    NetOutput y = {0};
    CHECK(s->kind != NET_CLIFF || bbox_info, "%s needs bbox_info", s->name);
    switch (s->kind) {
    case NET_YOLOX: y.raw = yolox_build(m, s, x, &y.decoded); break;
    case NET_HRNET_POSE: y.raw = hrnet_pose(m, x, s->channels, s->joints); break;
    case NET_FASTPOSE: y.raw = fastpose_build(m, x, s->joints); break;
    case NET_CLIFF: y = cliff_build(m, s, x, bbox_info); break;
    case NET_HRNET:
    case NET_RESNET: y.feature = cliff_encoder(m, s, x); break;
    }
    return y;
}

void net_declare(const NetSpec *s, Params *params) {
    Graph *g = graph_new();
    Scope m = {.graph = g, .params = params};
    Tensor *x = graph_input(g, "input", F32, (Shape){1, STRIDE, STRIDE, 3});
    Tensor *bbox_info = graph_input(g, "bbox_info", F32, (Shape){1, 1, 1, CLIFF_BOX});
    net_build(s, &m, x, bbox_info);
    graph_free(g);
}

static Status open_rule(const char *weights, NetSpec *spec, Params *params) {
    Rule rule;
    TRY(rule_parse(weights, spec, &rule));
    net_declare(spec, params);
    TRY(params_alloc(params));
    return rule_fill(&rule, spec, params);
}

static Status open_state(const ArrayFile *file, NetSpec *spec, Params *params) {
    TRY(net_identify(file, spec));
    net_declare(spec, params);
    TRY(params_alloc(params));
    return params_load(params, file, file_state_prefix(file));
}

static Status open_file(const char *path, NetSpec *spec, Params *params) {
    ArrayFile file;
    TRY(file_load(path, &file));
    Status status = open_state(&file, spec, params);
    array_file_free(&file);
    return status ? error_prefix(status, "%s", path) : OK;
}

Status net_open(const char *weights, const Backend *backend, NetSpec *spec, Params **params) {
    Params *p = params_new(backend);
    Status status = rule_is(weights) ? open_rule(weights, spec, p) : open_file(weights, spec, p);
    if (status == OK)
        *params = p;
    else
        params_free(p);
    return status;
}

Tensor *net_tap(const Graph *g, const char *name) {
    Tensor *t = graph_find(g, name);
    if (t) return t;
    char inner[256];
    int length = snprintf(inner, sizeof inner, "encoder.%s", name);
    return (size_t)length < sizeof inner ? graph_find(g, inner) : NULL;
}
