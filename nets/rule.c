#include "nets/rule.h"

#include "nets/cliff.h"
#include "tensor/file.h"
#include "tensor/rng.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "rule:";

bool rule_is(const char *weights) { return !strncmp(weights, PREFIX, sizeof PREFIX - 1); }

static double usual_gain(const NetSpec *spec) {
    if (spec->kind != NET_CLIFF) return 0.6;
    return spec->channels ? 0.5 : 0.7;
}

static Status bad_number(const char *what, const char *text) {
    return fail(ERR_USAGE, "rule: %s '%s' is no number; write rule:NET:SEED[:GAIN[:MEAN.npz]]",
                what, text);
}

static Status parse_seed(const char *text, uint64_t *seed) {
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno) return bad_number("seed", text);
    return OK;
}

static Status parse_gain(const char *text, double *gain) {
    char *end;
    *gain = strtod(text, &end);
    if (end == text || *end || !(*gain > 0) || !isfinite(*gain)) return bad_number("gain", text);
    return OK;
}

Status rule_parse(const char *weights, NetSpec *spec, Rule *rule) {
    *rule = (Rule){0};
    if (strlen(weights) >= sizeof rule->text)
        return fail(ERR_USAGE, "rule: %zu characters, at most %zu", strlen(weights),
                    sizeof rule->text - 1);
    char *rest = strcpy(rule->text, weights) + sizeof PREFIX - 1;
    const char *name = strsep(&rest, ":"), *seed = strsep(&rest, ":"), *gain = strsep(&rest, ":");
    TRY(net_spec(name, spec));
    TRY(parse_seed(seed ? seed : "", &rule->seed));
    rule->gain = usual_gain(spec);
    if (gain && *gain) TRY(parse_gain(gain, &rule->gain));
    rule->mean = rest && *rest ? rest : NULL;
    return OK;
}

void rule_numbers(const char *key, uint64_t seed, size_t n, float *out) {
    uint64_t stream = rng_stream(key, seed);
    for (size_t i = 0; i < n; i++) out[i] = rng_signed(stream, i);
}

/* Numbers of a parameter are base + factor * v. */
typedef struct {
    double base, factor;
} Line;

static bool leaf_is(const char *key, const char *leaf) {
    const char *dot = strrchr(key, '.');
    return !strcmp(dot ? dot + 1 : key, leaf);
}

static Line weight_line(const Param *a, double gain) {
    if (a->dims == 1) return (Line){1, 0.1};
    double fan_in = 1;
    for (int i = 1; i < a->dims; i++) fan_in *= a->dim[i];
    return (Line){0, sqrt(3 * (a->dims == 2 ? 1 : gain) / fan_in)};
}

static Line line_of(const Param *a, double gain) {
    Line line = {0, 0.1};
    if (leaf_is(a->key, "running_var")) line = (Line){1, 0.2};
    if (leaf_is(a->key, "weight")) line = weight_line(a, gain);
    if (!strncmp(a->key, "dec", 3)) line.factor *= 0.01;
    return line;
}

static void fill_one(const Rule *rule, Params *params, int i) {
    const Param *a = params_at(params, i);
    Line line = line_of(a, rule->gain);
    uint64_t stream = rng_stream(a->key, rule->seed);
    size_t n = shape_size(a->shape);
    double *values = malloc(n * sizeof *values);
    CHECK(values, "out of memory");
    for (size_t k = 0; k < n; k++)
        values[k] = (float)(line.base + line.factor * (double)rng_signed(stream, k));
    params_set(params, i, values);
    free(values);
}

/* The three parts of the mean body, by state-dict key and by name in public files. */
static const struct {
    const char *key, *name;
    int size;
} parts[] = {{"init_pose", "pose", CLIFF_POSE},
             {"init_shape", "shape", CLIFF_BETAS},
             {"init_cam", "cam", CLIFF_CAM}};

static void default_mean(int part, double *values) {
    memset(values, 0, (size_t)parts[part].size * sizeof *values);
    if (part == 2) values[0] = 0.9;
    if (part != 0) return;
    for (int joint = 0; joint < CLIFF_POSE / 6; joint++) {
        values[6 * joint] = 1;                  /* x of the first axis */
        values[6 * joint + 3] = joint ? 1 : -1; /* y of the second */
    }
}

static Status file_mean(const ArrayFile *f, int part, double *values) {
    const Array *a = array_find(f, parts[part].key);
    if (!a) a = array_find(f, parts[part].name);
    if (!a) return fail(ERR_MODEL, "no array %s or %s", parts[part].key, parts[part].name);
    if (array_size(a) != (size_t)parts[part].size)
        return fail(ERR_MODEL, "%s is %s, expected %d numbers", a->name, array_shape_text(a),
                    parts[part].size);
    for (int i = 0; i < parts[part].size; i++) {
        values[i] = array_get(a, (size_t)i);
        if (!isfinite(values[i]))
            return fail(ERR_MODEL, "%s holds %g at %d, expected finite numbers", a->name, values[i],
                        i);
    }
    return OK;
}

static Status fill_mean(const ArrayFile *f, Params *params) {
    double values[CLIFF_POSE];
    for (int part = 0; part < 3; part++) {
        default_mean(part, values);
        if (f) TRY(file_mean(f, part, values));
        params_set(params, params_find(params, parts[part].key), values);
    }
    return OK;
}

void rule_mean(Params *params) {
    Status status = fill_mean(NULL, params);
    CHECK(status == OK, "%s", error_reason());
}

Status rule_mean_file(const char *path, Params *params) {
    ArrayFile f;
    TRY(file_load(path, &f));
    Status status = fill_mean(&f, params);
    array_file_free(&f);
    return status ? error_prefix(status, "%s", path) : OK;
}

Status rule_fill(const Rule *rule, const NetSpec *spec, Params *params) {
    for (int i = 0; i < params_count(params); i++) fill_one(rule, params, i);
    if (spec->kind != NET_CLIFF) return OK;
    return rule->mean ? rule_mean_file(rule->mean, params) : fill_mean(NULL, params);
}
