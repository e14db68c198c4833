#include "crowdrec/train.h"

#include "autograd/schedule.h"
#include "crowdrec/defaults.h"
#include "crowdrec/output.h"
#include "crowdrec/traindetect.h"
#include "crowdrec/trainlog.h"
#include "crowdrec/trainload.h"
#include "crowdrec/trainmesh.h"
#include "crowdrec/trainpose.h"
#include "crowdrec/trainsave.h"
#include "nets/backbone.h"
#include "nets/init.h"
#include "nets/rule.h"
#include "tensor/file.h"
#include "tensor/log.h"
#include "tensor/seconds.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is chosen for whom ---- */

typedef struct {
    int batch, epochs, warmup;
    const char *optimizer;
    double rate, min_share, decay, clip, ema;
} Usual;

/* Pose: HRNet's (Sun et al. 2019).  Mesh: the paper's, section 2.3.  Detector: YOLOX's (Ge et al.
 * 2021), whose rate is per 64 photos. */
static const Usual usual[] = {
    [CROWDREC_TRAIN_POSE] = {32, 210, 100, "adam", 1e-3, 0.01, 0, 0, 0.9998},
    [CROWDREC_TRAIN_MESH] = {32, 105, 100, "adam", 1e-4, 0.1, 0, 1, 0.9998},
    [CROWDREC_TRAIN_DETECTOR] = {8, 300, 500, "sgd", 0.01 / 8, 0.05, 5e-4, 0, 0.9998},
};

