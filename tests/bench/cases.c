#include "tests/bench/cases.h"

#include "crowdrec/losses.h"
#include "nets/net.h"
#include "smpl/procedural.h"
#include "tensor/rng.h"

#include <stdlib.h>
#include <string.h>

static const size_t ADAMW_NUMBERS = 78893405; /* what learns in the mesh net */

static float *numbers(size_t n, float low, float high) {
    float *values = malloc(n * sizeof *values);
    CHECK(values, "no memory for %zu numbers", n);
    for (size_t i = 0; i < n; i++) values[i] = low + (high - low) * rng_uniform(1, i);
    return values;
}

static void fill_input(Plan *plan, const Tensor *input, float low, float high) {
    float *values = numbers(shape_size(input->shape), low, high);
    plan_write(plan, input, F32, values);
    free(values);
}

Status cases_open(const Backend **out) {
    return backend_open(&(BackendChoice){.device = getenv("CROWDREC_DEVICE") ? NULL : "cpu"}, out);
}

typedef struct {
    Plan *plan;
    const Backend *backend;
} PlanRun;

static void run_plan(void *context) {
    const PlanRun *run = context;
    plan_run(run->plan);
    run->backend->sync();
}

static Work work_of(Plan *plan, const Backend *backend) {
    static PlanRun run;
    run = (PlanRun){plan, backend};
    return (Work){run_plan, &run, plan, plan_flops(plan), 0};
}

static const UpdateAttr ADAMW = {.kind = UPDATE_ADAMW};

/* A network's output, the gradient of the output's mean for all parameters, and an update. */
static Status net_case(const Case *c, Work *out) {
    const Backend *b;
    NetSpec spec;
    Params *params;
    TRY(cases_open(&b));
    TRY(net_open(c->net, b, &spec, &params));
    Graph *g = graph_new();
    Scope m = {.graph = g, .params = params};
    Tensor *x = graph_input(g, "input", F32, (Shape){c->n, c->height, c->width, 3});
    NetOutput y = net_build(&spec, &m, x, NULL);
    Tensor *result = y.feature ? y.feature : y.raw;
    PlanOptions options = {.keep = &result, .keeps = 1};
    if (c->pass != FORWARD) options.loss = mean(&m, result, AXES_ALL);
    if (c->pass == STEP) options.update = &ADAMW;
    Plan *plan;
    TRY(plan_new(g, b, &options, &plan));
    if (c->pass == STEP) plan_hyper(plan, 1e-5, 0.01, 1);
    fill_input(plan, x, 0, 1);
    *out = work_of(plan, b);
    return OK;
}

/* All vertices of n people, or the gradient of their Halpe joints' mean for pose and shape. */
static Status body_case(const Case *c, Work *out) {
    const Backend *b;
    Body *body;
    TRY(cases_open(&b));
    TRY(procedural_body(&body));
    Graph *g = graph_new();
    Scope m = {.graph = g};
    Tensor *pose = graph_input(g, "pose", F32, (Shape){c->n, 1, BODY_JOINTS, 9});
    Tensor *betas = graph_input(g, "betas", F32, (Shape){c->n, 1, 1, BODY_BETAS});
    Tensor *points = c->pass != FORWARD ? body_halpe(&m, body, pose, betas)
                                        : body_vertices(&m, body, pose, betas);
    PlanOptions options = {.keep = &points, .keeps = 1};
    Tensor *inputs[] = {pose, betas};
    if (c->pass != FORWARD) {
        options.loss = mean(&m, points, AXES_ALL);
        options.wrt = inputs;
        options.wrts = 2;
    }
    Plan *plan;
    TRY(plan_new(g, b, &options, &plan));
    fill_input(plan, pose, -1, 1);
    fill_input(plan, betas, -1, 1);
    *out = work_of(plan, b);
    return OK;
}

