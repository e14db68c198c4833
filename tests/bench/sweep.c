#include "tests/bench/sweep.h"

#include "kernels/backend.h"
#include "kernels/winorule.h"
#include "tensor/error.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"
#include "tests/bench/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FORWARD, INPUTS, WEIGHTS, PASSES };
enum { EXACT, RULE, WINOGRAD, SIDES };
enum { MIN_ROUNDS = 5, MAX_ROUNDS = 200 };

static const double ROUND_SECONDS = 0.05; /* of all rounds of a pass, 8 times that where it loses */
static const double MOST_PRODUCTS = 1.5e8;

static const char *const PASS_NAME[] = {"forward", "inputs", "weights"};

/* --- shapes --- */

typedef struct {
    int n, h, w, c, k, size, stride;
} Conv;

/* From 1 to `most`, small numbers more often. */
static int spread(float u, double most) { return (int)exp((double)u * log(most + 1)); }

/* Channels as networks have them, or any up to 400. */
static int channels(float kind, float u) {
    static const int usual[] = {3, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384};
    int many = sizeof usual / sizeof *usual;
    return kind < 0.7f ? usual[(int)(u * (float)many)] : 1 + (int)(u * 400);
}

static double products(const Conv *s) {
    double out = ceil((double)s->h / s->stride) * ceil((double)s->w / s->stride);
    return s->n * out * s->c * s->k * s->size * s->size;
}

/* Shape i of the list, the same in every run; larger ones than a sweep has time for get smaller
 * maps. */
static Conv shape(int i) {
    uint64_t stream = rng_stream("sweep", (uint64_t)i);
    float u[10];
    for (int k = 0; k < 10; k++) u[k] = rng_uniform(stream, (uint64_t)k);
    Conv s = {.n = spread(u[0], 16), .h = spread(u[1], 100), .w = spread(u[2], 100)};
    if (u[3] < 0.5f) s.w = (3 * s.h + 3) / 4; /* a person's crop */
    s.c = channels(u[4], u[5]);
    s.k = u[6] < 0.4f ? s.c : channels(u[7], u[8]);
    s.size = u[9] < 0.65f ? 3 : 1;
    s.stride = rng_uniform(stream, 10) < 0.8f ? 1 : 2;
    while (products(&s) > MOST_PRODUCTS) {
        if (s.n > 1)
            s.n = (s.n + 1) / 2;
        else if (s.h >= s.w)
            s.h = (s.h + 1) / 2;
        else
            s.w = (s.w + 1) / 2;
    }
    return s;
}

/* --- one pass of one shape --- */

typedef struct {
    ConvAttr attr;
    Call call[2]; /* EXACT, RULE */
    const Backend *backend[2];
    Winograd winograd;
    bool may_winograd;
    void *workspace;
    int pass;
} Trial;

static Tensor numbers(Shape s) {
    size_t size = shape_size(s);
    float *data = backend_cpu.alloc(size * sizeof *data);
    CHECK(data, "no memory for %zu numbers", size);
    for (size_t i = 0; i < size; i++) data[i] = rng_signed(7, i);
    return (Tensor){.dtype = F32, .shape = s, .data = data};
}

static Call call_of(const Trial *t, const Tensor *x, const Tensor *w, const Tensor *b,
                    const Tensor *y) {
    Call c = {.attr = &t->attr, .in = {*x, *w, *b}};
    c.in[0].data = x->data;
    if (t->pass == FORWARD) {
        c.out[0] = *y;
        return c;
    }
    c.dout[0] = *y;
    if (t->pass == INPUTS) c.din[0] = numbers(x->shape);
    if (t->pass == WEIGHTS) c.din[1] = numbers(w->shape), c.din[2] = numbers(b->shape);
    return c;
}

static void prepare(Trial *t, const Conv *s) {
    int pad = s->size / 2, h = (s->h + 2 * pad - s->size) / s->stride + 1,
        width = (s->w + 2 * pad - s->size) / s->stride + 1;
    t->attr = (ConvAttr){.pad = pad, .stride = s->stride};
    t->may_winograd = s->size == 3;
    t->winograd = winograd_new(s->n, s->h, s->w, s->c, s->k, s->stride, parallel_threads());
    Tensor x = numbers((Shape){s->n, s->h, s->w, s->c}),
           w = numbers((Shape){s->k, s->size, s->size, s->c}), b = numbers((Shape){1, 1, 1, s->k}),
           y = numbers((Shape){s->n, h, width, s->k});
    size_t bytes = t->may_winograd ? winograd_bytes(&t->winograd, (WinogradPass)t->pass) : 0;
    Call common = call_of(t, &x, &w, &b, &y);
    t->backend[EXACT] = &backend_cpu_exact, t->backend[RULE] = &backend_cpu;
    for (int i = 0; i < 2; i++) {
        t->call[i] = common;
        t->call[i].exact = t->backend[i]->exact;
        t->backend[i]->op[OP_conv].prepare(&t->call[i], t->pass != FORWARD);
        if (t->call[i].workspace_size > bytes) bytes = t->call[i].workspace_size;
    }
    t->workspace = backend_cpu.alloc(bytes + 64);
    CHECK(t->workspace, "no memory for %zu bytes", bytes);
    for (int i = 0; i < 2; i++) t->call[i].workspace = t->workspace;
}

