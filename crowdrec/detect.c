#include "crowdrec/detect.h"

#include "autograd/plan.h"
#include "crowdrec/cutter.h"
#include "nets/net.h"
#include "tensor/log.h"
#include "tensor/reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PERSON = 0 }; /* COCO's first class; the only one of a people detector */

struct Detector {
    NetSpec spec;
    int height, width;
    CropPixels pixels;
    Params *params;
    bool borrowed; /* params are the caller's */
    Graph *graph;
    Plan *plan;
    Tensor *input, *rows, *count;
    float *kept; /* nms rows [anchors,8] */
    Detection *found;
};

static const char *const input_name[] = {
    [CROP_YOLOX_BGR] = "bgr255", [CROP_YOLOX_IMAGENET] = "imagenet"};

const char *detect_input(const Detector *d) { return input_name[d->pixels]; }

bool detect_pixels(const char *input, CropPixels *out) {
    for (CropPixels p = CROP_YOLOX_BGR; p <= CROP_YOLOX_IMAGENET; p++) {
        if (strcmp(input, input_name[p]) != 0) continue;
        *out = p;
        return true;
    }
    return false;
}

static double *parameter(const Params *p, const char *key) {
    int i = params_find(p, key);
    CHECK(i >= 0, "a yolox without %s", key);
    double *values = malloc(shape_size(params_at(p, i)->shape) * sizeof *values);
    CHECK(values, "no memory for %s", key);
    params_get(p, i, values);
    return values;
}

/* Largest amplification of the first convolution with its norm (eps 1e-3), over channels. */
static double stem_gain(const Params *p) {
    const char *weight_key = "backbone.backbone.stem.conv.conv.weight";
    double *weight = parameter(p, weight_key);
    double *gamma = parameter(p, "backbone.backbone.stem.conv.bn.weight");
    double *variance = parameter(p, "backbone.backbone.stem.conv.bn.running_var");
    Shape s = params_at(p, params_find(p, weight_key))->shape;
    int fan_in = s.h * s.w * s.c;
    double gain = 0;
    for (int o = 0; o < s.n; o++) {
        double squares = 0;
        for (int i = 0; i < fan_in; i++) squares += weight[o * fan_in + i] * weight[o * fan_in + i];
        gain = fmax(gain, fabs(gamma[o]) * sqrt(squares / (variance[o] + 1e-3)));
    }
    free(weight);
    free(gamma);
    free(variance);
    return gain;
}

/* Measured on released weights: 0.26 for "bgr255"; 16 and 26 for "imagenet". */
static const double gain_limit = 2;

static Status choose_pixels(Detector *d, const char *weights, const char *option) {
    if (option)
        return detect_pixels(option, &d->pixels)
                   ? OK
                   : fail(ERR_USAGE, "detector input '%s' is not known, use bgr255 or imagenet",
                          option);
    if (detect_pixels(d->spec.input, &d->pixels)) return OK;
    if (*d->spec.input)
        return fail(ERR_MODEL, "%s: says input %s, not bgr255 or imagenet; name the right one",
                    weights, reader_quote(d->spec.input, strlen(d->spec.input)));
    double gain = stem_gain(d->params);
    d->pixels = gain < gain_limit ? CROP_YOLOX_BGR : CROP_YOLOX_IMAGENET;
    log_debug("detector: %s, input %s, judged by the first layer's gain %.3g", d->spec.name,
              detect_input(d), gain);
    return OK;
}

static Status choose_size(Detector *d, const DetectOptions *o) {
    d->height = o->height ? o->height : d->spec.height;
    d->width = o->width ? o->width : d->spec.width;
    if (d->height < 32 || d->width < 32 || d->height % 32 || d->width % 32)
        return fail(ERR_USAGE, "detector size %d x %d: both must be multiples of 32", d->height,
                    d->width);
    return net_check_input(&d->spec, (Shape){1, d->height, d->width, 3});
}

static Status share(const char *name, float value, float standard, float *out) {
    *out = value != 0 ? value : standard;
    if (*out > 0 && *out <= 1) return OK;
    return fail(ERR_USAGE, "detector %s %g is not above 0 and at most 1", name, (double)value);
}

