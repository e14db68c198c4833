#include "crowdrec/iterate.h"

#include "tensor/log.h"

#include <stdlib.h>
#include <string.h>

enum { OUTPUTS = 3, TERMS = 5, BODIES = 8 };

static const UpdateAttr ADAMW = {.kind = UPDATE_ADAMW};

/* The network on some people, and what its gradient is seeded with in the second pass. */
typedef struct {
    Graph *graph;
    Plan *plan;
    PeopleInputs in;
    Tensor *seed[OUTPUTS];
} SecondPass;

/* The losses of all people, on the network's outputs or on inputs in their place. */
typedef struct {
    Graph *graph;
    Plan *plan;
    PeopleInputs in;      /* one plan: the network's inputs */
    Tensor *out[OUTPUTS]; /* two passes: pose6d, betas, cam as inputs */
    LossTargets targets;
    Tensor *term[TERMS];  /* in the order of IterateTerms */
    Tensor *body[BODIES]; /* in the order of IterateBodies */
} Whole;

struct Iterator {
    IterateOptions o;
    int micro;
    Predictor *predictor; /* first prediction, and the first of two passes */
    Whole whole;
    SecondPass second;
    Graph *update_graph;
    Plan *update;
};

int iterate_micro(const Iterator *it) { return it->micro; }

static bool one_plan(const Iterator *it) { return it->micro >= it->o.people->count; }

bool iterate_apart(const Iterator *it) {
    return one_plan(it) && params_backend(it->o.params)->capture_begin;
}

static void whole_free(Whole *w) {
    plan_free(w->plan);
    graph_free(w->graph);
    *w = (Whole){0};
}

static void second_free(SecondPass *s) {
    plan_free(s->plan);
    graph_free(s->graph);
    *s = (SecondPass){0};
}

static void drop_plans(Iterator *it) {
    plan_free(it->update);
    graph_free(it->update_graph);
    it->update = NULL, it->update_graph = NULL;
    second_free(&it->second);
    whole_free(&it->whole);
    predict_free(it->predictor);
    it->predictor = NULL;
}

void iterate_free(Iterator *it) {
    if (!it) return;
    drop_plans(it);
    free(it);
}

static void whole_losses(const Iterator *it, const Scope *m, Whole *w, const LossPrediction *p) {
    int n = it->o.people->count;
    w->targets = losses_targets(m, n, it->o.weights->pose_as_matrices);
    LossBodies b = losses_bodies(m, it->o.body, p, &w->targets);
    LossTerms l = losses_build(m, it->o.weights, &b, p->betas, &w->targets);
    Tensor *terms[TERMS] = {l.total, l.crowd, l.keypoints, l.betas, l.pose};
    Tensor *bodies[BODIES] = {b.angles, p->betas,         p->cam,       b.trans,
                              b.joints, l.each_keypoints, l.each_betas, l.each_pose};
    memcpy(w->term, terms, sizeof terms);
    memcpy(w->body, bodies, sizeof bodies);
}

/* What every plan with the losses keeps and records; keep has room for all of it. */
static PlanOptions loss_options(const Whole *w, Tensor **keep) {
    memcpy(keep, w->term, sizeof w->term);
    memcpy(keep + TERMS, w->body, sizeof w->body);
    return (PlanOptions){.loss = w->term[0],
                         .keep = keep,
                         .keeps = TERMS + BODIES,
                         .record = w->term,
                         .records = TERMS,
                         .rows = ITERATE_ROWS};
}

/* Network, losses and update in one graph. */
static PlanOptions whole_of_network(const Iterator *it, Whole *w, Tensor **keep) {
    w->graph = graph_new();
    Scope m = {.graph = w->graph, .params = it->o.params};
    const People *people = it->o.people;
    w->in = people_inputs(&m, people->count, people->height, people->width);
    NetOutput y = net_build(it->o.net, &m, w->in.pixels, w->in.bbox_info);
    whole_losses(it, &m, w, &(LossPrediction){y.pose6d, y.betas, y.cam});
    PlanOptions o = loss_options(w, keep);
    o.update = &ADAMW;
    return o;
}

