#include "crowdrec/trainsave.h"

#include "crowdrec/weights.h"
#include "tensor/file.h"
#include "tensor/reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const prefix[] = {"train.weight.", "train.m.", "train.v."};
enum { WEIGHT, MOMENTS, PREFIXES = 3, META = 12 };

/* ---- writing ---- */

static double *numbers(const Param *a) {
    double *values = malloc(shape_size(a->shape) * sizeof *values + 1);
    CHECK(values, "out of memory");
    return values;
}

/* Parameter i of the training: its weight or a moment, F32, under prefix and key. */
static Array array_of(Arena *arena, const Params *p, int which, int i) {
    const Param *a = params_at(p, i);
    size_t n = shape_size(a->shape);
    double *values = numbers(a);
    if (which == WEIGHT)
        params_get(p, i, values);
    else
        params_get_moment(p, which - MOMENTS, i, values);
    float *data = arena_alloc(arena, n * sizeof *data + 1);
    for (size_t k = 0; k < n; k++) data[k] = (float)values[k];
    free(values);
    Array out = {.name = arena_printf(arena, "%s%s", prefix[which], a->key),
                 .dtype = F32,
                 .dims = a->dims,
                 .data = data};
    for (int d = 0; d < a->dims; d++) out.dim[d] = a->dim[d];
    return out;
}

static void add_meta(ArrayFile *f, const char *key, const char *value) {
    f->meta[f->meta_count++] = (struct ArrayMeta){key, value};
}

/* The averaged weights with the header of a file of weights. */
static void weights_of(const Trainer *t, const char *recipe, ArrayFile *f) {
    *f = params_arrays(t->average);
    f->meta = arena_alloc(f->arena, META * sizeof *f->meta);
    f->meta_count = 0;
    add_meta(f, "net", t->spec.name);
    add_meta(f, "input", *t->spec.input ? t->spec.input : weights_colors(&t->spec));
    add_meta(f, "height", arena_printf(f->arena, "%d", t->spec.height));
    add_meta(f, "width", arena_printf(f->arena, "%d", t->spec.width));
    add_meta(f, "licence", "unknown");
    add_meta(f, "recipe", recipe);
}

static void add_training(const Trainer *t, ArrayFile *f) {
    int count = params_count(t->params), own = f->count;
    Array *all = arena_alloc(f->arena, (size_t)(own + PREFIXES * count) * sizeof *all);
    memcpy(all, f->array, (size_t)own * sizeof *all);
    f->array = all;
    for (int which = 0; which < PREFIXES; which++)
        for (int i = 0; i < count; i++)
            if (which == WEIGHT || params_at(t->params, i)->kind == PARAM_WEIGHT)
                f->array[f->count++] = array_of(f->arena, t->params, which, i);
}

static void add_state(const TrainState *s, ArrayFile *f) {
    add_meta(f, "train.step", arena_printf(f->arena, "%d", s->step));
    add_meta(f, "train.samples", arena_printf(f->arena, "%llu", (unsigned long long)s->samples));
    add_meta(f, "train.seed", arena_printf(f->arena, "%llu", (unsigned long long)s->seed));
    add_meta(f, "train.validated", arena_printf(f->arena, "%d", s->validated));
    add_meta(f, "train.best", arena_printf(f->arena, "%.17g", s->best));
    add_meta(f, "train.seconds", arena_printf(f->arena, "%.17g", s->seconds));
}

Status trainsave_write(const char *path, const Trainer *t, const TrainState *state) {
    ArrayFile f;
    weights_of(t, "a training under way", &f);
    add_training(t, &f);
    add_state(state, &f);
    Status status = file_write_safetensors(path, &f);
    array_file_free(&f);
    return status;
}

Status trainsave_weights(const char *path, const Trainer *t, const char *recipe) {
    ArrayFile f;
    weights_of(t, recipe, &f);
    Status status = file_write_safetensors(path, &f);
    array_file_free(&f);
    return status;
}

/* ---- reading ---- */

static Status read_number(const ArrayFile *f, const char *key, double *out) {
    const char *text = array_meta(f, key);
    char *end;
    if (!text) return fail(ERR_MODEL, "no metadata %s, expected a checkpoint of a training", key);
    *out = strtod(text, &end);
    if (end != text && !*end) return OK;
    return fail(ERR_MODEL, "metadata %s is %s, expected a number", key,
                reader_quote(text, strlen(text)));
}

static Status read_whole(const ArrayFile *f, const char *key, double most, double *out) {
    TRY(read_number(f, key, out));
    if (*out >= 0 && *out <= most && *out == floor(*out)) return OK;
    return fail(ERR_MODEL, "metadata %s is %g, expected a whole number up to %g", key, *out, most);
}

static Status read_state(const ArrayFile *f, TrainState *s) {
    double step, samples, seed, validated = 0;
    TRY(read_whole(f, "train.step", 1 << 30, &step));
    TRY(read_whole(f, "train.samples", 0x1p53, &samples));
    TRY(read_whole(f, "train.seed", 0x1p53, &seed));
    if (array_meta(f, "train.validated")) TRY(read_whole(f, "train.validated", step, &validated));
    TRY(read_number(f, "train.best", &s->best));
    TRY(read_number(f, "train.seconds", &s->seconds));
    s->step = (int)step, s->samples = (uint64_t)samples, s->seed = (uint64_t)seed;
    s->validated = (int)validated;
    if (s->seconds >= 0) return OK;
    return fail(ERR_MODEL, "metadata train.seconds is %g, expected a time", s->seconds);
}

static Status read_moment(const ArrayFile *f, Trainer *t, int which, int i) {
    const Param *a = params_at(t->params, i);
    char name[256];
    snprintf(name, sizeof name, "%s%s", prefix[which], a->key);
    const Array *array = array_find(f, name);
    if (!array) return fail(ERR_MODEL, "no %s, expected a checkpoint of a training", name);
    size_t n = shape_size(a->shape);
    if (array_size(array) != n)
        return fail(ERR_MODEL, "%s is %s, expected %zu numbers", name, array_shape_text(array), n);
    double *values = numbers(a);
    for (size_t k = 0; k < n; k++) values[k] = array_get(array, k);
    Status status = params_set_moment(t->params, which - MOMENTS, i, values);
    free(values);
    return status;
}

static Status read_training(const ArrayFile *f, Trainer *t, TrainState *state) {
    TRY(read_state(f, state));
    TRY(params_load(t->average, f, ""));
    TRY(params_load(t->params, f, prefix[WEIGHT]));
    for (int which = MOMENTS; which < PREFIXES; which++)
        for (int i = 0; i < params_count(t->params); i++)
            if (params_at(t->params, i)->kind == PARAM_WEIGHT) TRY(read_moment(f, t, which, i));
    t->step = state->step;
    return OK;
}

Status trainsave_read(const char *path, Trainer *t, TrainState *state) {
    ArrayFile f;
    TRY(file_load(path, &f));
    Status status = read_training(&f, t, state);
    array_file_free(&f);
    return status == OK ? OK : error_prefix(status, "%s", path);
}
