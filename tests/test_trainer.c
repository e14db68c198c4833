/* Training: what the loop, the loader, the checkpoints and the pose and mesh tasks promise. */
#include "tests/madeset.h"
#include "tests/support.h"

#include "crowdrec/augment.h"
#include "crowdrec/trainload.h"
#include "crowdrec/trainmesh.h"
#include "crowdrec/trainpose.h"
#include "crowdrec/trainsave.h"
#include "nets/init.h"
#include "smpl/joints.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PEOPLE = 4 };

static void must(Status status) {
    if (status != OK) fail_msg("%s", error_reason());
}

/* A folder below the program's own. */
static const char *folder_of(const char *name) {
    const char *folder = support_in_folder(name);
    must(file_make_folder(folder));
    return folder;
}

/* One set for all tests. */
static const char *the_set(void) {
    static const char *folder;
    if (!folder) {
        folder = folder_of("set");
        madeset_write(folder, PEOPLE);
    }
    return folder;
}

static char *join(const char *folder, const char *name, char path[512]) {
    snprintf(path, 512, "%s/%s", folder, name);
    return path;
}

/* Without augmentation, average and warm-up. */
static TrainOptions options_of(CrowdrecTrainTask task, const char *output) {
    return (TrainOptions){.task = task,
                          .output = output,
                          .data = {the_set()},
                          .sets = 1,
                          .body = support_in_folder("set/body.npz"),
                          .input_size = {64, 64},
                          .batch = PEOPLE,
                          .validate = 1000,
                          .rate = 2e-3,
                          .rotate = -1,
                          .scale = -1,
                          .jitter = -1,
                          .colour = -1,
                          .no_flip = 1,
                          .warmup = -1,
                          .ema = -1,
                          .device = "cpu"};
}

/* Losses of the lines of a log, how many. */
static int read_losses(const char *folder, double *loss, int most) {
    char path[512], line[4096];
    FILE *f = fopen(join(folder, "log.jsonl", path), "r");
    int n = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        json_t *row = json_loads(line, 0, NULL);
        assert_non_null(row);
        if (json_object_get(row, "loss") && n < most) loss[n++] = support_number(row, "loss");
        json_decref(row);
    }
    fclose(f);
    return n;
}

/* ---- whole trainings ---- */

/* The loss falls below that share of what it was. */
static void overfit(CrowdrecTrainTask task, const char *name, int steps, double share) {
    enum { MOST = 1000 };
    double loss[MOST];
    const char *folder = folder_of(name);
    TrainOptions o = options_of(task, folder);
    o.steps = steps, o.overfit = PEOPLE;
    must(train(&o, NULL));
    int n = read_losses(folder, loss, MOST);
    assert_int_equal(n, steps);
    print_message("loss %g after 1 step, %g after %d\n", loss[0], loss[n - 1], n);
    if (!(loss[n - 1] <= share * loss[0])) fail_msg("the loss did not fall to %g of it", share);
}

static void pose_overfits(void **state) {
    (void)state;
    overfit(CROWDREC_TRAIN_POSE, "pose", 40, 0.2);
}

static void mesh_overfits(void **state) {
    (void)state;
    overfit(CROWDREC_TRAIN_MESH, "mesh", 40, 0.1);
}

/* Bytes of a file. */
static Bytes bytes_of(const char *folder, const char *name) {
    char path[512];
    Bytes b;
    must(file_read(join(folder, name, path), (size_t)1 << 30, &b));
    return b;
}

/* All arrays of two checkpoints are equal; how many there are. */
static int equal_checkpoints(const char *a, const char *b) {
    char path[512];
    ArrayFile x, y;
    must(file_load(join(a, "last.safetensors", path), &x));
    must(file_load(join(b, "last.safetensors", path), &y));
    assert_int_equal(x.count, y.count);
    for (int i = 0; i < x.count; i++) {
        const Array *other = array_find(&y, x.array[i].name);
        assert_non_null(other);
        if (memcmp(x.array[i].data, other->data, array_size(other) * sizeof(float)))
            fail_msg("%s differs", x.array[i].name);
    }
    int count = x.count;
    array_file_free(&x);
    array_file_free(&y);
    return count;
}

/* With everything that keeps a state: augmentation, dropout, moments, moving average, schedule. */
static TrainOptions stateful(const char *output) {
    TrainOptions o = options_of(CROWDREC_TRAIN_MESH, output);
    o.rotate = o.scale = o.jitter = o.colour = o.ema = 0;
    o.no_flip = 0, o.dropout = 1, o.accumulate = 2, o.batch = 3, o.warmup = 4, o.seed = 7;
    return o;
}

static volatile int stop;

/* In place of a validation: the training shall end here. */
static Status ask_to_stop(void *self, Params *params, TrainMetrics *out) {
    (void)self, (void)params;
    *out = (TrainMetrics){.count = 0};
    stop = 1;
    return OK;
}

