#include "crowdrec/traindetect.h"

#include "crowdrec/ap.h"
#include "crowdrec/detect.h"
#include "crowdrec/detloss.h"
#include "crowdrec/detsample.h"
#include "crowdrec/score.h"
#include "crowdrec/trainset.h"
#include "crowdrec/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LAST_PART = 0.85; /* share of the training after which samples are plain */
static const float LEAST_SCORE = 0.01f, NMS_IOU = 0.65f; /* of YOLOX's evaluator */

enum { BOXES = 120, STRIDE = 32 };

typedef struct {
    NetSpec spec;
    TrainSet train, validation;
    DetPhoto *photo; /* one for each sample of an epoch */
    DetSource source;
} DetectTask;

/* ---- the loss ---- */

static TrainGraph build(const void *self, const Scope *m, int batch) {
    const NetSpec *s = &((const DetectTask *)self)->spec;
    Shape image = {batch, s->height, s->width, 3};
    TrainGraph g = {.inputs = 3, .terms = 4};
    g.input[0] = graph_input(m->graph, "input", F32, image);
    NetOutput y = net_build(s, m, g.input[0], NULL);
    DetLoss l = detloss_build(m, &y, image, BOXES, ASSIGN_MEGVII);
    g.input[1] = l.labels, g.input[2] = l.l1_weight;
    g.loss = l.total;
    Tensor *term[] = {l.box, l.object, l.class, l.l1};
    static const char *const name[] = {"box", "object", "class", "l1"};
    memcpy(g.term, term, sizeof term);
    memcpy(g.term_name, name, sizeof name);
    return g;
}

static Status sample(void *self, const TrainDraw *draw, void *const *input) {
    const DetectTask *t = self;
    bool plain = draw->progress > LAST_PART;
    *(float *)input[2] = plain;
    return detsample_make(&t->source, draw->key, draw->index, !plain, input[0], input[1]);
}

/* ---- validation ---- */

/* What the network's pixels are: as its file says, else as is usual for its kind. */
static const char *input_of(const NetSpec *spec) {
    return *spec->input ? spec->input : weights_colors(spec);
}

static int round_up(int size) { return (size + STRIDE - 1) / STRIDE * STRIDE; }

/* A detector for photos of this size, the one before when that is the same. */
static Status fit_detector(const NetSpec *spec, Params *params, const Image *photo, int size[2],
                           Detector **detector) {
    int height = round_up(photo->height), width = round_up(photo->width);
    if (*detector && size[0] == height && size[1] == width) return OK;
    detect_close(*detector);
    size[0] = height, size[1] = width;
    return detect_open_params(spec, params,
                              &(DetectOptions){.confidence = LEAST_SCORE,
                                               .iou = NMS_IOU,
                                               .height = height,
                                               .width = width,
                                               .input = input_of(spec)},
                              detector);
}

static ApKind kind_of(const DatasetPerson *p) {
    if (p->ignore) return AP_REGION;
    bool needed = score_counts((double)p->visible, (double)p->box[3] - p->box[1]);
    return needed ? AP_COUNTED : AP_IGNORED;
}

/* Adds one photo's boxes and people; returns how many people need to be found. */
static int add_photo(Ap *ap, const Dataset *set, const DatasetPhoto *photo, const Crowd *found) {
    size_t people = (size_t)photo->count, boxes = (size_t)found->count;
    double(*truth)[4] = malloc((people + 1) * sizeof *truth), *score;
    double(*box)[4] = malloc((boxes + 1) * sizeof *box);
    ApKind *kind = malloc((people + 1) * sizeof *kind);
    score = malloc((boxes + 1) * sizeof *score);
    CHECK(truth && box && kind && score, "out of memory");
    int needed = 0;
    for (size_t i = 0; i < people; i++) {
        const DatasetPerson *p = &set->person[(size_t)photo->first + i];
        detsample_clip(p, photo, truth[i]);
        kind[i] = kind_of(p);
        needed += kind[i] == AP_COUNTED;
    }
    for (size_t i = 0; i < boxes; i++) {
        for (int k = 0; k < 4; k++) box[i][k] = found->person[i].box[k];
        score[i] = found->person[i].score;
    }
    ap_add(ap, &(ApImage){(const double(*)[4])box, score, found->count, (const double(*)[4])truth,
                          kind, photo->count, NULL});
    free(truth);
    free(box);
    free(kind);
    free(score);
    return needed;
}