static Status make_plan(Detector *d, const DetectOptions *o) {
    NmsAttr nms = {.agnostic = o->agnostic};
    TRY(share("confidence", o->confidence, 0.23f, &nms.conf));
    TRY(share("iou", o->iou, 0.7f, &nms.iou));
    d->graph = graph_new();
    Scope m = {.graph = d->graph, .params = d->params};
    d->input = graph_input(d->graph, "input", F32, (Shape){1, d->height, d->width, 3});
    Tensor *decoded = net_build(&d->spec, &m, d->input, NULL).decoded;
    nms.limit = decoded->shape.h;
    d->rows = build_op(&m, OP_nms, &nms, decoded, NULL, NULL, WHERE);
    d->count = graph_output(d->graph, d->rows, 1);
    PlanOptions options = {.keep = (Tensor *[]){d->rows, d->count}, .keeps = 2};
    Status status = plan_new(d->graph, params_backend(d->params), &options, &d->plan);
    if (status == ERR_MEMORY)
        return fail(
            status,
            "the detector at %d x %d does not fit into memory; use a smaller --detector-size",
            d->height, d->width);
    TRY(status);
    d->kept = malloc(shape_size(d->rows->shape) * sizeof *d->kept);
    d->found = malloc((size_t)nms.limit * sizeof *d->found);
    if (d->kept && d->found) return OK;
    return fail(ERR_MEMORY, "no memory for the detector's input of %d x %d", d->height, d->width);
}

static Status open_detector(Detector *d, const char *weights, const DetectOptions *o) {
    TRY(net_open(weights, o->backend ? o->backend : &backend_cpu, &d->spec, &d->params));
    if (d->spec.kind != NET_YOLOX)
        return fail(ERR_MODEL, "%s: holds %s, a detector must be a yolox", weights, d->spec.name);
    TRY(choose_pixels(d, weights, o->input));
    TRY(choose_size(d, o));
    return make_plan(d, o);
}

Status detect_open(const char *weights, const DetectOptions *options, Detector **out) {
    Detector *d = *out = calloc(1, sizeof *d);
    if (!d) return fail(ERR_MEMORY, "no memory for a detector");
    Status status = open_detector(d, weights, options);
    if (status != OK) detect_close(d), *out = NULL;
    return status;
}

static Status open_borrowed(Detector *d, const DetectOptions *o) {
    CHECK(o->input, "a detector without an input convention");
    TRY(choose_pixels(d, d->spec.name, o->input));
    TRY(choose_size(d, o));
    return make_plan(d, o);
}

Status detect_open_params(const NetSpec *spec, Params *params, const DetectOptions *options,
                          Detector **out) {
    Detector *d = *out = calloc(1, sizeof *d);
    if (!d) return fail(ERR_MEMORY, "no memory for a detector");
    d->spec = *spec, d->params = params, d->borrowed = true;
    Status status = open_borrowed(d, options);
    if (status != OK) detect_close(d), *out = NULL;
    return status;
}

void detect_close(Detector *d) {
    if (!d) return;
    if (d->plan) plan_free(d->plan);
    if (d->graph) graph_free(d->graph);
    if (d->params && !d->borrowed) params_free(d->params);
    free(d->kept);
    free(d->found);
    free(d);
}

static Detection detection(const float row[8], double ratio) {
    Detection f = {.score = row[4], .objectness = row[5]};
    for (int k = 0; k < 4; k++) f.box[k] = (float)(row[k] / ratio);
    f.class_index = (int)row[6], f.anchor = (int)row[7];
    return f;
}

Status detect_all(Detector *d, const Image *photo, const Detection **out, int *count) {
    Letterbox box = crop_letterbox(photo->height, photo->width, d->height, d->width);
    AffineAttr pixels = crop_pixels(d->pixels, d->height, d->width);
    pixels.valid_h = box.valid_h, pixels.valid_w = box.valid_w;
    Cutter *cutter;
    TRY(cutter_new(photo, params_backend(d->params), 0, &cutter));
    cutter_feed(cutter, &box.crop, &pixels, d->plan, d->input);
    plan_run(d->plan);
    cutter_free(cutter);
    float found;
    plan_read(d->plan, d->count, F32, &found);
    plan_read(d->plan, d->rows, F32, d->kept);
    *count = (int)found;
    for (int i = 0; i < *count; i++) d->found[i] = detection(d->kept + 8 * i, box.ratio);
    *out = d->found;
    return OK;
}

Status detect_run(Detector *d, const Image *photo, Crowd *crowd) {
    const Detection *found;
    int count;
    TRY(detect_all(d, photo, &found, &count));
    for (int i = 0; i < count; i++) {
        if (found[i].class_index != PERSON) continue;
        Person *p = crowd_add(crowd);
        memcpy(p->box, found[i].box, sizeof p->box);
        p->score = found[i].score;
    }
    return OK;
}