/* The losses alone; the network's outputs are inputs that want a gradient. */
static PlanOptions whole_of_outputs(const Iterator *it, Whole *w, Tensor **keep) {
    w->graph = graph_new();
    Scope m = {.graph = w->graph};
    int n = it->o.people->count;
    w->out[0] = graph_input(m.graph, "pose6d", F32, (Shape){n, 1, BODY_JOINTS, 6});
    w->out[1] = graph_input(m.graph, "betas", F32, (Shape){n, 1, 1, BODY_BETAS});
    w->out[2] = graph_input(m.graph, "cam", F32, (Shape){n, 1, 1, 3});
    whole_losses(it, &m, w, &(LossPrediction){w->out[0], w->out[1], w->out[2]});
    PlanOptions o = loss_options(w, keep);
    o.wrt = w->out, o.wrts = OUTPUTS;
    return o;
}

/* Loss = sum of output * seed, so that the outputs' gradients are the seeds. */
static PlanOptions second_of(const Iterator *it, SecondPass *s, int batch) {
    s->graph = graph_new();
    Scope m = {.graph = s->graph, .params = it->o.params};
    s->in = people_inputs(&m, batch, it->o.people->height, it->o.people->width);
    NetOutput y = net_build(it->o.net, &m, s->in.pixels, s->in.bbox_info);
    Tensor *out[OUTPUTS] = {y.pose6d, y.betas, y.cam}, *total = NULL;
    static const char *const name[OUTPUTS] = {"seed pose6d", "seed betas", "seed cam"};
    for (int k = 0; k < OUTPUTS; k++) {
        s->seed[k] = graph_input(m.graph, name[k], F32, out[k]->shape);
        Tensor *part = sum(&m, mul(&m, out[k], s->seed[k]), AXES_ALL);
        total = total ? add(&m, total, part) : part;
    }
    return (PlanOptions){.loss = total, .add_gradients = true};
}

static size_t bytes_whole(const Iterator *it) {
    Whole w = {0};
    Tensor *keep[TERMS + BODIES];
    PlanOptions o = whole_of_network(it, &w, keep);
    size_t bytes = plan_estimate(w.graph, params_backend(it->o.params), &o);
    whole_free(&w);
    return bytes;
}

static size_t bytes_second(const Iterator *it, int batch) {
    SecondPass s = {0};
    PlanOptions o = second_of(it, &s, batch);
    size_t bytes = plan_estimate(s.graph, params_backend(it->o.params), &o);
    second_free(&s);
    return bytes;
}

/* Gradients and moments come first, so that what is free afterwards is for activations. */
static Status take_slabs(const Iterator *it) {
    Params *p = it->o.params;
    if (params_gradients(p) && params_moment(p, 0) && params_moment(p, 1)) return OK;
    return fail(ERR_MEMORY,
                "no memory for gradients and moments of %zu weights; use a smaller network",
                params_slab(p));
}

/* The largest even share of the people whose activations fit. */
static Status choose_micro(Iterator *it) {
    const Backend *b = params_backend(it->o.params);
    int n = it->o.people->count;
    if (it->o.micro) {
        it->micro = it->o.micro < n ? it->o.micro : n;
        return OK;
    }
    size_t limit = it->o.max_mem ? it->o.max_mem : b->free_memory() / 4 * 3;
    size_t bytes = bytes_whole(it);
    it->micro = n;
    for (int passes = 2; limit && bytes > limit && it->micro > 1; passes *= 2) {
        it->micro = (n + passes - 1) / passes;
        bytes = bytes_second(it, it->micro);
    }
    if (!limit || bytes <= limit) return OK;
    return fail(ERR_MEMORY,
                "refining one person at a time needs %.1f MiB, %.1f MiB are allowed; raise "
                "--max-mem or use a smaller network",
                (double)bytes / 0x1p20, (double)limit / 0x1p20);
}

