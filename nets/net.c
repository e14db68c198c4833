#include "nets/net.h"

#include "nets/cliff.h"
#include "nets/fastpose.h"
#include "nets/hrnet.h"
#include "nets/resnet.h"
#include "nets/rule.h"
#include "nets/yolox.h"
#include "tensor/file.h"
#include "tensor/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRIDE = 32, MAX_SIZE = 1 << 15, MAX_CLASSES = 10000, MAX_JOINTS = 1000 };

/* Of HRNets; CHANNEL_STEP: the branches' channels are its multiples. */
enum { MAX_CHANNELS = 512, MAX_WIDE = 8192, MAX_REPEATS = 16, CHANNEL_STEP = 4 };

/* SIZES: of the published networks, and of those that train on a CPU. */
#define FULL_SIZE \
    { 64, 64, 4, {1, 4, 3}, 4, 32, 2048, 1024 }
#define SMALL_SIZE \
    { 32, 16, 1, {1, 1, 1}, 2, 4, 320, 224 }

static const NetSpec variants[] = {
#define NET(title, type, c, n, deep, k, j, meaning, how_large, tall, wide) \
    {.name = #title,                                                       \
     .kind = NET_##type,                                                   \
     .channels = c,                                                        \
     .blocks = n,                                                          \
     .depthwise = deep,                                                    \
     .classes = k,                                                         \
     .joints = j,                                                          \
     .colors = NET_##meaning,                                              \
     .size = how_large##_SIZE,                                             \
     .height = tall,                                                       \
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

/* How many keys there are with 0, 1, 2 .. in the format's place. */
static Status count_keys(const State *s, const char *first, const char *rest, int *out) {
    char key[80];
    for (*out = 0; *out <= MAX_REPEATS; ++*out) {
        snprintf(key, sizeof key, "%s.%d.%s", first, *out, rest);
        if (state_find(s, key)) continue;
        if (*out) return OK;
        return fail(ERR_MODEL, "no %s%s in the file", s->prefix, key);
    }
    return fail(ERR_MODEL, "more than %d %s%s in the file", MAX_REPEATS, s->prefix, first);
}

static Status identify_yolox(const State *s, NetSpec *found) {
    TRY(outputs_of(s, "backbone.backbone.stem.conv.conv.weight", 4, MAX_SIZE, &found->channels));
    TRY(outputs_of(s, "head.cls_preds.0.weight", 4, MAX_CLASSES, &found->classes));
    found->depthwise = state_find(s, "backbone.backbone.dark2.0.dconv.conv.weight") != NULL;
    return count_keys(s, "backbone.backbone.dark2.1.m", "conv1.conv.weight", &found->blocks);
}

static Status identify_branches(const State *s, NetSpec *found) {
    NetSize *size = &found->size;
    TRY(outputs_of(s, "transition1.0.0.weight", 4, MAX_CHANNELS, &found->channels));
    TRY(outputs_of(s, "conv1.weight", 4, MAX_CHANNELS, &size->stem));
    TRY(outputs_of(s, "layer1.0.conv1.weight", 4, MAX_CHANNELS, &size->layer1));
    TRY(count_keys(s, "layer1", "conv1.weight", &size->bottlenecks));
    TRY(count_keys(s, "stage2.0.branches.0", "conv1.weight", &size->blocks));
    for (int i = 0; i < 3; i++) {
        char stage[16];
        snprintf(stage, sizeof stage, "stage%d", i + 2);
        TRY(count_keys(s, stage, "branches.0.0.conv1.weight", &size->modules[i]));
    }
    int second;
    TRY(outputs_of(s, "transition1.1.0.0.weight", 4, 2 * MAX_CHANNELS, &second));
    if (second != 2 * found->channels)
        return fail(ERR_MODEL,
                    "%stransition1.1.0.0.weight: %d channels, expected twice the %d of "
                    "transition1.0.0",
                    s->prefix, second, found->channels);
    if (found->channels % CHANNEL_STEP == 0) return OK;
    return fail(ERR_MODEL, "%stransition1.0.0.weight: %d channels, expected a multiple of %d",
                s->prefix, found->channels, CHANNEL_STEP);
}

static Status identify_hrnet_pose(const State *s, NetSpec *found) {
    TRY(identify_branches(s, found));
    return outputs_of(s, "final_layer.weight", 4, MAX_JOINTS, &found->joints);
}

static Status identify_fastpose(const State *s, NetSpec *found) {
    return outputs_of(s, "conv_out.weight", 4, MAX_JOINTS, &found->joints);
}

static Status identify_hrnet(const State *s, NetSpec *found) {
    TRY(identify_branches(s, found));
    TRY(outputs_of(s, "incre_modules.0.0.conv1.weight", 4, MAX_CHANNELS, &found->size.increase));
    return outputs_of(s, "final_layer.0.weight", 4, MAX_WIDE, &found->size.feature);
}

static Status identify_cliff(const State *s, NetSpec *found) {
    if (state_find(s, "encoder.layer4.2.conv3.weight")) return OK;
    char prefix[256];
    int length = snprintf(prefix, sizeof prefix, "%sencoder.", s->prefix);
    if ((size_t)length >= sizeof prefix) return fail(ERR_MODEL, "names of the state are too long");
    TRY(identify_hrnet(&(State){s->file, prefix}, found));
    return outputs_of(s, "fc1.weight", 2, MAX_WIDE, &found->size.hidden);
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

static bool has_branches(const NetSpec *s) { return s->channels && s->kind != NET_YOLOX; }

/* Equal in everything that the kind has. */
static bool same_size(const NetSpec *a, const NetSpec *b) {
    if (!has_branches(a)) return true;
    NetSize x = a->size, y = b->size;
    if (a->kind == NET_HRNET_POSE) x.increase = y.increase, x.feature = y.feature;
    if (a->kind != NET_CLIFF) x.hidden = y.hidden;
    return !memcmp(&x, &y, sizeof x);
}

bool net_same(const NetSpec *a, const NetSpec *b) {
    return a->kind == b->kind && a->channels == b->channels && a->blocks == b->blocks &&
           a->depthwise == b->depthwise && same_size(a, b);
}

/* The variant of that structure, if there are several the one with the same outputs. */
static const NetSpec *closest_variant(const NetSpec *found) {
    const NetSpec *best = NULL;
    for (int i = 0; i < VARIANTS; i++) {
        const NetSpec *v = &variants[i];
        if (!net_same(v, found)) continue;
        if (!best || (v->classes == found->classes && v->joints == found->joints)) best = v;
        if (best->classes == found->classes && best->joints == found->joints) break;
    }
    return best;
}

/* An HRNet of a size without a name: what its kind has in common comes from the first of it. */
static void unnamed(const NetSpec *found, NetSpec *out) {
    static const char *const name[] = {
        [NET_HRNET_POSE] = "hrnet_pose", [NET_CLIFF] = "cliff_hr", [NET_HRNET] = "hrnet"};
    int i = 0;
    while (variants[i].kind != found->kind) i++;
    *out = variants[i];
    out->name = name[found->kind];
    out->channels = found->channels;
    out->size = found->size;
}

static Status choose_variant(const NetSpec *found, const char *title, NetSpec *out) {
    const NetSpec *v = closest_variant(found);
    if (!v && !has_branches(found))
        return fail(ERR_MODEL, "%s with %d channels, %d blocks%s is no known variant; known are %s",
                    title, found->channels, found->blocks, found->depthwise ? ", depthwise" : "",
                    net_names());
    if (v)
        *out = *v;
    else
        unnamed(found, out);
    out->classes = found->classes;
    out->joints = found->joints;
    return OK;
}

/* The metadata entry, a multiple of 32; the size stays without one. */
static Status identify_side(const ArrayFile *file, const char *key, int *side) {
    const char *text = array_meta(file, key);
    if (!text) return OK;
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < STRIDE || value > MAX_SIZE || value % STRIDE)
        return fail(ERR_MODEL, "metadata %s is %s, expected a multiple of %d up to %d", key,
                    reader_quote(text, strlen(text)), STRIDE, MAX_SIZE);
    *side = (int)value;
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
        TRY(identify_side(file, "height", &out->height));
        return identify_side(file, "width", &out->width);
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
    case NET_HRNET_POSE: y.raw = hrnet_pose(m, x, s); break;
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

Status net_declare_file(const ArrayFile *file, NetSpec *spec, Params *params) {
    TRY(net_identify(file, spec));
    net_declare(spec, params);
    return params_check(params, file, file_state_prefix(file));
}

static Status open_state(const ArrayFile *file, NetSpec *spec, Params *params) {
    TRY(net_declare_file(file, spec, params));
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