/* What the program's own options cannot be, and a caller's can. */
static Status check_ranges(const TrainOptions *o) {
    const struct {
        const char *name;
        int value, least, most;
    } range[] = {
        {"task", (int)o->task, 0, CROWDREC_TRAIN_DETECTOR},
        {"sets", o->sets, 0, CROWDREC_DATA_SETS},
        {"batch", o->batch, 0, 4096},
        {"accumulate", o->accumulate, 0, 65536},
        {"steps", o->steps, 0, INT_MAX},
        {"epochs", o->epochs, 0, INT_MAX},
        {"workers", o->workers, 0, 1024},
        {"validate", o->validate, 0, INT_MAX},
        {"overfit", o->overfit, 0, INT_MAX},
        {"reach", o->reach, 0, 100},
        {"seed", o->seed, 0, INT_MAX},
    };
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (range[i].value < range[i].least || range[i].value > range[i].most)
            return fail(ERR_USAGE, "%s: %d is outside %d to %d", range[i].name, range[i].value,
                        range[i].least, range[i].most);
    const double *w = o->loss_weights;
    const struct {
        const char *name;
        double value;
    } number[] = {
        {"rate", o->rate},
        {"min_rate", o->min_rate},
        {"decay", o->decay},
        {"momentum", o->momentum},
        {"clip", o->clip},
        {"ema", o->ema},
        {"rotate", o->rotate},
        {"scale", o->scale},
        {"jitter", o->jitter},
        {"colour", o->colour},
        {"armless", o->armless},
        {"emphasis", o->emphasis},
        {"time_limit", o->time_limit},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (isnan(number[i].value)) return fail(ERR_USAGE, "%s: is no number", number[i].name);
    for (int i = 0; i < 5; i++)
        if (!(w[i] >= 0)) return fail(ERR_USAGE, "loss_weights: %g, expected 0 or more", w[i]);
    return OK;
}

static Status check_together(const TrainOptions *o) {
    if (o->weights && o->backbone)
        return fail(ERR_USAGE, "--weights and --backbone exclude each other");
    if (o->weights && (o->net || o->mean))
        return fail(ERR_USAGE, "--weights and %s: the weights say that already, give one",
                    o->net ? "--net" : "--mean");
    if (o->steps && o->epochs) return fail(ERR_USAGE, "--steps and --epochs exclude each other");
    if (!o->output) return fail(ERR_USAGE, "--output is needed: the folder for the results");
    return OK;
}

Status train_fill(const TrainOptions *given, TrainOptions *o) {
    TRY(check_ranges(given));
    TRY(check_together(given));
    const Usual *u = &usual[given->task];
    *o = *given;
    if (!o->batch) o->batch = u->batch;
    if (!o->accumulate) o->accumulate = 1;
    if (!o->workers) o->workers = 2;
    if (!o->optimizer) o->optimizer = u->optimizer;
    if (!o->steps && !o->epochs && !(o->time_limit > 0)) o->epochs = u->epochs;
    o->rate = defaults_value(o->rate, u->rate);
    o->min_rate = defaults_value(o->min_rate, u->min_share * o->rate);
    o->decay = defaults_value(o->decay, u->decay);
    o->momentum = defaults_value(o->momentum, 0.9);
    o->clip = defaults_value(o->clip, u->clip);
    o->ema = defaults_value(o->ema, u->ema);
    o->warmup = (int)defaults_value(o->warmup, u->warmup);
    o->rotate = defaults_value(o->rotate, 30);
    o->scale = defaults_value(o->scale, 0.25);
    o->jitter = defaults_value(o->jitter, 0.05);
    o->colour = defaults_value(o->colour, 0.2);
    o->emphasis = defaults_value(o->emphasis, 30);
    o->vertices = (int)defaults_value(o->vertices, 128);
    return OK;
}

/* The network in a file, which must bring all of it before memory is taken for it. */
static Status identify(const char *path, NetSpec *out) {
    ArrayFile f;
    TRY(file_load(path, &f));
    Params *declared = params_new(&backend_cpu);
    Status status = net_declare_file(&f, out, declared);
    params_free(declared);
    array_file_free(&f);
    return status == OK ? OK : error_prefix(status, "%s", path);
}

/* A training that goes on stays what it was. */
static Status check_same(const TrainOptions *o, const NetSpec *was) {
    NetSpec asked;
    if (!o->resume) return OK;
    if (o->net) {
        TRY(net_spec(o->net, &asked));
        if (!net_same(&asked, was))
            return fail(ERR_USAGE, "--resume: the training in %s is of %s, not of %s", o->output,
                        was->name, asked.name);
    }
    if (!o->input_size[0] || (o->input_size[0] == was->height && o->input_size[1] == was->width))
        return OK;
    return fail(ERR_USAGE, "--resume: the training in %s is for %dx%d, not for %dx%d", o->output,
                was->height, was->width, o->input_size[0], o->input_size[1]);
}

Status train_spec(const TrainOptions *options, NetKind kind, const char *small, NetSpec *out) {
    char last[FILE_PATH];
    const char *file = options->weights;
    TRY(file_join(options->output, "last.safetensors", last));
    if (options->resume) file = last;
    if (file && !rule_is(file)) {
        TRY(identify(file, out));
    } else if (file) {
        Rule rule;
        TRY(rule_parse(file, out, &rule));
    } else
        TRY(net_spec(options->net ? options->net : small, out));
    if (out->kind != kind)
        return fail(ERR_USAGE, "%s: %s is no network of this task; %s is one",
                    file ? file : "--net", out->name, small);
    TRY(check_same(options, out));
    if (options->input_size[0])
        out->height = options->input_size[0], out->width = options->input_size[1];
    return net_check_input(out, (Shape){1, out->height, out->width, 3});
}

/* ---- a run ---- */

enum { LEAST_STEPS = 100 }; /* between validations, when --validate does not say */

typedef struct {
    TrainTask *task;
    TrainOptions o;
    Trainer *trainer;
    TrainLoader *loader;
    TrainLog log;
    TrainState state;
    int total;       /* steps; 0: as many as fit into the time */
    int every;       /* steps between validations */
    int first;       /* steps of the runs that this one goes on from */
    int saved;       /* step of last.safetensors, -1: there is none */
    double before;   /* their seconds */
    double begun;    /* clock at the start */
    double waited;   /* seconds for data since begun */
    double told;     /* clock of the latest line on the log */
    const char *end; /* why it ended, NULL: it has not */
} Run;

/* Of a file beside last.safetensors, whose path was found short enough. */
static char *path_of(const Run *r, const char *name, char path[FILE_PATH]) {
    snprintf(path, FILE_PATH, "%s/%s", r->o.output, name);
    return path;
}

static Status choose_update(const TrainOptions *o, UpdateAttr *out) {
    static const char *const name[] = {
        [UPDATE_ADAMW] = "adamw", [UPDATE_ADAM] = "adam", [UPDATE_SGD] = "sgd"};
    for (int kind = UPDATE_ADAMW; kind <= UPDATE_SGD; kind++) {
        if (strcmp(o->optimizer, name[kind])) continue;
        *out = (UpdateAttr){.kind = (UpdateKind)kind,
                            .momentum = (float)o->momentum,
                            .nesterov = o->momentum > 0,
                            .clip = o->clip > 0 ? (float)o->clip : INFINITY};
        return OK;
    }
    return fail(ERR_USAGE, "--optimizer: '%s' is not adam, adamw or sgd", o->optimizer);
}

static Status take_backbone(const Run *r) {
    int taken;
    TRY(backbone_load(r->o.backbone, r->trainer->params, &taken));
    log_info("train: %d of %d arrays begin as in %s", taken, params_count(r->trainer->params),
             r->o.backbone);
    return OK;
}

static Status fresh_start(Run *r) {
    Trainer *t = r->trainer;
    r->state = (TrainState){.seed = (uint64_t)r->o.seed, .best = NAN};
    if (r->o.weights) {
        NetSpec spec;
        Params *from;
        TRY(net_open(r->o.weights, &backend_cpu, &spec, &from));
        ArrayFile arrays = params_arrays(from);
        Status status = params_load(t->params, &arrays, "");
        array_file_free(&arrays);
        params_free(from);
        TRY(status);
    } else {
        init_fill(&t->spec, r->state.seed, t->params);
        if (r->o.backbone) TRY(take_backbone(r));
        if (r->task->start) TRY(r->task->start(r->task->self, t->params));
    }
    return trainer_average_reset(t);
}

static Status start(Run *r) {
    char path[FILE_PATH];
    if (r->o.resume) {
        TRY(trainsave_read(path_of(r, "last.safetensors", path), r->trainer, &r->state));
        log_info("train: goes on after step %d", r->state.step);
    } else
        TRY(fresh_start(r));
    r->trainer->seed = r->state.seed;
    r->first = r->state.step;
    r->saved = r->o.resume ? r->state.step : -1;
    r->before = r->state.seconds;
    return OK;
}

static Status open_trainer(Run *r) {
    TrainerOptions o = {
        .batch = r->o.batch, .passes = r->o.accumulate, .ema = r->o.ema, .freeze = r->o.freeze};
    BackendChoice choice = {.device = r->o.device,
                            .precision = r->o.precision,
                            .deterministic = r->o.deterministic,
                            .tune = r->o.tune};
    TRY(choose_update(&r->o, &o.update));
    TRY(backend_open(&choice, &o.backend));
    return trainer_new(r->task, &o, &r->trainer);
}

static int samples_of_step(const Run *r) { return r->o.batch * r->o.accumulate; }

static double elapsed(const Run *r) { return seconds_now() - r->begun; }

/* With the runs that this one goes on from. */
static double seconds_of(const Run *r) { return r->before + elapsed(r); }

static double share_done(const Run *r) {
    if (r->total) return (double)r->trainer->step / r->total;
    double share = seconds_of(r) / r->o.time_limit;
    return share < 1 ? share : 1;
}

static Status open_loader(Run *r) {
    TrainLoad load = {.batch = r->o.batch,
                      .workers = r->o.workers,
                      .overfit = r->o.overfit,
                      .seed = r->state.seed,
                      .first = r->state.samples,
                      .samples = (double)r->total * samples_of_step(r),
                      .progress = share_done(r)};
    return trainload_new(r->task, &r->trainer->graph, &load, &r->loader);
}

/* Nothing of an earlier training is overwritten. */
static Status take_folder(const Run *r) {
    char path[FILE_PATH];
    if (!r->o.resume && !access(path_of(r, "last.safetensors", path), F_OK))
        return fail(
            ERR_USAGE,
            "%s: a training is there; --resume goes on with it, another --output starts anew",
            path);
    return output_prepare(r->o.output);
}

static Status prepare(Run *r) {
    char path[FILE_PATH];
    if (r->task->samples < 1) return fail(ERR_INPUT, "the sets have no usable sample");
    TRY(take_folder(r));
    TRY(open_trainer(r));
    TRY(start(r));
    int epoch = (r->task->samples + samples_of_step(r) - 1) / samples_of_step(r);
    if (r->o.epochs > INT_MAX / epoch)
        return fail(ERR_USAGE, "--epochs: %d of %d steps are more than %d steps", r->o.epochs,
                    epoch, INT_MAX);
    r->total = r->o.steps ? r->o.steps : r->o.epochs * epoch;
    r->every = r->o.validate ? r->o.validate : epoch < LEAST_STEPS ? LEAST_STEPS : epoch;
    path_of(r, "log.jsonl", path);
    TRY(trainlog_open(path, r->state.step, r->state.validated, &r->log));
    r->begun = r->told = seconds_now();
    TRY(open_loader(r));
    log_info("train: %s %d x %d, %zu weights, %d samples an epoch", r->task->spec.name,
             r->task->spec.height, r->task->spec.width, params_learned(r->trainer->params),
             r->task->samples);
    return OK;
}

static double rate_of(const Run *r) {
    enum { FINE = 1 << 24 };
    Schedule s = {.kind = SCHEDULE_COSINE,
                  .rate = r->o.rate,
                  .min_rate = r->o.min_rate,
                  .period = r->total ? r->total : FINE};
    int step = r->trainer->step;
    double rate = schedule_at(&s, r->total ? step : (int)(share_done(r) * FINE)).rate;
    return step < r->o.warmup ? rate * (step + 1) / r->o.warmup : rate;
}

/* ---- checkpoints ---- */

static bool is_better(const TrainMetrics *m, double best) {
    if (isnan(best)) return true;
    return m->smaller_is_better ? m->value[0] < best : m->value[0] > best;
}

static Status write_best(Run *r, const TrainMetrics *m) {
    char path[FILE_PATH], recipe[256];
    snprintf(recipe, sizeof recipe, "crowdrec train, %d steps of %d samples%s%s", r->trainer->step,
             samples_of_step(r), m->count ? ", " : "", m->count ? m->name[0] : "");
    size_t length = strlen(recipe);
    if (m->count) snprintf(recipe + length, sizeof recipe - length, " %.4g", m->value[0]);
    r->state.best = m->count ? m->value[0] : NAN;
    return trainsave_weights(path_of(r, "best.safetensors", path), r->trainer, recipe);
}

static void tell_metrics(const Run *r, const TrainMetrics *m) {
    char text[512] = "";
    if (r->trainer->step > r->first) snprintf(text, sizeof text, ", loss %.5g", r->trainer->loss);
    for (int i = 0; i < m->count; i++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, ", %s %.4g", m->name[i], m->value[i]);
    }
    log_info("train: step %d%s", r->trainer->step, text);
}

