#include "crowdrec/forward.h"

#include "autograd/plan.h"
#include "crowdrec/weights.h"
#include "nets/net.h"
#include "nets/rule.h"
#include "tensor/file.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 1 << 15, BOX_INFO = 3, MAX_OUTPUTS = 4 };
static const double MAX_NUMBERS = 1 << 30;

/* The network's input: numbers of the rule or of a file, n,c,h,w. */
typedef struct {
    Shape shape;    /* as the engine has it */
    uint64_t seed;  /* of the rule */
    ArrayFile file; /* without arrays: the rule */
} Input;

typedef struct {
    const CrowdrecForward *options;
    const Backend *backend;
    Dtype dtype; /* of what is read and written */
    Input input;
    ArrayFile box_info; /* without arrays: zeros */
    NetSpec spec;
    Params *params;
    Graph *graph;
    Plan *plan;
    Tensor *x, *x_box; /* x_box only for CLIFF */
    Tensor **keep;
    Array *array; /* one for each kept tensor; named, shaped as PyTorch's */
    int count;
} Run;

/* ---- input ---- */

static Status check_shape(const char *text, int64_t n, int64_t c, int64_t h, int64_t w,
                          Shape *out) {
    const int64_t size[4] = {n, c, h, w};
    double numbers = 1;
    for (int i = 0; i < 4; i++) {
        if (size[i] < 1 || size[i] > MAX_SIDE)
            return fail(ERR_INPUT, "%s: size %lld, expected 1 to %d", text, (long long)size[i],
                        MAX_SIDE);
        numbers *= (double)size[i];
    }
    if (numbers > MAX_NUMBERS)
        return fail(ERR_INPUT, "%s: %.0f numbers, at most %.0f are taken", text, numbers,
                    MAX_NUMBERS);
    *out = (Shape){(int)n, (int)h, (int)w, (int)c};
    return OK;
}

static Status parse_rule_input(const char *text, Input *in) {
    unsigned long long seed;
    long long n, c, h, w;
    int end = 0;
    bool digits = !text[5 + strspn(text + 5, "0123456789:,")];
    int got = sscanf(text, "rule:%19llu:%9lld,%9lld,%9lld,%9lld%n", &seed, &n, &c, &h, &w, &end);
    if (!digits || got != 5 || text[end])
        return fail(ERR_USAGE, "--input: '%s', expected rule:SEED:N,C,H,W", text);
    in->seed = seed;
    return check_shape(text, n, c, h, w, &in->shape);
}

/* The only array of a file that the user brings. */
static Status load_only(const char *path, int dims, const char *expected, ArrayFile *f) {
    Status status = file_load(path, f);
    if (status) return status == ERR_MODEL ? ERR_INPUT : status;
    if (f->count == 1 && f->array[0].dims == dims) return OK;
    status = f->count == 1
                 ? fail(ERR_INPUT, "%s: array of %s, expected %s", path,
                        array_shape_text(&f->array[0]), expected)
                 : fail(ERR_INPUT, "%s: %d arrays, expected one of %s", path, f->count, expected);
    array_file_free(f);
    return status;
}

static Status parse_input(const char *text, Input *in) {
    if (rule_is(text)) return parse_rule_input(text, in);
    TRY(load_only(text, 4, "N,C,H,W", &in->file));
    const int64_t *d = in->file.array[0].dim;
    return check_shape(text, d[0], d[1], d[2], d[3], &in->shape);
}

static Status load_box_info(Run *r) {
    const char *path = r->options->bbox_info;
    if (!path) return OK;
    TRY(load_only(path, 2, "N,3", &r->box_info));
    const Array *a = &r->box_info.array[0];
    if (a->dim[0] == r->input.shape.n && a->dim[1] == BOX_INFO) return OK;
    return fail(ERR_INPUT, "%s: array of %s, expected [%d,%d] for this input", path,
                array_shape_text(a), r->input.shape.n, BOX_INFO);
}

/* ---- network ---- */

/* "rule:NET:SEED[:GAIN]" out of the options, with the mean parameters. */
static Status rule_text(const CrowdrecForward *o, char text[WEIGHTS_TEXT]) {
    char rule[WEIGHTS_TEXT];
    const char *colon = strchr(o->rule, ':');
    if (colon && strchr(colon + 1, ':'))
        return fail(ERR_USAGE, "--rule: '%s', expected SEED[:GAIN]", o->rule);
    if (snprintf(rule, sizeof rule, "rule:%s:%s", o->net, o->rule) >= WEIGHTS_TEXT)
        return fail(ERR_USAGE, "--rule: longer than %d characters", WEIGHTS_TEXT - 1);
    return weights_with_mean(rule, o->mean, text);
}

