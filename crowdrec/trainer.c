#include "crowdrec/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RAMP = 2000, SEED_LIMIT = 1 << 24 };

struct TrainerPlans {
    TrainerOptions o;
    Graph *graph, *update_graph;
    Plan *plan;   /* forward and backward; the update too when a step is one pass */
    Plan *update; /* of a step of several passes */
    int passes;   /* of this step so far */
};

/* ---- making ---- */

static Status make_params(const TrainTask *task, const Backend *backend, Params **out) {
    *out = params_new(backend);
    net_declare(&task->spec, *out);
    return params_alloc(*out);
}

static Status freeze_weights(Params *p, const char *prefix) {
    if (!prefix) return OK;
    if (!params_freeze(p, prefix, true))
        return fail(ERR_USAGE,
                    "--freeze: no weight's name begins with '%s'; `crowdrec inspect --all` "
                    "lists names",
                    prefix);
    if (!params_learned(p))
        return fail(ERR_USAGE, "--freeze: '%s' leaves nothing to train", prefix);
    return OK;
}

static bool one_plan(const struct TrainerPlans *p) { return p->o.passes == 1; }

static Status make_plans(Trainer *t, const TrainTask *task) {
    struct TrainerPlans *p = t->made;
    p->graph = graph_new();
    Scope m = {.graph = p->graph, .params = t->params, .train = true};
    t->graph = task->build(task->self, &m, p->o.batch);
    Tensor *loss = t->graph.loss;
    if (!one_plan(p)) loss = scale(&m, loss, 1 / (float)p->o.passes);
    Tensor *keep[TRAIN_TERMS + 1] = {t->graph.loss};
    memcpy(keep + 1, t->graph.term, sizeof t->graph.term);
    PlanOptions o = {.loss = loss,
                     .keep = keep,
                     .keeps = t->graph.terms + 1,
                     .add_gradients = !one_plan(p),
                     .update = one_plan(p) ? &p->o.update : NULL};
    TRY(plan_new(p->graph, p->o.backend, &o, &p->plan));
    if (one_plan(p)) return OK;
    p->update_graph = graph_new();
    for (int i = 0; i < params_count(t->params); i++) graph_param(p->update_graph, t->params, i);
    return plan_new(p->update_graph, p->o.backend, &(PlanOptions){.update = &p->o.update},
                    &p->update);
}

static Status make_average(Trainer *t, const TrainTask *task) {
    struct TrainerPlans *p = t->made;
    t->average = t->params;
    if (!(p->o.ema > 0)) return OK;
    TRY(make_params(task, p->o.backend, &t->average));
    return params_average(t->average, t->params, 1);
}

Status trainer_new(const TrainTask *task, const TrainerOptions *options, Trainer **out) {
    Trainer *t = calloc(1, sizeof *t);
    CHECK(t, "out of memory");
    t->made = calloc(1, sizeof *t->made);
    CHECK(t->made, "out of memory");
    t->made->o = *options;
    t->spec = task->spec;
    Status status = make_params(task, options->backend, &t->params);
    if (status == OK) status = freeze_weights(t->params, options->freeze);
    if (status == OK) status = make_average(t, task);
    if (status == OK) status = make_plans(t, task);
    if (status == OK)
        *out = t;
    else
        trainer_free(t);
    return status;
}

void trainer_free(Trainer *t) {
    if (!t) return;
    struct TrainerPlans *p = t->made;
    plan_free(p->update);
    if (p->update_graph) graph_free(p->update_graph);
    plan_free(p->plan);
    if (p->graph) graph_free(p->graph);
    if (t->average != t->params) params_free(t->average);
    params_free(t->params);
    free(p);
    free(t);
}

/* ---- the moving average ---- */

static Status move_average(Trainer *t, double share) {
    return t->average == t->params ? OK : params_average(t->average, t->params, share);
}

Status trainer_average_reset(Trainer *t) { return move_average(t, 1); }

/* ---- what is not finite ---- */

static bool all_finite(const Plan *plan, const Tensor *x) {
    size_t n = shape_size(x->shape), i = 0;
    float *values = malloc(n * sizeof *values + 1);
    CHECK(values, "out of memory");
    plan_read(plan, x, F32, values);
    while (i < n && isfinite(values[i])) i++;
    free(values);
    return i == n;
}

static void copy_inputs(const Graph *g, const Plan *from, Plan *to) {
    for (int i = 0; i < graph_tensors(g); i++) {
        const Tensor *x = graph_tensor(g, i);
        if (graph_role(g, x) != TENSOR_INPUT) continue;
        void *values = malloc(shape_size(x->shape) * dtype_size(x->dtype) + 1);
        CHECK(values, "out of memory");
        plan_read(from, x, x->dtype, values);
        plan_write(to, x, x->dtype, values);
        free(values);
    }
}

static Status not_finite(const Trainer *t, const char *what, const char *name, const char *where) {
    return fail(ERR_INPUT,
                "step %d: the first value that is not finite is %s '%s' (%s); lower the rate, or "
                "clip the gradient",
                t->step + 1, what, name && *name ? name : "without a name", where);
}

