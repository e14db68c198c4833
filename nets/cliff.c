#include "nets/cliff.h"

#include "nets/hrnet.h"
#include "nets/resnet.h"

#include <stdio.h>

enum { ITERATIONS = 3, MOVING = CLIFF_POSE + CLIFF_BETAS + CLIFF_CAM };

typedef struct {
    Tensor *pose, *betas, *cam;
} Estimate;

Tensor *cliff_encoder(const Scope *m, const NetSpec *s, Tensor *x) {
    x = s->channels ? hrnet_encoder(m, x, s) : resnet_build(m, x, false);
    x = named(at(m, "avgpool"), mean(m, x, AXES_HW));
    return named(at(m, "feature"), x);
}

/* The mean body [1,1,1,k]; it broadcasts over people until the first correction. */
static Estimate mean_body(const Scope *m) {
    return (Estimate){
        .pose = build_param(m, "init_pose", PARAM_BUFFER, 2, (const int[]){1, CLIFF_POSE}),
        .betas = build_param(m, "init_shape", PARAM_BUFFER, 2, (const int[]){1, CLIFF_BETAS}),
        .cam = build_param(m, "init_cam", PARAM_BUFFER, 2, (const int[]){1, CLIFF_CAM}),
    };
}

static Tensor *drop(const Scope *m, Tensor *x, int layer, int iteration, Tensor *seed) {
    char key[32];
    snprintf(key, sizeof key, "drop%d.iter%d", layer, iteration);
    return seed ? dropout(m, key, x, 0.5f, seed) : x;
}

/* fc1 is linear in its inputs, so the part of the feature and the box is made once. */
typedef struct {
    Tensor *moving_weight, *fixed_part;
} FirstLayer;

static FirstLayer first_layer(const Scope *m, int hidden, Tensor *feature, Tensor *bbox_info) {
    Tensor *fixed = concat(m, AXIS_C, feature, bbox_info);
    int same = fixed->shape.c; /* inputs that do not change from iteration to iteration */
    Tensor *w = build_param(m, "fc1.weight", PARAM_WEIGHT, 2, (const int[]){hidden, same + MOVING});
    Tensor *b = build_param(m, "fc1.bias", PARAM_WEIGHT, 1, (const int[]){hidden});
    return (FirstLayer){
        .moving_weight = slice(m, w, AXIS_C, same, MOVING),
        .fixed_part = BUILD_OP(m, conv, ConvAttr, fixed, slice(m, w, AXIS_C, 0, same), b, 0),
    };
}

static Estimate correct(const Scope *m, const FirstLayer *fc1, Estimate e, int i, Tensor *seed) {
    Tensor *moving = concat(m, AXIS_C, e.pose, e.betas, e.cam);
    Tensor *y = BUILD_OP(m, conv, ConvAttr, moving, fc1->moving_weight, NULL, 0);
    y = named(at(m, "fc1_out_iter%d", i), add(m, fc1->fixed_part, y));
    y = drop(m, y, 1, i, seed);
    y = named(at(m, "fc2_out_iter%d", i), linear(m, "fc2", y, y->shape.c, ACT_NONE));
    y = drop(m, y, 2, i, seed);
    e.pose = add(m, linear(m, "decpose", y, CLIFF_POSE, ACT_NONE), e.pose);
    e.betas = add(m, linear(m, "decshape", y, CLIFF_BETAS, ACT_NONE), e.betas);
    e.cam = add(m, linear(m, "deccam", y, CLIFF_CAM, ACT_NONE), e.cam);
    named(at(m, "iter%d_pose6d", i), e.pose);
    named(at(m, "iter%d_shape", i), e.betas);
    named(at(m, "iter%d_cam", i), e.cam);
    return e;
}

NetOutput cliff_build(const Scope *m, const NetSpec *s, Tensor *x, Tensor *bbox_info) {
    Tensor *seed = NULL;
    if (m->train && !s->no_dropout)
        seed = graph_input(m->graph, "dropout.seed", F32, (Shape){1, 1, 1, 2});
    Tensor *feature = cliff_encoder(at(m, "encoder"), s, x);
    FirstLayer fc1 = first_layer(m, s->size.hidden, feature, bbox_info);
    Estimate e = mean_body(m);
    for (int i = 0; i < ITERATIONS; i++) e = correct(m, &fc1, e, i, seed);
    return (NetOutput){
        .feature = feature,
        .pose6d = reshape(m, e.pose, e.pose->shape.n, 1, CLIFF_POSE / 6, 6),
        .betas = e.betas,
        .cam = e.cam,
        .seed = seed,
    };
}