static void resume_goes_on_with_the_same_bits(void **state) {
    (void)state;
    const char *whole = folder_of("whole"), *parts = folder_of("parts");
    TrainOptions o = stateful(whole);
    o.steps = 6;
    must(train(&o, NULL));
    o = stateful(parts);
    o.steps = 6, o.validate = 3, o.interrupted = &stop;
    TrainTask task;
    TrainOptions filled;
    must(train_fill(&o, &filled));
    must(trainmesh_open(&filled, &task));
    task.validate = ask_to_stop;
    assert_int_equal(train_run(&task, &filled, NULL), ERR_INTERRUPTED);
    task.close(task.self);
    o.resume = 1, o.interrupted = NULL, o.workers = 1, o.seed = 0;
    must(train(&o, NULL));
    assert_true(equal_checkpoints(whole, parts) > 100);
    double loss[10];
    assert_int_equal(read_losses(parts, loss, 10), 6);
}

static TrainTask whole_task;
static int samples_left;

static Status until_damaged(void *self, const TrainDraw *draw, void *const *input) {
    if (!samples_left--) return (fail)(ERR_INPUT, "a damaged photo");
    return whole_task.sample(self, draw, input);
}

/* Steps that were made stay, and a finished training is not begun anew by a forgotten option. */
static void damaged_photo_costs_no_step(void **state) {
    (void)state;
    TrainOptions o = options_of(CROWDREC_TRAIN_POSE, folder_of("damaged"));
    o.steps = 6, o.workers = 1;
    TrainOptions filled;
    must(train_fill(&o, &filled));
    must(trainpose_open(&filled, &whole_task));
    TrainTask task = whole_task;
    task.sample = until_damaged, samples_left = 3 * PEOPLE + 1;
    assert_int_equal(train_run(&task, &filled, NULL), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "a damaged photo; --resume goes on after step 3"));
    task.close(task.self);
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "a training is there"));
    o.resume = 1, o.net = "hrnet_pose_w32";
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "of hrnet_pose_w16_small, not of hrnet_pose_w32"));
    o.net = NULL, o.input_size[0] = 96;
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "for 64x64, not for 96x64"));
    o.input_size[0] = 64;
    must(train(&o, NULL));
    double loss[10];
    assert_int_equal(read_losses(o.output, loss, 10), 6);
}

/* A checkpoint made then would hold running statistics of half a step. */
static void damaged_photo_within_a_step_leaves_the_checkpoint(void **state) {
    (void)state;
    enum { STEP = 2 * PEOPLE };
    TrainOptions o = options_of(CROWDREC_TRAIN_POSE, folder_of("half whole")), filled;
    o.accumulate = 2, o.steps = 4, o.validate = 2;
    must(train(&o, NULL));
    const char *whole = o.output;
    o.output = folder_of("half damaged"), o.workers = 1;
    must(train_fill(&o, &filled));
    must(trainpose_open(&filled, &whole_task));
    TrainTask task = whole_task;
    task.sample = until_damaged, samples_left = 3 * STEP + PEOPLE + 1;
    assert_int_equal(train_run(&task, &filled, NULL), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "a damaged photo; --resume goes on after step 2"));
    task.close(task.self);
    o.resume = 1;
    must(train(&o, NULL));
    assert_true(equal_checkpoints(whole, o.output) > 100);
}

/* A checkpoint without numbers of a network that has two names goes on under either. */
static void resume_takes_every_name_of_a_network(void **state) {
    (void)state;
    NetSpec spec;
    char path[512];
    must(net_spec("cliff_hr48", &spec));
    Params *p = params_new(&backend_cpu);
    net_declare(&spec, p);
    size_t largest = 0;
    ArrayFile f = {.count = params_count(p)};
    f.array = calloc((size_t)f.count, sizeof *f.array);
    assert_non_null(f.array);
    for (int i = 0; i < f.count; i++) {
        const Param *a = params_at(p, i);
        f.array[i] = (Array){.name = a->key, .dtype = U8, .dims = a->dims};
        for (int d = 0; d < a->dims; d++) f.array[i].dim[d] = a->dim[d];
        if (array_size(&f.array[i]) > largest) largest = array_size(&f.array[i]);
    }
    void *nothing = calloc(largest, 1);
    assert_non_null(nothing);
    for (int i = 0; i < f.count; i++) f.array[i].data = nothing;
    TrainOptions o = {.output = folder_of("names"), .resume = 1, .net = "crowdrec_trained"};
    must(file_write_safetensors(join(o.output, "last.safetensors", path), &f));
    must(train_spec(&o, NET_CLIFF, "cliff_hr16_small", &spec));
    o.net = "cliff_hr64";
    assert_int_equal(train_spec(&o, NET_CLIFF, "cliff_hr16_small", &spec), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "of cliff_hr48, not of cliff_hr64"));
    free(f.array);
    free(nothing);
    params_free(p);
}

/* Classes, joints and names may differ, sizes may not. */
static void networks_are_the_same_by_their_structure(void **state) {
    (void)state;
    static const char *const name[][2] = {{"yolox_x", "bytetrack_x"},
                                          {"cliff_hr48", "crowdrec_trained"},
                                          {"yolox_x", "yolox_l"},
                                          {"hrnet_pose_w48", "cliff_hr48"}};
    NetSpec a, b;
    for (int i = 0; i < 4; i++) {
        must(net_spec(name[i][0], &a));
        must(net_spec(name[i][1], &b));
        assert_int_equal(net_same(&a, &b), i < 2);
    }
    must(net_spec("hrnet_pose_w16_small", &a));
    b = a, b.size.layer1 *= 2;
    assert_false(net_same(&a, &b));
}

