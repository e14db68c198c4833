#include "crowdrec/trainset.h"

#include "crowdrec/augment.h"
#include "tensor/log.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "PATH[:RATIO]" of --data -> the path in a buffer of its own. */
static Status split(const char *text, char **path, double *ratio) {
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    *ratio = colon ? strtod(colon + 1, &end) : 1;
    bool number = colon && end != colon + 1 && !*end;
    if (!number) *ratio = 1;
    if (!(*ratio > 0 && *ratio <= 1000))
        return fail(ERR_USAGE, "--data: ratio %g of %s, expected more than 0, up to 1000", *ratio,
                    text);
    *path = number ? strndup(text, (size_t)(colon - text)) : strdup(text);
    CHECK(*path, "out of memory");
    return OK;
}

int trainset_entries(double ratio, int count) {
    return (int)fmin(fmax(ceil(ratio * count - 1e-6), 1), 1 << 30);
}

static Status open_part(const TrainOptions *o, const char *path, double ratio,
                        bool (*usable)(const DatasetPerson *), TrainPart *out) {
    DatasetChoice choice = {.path = path, .photos = o->photos, .cache_bytes = o->cache};
    TRY(dataset_open(&choice, &out->set));
    int most = o->reach > 1 ? o->reach : 1, used = 0;
    if (out->set->people > (1 << 30) / most)
        return fail(ERR_USAGE, "--reach: %d times %d people are too many", most, out->set->people);
    out->person = malloc((size_t)out->set->people * (size_t)most * sizeof *out->person + 1);
    CHECK(out->person, "out of memory");
    for (int i = 0; i < out->set->people; i++) {
        const DatasetPerson *p = &out->set->person[i];
        if (p->ignore || !usable(p)) continue;
        int times = most > 1 && augment_reaches(p) ? most : 1;
        for (used++; times > 0; times--) out->person[out->people++] = i;
    }
    out->ratio = ratio;
    out->entries = trainset_entries(ratio, out->people);
    log_info("train: %s: %d of %d people can be used", path, used, out->set->people);
    return out->people ? OK : fail(ERR_INPUT, "%s: nobody in it can be used", path);
}

static Status add_set(const TrainOptions *o, const char *path, double ratio,
                      bool (*usable)(const DatasetPerson *), TrainSet *s) {
    TrainPart *part = &s->part[s->parts++];
    TRY(open_part(o, path, ratio, usable, part));
    if (part->entries > (1 << 30) - s->samples)
        return fail(ERR_USAGE, "--data: an epoch of more than %d samples", 1 << 30);
    s->samples += part->entries;
    return OK;
}

static Status add_data(const TrainOptions *o, const char *text,
                       bool (*usable)(const DatasetPerson *), TrainSet *s) {
    char *path = NULL;
    double ratio;
    TRY(split(text, &path, &ratio));
    Status status = add_set(o, path, ratio, usable, s);
    free(path);
    return status;
}

static Status kept(Status status, TrainSet *s) {
    if (status != OK) trainset_close(s);
    return status;
}

Status trainset_open(const TrainOptions *options, bool (*usable)(const DatasetPerson *),
                     TrainSet *out) {
    *out = (TrainSet){0};
    if (!options->sets) return fail(ERR_USAGE, "--data is needed: what to train on");
    Status status = OK;
    for (int i = 0; i < options->sets && status == OK; i++)
        status = add_data(options, options->data[i], usable, out);
    return kept(status, out);
}

Status trainset_open_validation(const TrainOptions *options, bool (*usable)(const DatasetPerson *),
                                TrainSet *out) {
    *out = (TrainSet){0};
    if (!options->validation) return OK;
    TrainOptions once = *options;
    once.reach = 0;
    return kept(add_set(&once, options->validation, 1, usable, out), out);
}

void trainset_close(TrainSet *s) {
    for (int i = 0; i < s->parts; i++) {
        dataset_close(s->part[i].set);
        free(s->part[i].person);
    }
    *s = (TrainSet){0};
}

TrainPick trainset_pick(const TrainSet *s, const TrainDraw *draw) {
    const TrainPart *p = s->part;
    int i = draw->index;
    for (; i >= p->entries; p++) i -= p->entries;
    bool copy = i / p->people < p->entries / p->people;
    uint64_t any = rng_splitmix(rng_stream("train pick", draw->key));
    int k = copy ? i % p->people : (int)(any % (uint64_t)p->people);
    return (TrainPick){p->set, &p->set->person[p->person[k]]};
}