/* What --resume goes on from.  Without a validation the latest weights are the best. */
static Status save(Run *r) {
    char path[FILE_PATH];
    if (!r->task->validate) TRY(write_best(r, &(TrainMetrics){.count = 0}));
    r->state.step = r->trainer->step;
    r->state.seconds = seconds_of(r);
    TRY(trainlog_curves(&r->log, path_of(r, "curves.svg", path)));
    TRY(trainsave_write(path_of(r, "last.safetensors", path), r->trainer, &r->state));
    r->saved = r->trainer->step;
    return OK;
}

static Status validate(Run *r) {
    TrainMetrics m = {0};
    TRY(r->task->validate(r->task->self, r->trainer->average, &m));
    if (m.count) trainlog_metrics(&r->log, r->trainer->step, &m);
    tell_metrics(r, &m);
    if (m.count && is_better(&m, r->state.best)) TRY(write_best(r, &m));
    r->state.validated = r->trainer->step;
    return save(r);
}

/* Saved first, so that a validation that fails costs no step. */
static Status checkpoint(Run *r) {
    TRY(save(r));
    if (r->task->validate) return validate(r);
    tell_metrics(r, &(TrainMetrics){.count = 0});
    return OK;
}

/* Whether a checkpoint belongs here that was not made: regularly, and where the training is done.
 */