static void time_limit_ends_with_a_checkpoint(void **state) {
    (void)state;
    const char *folder = folder_of("time");
    char path[512];
    TrainOptions o = options_of(CROWDREC_TRAIN_POSE, folder);
    o.time_limit = 0.1, o.validation = the_set();
    must(train(&o, NULL));
    NetSpec spec;
    Params *params;
    must(net_open(join(folder, "best.safetensors", path), &backend_cpu, &spec, &params));
    assert_string_equal(spec.name, "hrnet_pose_w16_small");
    assert_int_equal(spec.height, 64);
    assert_int_equal(spec.width, 64);
    params_free(params);
    Bytes svg = bytes_of(folder, "curves.svg");
    assert_memory_equal(svg.data, "<svg", 4);
    file_release(&svg);
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    const char *folder = folder_of("wrong");
    TrainOptions o = options_of(CROWDREC_TRAIN_MESH, folder);
    o.steps = 1, o.epochs = 1;
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    o = options_of(CROWDREC_TRAIN_MESH, folder), o.net = "hrnet_pose_w16_small";
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    o = options_of(CROWDREC_TRAIN_MESH, folder), o.body = NULL;
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    o = options_of(CROWDREC_TRAIN_POSE, folder);
    o.weights = o.backbone = "rule:hrnet_pose_w16_small:1";
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    o = options_of(CROWDREC_TRAIN_POSE, folder), o.sets = 0;
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    o = options_of(CROWDREC_TRAIN_POSE, folder), o.data[0] = "/nowhere:2";
    assert_int_equal(train(&o, NULL), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "/nowhere"));
    o = options_of(CROWDREC_TRAIN_POSE, folder), o.rate = NAN;
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "rate: "));
    o = options_of(CROWDREC_TRAIN_POSE, folder), o.loss_weights[3] = NAN;
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    o.loss_weights[3] = -1, o.loss_weights[0] = 5;
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "loss_weights: -1"));
    o = options_of(CROWDREC_TRAIN_POSE, folder), o.seed = -1;
    assert_int_equal(train(&o, NULL), ERR_USAGE);
    assert_non_null(strstr(error_reason(), "seed: -1"));
    o = options_of(CROWDREC_TRAIN_POSE, folder), o.resume = 1;
    assert_int_not_equal(train(&o, NULL), OK);
}

static void momentum_is_the_same_for_all_tasks(void **state) {
    (void)state;
    for (int task = 0; task <= CROWDREC_TRAIN_DETECTOR; task++) {
        TrainOptions o = options_of((CrowdrecTrainTask)task, "anywhere"), filled;
        must(train_fill(&o, &filled));
        assert_true(filled.momentum == 0.9);
        o.momentum = -1;
        must(train_fill(&o, &filled));
        assert_true(filled.momentum == 0);
    }
}

/* ---- one step ---- */

/* A network that is made in no time, on made-up images and targets. */
typedef struct {
    bool norms; /* in training mode */
} Toy;

static NetSpec toy_spec(void) {
    NetSpec s;
    must(net_spec("hrnet_pose_w16_small", &s));
    s.channels = 8, s.joints = 2, s.height = s.width = 32;
    s.size = (NetSize){8, 4, 1, {1, 1, 1}, 1, 4, 8, 8};
    return s;
}

static TrainGraph toy_build(const void *self, const Scope *m, int batch) {
    Scope inner = *m;
    NetSpec s = toy_spec();
    TrainGraph g = {.inputs = 2, .terms = 1, .term_name = {"half"}};
    inner.train = ((const Toy *)self)->norms;
    g.input[0] = graph_input(m->graph, "input", F32, (Shape){batch, 32, 32, 3});
    g.input[1] = graph_input(m->graph, "target", F32, (Shape){batch, 8, 8, 2});
    Tensor *heat = net_build(&s, &inner, g.input[0], NULL).raw;
    g.loss = mean(m, loss(m, MSE, heat, g.input[1], NULL), AXES_ALL);
    g.term[0] = scale(m, g.loss, 0.5f);
    return g;
}

static Status toy_sample(void *self, const TrainDraw *draw, void *const *input) {
    (void)self;
    float *image = input[0], *target = input[1];
    CHECK(image && target, "a sample without a place");
    for (uint64_t i = 0; i < 32 * 32 * 3; i++) image[i] = rng_signed(draw->key, i);
    for (uint64_t i = 0; i < 8 * 8 * 2; i++)
        target[i] = (float)draw->index + rng_signed(draw->key, i);
    return OK;
}

static TrainTask toy_task(Toy *toy) {
    return (TrainTask){
        .self = toy, .spec = toy_spec(), .samples = 5, .build = toy_build, .sample = toy_sample};
}

static Trainer *toy_trainer(Toy *toy, TrainerOptions o) {
    Trainer *t;
    TrainTask task = toy_task(toy);
    if (!o.backend) o.backend = &backend_cpu;
    if (o.update.clip == 0) o.update.clip = INFINITY;
    must(trainer_new(&task, &o, &t));
    init_fill(&t->spec, 3, t->params);
    must(trainer_average_reset(t));
    return t;
}

enum { IMAGE = 32 * 32 * 3, TARGET = 8 * 8 * 2 };