static Status make_two_passes(Iterator *it, const Backend *b) {
    Tensor *keep[TERMS + BODIES];
    PlanOptions o = whole_of_outputs(it, &it->whole, keep);
    TRY(plan_new(it->whole.graph, b, &o, &it->whole.plan));
    o = second_of(it, &it->second, it->micro);
    TRY(plan_new(it->second.graph, b, &o, &it->second.plan));
    it->update_graph = graph_new();
    for (int i = 0; i < params_count(it->o.params); i++)
        graph_param(it->update_graph, it->o.params, i);
    return plan_new(it->update_graph, b, &(PlanOptions){.update = &ADAMW}, &it->update);
}

static Status make_one_plan(Iterator *it, const Backend *b) {
    Tensor *keep[TERMS + BODIES];
    PlanOptions o = whole_of_network(it, &it->whole, keep);
    TRY(plan_new(it->whole.graph, b, &o, &it->whole.plan));
    people_write_inputs(it->o.people, it->whole.plan, 0, &it->whole.in);
    return OK;
}

static void run_plan(const Iterator *it, Plan *plan) {
    plan_run(plan);
    if (it->o.profile) plan_profile(plan, it->o.profile);
}

static void time_plans(const Iterator *it) {
    Plan *all[] = {it->whole.plan, it->second.plan, it->update};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) plan_time(all[i], true);
}

static Status make_plans(Iterator *it) {
    const Backend *b = params_backend(it->o.params);
    TRY(predict_new(it->o.net, it->o.params, it->micro < 8 ? it->micro : 8, &it->predictor));
    return one_plan(it) ? make_one_plan(it, b) : make_two_passes(it, b);
}

/* Memory that an estimate counted on may be gone, or in pieces: then fewer people a pass. */
static Status make_plans_that_fit(Iterator *it) {
    Status status = make_plans(it);
    while (status == ERR_MEMORY && !it->o.micro && it->micro > 1) {
        drop_plans(it);
        it->micro = (it->micro + 1) / 2;
        log_info("refine: memory is short, %d people a pass", it->micro);
        status = make_plans(it);
    }
    return status;
}

Status iterate_new(const IterateOptions *options, Iterator **out) {
    Iterator *it = calloc(1, sizeof *it);
    CHECK(it, "out of memory");
    it->o = *options;
    Status status = take_slabs(it);
    if (status == OK) status = choose_micro(it);
    if (status == OK) status = make_plans_that_fit(it);
    if (status == OK && it->o.profile) time_plans(it);
    if (status == OK)
        *out = it;
    else
        iterate_free(it);
    return status;
}

Status iterate_start(Iterator *it) {
    Prediction first;
    TRY(predict_run(it->predictor, it->o.people, &first));
    const LossTargets *t = &it->whole.targets;
    people_write_targets(it->o.people, it->whole.plan, 0, t);
    people_write(it->o.people, it->whole.plan, 0, t->pose,
                 it->o.weights->pose_as_matrices ? first.rotations : first.angles);
    people_write(it->o.people, it->whole.plan, 0, t->betas, first.betas);
    predict_result_free(&first);
    return OK;
}

static Status first_pass(Iterator *it) {
    Prediction p;
    TRY(predict_run(it->predictor, it->o.people, &p));
    const float *value[OUTPUTS] = {p.pose6d, p.betas, p.cam};
    for (int k = 0; k < OUTPUTS; k++) plan_write(it->whole.plan, it->whole.out[k], F32, value[k]);
    predict_result_free(&p);
    run_plan(it, it->whole.plan);
    return OK;
}