static Status open_net(Run *r) {
    const CrowdrecForward *o = r->options;
    NetSpec asked;
    char text[WEIGHTS_TEXT];
    TRY(net_spec(o->net, &asked));
    if (!o->weights == !o->rule) return fail(ERR_USAGE, "expected either --weights or --rule");
    if (o->mean && !o->rule) return fail(ERR_USAGE, "--mean goes with --rule only");
    if (o->rule) TRY(rule_text(o, text));
    TRY(net_open(o->rule ? text : o->weights, r->backend, &r->spec, &r->params));
    if (!net_same(&asked, &r->spec))
        return fail(ERR_MODEL, "%s: holds %s, not %s", o->weights, r->spec.name, o->net);
    return net_check_input(&r->spec, r->input.shape);
}

/* ---- what is written ---- */

static void keep(Run *r, const char *name, Tensor *t, int dims, int64_t second, int64_t third) {
    r->keep[r->count] = t;
    r->array[r->count++] = (Array){.name = name,
                                   .dtype = r->dtype,
                                   .dims = dims,
                                   .dim = {t->shape.n, second, third, t->shape.w}};
}

static void keep_image(Run *r, const char *name, Tensor *t) {
    if (t) keep(r, name, t, 4, t->shape.c, t->shape.h);
}

static void keep_vector(Run *r, const char *name, Tensor *t) {
    if (t) keep(r, name, t, 2, (int64_t)t->shape.h * t->shape.w * t->shape.c, 0);
}

static void keep_rows(Run *r, const char *name, Tensor *t) {
    if (t) keep(r, name, t, 3, t->shape.h, t->shape.c);
}

static void keep_outputs(Run *r, const NetOutput *y) {
    if (r->spec.kind == NET_YOLOX)
        keep_rows(r, "raw", y->raw);
    else
        keep_image(r, "output", y->raw);
    keep_rows(r, "decoded", y->decoded);
    keep_vector(r, "feature", y->feature);
    keep_vector(r, "pose6d", y->pose6d);
    keep_vector(r, "shape", y->betas);
    keep_vector(r, "cam", y->cam);
}

/* The name that shares the longest beginning with what was asked for. */
static const char *nearest_name(const Graph *g, const char *name) {
    const char *best = "";
    size_t most = 0;
    for (int i = 0; i < graph_names(g); i++) {
        const Tensor *t;
        const char *other = graph_name_at(g, i, &t);
        size_t same = 0;
        while (name[same] && name[same] == other[same]) same++;
        if (same >= most && (same > most || !*best)) best = other, most = same;
    }
    return best;
}

/* What PyTorch has as [n,c] and not as n,c,h,w: linear layers, and all of CLIFF behind its
 * encoder. */
static bool is_vector(const Run *r, const char *name) {
    static const char encoder[] = "encoder.";
    char key[256];
    snprintf(key, sizeof key, "%s.weight", name);
    int weight = params_find(r->params, key);
    if (weight >= 0) return params_at(r->params, weight)->dims == 2;
    return r->spec.kind == NET_CLIFF && graph_find(r->graph, name) &&
           strncmp(name, encoder, sizeof encoder - 1);
}

static Status keep_tap(Run *r, const char *name) {
    Tensor *t = net_tap(r->graph, name);
    if (!t)
        return fail(ERR_USAGE, "--tap: %s has no module '%s'; the nearest name is '%s'",
                    r->spec.name, name, nearest_name(r->graph, name));
    const char *title = arena_printf(graph_arena(r->graph), "tap.%s", name);
    for (int i = 0; i < r->count; i++)
        if (!strcmp(r->array[i].name, title))
            return fail(ERR_USAGE, "--tap: '%s' is named twice", name);
    (is_vector(r, name) ? keep_vector : keep_image)(r, title, t);
    return OK;
}

static Status build(Run *r) {
    const CrowdrecForward *o = r->options;
    r->graph = graph_new();
    Scope m = {.graph = r->graph, .params = r->params};
    r->x = graph_input(r->graph, "input", F32, r->input.shape);
    if (r->spec.kind == NET_CLIFF)
        r->x_box =
            graph_input(r->graph, "bbox_info", F32, (Shape){r->input.shape.n, 1, 1, BOX_INFO});
    else if (o->bbox_info)
        return fail(ERR_USAGE, "--bbox-info: %s has no such input", r->spec.name);
    NetOutput y = net_build(&r->spec, &m, r->x, r->x_box);
    size_t most = (size_t)o->taps + MAX_OUTPUTS;
    r->keep = arena_alloc(graph_arena(r->graph), most * sizeof *r->keep);
    r->array = arena_alloc(graph_arena(r->graph), most * sizeof *r->array);
    keep_outputs(r, &y);
    for (int i = 0; i < o->taps; i++) TRY(keep_tap(r, o->tap[i]));
    return plan_new(r->graph, r->backend, &(PlanOptions){.keep = r->keep, .keeps = r->count},
                    &r->plan);
}