/* Passes over samples first, first + 1 ... */
static Status toy_pass(Trainer *t, int first, int batch) {
    float *image = calloc((size_t)batch * IMAGE, sizeof *image);
    float *target = calloc((size_t)batch * TARGET, sizeof *target);
    assert_true(image && target);
    for (int i = 0; i < batch; i++) {
        TrainDraw draw = {.key = rng_stream("toy", (uint64_t)(first + i))};
        void *part[] = {image + i * IMAGE, target + i * TARGET};
        must(toy_sample(NULL, &draw, part));
    }
    Status status = trainer_pass(t, (void *[]){image, target});
    free(image);
    free(target);
    return status;
}

/* All weights in the order of the parameters; *n how many. */
static double *weights_of(const Params *p, size_t *n) {
    *n = 0;
    for (int i = 0; i < params_count(p); i++) *n += shape_size(params_at(p, i)->shape);
    double *all = malloc((*n + 1) * sizeof *all), *at = all;
    assert_non_null(all);
    for (int i = 0; i < params_count(p); i++) {
        params_get(p, i, at);
        at += shape_size(params_at(p, i)->shape);
    }
    return all;
}

static void accumulating_equals_a_larger_batch(void **state) {
    (void)state;
    Toy toy = {.norms = false};
    UpdateAttr sgd = {.kind = UPDATE_SGD, .momentum = 0.9f};
    Trainer *once = toy_trainer(&toy, (TrainerOptions){.batch = 6, .passes = 1, .update = sgd});
    Trainer *parts = toy_trainer(&toy, (TrainerOptions){.batch = 2, .passes = 3, .update = sgd});
    for (int step = 0; step < 2; step++) {
        must(toy_pass(once, 6 * step, 6));
        must(trainer_step(once, 0.1, 0));
        for (int pass = 0; pass < 3; pass++) must(toy_pass(parts, 6 * step + 2 * pass, 2));
        must(trainer_step(parts, 0.1, 0));
        support_near("norm", parts->norm, once->norm, 1e-4 * once->norm);
        support_near("loss", parts->loss, once->loss, 1e-5 * once->loss);
        support_near("term", parts->term[0], once->term[0], 1e-5 * once->loss);
    }
    size_t n;
    double *a = weights_of(once->params, &n), *b = weights_of(parts->params, &n);
    support_close64("weights", b, a, n, 1e-5);
    free(a);
    free(b);
    trainer_free(once);
    trainer_free(parts);
}

/* L2 norm of the change that one step of gradient descent makes. */
static double change(float clip, double *norm) {
    Toy toy = {.norms = false};
    UpdateAttr sgd = {.kind = UPDATE_SGD, .clip = clip};
    Trainer *t = toy_trainer(&toy, (TrainerOptions){.batch = 3, .passes = 1, .update = sgd});
    size_t n;
    double *before = weights_of(t->params, &n), sum = 0;
    must(toy_pass(t, 0, 3));
    must(trainer_step(t, 1, 0));
    double *after = weights_of(t->params, &n);
    for (size_t i = 0; i < n; i++) sum += (after[i] - before[i]) * (after[i] - before[i]);
    *norm = t->norm;
    free(before);
    free(after);
    trainer_free(t);
    return sqrt(sum);
}

static void long_gradients_are_shortened(void **state) {
    (void)state;
    double norm, same, free_step = change(INFINITY, &norm);
    support_near("unclipped", free_step, norm, 1e-4 * norm);
    float limit = (float)(0.25 * norm);
    double clipped = change(limit, &same), quarter = 0.25 * norm;
    support_near("norm before clipping", same, norm, 1e-6 * norm);
    support_near("clipped", clipped, quarter, 1e-4 * norm);
    double within = change((float)(2 * norm), &same);
    support_near("short enough", within, norm, 1e-4 * norm);
}

/* One pass a step and two: they learn in different plans. */
static void frozen_weights_stay(void **state) {
    (void)state;
    Toy toy = {.norms = false};
    for (int passes = 1; passes <= 2; passes++) {
        TrainerOptions o = {
            .batch = 2, .passes = passes, .update.kind = UPDATE_ADAM, .freeze = "stage"};
        Trainer *t = toy_trainer(&toy, o);
        size_t n, at = 0;
        double *before = weights_of(t->params, &n);
        for (int i = 0; i < passes; i++) must(toy_pass(t, 2 * i, 2));
        must(trainer_step(t, 0.01, 0));
        double *after = weights_of(t->params, &n);
        int frozen = 0, learned = 0;
        for (int i = 0; i < params_count(t->params); i++) {
            const Param *p = params_at(t->params, i);
            size_t size = shape_size(p->shape);
            bool stays = p->kind == PARAM_BUFFER || !strncmp(p->key, "stage", 5);
            bool same = !memcmp(before + at, after + at, size * sizeof *after);
            if (same != stays) fail_msg("%s %s", p->key, same ? "did not learn" : "changed");
            *(stays ? &frozen : &learned) += 1;
            at += size;
        }
        assert_true(frozen > 0 && learned > 0);
        free(before), free(after);
        trainer_free(t);
    }
}

static void freezing_none_or_all_is_refused(void **state) {
    (void)state;
    Toy toy = {.norms = false};
    TrainTask task = toy_task(&toy);
    static const char *const prefix[] = {"nobody's", ""};
    for (int i = 0; i < 2; i++) {
        Trainer *t = NULL;
        TrainerOptions o = {.backend = &backend_cpu, .batch = 2, .passes = 1, .freeze = prefix[i]};
        assert_int_equal(trainer_new(&task, &o, &t), ERR_USAGE);
        assert_null(t);
        assert_non_null(strstr(error_reason(), "--freeze"));
    }
}