static bool is_due(const Run *r) {
    int step = r->trainer->step, made = r->task->validate ? r->state.validated : r->saved;
    bool done = r->total ? step >= r->total : r->end != NULL;
    return step && step != made && (done || step % r->every == 0);
}

/* ---- steps ---- */

static void tell_progress(Run *r, double seconds, double waited) {
    int step = r->trainer->step;
    double done = seconds_of(r), share = share_done(r);
    double left = share > 0 ? done / share - done : 0;
    log_progress("train: step %d%s%.0d, loss %.4g, %.0f samples/s, %.0f%% waiting for data, %.0f "
                 "min left",
                 step, r->total ? " of " : "", r->total, r->trainer->loss,
                 samples_of_step(r) / seconds, 100 * waited / seconds, left / 60);
    if (seconds_now() - r->told < 60) return;
    r->told = seconds_now();
    log_info("train: step %d%s%.0d, loss %.4g, %.1f samples/s, %.0f min left", step,
             r->total ? " of " : "", r->total, r->trainer->loss, samples_of_step(r) / seconds,
             left / 60);
}

/* A photo that cannot be read does not cost the steps that were made.  Once passes of the next one
 * have moved running statistics, the latest checkpoint stays instead. */
static Status keep_steps(Run *r, int passes, Status status) {
    char reason[1024];
    snprintf(reason, sizeof reason, "%s", error_reason());
    bool saved = passes ? r->saved > 0 : r->trainer->step && save(r) == OK;
    if (!saved) return fail(status, "%s", reason);
    return fail(status, "%s; --resume goes on after step %d", reason, r->saved);
}