/* What the losses compare with: made-up people 200 pixels high in a photo of 1920x1080. */
static void fill_targets(Plan *plan, const LossTargets *t) {
    const float box[] = {960, 540, 200, 1920, 1080, 2203}, intrinsics[] = {2203, 960, 540};
    const struct {
        const Tensor *input;
        const float *row;
    } equal[] = {
        {t->box, box}, {t->intrinsics, intrinsics}, {t->center, box}, {t->height, box + 2}};
    for (size_t i = 0; i < sizeof equal / sizeof *equal; i++) {
        size_t size = shape_size(equal[i].input->shape), row = (size_t)equal[i].input->shape.c;
        float *values = numbers(size, 0, 0);
        for (size_t k = 0; k < size; k++) values[k] = equal[i].row[k % row];
        plan_write(plan, equal[i].input, F32, values);
        free(values);
    }
    fill_input(plan, t->keypoints, -0.5f, 0.5f);
    fill_input(plan, t->confidence, 0, 1);
    fill_input(plan, t->pose, -0.5f, 0.5f);
    fill_input(plan, t->betas, -1, 1);
}

static const LossWeights PAPER = {
    .crowd = 0.001, .keypoints = 5, .betas = 0.001, .pose = 5, .overall = 1};

static LossTerms add_losses(const Scope *m, int n, const Body *body, const LossPrediction *p,
                            LossTargets *t) {
    *t = losses_targets(m, n, false);
    LossBodies b = losses_bodies(m, body, p, t);
    return losses_build(m, &PAPER, &b, p->betas, t);
}

/* From the network's outputs to the loss of equation 9, and the outputs' gradient. */
static Status losses_case(const Case *c, Work *out) {
    const Backend *b;
    Body *body;
    TRY(cases_open(&b));
    TRY(procedural_body(&body));
    Graph *g = graph_new();
    Scope m = {.graph = g};
    LossPrediction p = {graph_input(g, "pose6d", F32, (Shape){c->n, 1, BODY_JOINTS, 6}),
                        graph_input(g, "betas", F32, (Shape){c->n, 1, 1, BODY_BETAS}),
                        graph_input(g, "cam", F32, (Shape){c->n, 1, 1, 3})};
    LossTargets t;
    Tensor *outputs[] = {p.pose6d, p.betas, p.cam};
    PlanOptions options = {.wrt = outputs, .wrts = 3};
    options.loss = add_losses(&m, c->n, body, &p, &t).total;
    Plan *plan;
    TRY(plan_new(g, b, &options, &plan));
    fill_targets(plan, &t);
    fill_input(plan, p.pose6d, -1, 1);
    fill_input(plan, p.betas, -1, 1);
    fill_input(plan, p.cam, 0.8f, 1);
    *out = work_of(plan, b);
    return OK;
}

/* One whole iteration of a refinement: network, losses, gradients, AdamW. */
static Status iteration_case(const Case *c, Work *out) {
    const Backend *b;
    Body *body;
    NetSpec spec;
    Params *params;
    TRY(cases_open(&b));
    TRY(procedural_body(&body));
    TRY(net_open(c->net, b, &spec, &params));
    Graph *g = graph_new();
    Scope m = {.graph = g, .params = params};
    Tensor *x = graph_input(g, "input", F32, (Shape){c->n, c->height, c->width, 3});
    Tensor *place = graph_input(g, "bbox_info", F32, (Shape){c->n, 1, 1, 3});
    NetOutput y = net_build(&spec, &m, x, place);
    LossTargets t;
    LossPrediction p = {y.pose6d, y.betas, y.cam};
    PlanOptions options = {.update = &ADAMW};
    options.loss = add_losses(&m, c->n, body, &p, &t).total;
    Plan *plan;
    TRY(plan_new(g, b, &options, &plan));
    plan_hyper(plan, 1e-5, 0.01, 1);
    fill_targets(plan, &t);
    fill_input(plan, x, -1, 1);
    fill_input(plan, place, -1, 1);
    *out = work_of(plan, b);
    return OK;
}

/* A finer map plus a coarser one enlarged to it, as HRNet's branches meet. */
static Status upsample_case(const Case *c, Work *out) {
    const Backend *b;
    TRY(cases_open(&b));
    Graph *g = graph_new();
    Scope m = {.graph = g};
    Tensor *fine = graph_input(g, "fine", F32, (Shape){c->n, c->height, c->width, 48});
    Tensor *coarse = graph_input(g, "coarse", F32, (Shape){c->n, c->height / 2, c->width / 2, 48});
    Tensor *y = add(&m, fine, upsample(&m, coarse, 2));
    Plan *plan;
    TRY(plan_new(g, b, &(PlanOptions){.keep = &y, .keeps = 1}, &plan));
    fill_input(plan, fine, -1, 1);
    fill_input(plan, coarse, -1, 1);
    *out = work_of(plan, b);
    out->bytes = sizeof(float) * (2.25 * (double)shape_size(y->shape));
    return OK;
}