/* Running statistics move with the weights. */
static void average_follows_the_weights(void **state) {
    (void)state;
    static const double EMA = 0.9;
    Toy toy = {.norms = true};
    UpdateAttr adam = {.kind = UPDATE_ADAM};
    Trainer *t =
        toy_trainer(&toy, (TrainerOptions){.batch = 3, .passes = 1, .update = adam, .ema = EMA});
    size_t n;
    double *want = weights_of(t->params, &n);
    for (int step = 1; step <= 3; step++) {
        must(toy_pass(t, 3 * step, 3));
        must(trainer_step(t, 0.01, 0));
        double keep = EMA * (1 - exp(-step / 2000.0)), *now = weights_of(t->params, &n);
        for (size_t i = 0; i < n; i++) want[i] = keep * want[i] + (1 - keep) * now[i];
        free(now);
    }
    double *got = weights_of(t->average, &n);
    support_close64("average", got, want, n, 1e-5);
    int mean = params_find(t->average, "bn1.running_mean");
    double statistics[8];
    params_get(t->average, mean, statistics);
    assert_true(fabs(statistics[0]) > 0);
    free(got);
    free(want);
    trainer_free(t);
}

static void what_is_not_finite_is_named(void **state) {
    (void)state;
    static const char key[] = "stage3.0.branches.1.0.bn2.weight";
    for (int norms = 0; norms < 2; norms++) {
        Toy toy = {.norms = norms};
        UpdateAttr adam = {.kind = UPDATE_ADAM};
        Trainer *t = toy_trainer(&toy, (TrainerOptions){.batch = 2, .passes = 1, .update = adam});
        double values[16];
        int i = params_find(t->params, key);
        params_get(t->params, i, values);
        values[1] = NAN;
        params_set(t->params, i, values);
        size_t n;
        double *before = weights_of(t->params, &n);
        must(toy_pass(t, 0, 2));
        assert_int_equal(trainer_step(t, 1, 0), ERR_INPUT);
        if (norms) assert_non_null(strstr(error_reason(), "'stage3.0.branches.1.0.bn2'"));
        assert_non_null(strstr(error_reason(), "step 1"));
        double *after = weights_of(t->params, &n);
        size_t first = 0;
        for (; norms == 0 && first < n; first++)
            assert_true(after[first] == before[first] || isnan(before[first]));
        free(before);
        free(after);
        trainer_free(t);
    }
}

static bool refuses;

static void *scarce_alloc(size_t bytes) { return refuses ? NULL : backend_cpu.alloc(bytes); }

/* Finding the first such value takes more memory than a step does. */
static void what_is_not_finite_is_told_without_memory(void **state) {
    (void)state;
    Toy toy = {0};
    Backend scarce = backend_cpu;
    scarce.alloc = scarce_alloc;
    TrainerOptions o = {.backend = &scarce, .batch = 2, .passes = 1, .update.kind = UPDATE_ADAM};
    Trainer *t = toy_trainer(&toy, o);
    params_set(t->params, params_find(t->params, "final_layer.bias"), (const double[]){NAN, 0});
    must(toy_pass(t, 0, 2));
    refuses = true;
    Status status = trainer_step(t, 1, 0);
    refuses = false;
    assert_int_equal(status, ERR_INPUT);
    assert_non_null(strstr(error_reason(), "step 1: a value is not finite"));
    assert_non_null(strstr(error_reason(), "lower the rate, or clip the gradient"));
    trainer_free(t);
}

/* ---- ends of a training ---- */

/* What happens to a training on the way.  With one worker and five passes a step the fourth sample
 * is made after the first step has begun and before it is over. */
static struct {
    int drawn;
    double progress; /* of the first sample */
    double sleep;    /* seconds, in the fourth sample */
    bool stops;      /* in the fourth sample a signal comes */
    volatile int stop;
    bool fails; /* the next validation does */
} events;

static Status eventful_sample(void *self, const TrainDraw *draw, void *const *input) {
    if (++events.drawn == 1) events.progress = draw->progress;
    if (events.drawn == 4) {
        nanosleep(&(struct timespec){.tv_nsec = (long)(events.sleep * 1e9)}, NULL);
        events.stop = events.stops;
    }
    return toy_sample(self, draw, input);
}

static Status eventful_validation(void *self, Params *params, TrainMetrics *out) {
    (void)self, (void)params;
    bool fails = events.fails;
    events.fails = false;
    if (fails) return (fail)(ERR_INPUT, "a photo that cannot be read");
    *out = (TrainMetrics){.name = {"good"}, .value = {0.5}, .count = 1};
    return OK;
}

static Status eventful_run(TrainOptions *o, bool validates) {
    Toy toy = {0};
    TrainTask task = toy_task(&toy);
    TrainOptions filled;
    task.sample = eventful_sample;
    if (validates) task.validate = eventful_validation;
    must(train_fill(o, &filled));
    Status status = train_run(&task, &filled, NULL);
    o->resume = 1;
    return status;
}

