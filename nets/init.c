#include "nets/init.h"

#include "nets/rule.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *key, const char *end) {
    size_t length = strlen(key), tail = strlen(end);
    return length >= tail && !strcmp(key + length - tail, end);
}

/* Whether a norm follows: then there is no bias beside the weight, but for HRNet's encoder. */
static bool before_norm(const Params *p, const char *key) {
    char bias[256];
    size_t stem = strlen(key) - strlen("weight");
    CHECK(stem + sizeof "bias" <= sizeof bias, "%s is too long", key);
    memcpy(bias, key, stem);
    memcpy(bias + stem, "bias", sizeof "bias");
    return params_find(p, bias) < 0 || strstr(key, "downsamp_modules") ||
           strstr(key, "final_layer.0.");
}

static double fan_in(const Param *a) {
    double fan = 1;
    for (int i = 1; i < a->dims; i++) fan *= a->dim[i];
    return fan;
}

/* What the weights are multiplied by besides 1/sqrt(fan_in). */
static double gain_of(const char *key) {
    if (!strncmp(key, "dec", 3)) return 0.01;
    return !strcmp(key, "final_layer.weight") ? 0.1 : 1;
}

static void fill_weight(const Params *p, const Param *a, uint64_t stream, double *values) {
    size_t n = shape_size(a->shape);
    double fan = fan_in(a);
    if (a->dims == 4 && before_norm(p, a->key))
        for (size_t i = 0; i < n; i++) values[i] = sqrt(2 / fan) * rng_normal(stream, i);
    else
        for (size_t i = 0; i < n; i++)
            values[i] = gain_of(a->key) / sqrt(fan) * (double)rng_signed(stream, i);
}

static double constant_of(const Param *a) {
    if (ends_with(a->key, "running_var")) return 1;
    if (a->dims == 1 && ends_with(a->key, "weight")) return 1;
    bool score = strstr(a->key, "cls_preds") || strstr(a->key, "obj_preds");
    return score && ends_with(a->key, "bias") ? -log(0.99 / 0.01) : 0;
}

static void fill_one(Params *p, int i, uint64_t seed) {
    const Param *a = params_at(p, i);
    size_t n = shape_size(a->shape);
    double *values = malloc((n + 1) * sizeof *values);
    CHECK(values, "out of memory");
    if (a->dims > 1 && a->kind == PARAM_WEIGHT)
        fill_weight(p, a, rng_stream(a->key, seed), values);
    else
        for (size_t k = 0; k < n; k++) values[k] = constant_of(a);
    params_set(p, i, values);
    free(values);
}

void init_fill(const NetSpec *spec, uint64_t seed, Params *params) {
    for (int i = 0; i < params_count(params); i++) fill_one(params, i, seed);
    if (spec->kind == NET_CLIFF) rule_mean(params);
}