static Status one_step(Run *r) {
    double start = seconds_now(), waited = 0, rate = rate_of(r);
    for (int pass = 0; pass < r->o.accumulate; pass++) {
        void *const *input;
        double asked = seconds_now();
        Status status = trainload_next(r->loader, &input);
        if (status != OK) return keep_steps(r, pass, status);
        waited += seconds_now() - asked;
        TRY(trainer_pass(r->trainer, input));
        trainload_done(r->loader);
    }
    TRY(trainer_step(r->trainer, rate, r->o.decay));
    double seconds = seconds_now() - start;
    r->state.samples += (uint64_t)samples_of_step(r);
    r->waited += waited;
    trainlog_step(&r->log, r->trainer, rate, seconds, waited);
    trainload_progress(r->loader, share_done(r));
    tell_progress(r, seconds, waited);
    return OK;
}

/* Why the training ends now, or NULL.  Where steps give its length, each run has the time anew. */
static const char *end_of(const Run *r) {
    double seconds = r->total ? elapsed(r) : seconds_of(r);
    if (r->o.interrupted && *r->o.interrupted) return "interrupted";
    if (r->total && r->trainer->step >= r->total) return "steps";
    if (r->o.time_limit > 0 && seconds >= r->o.time_limit) return "time limit";
    return NULL;
}

/* An interrupt is answered at once: what was due then is made up for by the run that goes on. */
static Status loop(Run *r) {
    CHECK(r->trainer, "a training that was prepared has no trainer");
    while (!(r->end = end_of(r))) TRY(is_due(r) ? checkpoint(r) : one_step(r));
    log_progress_end();
    if (strcmp(r->end, "interrupted") && is_due(r)) return checkpoint(r);
    return r->trainer->step == r->saved ? OK : save(r);
}

static void report_end(const Run *r, FILE *report) {
    double seconds = elapsed(r) - 1e-9;
    if (!report) return;
    fprintf(report, "%s: %d steps, ended %s", r->o.output, r->trainer->step, r->end);
    if (r->trainer->step > r->first)
        fprintf(report, ", loss %.5g, %.0f%% waiting for data", r->trainer->loss,
                100 * r->waited / (seconds > r->waited ? seconds : r->waited + 1e-9));
    if (!isnan(r->state.best)) fprintf(report, ", best %.4g", r->state.best);
    fputc('\n', report);
}

Status train_run(TrainTask *task, const TrainOptions *options, FILE *report) {
    Run r = {.task = task, .o = *options};
    Status status = prepare(&r);
    if (status == OK) status = loop(&r);
    trainload_free(r.loader);
    if (status == OK) report_end(&r, report);
    Status closed = trainlog_close(&r.log);
    trainer_free(r.trainer);
    if (status != OK) return status;
    if (!strcmp(r.end, "interrupted"))
        return fail(ERR_INTERRUPTED, "interrupted; --resume goes on from the checkpoint in %s",
                    options->output);
    return closed;
}

Status train(const TrainOptions *given, FILE *report) {
    TrainTask task = {0};
    TrainOptions o;
    TRY(train_fill(given, &o));
    switch (o.task) {
    case CROWDREC_TRAIN_POSE: TRY(trainpose_open(&o, &task)); break;
    case CROWDREC_TRAIN_MESH: TRY(trainmesh_open(&o, &task)); break;
    case CROWDREC_TRAIN_DETECTOR: TRY(traindetect_open(&o, &task)); break;
    }
    Status status = train_run(&task, &o, report);
    task.close(task.self);
    return status;
}