static TrainOptions eventful_options(const char *folder) {
    TrainOptions o = options_of(CROWDREC_TRAIN_POSE, folder);
    memset(&events, 0, sizeof events);
    o.batch = 1, o.accumulate = 5, o.workers = 1, o.steps = 1, o.interrupted = &events.stop;
    return o;
}

static bool has_best(const char *folder) {
    char path[512];
    return !access(join(folder, "best.safetensors", path), F_OK);
}

/* The steps of a log's validations as digits. */
static const char *validations_of(const char *folder) {
    static char steps[16];
    char path[512], line[4096];
    FILE *f = fopen(join(folder, "log.jsonl", path), "r");
    size_t n = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && n + 1 < sizeof steps) {
        json_t *row = json_loads(line, 0, NULL);
        if (json_object_get(row, "good"))
            steps[n++] = (char)('0' + json_integer_value(json_object_get(row, "step")));
        json_decref(row);
    }
    steps[n] = 0;
    fclose(f);
    return steps;
}

/* A signal in the last step, or a validation that fails, costs no validation; none is made twice.
 */
static void due_validations_are_made_up_for(void **state) {
    (void)state;
    TrainOptions o = eventful_options(folder_of("signal"));
    events.stops = true;
    assert_int_equal(eventful_run(&o, true), ERR_INTERRUPTED);
    assert_string_equal(validations_of(o.output), "");
    assert_false(has_best(o.output));
    events.stop = 0;
    for (int again = 0; again < 2; again++) {
        must(eventful_run(&o, true));
        assert_string_equal(validations_of(o.output), "1");
        assert_true(has_best(o.output));
    }
    o = eventful_options(folder_of("failed"));
    o.steps = 2, o.validate = 1, events.fails = true;
    assert_int_equal(eventful_run(&o, true), ERR_INPUT);
    /* As a kill between the log's line and the checkpoint leaves it. */
    char path[512];
    FILE *f = fopen(join(o.output, "log.jsonl", path), "a");
    assert_non_null(f);
    fputs("{\"step\": 1, \"validation\": true, \"good\": 0.25}\n", f);
    assert_int_equal(fclose(f), 0);
    must(eventful_run(&o, true));
    assert_string_equal(validations_of(o.output), "12");
}

static void time_limit_within_steps_costs_no_validation(void **state) {
    (void)state;
    TrainOptions o = eventful_options(folder_of("limit"));
    o.steps = 3, o.validate = 1, o.time_limit = 0.5, events.sleep = 0.6;
    must(eventful_run(&o, true));
    assert_string_equal(validations_of(o.output), "1");
    must(eventful_run(&o, true)); /* the time begins anew */
    assert_memory_equal(validations_of(o.output), "12", 2);
    o.time_limit = 0;
    must(eventful_run(&o, true));
    assert_string_equal(validations_of(o.output), "123");
}

/* Wherever the training ended. */
static void without_validation_the_latest_is_best(void **state) {
    (void)state;
    for (int signal = 0; signal < 2; signal++) {
        TrainOptions o = eventful_options(folder_of(signal ? "latest signal" : "latest limit"));
        o.steps = 3, events.stops = signal;
        if (!signal) o.time_limit = 0.5, events.sleep = 0.6;
        assert_int_equal(eventful_run(&o, false), signal ? ERR_INTERRUPTED : OK);
        assert_true(has_best(o.output));
    }
}

/* With a time limit alone the time that is gone tells it. */
static void samples_go_on_where_the_training_was(void **state) {
    (void)state;
    TrainOptions o = eventful_options(folder_of("progress"));
    o.steps = 0, o.time_limit = 0.5, events.sleep = 0.6;
    must(eventful_run(&o, false));
    events.drawn = 0, events.stops = true, o.time_limit = 100;
    assert_int_equal(eventful_run(&o, false), ERR_INTERRUPTED);
    print_message("the first sample is drawn at %g s\n", events.progress * o.time_limit);
    assert_true(events.progress * o.time_limit >= 0.5);
}

/* ---- the loader ---- */

static uint64_t sum_of_batches(int workers, int batch, int batches, uint64_t first, int overfit) {
    Toy toy = {0};
    TrainTask task = toy_task(&toy);
    Graph *g = graph_new();
    Params *p = params_new(&backend_cpu);
    TrainGraph graph = toy_build(&toy, &(Scope){.graph = g, .params = p}, batch);
    TrainLoader *l;
    uint64_t hash = 0;
    must(trainload_new(
        &task, &graph,
        &(TrainLoad){
            .batch = batch, .workers = workers, .seed = 5, .first = first, .overfit = overfit},
        &l));
    for (int i = 0; i < batches; i++) {
        void *const *input;
        must(trainload_next(l, &input));
        const uint32_t *bits = input[0];
        for (int k = 0; k < batch * IMAGE; k++) hash = rng_splitmix(hash + bits[k]);
        trainload_done(l);
    }
    trainload_free(l);
    graph_free(g);
    params_free(p);
    return hash;
}

static void samples_depend_on_their_number_alone(void **state) {
    (void)state;
    uint64_t one = sum_of_batches(1, 4, 6, 0, 0);
    assert_int_equal(sum_of_batches(3, 4, 6, 0, 0), one);
    assert_int_equal(sum_of_batches(2, 8, 3, 0, 0), one);
    assert_int_not_equal(sum_of_batches(2, 4, 6, 4, 0), one);
    assert_int_equal(sum_of_batches(2, 2, 1, 4, 2), sum_of_batches(1, 2, 1, 0, 2));
}