/* ---- numbers ---- */

/* [n,c,h,w] <- [n,h,w,c] of elements of that size, or the other way. */
static void transpose(void *nchw, void *nhwc, Shape s, size_t element, bool to_nchw) {
    size_t plane = (size_t)s.h * s.w;
    for (size_t n = 0; n < (size_t)s.n; n++)
        for (size_t c = 0; c < (size_t)s.c; c++)
            for (size_t i = 0; i < plane; i++) {
                char *outer = (char *)nchw + ((n * s.c + c) * plane + i) * element;
                char *inner = (char *)nhwc + ((n * plane + i) * s.c + c) * element;
                memcpy(to_nchw ? outer : inner, to_nchw ? inner : outer, element);
            }
}

static Status write_input(Run *r) {
    Shape s = r->input.shape;
    size_t numbers = shape_size(s);
    float *given = malloc(numbers * sizeof *given), *pixels = malloc(numbers * sizeof *pixels);
    Status status = OK;
    if (!given || !pixels) {
        status = fail(ERR_MEMORY, "--input: no memory for %zu numbers", 2 * numbers);
    } else {
        if (r->input.file.count)
            array_to_float(&r->input.file.array[0], given);
        else
            rule_numbers("input", r->input.seed, numbers, given);
        transpose(given, pixels, s, sizeof *given, false);
        plan_write(r->plan, r->x, F32, pixels);
    }
    free(given);
    free(pixels);
    return status;
}

static void write_box_info(Run *r) {
    if (!r->x_box) return;
    float *info =
        arena_alloc(graph_arena(r->graph), (size_t)r->input.shape.n * BOX_INFO * sizeof *info);
    if (r->box_info.count) array_to_float(&r->box_info.array[0], info);
    plan_write(r->plan, r->x_box, F32, info);
}

static Status read_outputs(Run *r) {
    for (int i = 0; i < r->count; i++) {
        Shape s = r->keep[i]->shape;
        size_t element = dtype_size(r->dtype), bytes = shape_size(s) * element;
        void *inner = malloc(bytes);
        r->array[i].data = arena_try_alloc(graph_arena(r->graph), bytes);
        bool room = inner && r->array[i].data;
        if (room) {
            plan_read(r->plan, r->keep[i], r->dtype, inner);
            if (r->array[i].dims == 4)
                transpose(r->array[i].data, inner, s, element, true);
            else
                memcpy(r->array[i].data, inner, bytes);
        }
        free(inner);
        if (!room) return fail(ERR_MEMORY, "%s: no memory for %zu bytes", r->array[i].name, bytes);
    }
    return OK;
}

/* ---- the whole ---- */

static Status run(Run *r, FILE *report) {
    const CrowdrecForward *o = r->options;
    const char *missing = !o->net      ? "a network"
                          : !o->input  ? "--input"
                          : !o->output ? "--output"
                                       : NULL;
    if (missing) return fail(ERR_USAGE, "forward: %s is missing", missing);
    if (o->taps < 0) return fail(ERR_USAGE, "forward: %d taps", o->taps);
    BackendChoice choice = {
        .device = o->backend ? o->backend : "cpu", .precision = o->precision, .tune = o->tune};
    Status status = backend_open(&choice, &r->backend);
    if (status != OK) return error_prefix(status, "--backend");
    r->dtype = r->backend->real_size == sizeof(double) ? F64 : F32;
    TRY(parse_input(o->input, &r->input));
    TRY(load_box_info(r));
    TRY(open_net(r));
    TRY(build(r));
    TRY(write_input(r));
    write_box_info(r);
    plan_run(r->plan);
    TRY(read_outputs(r));
    TRY(file_write_npz(o->output, r->array, r->count));
    for (int i = 0; report && i < r->count; i++)
        fprintf(report, "%s %s %s\n", r->array[i].name, dtype_name(r->dtype),
                array_shape_text(&r->array[i]));
    return OK;
}

Status forward_run(const CrowdrecForward *options, FILE *report) {
    Run r = {.options = options};
    Status status = run(&r, report);
    if (r.plan) plan_free(r.plan);
    if (r.graph) graph_free(r.graph);
    if (r.params) params_free(r.params);
    array_file_free(&r.input.file);
    array_file_free(&r.box_info);
    return status;
}
