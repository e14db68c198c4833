#include "crowdrec/predict.h"

#include <stdlib.h>
#include <string.h>

enum { OUTPUTS = 5 };

struct Predictor {
    Graph *graph;
    Plan *plan;
    int batch;
    PeopleInputs in;
    Tensor *out[OUTPUTS]; /* in the order of Prediction */
};

static Status make_plan(Predictor *p, const NetSpec *net, Params *params) {
    p->graph = graph_new();
    Scope m = {.graph = p->graph, .params = params};
    p->in = people_inputs(&m, p->batch, net->height, net->width);
    NetOutput y = net_build(net, &m, p->in.pixels, p->in.bbox_info);
    Tensor *rotations = rot6d(&m, y.pose6d);
    Tensor *all[OUTPUTS] = {y.pose6d, y.betas, y.cam, rotations, axisangle(&m, rotations, NULL)};
    memcpy(p->out, all, sizeof all);
    PlanOptions o = {.keep = p->out, .keeps = OUTPUTS, .fix_params = true};
    return plan_new(p->graph, params_backend(params), &o, &p->plan);
}

Status predict_new(const NetSpec *net, Params *params, int batch, Predictor **out) {
    Predictor *p = calloc(1, sizeof *p);
    CHECK(p, "out of memory");
    p->batch = batch;
    Status status = make_plan(p, net, params);
    while (status == ERR_MEMORY && p->batch > 1) {
        graph_free(p->graph);
        p->batch = (p->batch + 1) / 2;
        status = make_plan(p, net, params);
    }
    if (status != OK) {
        predict_free(p);
        return status;
    }
    *out = p;
    return OK;
}

void predict_free(Predictor *p) {
    if (!p) return;
    plan_free(p->plan);
    graph_free(p->graph);
    free(p);
}

static size_t row_of(const Tensor *t) { return shape_size(t->shape) / (size_t)t->shape.n; }

/* Reads a kept value; only the first `rows` people of it go to `to`. */
static Status read_rows(const Plan *plan, const Tensor *t, int rows, float *to) {
    float *all = malloc(shape_size(t->shape) * sizeof *all);
    if (!all) return fail(ERR_MEMORY, "no memory for the results of %d people", t->shape.n);
    plan_read(plan, t, F32, all);
    memcpy(to, all, (size_t)rows * row_of(t) * sizeof *to);
    free(all);
    return OK;
}

/* The inputs are there; those of the next batch go over while this one computes. */
static Status run_batch(Predictor *p, const People *people, int first, float *const *result) {
    plan_run(p->plan);
    if (first + p->batch < people->count)
        people_write_inputs(people, p->plan, first + p->batch, &p->in);
    int rows = people->count - first < p->batch ? people->count - first : p->batch;
    for (int k = 0; k < OUTPUTS; k++)
        TRY(read_rows(p->plan, p->out[k], rows, result[k] + (size_t)first * row_of(p->out[k])));
    return OK;
}

Status predict_run(Predictor *p, const People *people, Prediction *out) {
    float *result[OUTPUTS];
    Status status = OK;
    for (int k = 0; k < OUTPUTS; k++) {
        result[k] = malloc((size_t)people->count * row_of(p->out[k]) * sizeof(float) + 1);
        if (!result[k])
            status = fail(ERR_MEMORY, "no memory for the results of %d people", people->count);
    }
    if (people->count && status == OK) people_write_inputs(people, p->plan, 0, &p->in);
    for (int first = 0; first < people->count && status == OK; first += p->batch)
        status = run_batch(p, people, first, result);
    *out = (Prediction){result[0], result[1], result[2], result[3], result[4]};
    if (status != OK) predict_result_free(out);
    return status;
}

void predict_result_free(Prediction *out) {
    free(out->pose6d);
    free(out->betas);
    free(out->cam);
    free(out->rotations);
    free(out->angles);
    *out = (Prediction){0};
}