/* ---- small networks ---- */

static void check_file(const char *path, const Params *want, const NetSpec *spec, double relative) {
    NetSpec got;
    Params *params;
    must(net_open(path, &backend_cpu, &got, &params));
    assert_string_equal(got.name, spec->name);
    assert_int_equal(got.kind, spec->kind);
    assert_int_equal(got.channels, spec->channels);
    assert_int_equal(got.joints, spec->joints);
    assert_int_equal(got.height, spec->height);
    assert_int_equal(got.width, spec->width);
    size_t n;
    double *a = weights_of(params, &n), *b = weights_of(want, &n);
    for (size_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= relative * fabs(b[i]) + relative * 1e-4))
            fail_msg("%s: number %zu is %g, not %g", path, i, a[i], b[i]);
    free(a);
    free(b);
    params_free(params);
}

static void round_trip(NetSpec spec) {
    const char *folder = folder_of(spec.name);
    char path[512], half[512];
    TrainTask task = {.spec = spec, .build = toy_build};
    Trainer t = {.spec = task.spec, .params = params_new(&backend_cpu)};
    net_declare(&spec, t.params);
    must(params_alloc(t.params));
    init_fill(&spec, 1, t.params);
    t.average = t.params;
    must(trainsave_weights(join(folder, "a.safetensors", path), &t, "made up"));
    check_file(path, t.params, &spec, 0);
    must((Status)crowdrec_convert(path, join(folder, "half.safetensors", half),
                                  &(CrowdrecConvert){.half = 1}, NULL));
    check_file(half, t.params, &spec, 0x1p-10);
    Bytes full = bytes_of(folder, "a.safetensors"), small = bytes_of(folder, "half.safetensors");
    print_message("%s: %zu weights, %zu bytes, %zu as halves\n", spec.name,
                  params_learned(t.params), full.size, small.size);
    assert_true(small.size < full.size * 6 / 10);
    file_release(&full);
    file_release(&small);
    params_free(t.params);
}

static void small_networks_are_known_by_their_files(void **state) {
    (void)state;
    static const char *const name[] = {"hrnet_pose_w16_small", "cliff_hr16_small"};
    for (int i = 0; i < 2; i++) {
        NetSpec spec;
        must(net_spec(name[i], &spec));
        round_trip(spec);
        spec.channels = 20, spec.height = 96, spec.width = 64;
        spec.size = (NetSize){24, 12, 2, {1, 2, 1}, 3, 8, 40, 48};
        spec.name = i ? "cliff_hr" : "hrnet_pose";
        round_trip(spec);
    }
}

static void half_leaves_what_does_not_fit(void **state) {
    (void)state;
    const char *folder = folder_of("half");
    char path[512], out[512];
    NetSpec spec = toy_spec();
    Params *p = params_new(&backend_cpu);
    net_declare(&spec, p);
    must(params_alloc(p));
    init_fill(&spec, 1, p);
    params_set(p, params_find(p, "final_layer.bias"), (const double[]){1e6, 0});
    ArrayFile f = params_arrays(p);
    must(file_write_safetensors(join(folder, "large.safetensors", path), &f));
    join(folder, "out.safetensors", out);
    must((Status)crowdrec_convert(path, out, &(CrowdrecConvert){.half = 1, .input_size = {64, 96}},
                                  NULL));
    array_file_free(&f);
    must(file_load(out, &f));
    assert_string_equal(array_meta(&f, "height"), "64");
    assert_string_equal(array_meta(&f, "width"), "96");
    const Array *large = array_find(&f, "final_layer.bias");
    assert_true(large->dtype == F32 && array_get(large, 0) == 1e6);
    assert_true(array_find(&f, "final_layer.weight")->dtype == F16);
    array_file_free(&f);
    params_free(p);
}

/* ---- augmentation ---- */

static void turning_back_undoes_turning(void **state) {
    (void)state;
    TrainOptions o = {.rotate = 30, .scale = 0.25, .jitter = 0.05, .colour = 0.2};
    for (uint64_t key = 0; key < 20; key++) {
        Augment a = augment_draw(&o, key);
        double in[] = {3, -5}, turned[2], back[2];
        augment_turn(&a, in, turned);
        augment_turn_back(&a, turned, back);
        support_close64("there and back", back, in, 2, 1e-12);
    }
}