/* The loss's gradients at the network's outputs, for all people. */
static Status read_gradients(const Iterator *it, float *gradient[OUTPUTS]) {
    for (int k = 0; k < OUTPUTS; k++) {
        const Tensor *all = it->whole.out[k];
        gradient[k] = malloc(shape_size(all->shape) * sizeof *gradient[k] + 1);
        if (!gradient[k])
            return fail(ERR_MEMORY, "no memory for the gradients of %d people", all->shape.n);
        plan_read_gradient(it->whole.plan, all, F32, gradient[k]);
    }
    return OK;
}

/* Those at output k for people first .. first + micro - 1; 0 beyond the last. */
static Status write_seed(const Iterator *it, int k, int first, const float *gradient) {
    const Tensor *seed = it->second.seed[k];
    size_t row = shape_size(seed->shape) / (size_t)seed->shape.n;
    int n = it->o.people->count, rows = n - first < it->micro ? n - first : it->micro;
    float *some = calloc(shape_size(seed->shape), sizeof *some);
    if (!some) return fail(ERR_MEMORY, "no memory for the gradients of %d people", n);
    memcpy(some, gradient + (size_t)first * row, (size_t)rows * row * sizeof *some);
    plan_write(it->second.plan, seed, F32, some);
    free(some);
    return OK;
}

/* Nothing is read between the passes, so the inputs of one go over while the one before computes.
 */
static Status run_second(Iterator *it, float *const gradient[OUTPUTS]) {
    for (int first = 0; first < it->o.people->count; first += it->micro) {
        people_write_inputs(it->o.people, it->second.plan, first, &it->second.in);
        for (int k = 0; k < OUTPUTS; k++) TRY(write_seed(it, k, first, gradient[k]));
        run_plan(it, it->second.plan);
    }
    return OK;
}

static Status second_pass(Iterator *it) {
    float *gradient[OUTPUTS] = {0};
    params_zero_gradients(it->o.params);
    Status status = read_gradients(it, gradient);
    if (status == OK) status = run_second(it, gradient);
    for (int k = 0; k < OUTPUTS; k++) free(gradient[k]);
    return status;
}

static Status run_passes(Iterator *it, const PlanHyper *hyper) {
    if (one_plan(it)) {
        run_plan(it, it->whole.plan);
        return OK;
    }
    TRY(first_pass(it));
    TRY(second_pass(it));
    plan_hyper(it->update, hyper->learning_rate, hyper->weight_decay, hyper->step);
    run_plan(it, it->update);
    return OK;
}

Status iterate_several(Iterator *it, const PlanHyper *hyper, int count, IterateTerms *terms) {
    double history[ITERATE_ROWS][TERMS];
    plan_schedule(it->whole.plan, hyper, count);
    for (int i = 0; i < count; i++) TRY(run_passes(it, &hyper[i]));
    plan_history(it->whole.plan, count, history[0]);
    for (int i = 0; i < count; i++) {
        const double *v = history[i];
        terms[i] = (IterateTerms){v[0], v[1], v[2], v[3], v[4]};
    }
    return OK;
}

Status iterate_bodies(const Iterator *it, IterateBodies *out) {
    float *value[BODIES] = {0};
    Status status = OK;
    for (int k = 0; k < BODIES; k++) {
        const Tensor *t = it->whole.body[k];
        value[k] = malloc(shape_size(t->shape) * sizeof(float) + 1);
        if (value[k])
            plan_read(it->whole.plan, t, F32, value[k]);
        else
            status = fail(ERR_MEMORY, "no memory for the results of %d people", t->shape.n);
    }
    *out = (IterateBodies){value[0], value[1], value[2], value[3],
                           value[4], value[5], value[6], value[7]};
    if (status != OK) iterate_bodies_free(out);
    return status;
}

void iterate_bodies_free(IterateBodies *b) {
    float *all[] = {b->angles, b->betas,          b->cam,        b->trans,
                    b->joints, b->each_keypoints, b->each_betas, b->each_pose};
    for (size_t k = 0; k < BODIES; k++) free(all[k]);
    *b = (IterateBodies){0};
}