static Status rate_photo(Detector *d, const Image *image, const Dataset *set, int i, Ap *ap,
                         int *needed) {
    Crowd found = {.width = image->width, .height = image->height};
    Status status = detect_run(d, image, &found);
    if (status == OK) *needed += add_photo(ap, set, &set->photo[i], &found);
    crowd_free(&found);
    return status;
}

static Status rate_photos(const NetSpec *spec, Params *params, Dataset *set, Ap *ap, int *needed) {
    Detector *detector = NULL;
    int size[2] = {0, 0};
    Status status = OK;
    for (int i = 0; i < set->photos && status == OK; i++) {
        Image image;
        status = dataset_photo(set, i, &image);
        if (status != OK) break;
        status = fit_detector(spec, params, &image, size, &detector);
        if (status == OK) status = rate_photo(detector, &image, set, i, ap, needed);
        dataset_release(set, i);
    }
    detect_close(detector);
    return status;
}

Status traindetect_score(const NetSpec *spec, Params *params, Dataset *set, TrainMetrics *out) {
    Ap *ap = ap_new();
    int needed = 0;
    Status status = rate_photos(spec, params, set, ap, &needed);
    if (status == OK && !needed)
        status = fail(ERR_INPUT,
                      "validation: nobody is taller than 40 pixels and seen to half; use other "
                      "photos");
    if (status == OK)
        *out = (TrainMetrics){{"ap50", "ap"}, {ap_at(ap, 0.5), ap_mean(ap)}, 2, false};
    ap_free(ap);
    return status;
}

static Status validate(void *self, Params *params, TrainMetrics *out) {
    const DetectTask *t = self;
    return traindetect_score(&t->spec, params, t->validation.part[0].set, out);
}

/* ---- opening ---- */

static bool usable(const DatasetPerson *p) { return p->box[2] > p->box[0]; }

/* The photos of an epoch: whole copies of a set, and of what is left of its ratio ones that are
 * drawn each time. */
static void list_photos(DetectTask *t) {
    int count = 0;
    for (int i = 0; i < t->train.parts; i++) {
        const TrainPart *part = &t->train.part[i];
        int photos = part->set->photos, entries = trainset_entries(part->ratio, photos);
        t->photo = realloc(t->photo, ((size_t)count + (size_t)entries + 1) * sizeof *t->photo);
        CHECK(t->photo, "no memory for %d photos", count + entries);
        int whole = entries / photos * photos;
        for (int k = 0; k < entries; k++)
            t->photo[count++] = (DetPhoto){part->set, k < whole ? k % photos : DETSAMPLE_ANY};
    }
    t->source.photo = t->photo, t->source.photos = count;
}

static void close_task(void *self) {
    DetectTask *t = self;
    trainset_close(&t->train);
    trainset_close(&t->validation);
    free(t->photo);
    free(t);
}

/* A file that does not say is judged by its first layer (detect.h); the one that is written says.
 */
static Status choose_pixels(const TrainOptions *o, NetSpec *spec, CropPixels *out) {
    const char *input = input_of(spec);
    if (o->weights && !o->resume) TRY(weights_input(o->weights, spec, &input));
    if (!detect_pixels(input, out))
        return fail(ERR_MODEL, "input '%s' of the detector is not bgr255 or imagenet", input);
    snprintf(spec->input, sizeof spec->input, "%s", input);
    return OK;
}

static Status open_parts(const TrainOptions *o, DetectTask *t) {
    TRY(train_spec(o, NET_YOLOX, "yolox_nano", &t->spec));
    if (!o->weights && !o->resume) t->spec.classes = 1;
    t->source = (DetSource){.height = t->spec.height,
                            .width = t->spec.width,
                            .boxes = BOXES,
                            .no_flip = o->no_flip,
                            .no_colour = o->colour < 0};
    TRY(choose_pixels(o, &t->spec, &t->source.pixels));
    TRY(trainset_open(o, usable, &t->train));
    list_photos(t);
    return trainset_open_validation(o, usable, &t->validation);
}

Status traindetect_open(const TrainOptions *options, TrainTask *out) {
    DetectTask *t = calloc(1, sizeof *t);
    CHECK(t, "out of memory");
    Status status = open_parts(options, t);
    if (status != OK) {
        close_task(t);
        return status;
    }
    *out = (TrainTask){.self = t,
                       .spec = t->spec,
                       .samples = t->source.photos,
                       .build = build,
                       .sample = sample,
                       .validate = t->validation.parts ? validate : NULL,
                       .close = close_task};
    return OK;
}