/* Only the side that an arm alone reaches moves, as far as the arm goes beyond the rest. */
static void armless_boxes_leave_out_arms(void **state) {
    (void)state;
    DatasetPerson p = {.has = DATASET_KEYPOINTS, .box = {100, 40, 230, 300}};
    const struct {
        int joint;
        float x, y;
    } seen[] = {{HALPE26_HEAD, 130, 50},       {HALPE26_L_SHOULDER, 150, 90},
                {HALPE26_R_SHOULDER, 110, 90}, {HALPE26_L_ELBOW, 185, 95},
                {HALPE26_L_WRIST, 220, 95},    {HALPE26_R_WRIST, 108, 150},
                {HALPE26_L_ANKLE, 140, 290},   {HALPE26_R_ANKLE, 115, 290}};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        memcpy(p.keypoints[seen[i].joint], (float[]){seen[i].x, seen[i].y, 1}, 3 * sizeof(float));
    float box[4];
    augment_box(&(Augment){.armless = false}, &p, box);
    support_close("whole", box, p.box, 4, 0);
    augment_box(&(Augment){.armless = true}, &p, box);
    support_close("armless", box, (float[]){102, 40, 160, 300}, 4, 0);
    assert_true(augment_reaches(&p));
    p.keypoints[HALPE26_L_WRIST][0] = 160;
    assert_false(augment_reaches(&p));
    for (int j = 0; j < CROWD_KEYPOINTS; j++)
        if (j < HALPE26_L_ELBOW || j > HALPE26_R_WRIST) p.keypoints[j][2] = 0;
    augment_box(&(Augment){.armless = true}, &p, box);
    support_close("nothing but arms", box, p.box, 4, 0);
    assert_false(augment_reaches(&p));
    int armless = 0;
    for (uint64_t key = 0; key < 1000; key++)
        armless += augment_draw(&(TrainOptions){.armless = 0.3}, key).armless;
    assert_in_range(armless, 250, 350);
}

/* Those whose arms reach are drawn more often, all others as before. */
static void reaching_arms_are_drawn_often(void **state) {
    (void)state;
    TrainOptions o = options_of(CROWDREC_TRAIN_POSE, folder_of("reach"));
    TrainTask once, often;
    Dataset *set;
    int reaching = 0;
    must(dataset_open(&(DatasetChoice){.path = the_set()}, &set));
    for (int i = 0; i < set->people; i++) reaching += augment_reaches(&set->person[i]);
    dataset_close(set);
    must(trainpose_open(&o, &once));
    o.reach = 5;
    must(trainpose_open(&o, &often));
    print_message("%d of %d people reach\n", reaching, once.samples);
    assert_true(reaching > 0);
    assert_int_equal(often.samples, once.samples + 4 * reaching);
    once.close(once.self);
    often.close(often.self);
}

/* Where an image shows its joints' dots, there the target has its maxima, however it is turned. */
static void targets_lie_on_the_joints(void **state) {
    (void)state;
    TrainOptions o = options_of(CROWDREC_TRAIN_POSE, "");
    o.rotate = o.scale = o.jitter = 0, o.no_flip = 0;
    TrainTask task;
    must(train_fill(&o, &o));
    must(trainpose_open(&o, &task));
    static float image[64 * 64 * 3], target[16 * 16 * CROWD_KEYPOINTS], weight[CROWD_KEYPOINTS],
        emphasis;
    int found = 0, all = 0;
    for (uint64_t key = 1; key < 9; key++) {
        must(task.sample(task.self, &(TrainDraw){.key = key, .index = (int)key % PEOPLE},
                         (void *[]){image, target, weight, &emphasis}));
        for (int j = 0; j < CROWD_KEYPOINTS; j++) {
            int best = 0;
            for (int i = 0; i < 16 * 16; i++)
                if (target[i * CROWD_KEYPOINTS + j] > target[best * CROWD_KEYPOINTS + j]) best = i;
            if (!(weight[j] > 0)) continue;
            const float *pixel = image + 3 * (4 * (best / 16) * 64 + 4 * (best % 16));
            all++, found += pixel[0] > -1 || pixel[1] > -1 || pixel[2] > -1;
        }
    }
    print_message("%d of %d targets lie on a dot\n", found, all);
    assert_true(all > 8 * CROWD_KEYPOINTS / 2);
    if (10 * found < 8 * all) fail_msg("only %d of %d targets lie on a dot", found, all);
    task.close(task.self);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pose_overfits),
        cmocka_unit_test(mesh_overfits),
        cmocka_unit_test(resume_goes_on_with_the_same_bits),
        cmocka_unit_test(damaged_photo_costs_no_step),
        cmocka_unit_test(damaged_photo_within_a_step_leaves_the_checkpoint),
        cmocka_unit_test(resume_takes_every_name_of_a_network),
        cmocka_unit_test(networks_are_the_same_by_their_structure),
        cmocka_unit_test(momentum_is_the_same_for_all_tasks),
        cmocka_unit_test(time_limit_ends_with_a_checkpoint),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(accumulating_equals_a_larger_batch),
        cmocka_unit_test(long_gradients_are_shortened),
        cmocka_unit_test(frozen_weights_stay),
        cmocka_unit_test(freezing_none_or_all_is_refused),
        cmocka_unit_test(average_follows_the_weights),
        cmocka_unit_test(what_is_not_finite_is_named),
        cmocka_unit_test(what_is_not_finite_is_told_without_memory),
        cmocka_unit_test(due_validations_are_made_up_for),
        cmocka_unit_test(time_limit_within_steps_costs_no_validation),
        cmocka_unit_test(without_validation_the_latest_is_best),
        cmocka_unit_test(samples_go_on_where_the_training_was),
        cmocka_unit_test(samples_depend_on_their_number_alone),
        cmocka_unit_test(small_networks_are_known_by_their_files),
        cmocka_unit_test(half_leaves_what_does_not_fit),
        cmocka_unit_test(turning_back_undoes_turning),
        cmocka_unit_test(armless_boxes_leave_out_arms),
        cmocka_unit_test(reaching_arms_are_drawn_often),
        cmocka_unit_test(targets_lie_on_the_joints),
    };
    return cmocka_run_group_tests_name("trainer", tests, NULL, NULL);
}
