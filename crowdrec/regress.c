#include "crowdrec/regress.h"

#include "crowdrec/predict.h"
#include "smpl/procedural.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REAL float
#include "kernels/geom.h"

enum {
    CHUNK = 64, /* people whose crops are in memory at a time */
    BATCH = 8   /* people per run */
};

struct Regressor {
    NetSpec net;
    Params *params;
    Body *body;
    Predictor *predictor;
    const volatile int *interrupted;
    bool snapshot;
};

_Static_assert((int)CROWD_BETAS == BODY_BETAS, "a person has a body's betas");

static Status open_body(const RegressOptions *o, Body **out) {
    return o->body ? body_load(o->body, o->body_regressor, out) : procedural_body(out);
}

static Status open_parts(const RegressOptions *o, Regressor *r) {
    TRY(net_open(o->mesh, o->backend ? o->backend : &backend_cpu, &r->net, &r->params));
    if (r->net.kind != NET_CLIFF)
        return fail(ERR_MODEL,
                    "%s: a network '%s', expected body parameters (cliff_hr48, cliff_res50)",
                    o->mesh, r->net.name);
    TRY(open_body(o, &r->body));
    return predict_new(&r->net, r->params, BATCH, &r->predictor);
}

Status regress_open(const RegressOptions *options, Regressor **out) {
    Regressor *r = calloc(1, sizeof *r);
    CHECK(r, "out of memory");
    r->interrupted = options->interrupted;
    Status status = open_parts(options, r);
    if (status == OK)
        *out = r;
    else
        regress_close(r);
    return status;
}

void regress_close(Regressor *r) {
    if (!r) return;
    predict_free(r->predictor);
    params_free(r->params);
    body_free(r->body);
    free(r);
}

const Body *regress_body(const Regressor *r) { return r->body; }
const NetSpec *regress_net(const Regressor *r) { return &r->net; }
Params *regress_params(Regressor *r) { return r->params; }

Status regress_reset(Regressor *r) {
    if (r->snapshot)
        params_reset(r->params);
    else
        TRY(params_snapshot(r->params));
    r->snapshot = true;
    return OK;
}

static void fill_person(const Regressor *r, Person *person, const float *box, const Prediction *p,
                        int i) {
    memcpy(person->pose, p->angles + (size_t)i * CROWD_POSE, sizeof person->pose);
    memcpy(person->betas, p->betas + (size_t)i * CROWD_BETAS, sizeof person->betas);
    memcpy(person->crop_camera, p->cam + (size_t)i * 3, sizeof person->crop_camera);
    geom_camera(person->crop_camera, box, person->trans);
    body_pose(r->body, person->pose, person->betas, person->trans, NULL, NULL, person->joints[0]);
    crowd_mark_body(person);
}

static Status regress_people(Regressor *r, Cutter *cutter, Crowd *crowd, const int *index,
                             int count) {
    People people;
    Prediction prediction;
    TRY(people_new(cutter, crowd, index, count, r->net.height, r->net.width, &people));
    Status status = predict_run(r->predictor, &people, &prediction);
    for (int i = 0; i < count && status == OK; i++)
        fill_person(r, &crowd->person[index[i]], people.box + 6 * i, &prediction, i);
    if (status == OK) predict_result_free(&prediction);
    people_free(&people);
    return status;
}

Status regress_run(Regressor *r, const Image *photo, Crowd *crowd) {
    int *index = malloc(((size_t)crowd->count + 1) * sizeof *index), count = 0;
    if (!index) return fail(ERR_MEMORY, "no memory for %d people", crowd->count);
    for (int i = 0; i < crowd->count; i++)
        if (crop_usable(crowd->person[i].box)) index[count++] = i;
    Cutter *cutter = NULL;
    Status status = cutter_new(photo, params_backend(r->params), 0, &cutter);
    for (int first = 0; first < count && status == OK; first += CHUNK) {
        int some = count - first < CHUNK ? count - first : CHUNK;
        if (r->interrupted && *r->interrupted)
            status = fail(ERR_INTERRUPTED, "%d of %d people have no body", count - first, count);
        else
            status = regress_people(r, cutter, crowd, index + first, some);
    }
    cutter_free(cutter);
    free(index);
    if (status == OK || status == ERR_INTERRUPTED) crowd_ground(crowd);
    return status;
}