static Status first_parameter(const Trainer *t) {
    const Params *p = t->params;
    for (int i = 0; i < params_count(p); i++) {
        const Param *a = params_at(p, i);
        size_t n = shape_size(a->shape), k = 0;
        double *values = malloc(n * sizeof *values + 1);
        CHECK(values, "out of memory");
        if (a->kind == PARAM_WEIGHT) params_get_gradient(p, i, values);
        while (a->kind == PARAM_WEIGHT && k < n && isfinite(values[k])) k++;
        free(values);
        if (a->kind == PARAM_WEIGHT && k < n) return not_finite(t, "the gradient of", a->key, "");
    }
    return fail(ERR_INPUT, "step %d: the norm of the gradient is not finite; lower the rate",
                t->step + 1);
}

static Status first_value(const Trainer *t, const Plan *plan) {
    const Graph *g = t->made->graph;
    for (int i = 0; i < t->graph.inputs; i++) {
        const Tensor *x = t->graph.input[i];
        if (x->dtype == F32 && !all_finite(plan, x)) return not_finite(t, "input", x->name, "data");
    }
    for (int i = 0; i < graph_nodes(g); i++) {
        const Node *n = graph_node(g, i);
        if (n->out[0]->dtype == F32 && !all_finite(plan, n->out[0]))
            return not_finite(t, op_info(n->op)->name, n->out[0]->name, n->where);
    }
    return first_parameter(t);
}

/* Runs the batch once more with every value kept. */
static Status blame(const Trainer *t) {
    const Graph *g = t->made->graph;
    Tensor **keep = calloc((size_t)graph_nodes(g) + 1, sizeof *keep);
    CHECK(keep, "out of memory");
    for (int i = 0; i < graph_nodes(g); i++) keep[i] = graph_node(g, i)->out[0];
    PlanOptions o = {.keep = keep, .keeps = graph_nodes(g), .fix_params = true, .plain = true};
    Plan *plan;
    Status status = plan_new(t->made->graph, t->made->o.backend, &o, &plan);
    free(keep);
    if (status == ERR_MEMORY)
        return fail(ERR_INPUT,
                    "step %d: a value is not finite, and there is no memory to find the first one; "
                    "lower the rate, or clip the gradient",
                    t->step + 1);
    TRY(status);
    copy_inputs(g, t->made->plan, plan);
    plan_run(plan);
    status = first_value(t, plan);
    plan_free(plan);
    return status;
}

/* ---- steps ---- */

static double read_scalar(const Plan *plan, const Tensor *x) {
    double value;
    plan_read(plan, x, F64, &value);
    return value;
}

static void start_step(Trainer *t) {
    t->loss = 0;
    memset(t->term, 0, sizeof t->term);
    if (!one_plan(t->made)) params_zero_gradients(t->params);
}

/* Dropout's second number counts passes, so that each has masks of its own. */
static void write_seed(const Trainer *t) {
    const struct TrainerPlans *p = t->made;
    int pass = t->step * p->o.passes + p->passes;
    float seed[] = {(float)(t->seed % SEED_LIMIT), (float)(pass % SEED_LIMIT)};
    if (t->graph.seed) plan_write(p->plan, t->graph.seed, F32, seed);
}

static Status run_pass(Trainer *t) {
    struct TrainerPlans *p = t->made;
    plan_run(p->plan);
    double loss = read_scalar(p->plan, t->graph.loss);
    if (!isfinite(loss)) return blame(t);
    t->loss += loss / p->o.passes;
    for (int i = 0; i < t->graph.terms; i++)
        t->term[i] += read_scalar(p->plan, t->graph.term[i]) / p->o.passes;
    return OK;
}

Status trainer_pass(Trainer *t, void *const *input) {
    struct TrainerPlans *p = t->made;
    CHECK(p->passes < p->o.passes, "a step of %d passes got more", p->o.passes);
    if (!p->passes) start_step(t);
    for (int i = 0; i < t->graph.inputs; i++)
        plan_write(p->plan, t->graph.input[i], t->graph.input[i]->dtype, input[i]);
    write_seed(t);
    p->passes++;
    return one_plan(p) ? OK : run_pass(t);
}

Status trainer_step(Trainer *t, double rate, double decay) {
    struct TrainerPlans *p = t->made;
    CHECK(p->passes == p->o.passes, "a step of %d passes has %d", p->o.passes, p->passes);
    p->passes = 0;
    plan_hyper(one_plan(p) ? p->plan : p->update, rate, decay, t->step + 1);
    if (one_plan(p))
        TRY(run_pass(t));
    else
        plan_run(p->update);
    t->norm = plan_gradient_norm(one_plan(p) ? p->plan : p->update);
    if (!isfinite(t->norm)) return blame(t);
    t->step++;
    return move_average(t, 1 - p->o.ema * (1 - exp(-(double)t->step / RAMP)));
}