static void release(Trial *t) {
    Call *c = &t->call[0];
    for (int i = 0; i < 2; i++) t->backend[i]->op[OP_conv].drop(&t->call[i]);
    void *all[] = {c->in[0].data,  c->in[1].data,  c->in[2].data,  c->out[0].data, c->dout[0].data,
                   c->din[0].data, c->din[1].data, c->din[2].data, t->workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) backend_cpu.release(all[i]);
}

static void by_winograd(const Trial *t) {
    const Call *c = &t->call[0];
    const Winograd *s = &t->winograd;
    if (t->pass == FORWARD)
        winograd_forward(s, c->in[0].data, c->in[1].data, (WinogradEnd){.b = c->in[2].data},
                         c->out[0].data, t->workspace);
    else if (t->pass == INPUTS)
        winograd_input_gradient(s, c->dout[0].data, c->in[1].data, c->din[0].data, false,
                                t->workspace);
    else
        winograd_weight_gradient(s, c->in[0].data, c->dout[0].data, c->din[1].data, false,
                                 c->din[2].data, false, t->workspace);
}

static double seconds(const Trial *t, int side) {
    double begin = clock_now();
    if (side == WINOGRAD)
        by_winograd(t);
    else if (t->pass == FORWARD)
        t->backend[side]->op[OP_conv].forward(&t->call[side]);
    else
        t->backend[side]->op[OP_conv].backward(&t->call[side]);
    return clock_now() - begin;
}

/* A ratio that is not one may be noise: two ways that are the same give some that are 5 % off. */
static bool is_enough(const double best[SIDES], int round, double spent) {
    bool loses = best[RULE] > 1.03 * best[EXACT];
    return round >= MIN_ROUNDS && (round >= MAX_ROUNDS || spent >= ROUND_SECONDS * (loses ? 8 : 1));
}

/* The least seconds of each side, in turns; the first round is not counted. */
static int measure(const Trial *t, double best[SIDES]) {
    int sides = t->may_winograd ? SIDES : WINOGRAD, round = -1;
    double spent = 0;
    for (int i = 0; i < SIDES; i++) best[i] = INFINITY;
    for (; !is_enough(best, round, spent); round++)
        for (int i = 0; i < sides; i++) {
            double taken = seconds(t, i);
            if (round >= 0) best[i] = fmin(best[i], taken), spent += taken;
        }
    return round;
}

/* --- the whole --- */

/* Of the passes that the rule makes in another way than `exact` does; ratios of the others are
 * noise. */
typedef struct {
    double worst, logs, noise;
    int passes, below;
    char name[96];
} Summary;

static void summarize(Summary *sum, bool differs, double ratio, const char *name) {
    if (!differs) {
        sum->noise = fmin(sum->noise, ratio);
        return;
    }
    sum->passes++, sum->logs += log(ratio), sum->below += ratio < 0.95;
    if (ratio >= sum->worst) return;
    sum->worst = ratio;
    snprintf(sum->name, sizeof sum->name, "%s", name);
}

static void one_pass(const Conv *s, int pass, Summary *sum) {
    Trial t = {.pass = pass};
    double best[SIDES];
    char name[96];
    prepare(&t, s);
    int runs = measure(&t, best);
    snprintf(name, sizeof name, "conv %dx%dx%dx%d to %d, %dx%d stride %d, %s", s->n, s->h, s->w,
             s->c, s->k, s->size, s->size, s->stride, PASS_NAME[pass]);
    double ratio = best[EXACT] / best[RULE];
    bool differs = t.may_winograd && winorule_pays(&t.winograd, (WinogradPass)pass);
    printf(
        "{\"case\": \"%s\", \"threads\": %d, \"runs\": %d, \"way\": \"%s\", \"direct_us\": %.2f, "
        "\"us\": %.2f, \"ratio\": %.3f",
        name, parallel_threads(), runs, differs ? "winograd" : "direct", best[EXACT] * 1e6,
        best[RULE] * 1e6, ratio);
    if (t.may_winograd) printf(", \"winograd_us\": %.2f", best[WINOGRAD] * 1e6);
    printf("}\n");
    release(&t);
    summarize(sum, differs, ratio, name);
}

void sweep_run(int first, int count) {
    Summary sum = {.worst = INFINITY, .noise = INFINITY};
    for (int i = first; i < first + count; i++) {
        Conv s = shape(i);
        for (int pass = 0; pass < PASSES; pass++) one_pass(&s, pass, &sum);
        fflush(stdout);
    }
    printf("{\"sweep\": %d, \"passes\": %d, \"winograd\": %d, \"worst\": %.3f, \"worst_case\": "
           "\"%s\", "
           "\"below_0.95\": %d, \"mean_ratio\": %.3f, \"worst_of_the_same\": %.3f}\n",
           count, PASSES * count, sum.passes, sum.worst, sum.name, sum.below,
           exp(sum.logs / sum.passes), sum.noise);
}