typedef struct {
    Call call;
    const Backend *backend;
} UpdateRun;

static void run_update(void *context) {
    const UpdateRun *run = context;
    run->backend->op[OP_update].forward(&run->call);
    run->backend->sync();
}

static Status on_device(const Backend *b, float *values, size_t n, Tensor *out) {
    *out = (Tensor){.shape = {1, 1, 1, (int)n}, .data = b->alloc(n * sizeof *values)};
    if (!out->data) return fail(ERR_MEMORY, "%s: no memory for %zu numbers", b->name, n);
    b->write(out->data, values, n * sizeof *values);
    free(values);
    return OK;
}

/* One AdamW step over as many numbers as the mesh net has. */
static Status adamw_case(const Case *c, Work *out) {
    (void)c;
    static UpdateRange all = {0, 0};
    all.size = ADAMW_NUMBERS;
    static UpdateAttr attr = {.kind = UPDATE_ADAMW, .ranges = 1, .range = &all};
    static UpdateRun run = {.call = {.attr = &attr}};
    const Backend *b;
    TRY(cases_open(&b));
    run.backend = b;
    for (int i = 0; i < 4; i++)
        TRY(on_device(b, numbers(ADAMW_NUMBERS, i < 2 ? -1.f : 0.f, 1.f), ADAMW_NUMBERS,
                      &run.call.in[i]));
    float *hyper = numbers(4, 0, 0);
    memcpy(hyper, (const float[]){1e-5f, 0.01f, 1, 0}, 4 * sizeof *hyper);
    TRY(on_device(b, hyper, 4, &run.call.in[4]));
    /* Reads weight, gradient, m, v; writes weight, m, v. */
    *out = (Work){run_update, &run, NULL, 0, 7.0 * sizeof(float) * (double)ADAMW_NUMBERS};
    return OK;
}

#define HRNET net_case, "rule:hrnet_w48:1"
static const Case CASES[] = {
    {"hrnet_w48 forward n=1", HRNET, 1, 256, 192, FORWARD, false},
    {"hrnet_w48 forward n=8", HRNET, 8, 256, 192, FORWARD, false},
    {"hrnet_w48 forward+backward n=1", HRNET, 1, 256, 192, BACKWARD, false},
    {"hrnet_w48 forward+backward n=8", HRNET, 8, 256, 192, BACKWARD, false},
    {"hrnet_w48 forward+backward n=50", HRNET, 50, 256, 192, BACKWARD, true},
    {"hrnet_w48 forward n=50", HRNET, 50, 256, 192, FORWARD, true},
    {"hrnet_w48 refinement step n=8", HRNET, 8, 256, 192, STEP, true},
    {"hrnet_w48 refinement step n=50", HRNET, 50, 256, 192, STEP, true},
    {"yolox_x 800x1440 forward n=1", net_case, "rule:yolox_x:1", 1, 800, 1440, FORWARD, true},
    {"yolox_x 640 forward n=1", net_case, "rule:yolox_x:1", 1, 640, 640, FORWARD, false},
    {"fastpose forward n=8", net_case, "rule:fastpose_res50_halpe26:1", 8, 256, 192, FORWARD,
     false},
    {"smpl joints forward+backward n=50", body_case, NULL, 50, 0, 0, BACKWARD, false},
    {"smpl vertices forward n=50", body_case, NULL, 50, 0, 0, FORWARD, false},
    {"body and losses forward+backward n=50", losses_case, NULL, 50, 0, 0, BACKWARD, false},
    {"refinement iteration n=8", iteration_case, "rule:cliff_hr48:1", 8, 256, 192, STEP, false},
    {"refinement iteration n=50", iteration_case, "rule:cliff_hr48:1", 50, 256, 192, STEP, true},
    {"upsample+add n=8", upsample_case, NULL, 8, 64, 48, FORWARD, false},
    {"adamw 79M", adamw_case, NULL, 0, 0, 0, FORWARD, false},
};

const Case *cases_at(int i) { return i < (int)(sizeof CASES / sizeof *CASES) ? &CASES[i] : NULL; }

const Case *cases_find(const char *name) {
    for (int i = 0; cases_at(i); i++)
        if (!strcmp(cases_at(i)->name, name)) return cases_at(i);
    return NULL;
}
