#include "crowdrec/convert.h"

#include "crowdrec/weights.h"
#include "nets/rule.h"
#include "smpl/body.h"
#include "tensor/file.h"

#include <math.h>
#include <string.h>

/* ---- weights ---- */

/* The option's text, else what the file said itself, else "unknown". */
static const char *text_of(const char *option, const ArrayFile *source, const char *key) {
    const char *old = array_meta(source, key);
    return option ? option : old ? old : "unknown";
}

/* A YOLOX may be of either convention, which its file cannot tell; the others have one each. */
static Status check_input(const char *input, const NetSpec *spec) {
    const char *own = weights_colors(spec);
    bool yolox = spec->kind == NET_YOLOX;
    if (yolox ? !strcmp(input, "bgr255") || !strcmp(input, "imagenet") : !strcmp(input, own))
        return OK;
    return fail(ERR_USAGE, "--input: %s takes %s, not %s", spec->name,
                yolox ? "bgr255 or imagenet" : own, input);
}

static Status set_header(const char *in, const NetSpec *spec, const CrowdrecConvert *o,
                         const ArrayFile *source, ArrayFile *f) {
    const char *input = o->input;
    const int *size = o->input_size[0] ? o->input_size : (const int[]){spec->height, spec->width};
    TRY(net_check_input(spec, (Shape){1, size[0], size[1], 3}));
    TRY(input ? check_input(input, spec) : weights_input(in, spec, &input));
    const struct ArrayMeta header[] = {{"net", spec->name},
                                       {"input", input},
                                       {"height", arena_printf(f->arena, "%d", size[0])},
                                       {"width", arena_printf(f->arena, "%d", size[1])},
                                       {"licence", text_of(o->licence, source, "licence")},
                                       {"recipe", text_of(o->recipe, source, "recipe")}};
    f->meta_count = sizeof header / sizeof *header;
    f->meta = arena_alloc(f->arena, sizeof header);
    memcpy(f->meta, header, sizeof header);
    return OK;
}

/* F32 -> F16 in place of the data; an array with a number beyond F16's stays as it is. */
static void halve(Array *a, Arena *arena) {
    size_t n = array_size(a);
    const float *from = a->data;
    uint16_t *to = arena_alloc(arena, n * sizeof *to + 1);
    for (size_t i = 0; i < n; i++) {
        to[i] = half_from_float(from[i]);
        if (isfinite(from[i]) && !isfinite(half_to_float(to[i]))) return;
    }
    a->data = to, a->dtype = F16;
}

static Status convert_weights(const char *in, const char *out, const CrowdrecConvert *o,
                              const ArrayFile *source, FILE *report) {
    NetSpec spec;
    Params *params;
    TRY(net_open(in, backend_find("cpu"), &spec, &params));
    ArrayFile f = params_arrays(params);
    Status status = set_header(in, &spec, o, source, &f);
    for (int i = 0; i < f.count && o->half; i++) halve(&f.array[i], f.arena);
    if (status == OK) status = file_write_safetensors(out, &f);
    if (status == OK && report)
        fprintf(report, "%s: %s, %d arrays, input %s\n", out, spec.name, f.count,
                array_meta(&f, "input"));
    array_file_free(&f);
    params_free(params);
    return status;
}

/* ---- bodies ---- */

static Status convert_body(const char *in, const char *out, const ArrayFile *source, FILE *report) {
    static const char *const known[] = {"v_template",    "shapedirs",   "posedirs",
                                        "weights",       "J_regressor", "J_regressor_halpe",
                                        "kintree_table", "f",           "J"};
    Body *body;
    Array array[sizeof known / sizeof *known];
    int count = 0;
    TRY(body_load(in, NULL, &body));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const Array *a = array_find(source, known[i]);
        if (a) array[count++] = *a;
    }
    Status status = file_write_npz(out, array, count);
    if (status == OK && report)
        fprintf(report, "%s: body of %d vertices, %d arrays\n", out, body->vertices, count);
    body_free(body);
    return status;
}

Status convert_file(const char *in, const char *out, const CrowdrecConvert *options, FILE *report) {
    static const CrowdrecConvert none = {0};
    const CrowdrecConvert *o = options ? options : &none;
    ArrayFile source = {0};
    if (!rule_is(in)) TRY(file_load(in, &source));
    bool body = array_find(&source, "v_template") && array_find(&source, "shapedirs");
    Status status = OK;
    if (body && (o->half || o->input || o->input_size[0]))
        status = fail(ERR_USAGE,
                      "%s: a body, for which --half, --input and --input-size say nothing", in);
    else if (body)
        status = convert_body(in, out, &source, report);
    else
        status = convert_weights(in, out, o, &source, report);
    array_file_free(&source);
    return status;
}
