#include "nets/hrnet.h"

#include "nets/resnet.h"

enum { BRANCHES = 4 };

/* Branch i has stride 4 << i and channels << i channels. */
typedef struct {
    int count;
    Tensor *branch[BRANCHES];
} Maps;

static Tensor *basic_block(const Scope *m, Tensor *x) {
    int c = x->shape.c;
    Tensor *y = conv(m, "conv1", x, .out = c, .k = 3, .norm = "bn1", .act = ACT_RELU);
    y = conv(m, "conv2", y, .out = c, .k = 3, .norm = "bn2");
    return relu(m, add(m, y, x));
}

/* Two strided convolutions and the bottlenecks: [n,h/4,w/4,4*layer1]. */
static Tensor *stem(const Scope *m, Tensor *x, const NetSize *s) {
    resnet_tap(m, "conv1", x, s->stem, 3);
    x = conv(m, "conv1", x, .out = s->stem, .k = 3, .stride = 2, .norm = "bn1", .act = ACT_RELU);
    resnet_tap(m, "conv2", x, s->stem, 3);
    x = conv(m, "conv2", x, .out = s->stem, .k = 3, .stride = 2, .norm = "bn2", .act = ACT_RELU);
    for (int i = 0; i < s->bottlenecks; i++)
        x = resnet_bottleneck(at(m, "layer1.%d", i), x, s->layer1, 1, false);
    return named(at(m, "layer1"), x);
}

/* What branch `from` adds to branch `to`. */
static Tensor *contribution(const Scope *m, const Maps *x, int from, int to) {
    Tensor *y = x->branch[from];
    int out = x->branch[to]->shape.c;
    if (from > to) {
        y = conv(m, "0", y, .out = out, .norm = "1");
        return upsample(m, y, 1 << (from - to));
    }
    for (int i = from; i < to; i++) {
        bool last = i == to - 1;
        y = conv(at(m, "%d", i - from), "0", y, .out = last ? out : y->shape.c, .k = 3, .stride = 2,
                 .norm = "1", .act = last ? ACT_NONE : ACT_RELU);
    }
    return y;
}

/* Basic blocks on each branch, then the first `outputs` branches become sums over all. */
static Maps module(const Scope *m, Maps x, int blocks, int outputs) {
    for (int i = 0; i < x.count; i++) {
        const Scope *branch = at(m, "branches.%d", i);
        for (int k = 0; k < blocks; k++)
            x.branch[i] = basic_block(at(branch, "%d", k), x.branch[i]);
    }
    Maps fused = {.count = outputs};
    for (int to = 0; to < outputs; to++) {
        Tensor *y = contribution(at(m, "fuse_layers.%d.0", to), &x, 0, to);
        for (int from = 1; from < x.count; from++)
            y = add(m, y, contribution(at(m, "fuse_layers.%d.%d", to, from), &x, from, to));
        fused.branch[to] = named_output(m, relu(m, y), to);
    }
    return fused;
}

static Tensor *transition(const Scope *m, Tensor *x, int out, int stride) {
    return conv(m, "0", x, .out = out, .k = 3, .stride = stride, .norm = "1", .act = ACT_RELU);
}

/* A stage's modules; the last one has `outputs` outputs. */
static Maps stage(const Scope *m, Maps x, const NetSize *size, int number, int outputs) {
    const Scope *s = at(m, "stage%d", number);
    int modules = size->modules[number - 2];
    for (int i = 0; i < modules; i++) {
        x = module(at(s, "%d", i), x, size->blocks, i == modules - 1 ? outputs : x.count);
        for (int k = 0; k < x.count; k++) named(at(s, "module%d.%d", i, k), x.branch[k]);
    }
    for (int k = 0; k < x.count; k++) named_output(s, x.branch[k], k);
    return x;
}

/* A new branch from the coarsest one: half its size, twice its channels. */
static Maps grow(const Scope *m, Maps x, int number) {
    Tensor *coarsest = x.branch[x.count - 1];
    const Scope *new = at(m, "transition%d.%d", number, x.count);
    x.branch[x.count++] = named(new, transition(at(new, "0"), coarsest, 2 * coarsest->shape.c, 2));
    return x;
}

/* The figure of the paper: stages of two, three and four branches.  outputs: of stage 4. */
static Maps body(const Scope *m, Tensor *x, const NetSpec *s, int outputs) {
    const NetSize *size = &s->size;
    int channels = s->channels;
    x = stem(m, x, size);
    Maps maps = {.count = 2};
    maps.branch[0] =
        named(at(m, "transition1.0"), transition(at(m, "transition1.0"), x, channels, 1));
    maps.branch[1] =
        named(at(m, "transition1.1"), transition(at(m, "transition1.1.0"), x, 2 * channels, 2));
    maps = stage(m, maps, size, 2, 2);
    maps = stage(m, grow(m, maps, 2), size, 3, 3);
    return stage(m, grow(m, maps, 3), size, 4, outputs);
}

Tensor *hrnet_pose(const Scope *m, Tensor *x, const NetSpec *s) {
    Maps maps = body(m, x, s, 1);
    return conv(m, "final_layer", maps.branch[0], .out = s->joints);
}

Tensor *hrnet_encoder(const Scope *m, Tensor *x, const NetSpec *s) {
    int width = s->size.increase;
    Maps maps = body(m, x, s, BRANCHES);
    Tensor *y = NULL;
    for (int i = 0; i < BRANCHES; i++) {
        Tensor *wide =
            resnet_bottleneck(at(m, "incre_modules.%d.0", i), maps.branch[i], width << i, 1, false);
        named(at(m, "incre%d", i), wide);
        y = i ? add(m, wide, y) : wide;
        if (i == BRANCHES - 1) break;
        y = conv(at(m, "downsamp_modules.%d", i), "0", y, .out = 8 * width << i, .k = 3,
                 .stride = 2, .norm = "1", .bias = true, .act = ACT_RELU);
        named(at(m, "downsamp%d", i), y);
    }
    y = conv(at(m, "final_layer"), "0", y, .out = s->size.feature, .norm = "1", .bias = true,
             .act = ACT_RELU);
    return named(at(m, "final_layer"), y);
}
