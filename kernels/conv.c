/* conv: who makes each pass of a convolution, and what is around the passes: activations and the
 * gradient of the bias.
 *
 * By a fixed rule of sizes alone, or by measurement where the backend tunes: for float Winograd
 * where it pays and oneDNN where it has a fast kernel; own loops for everything else.
 */
#include "kernels/activation.h"
#include "kernels/conv.h"
#include "kernels/convloops.h"
#include "kernels/depthwise.h"
#include "kernels/onednn.h"
#include "kernels/tune.h"
#include "kernels/winorule.h"

#include <stdio.h>
#include <stdlib.h>

enum { SUM_LANES = 16 };

static void bias_gradient(const Conv *g, const REAL *dz, REAL *db, bool add) {
    PARALLEL_FOR
    for (int first = 0; first < g->co; first += SUM_LANES) {
        int lanes = g->co - first < SUM_LANES ? g->co - first : SUM_LANES;
        double sum[SUM_LANES] = {0};
        for (size_t pixel = 0; pixel < (size_t)g->n * g->ho * g->wo; pixel++)
            for (int l = 0; l < lanes; l++) sum[l] += (double)dz[pixel * g->co + first + l];
        for (int l = 0; l < lanes; l++) kernel_put(db + first + l, (REAL)sum[l], add);
    }
}

/* dz = dy * act'(z), in place, and the residual's gradient, which equals dz.  `value` is z for SILU
 * and y for the others, whose sign is z's. */
static void activation_gradient(const Conv *g, const REAL *restrict value, REAL *restrict dz,
                                REAL *restrict dr, bool add) {
    enum { BLOCK = 4096 };
    size_t size = conv_size(g), blocks = (size + BLOCK - 1) / BLOCK;
    if (g->act == ACT_NONE && !dr) return;
    PARALLEL_FOR
    for (size_t block = 0; block < blocks; block++) {
        size_t begin = block * BLOCK, end = size - begin < BLOCK ? size : begin + BLOCK;
        if (convloops_silu(g))
            isa_pick(activation_silu_slope)((void *)(dz + begin), (const void *)(dz + begin),
                                            (const void *)(value + begin), end - begin, false);
        else if (g->act == ACT_SILU)
            for (size_t i = begin; i < end; i++) dz[i] *= conv_silu_slope(value[i]);
        else if (g->act != ACT_NONE) {
            REAL below = g->act == ACT_LEAKY ? g->slope : 0;
            for (size_t i = begin; i < end; i++) dz[i] = value[i] > 0 ? dz[i] : below * dz[i];
        }
        if (dr && add)
            for (size_t i = begin; i < end; i++) dr[i] += dz[i];
        else if (dr)
            memcpy(dr + begin, dz + begin, (end - begin) * sizeof *dr);
    }
}

static bool is_product(const Conv *g) {
    return onednn_usable(sizeof(REAL)) && conv_size(g) && g->kh == 1 && g->kw == 1 &&
           g->stride == 1 && !g->pad && g->groups == 1;
}

static void product_forward(const Conv *g, const Call *c, REAL *y) {
    const REAL *b = c->in[2].data, *r = c->in[3].data;
    int pixels = g->n * g->h * g->w;
    OnednnMatrix x = {c->in[0].data, g->ci, false}, w = {c->in[1].data, g->ci, true};
    onednn_gemm(pixels, g->co, g->ci, x, w, y, g->co, false);
    PARALLEL_FOR
    for (int p = 0; p < pixels; p++) {
        size_t at = (size_t)p * g->co;
        KERNEL(convloops_finish)(g, y + at, g->co, b, r ? r + at : NULL, y + at);
    }
}

static void product_input_gradient(const Conv *g, const Call *c) {
    OnednnMatrix w = {c->in[1].data, g->ci, false}, dz = {c->dout[0].data, g->co, false};
    onednn_gemm(g->n * g->h * g->w, g->ci, g->co, dz, w, c->din[0].data, g->ci, c->add[0]);
}

static void product_weight_gradient(const Conv *g, const Call *c) {
    OnednnMatrix x = {c->in[0].data, g->ci, false}, dz = {c->dout[0].data, g->co, true};
    onednn_gemm(g->co, g->ci, g->n * g->h * g->w, dz, x, c->din[1].data, g->ci, c->add[1]);
}

/* Who does each pass of a call; their numbers are kept in files (tune.h), so new ones come last. */
typedef enum { BY_LOOPS, BY_DEPTHWISE, BY_ONEDNN, BY_PRODUCT, BY_WINOGRAD } Way;
enum { WAYS = BY_WINOGRAD + 1 };
enum { FORWARD_PASS, INPUT_PASS, WEIGHT_PASS, PASS_COUNT };

typedef struct {
    Way way[PASS_COUNT];
    OnednnConv *onednn;
    Winograd winograd;
} ConvState;

static const unsigned ONEDNN_PASS[PASS_COUNT] = {ONEDNN_FORWARD, ONEDNN_INPUT_GRADIENT,
                                                 ONEDNN_WEIGHT_GRADIENT};

static bool is_winograd(const Conv *g) {
    return sizeof(REAL) < sizeof(double) && conv_size(g) && g->kh == 3 && g->kw == 3 &&
           g->stride <= 2 && g->pad == 1 && g->dilation == 1 && g->groups == 1;
}

static Way own_way(const Conv *g) { return depthwise_is(g) ? BY_DEPTHWISE : BY_LOOPS; }

/* A 1x1 conv as a product of matrices needs no packed weights: the faster way where few pixels meet
 * many weights.  oneDNN's gradients of weights are no faster and depend on the number of threads,
 * and what it would add to a gradient takes a pass of its own. */
static bool product_pays(const Conv *g, const Call *c, int pass) {
    enum { PIXELS = 16, CHANNELS = 24 }; /* measured as the rule of winorule.c */
    if (pass == WEIGHT_PASS || (pass == INPUT_PASS && c->add[0])) return true;
    return g->n * g->h * g->w < PIXELS && (pass == FORWARD_PASS ? g->ci : g->co) >= CHANNELS;
}

/* Of sizes alone.  oneDNN is the faster one for a depthwise conv's values and gradient of x, the
 * slower one for its weights. */
static Way by_rule(const Conv *g, const Call *c, const Winograd *winograd, int pass) {
    if (is_product(g) && product_pays(g, c, pass)) return BY_PRODUCT;
    if (!c->exact && is_winograd(g) && winorule_pays(winograd, (WinogradPass)pass))
        return BY_WINOGRAD;
    if (depthwise_is(g) && pass == WEIGHT_PASS) return BY_DEPTHWISE;
    return onednn_usable(sizeof(REAL)) && conv_size(g) ? BY_ONEDNN : own_way(g);
}

/* Bytes of the value before the activation, at the start of the workspace of SILU's backward. */
static size_t value_bytes(const Conv *g) {
    return g->act == ACT_SILU ? (conv_size(g) * sizeof(REAL) + 63) / 64 * 64 : 0;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static bool wanted(const Call *c, int i) { return shape_size(c->din[i].shape) != 0; }

/* Makes what the ways of the wanted passes need; the bytes of workspace of the largest. */
static size_t prepare_passes(ConvState *s, const Conv *g, const Call *c, const bool *want,
                             Act act) {
    unsigned by_onednn = 0;
    size_t bytes = 0, onednn_bytes = 0;
    for (int i = 0; i < PASS_COUNT; i++)
        if (want[i] && s->way[i] == BY_ONEDNN) by_onednn |= ONEDNN_PASS[i];
    if (by_onednn) s->onednn = onednn_conv_new(c, by_onednn, act, &onednn_bytes);
    for (int i = 0; i < PASS_COUNT; i++) {
        if (!want[i]) continue;
        if (s->way[i] == BY_ONEDNN && !s->onednn) s->way[i] = own_way(g);
        if (s->way[i] == BY_LOOPS) bytes = larger(bytes, KERNEL(convloops_bytes)(g));
        if (s->way[i] == BY_DEPTHWISE) bytes = larger(bytes, KERNEL(depthwise_bytes)(g));
        if (s->way[i] == BY_WINOGRAD)
            bytes = larger(bytes, winograd_bytes(&s->winograd, (WinogradPass)i));
    }
    return larger(bytes, onednn_bytes);
}

/* SILU's backward makes the value before the activation again. */
static void wanted_passes(const Conv *g, const Call *c, bool backward, bool want[PASS_COUNT]) {
    want[FORWARD_PASS] = !backward || g->act == ACT_SILU;
    want[INPUT_PASS] = wanted(c, 0);
    want[WEIGHT_PASS] = wanted(c, 1);
}

static Winograd winograd_of(const Conv *g) {
    return winograd_new(g->n, g->h, g->w, g->ci, g->co, g->stride, parallel_threads());
}

/* Makes ready the passes that c asks for, each in its way. */
static void prepare_by(Call *c, bool backward, const Way way[PASS_COUNT]) {
    Conv g = conv_of(c);
    ConvState *s = calloc(1, sizeof *s);
    CHECK(s, "out of memory");
    s->winograd = winograd_of(&g);
    bool want[PASS_COUNT];
    wanted_passes(&g, c, backward, want);
    memcpy(s->way, way, sizeof s->way);
    size_t bytes = prepare_passes(s, &g, c, want, backward ? ACT_NONE : g.act);
    c->state = s;
    c->workspace_size = bytes + (backward ? value_bytes(&g) : 0);
}

void KERNEL(conv_drop)(Call *c) {
    ConvState *s = c->state;
    if (s) onednn_conv_free(s->onednn);
    free(s);
    c->state = NULL;
}

static void run_forward(const Conv *g, const Call *c, REAL *y, void *workspace) {
    const ConvState *s = c->state;
    switch (s->way[FORWARD_PASS]) {
    case BY_LOOPS: KERNEL(convloops_forward)(g, c, workspace, y); break;
    case BY_DEPTHWISE: KERNEL(depthwise_forward)(g, c, workspace, y); break;
    case BY_ONEDNN: onednn_conv_forward(s->onednn, c, y, workspace); break;
    case BY_PRODUCT: product_forward(g, c, y); break;
    case BY_WINOGRAD: {
        WinogradEnd end = {c->in[2].data, c->in[3].data, g->act, (float)g->slope};
        winograd_forward(&s->winograd, c->in[0].data, c->in[1].data, end, (void *)y, workspace);
    }
    }
}

static void run_input_gradient(const Conv *g, const Call *c, void *workspace) {
    const ConvState *s = c->state;
    switch (s->way[INPUT_PASS]) {
    case BY_LOOPS: KERNEL(convloops_input_gradient)(g, c, workspace); break;
    case BY_DEPTHWISE: KERNEL(depthwise_input_gradient)(g, c, workspace); break;
    case BY_ONEDNN: onednn_conv_input_gradient(s->onednn, c, workspace); break;
    case BY_PRODUCT: product_input_gradient(g, c); break;
    case BY_WINOGRAD:
        winograd_input_gradient(&s->winograd, c->dout[0].data, c->in[1].data, c->din[0].data,
                                c->add[0], workspace);
    }
}

/* True when the gradient of the bias is done too. */
static bool run_weight_gradient(const Conv *g, const Call *c, void *workspace) {
    const ConvState *s = c->state;
    switch (s->way[WEIGHT_PASS]) {
    case BY_LOOPS: KERNEL(convloops_weight_gradient)(g, c); return false;
    case BY_DEPTHWISE: KERNEL(depthwise_weight_gradient)(g, c, workspace); return false;
    case BY_ONEDNN: onednn_conv_weight_gradient(s->onednn, c, workspace); return true;
    case BY_PRODUCT: product_weight_gradient(g, c); return false;
    case BY_WINOGRAD:
        winograd_weight_gradient(&s->winograd, c->in[0].data, c->dout[0].data, c->din[1].data,
                                 c->add[1], c->din[2].data, c->add[2], workspace);
    }
    return true;
}

void KERNEL(conv_forward)(const Call *c) {
    Conv g = conv_of(c);
    run_forward(&g, c, c->out[0].data, c->workspace);
}

void KERNEL(conv_backward)(const Call *c) {
    Conv g = conv_of(c);
    REAL *dz = c->dout[0].data, *value = c->out[0].data;
    char *rest = (char *)c->workspace + value_bytes(&g);
    if (g.act == ACT_SILU) {
        Conv linear = g;
        linear.act = ACT_NONE;
        value = c->workspace;
        run_forward(&linear, c, value, rest);
    }
    activation_gradient(&g, value, dz, c->din[3].data, c->add[3]);
    if (c->din[0].data) run_input_gradient(&g, c, rest);
    bool has_bias = c->din[1].data && run_weight_gradient(&g, c, rest);
    if (c->din[2].data && !has_bias) bias_gradient(&g, dz, c->din[2].data, c->add[2]);
}

/* --- the fastest way of a pass, measured --- */

typedef struct {
    Call call[WAYS]; /* the same numbers in each way */
    bool backward;
} Trial;

static void trial_run(void *context, int i) {
    const Trial *t = context;
    if (t->backward)
        KERNEL(conv_backward)(&t->call[i]);
    else
        KERNEL(conv_forward)(&t->call[i]);
}

/* One pass of c without activation, which costs the same in every way. */
static Call alone(const Call *c, int pass, const ConvAttr *linear) {
    Call one = {.attr = linear, .in = {c->in[0], c->in[1], c->in[2]}};
    Tensor y = shape_size(c->out[0].shape) ? c->out[0] : c->dout[0];
    int first = pass == INPUT_PASS ? 0 : 1, last = pass == INPUT_PASS ? 0 : 2;
    if (pass == FORWARD_PASS) {
        one.out[0] = y;
        return one;
    }
    one.dout[0] = y;
    for (int i = first; i <= last; i++) one.din[i] = c->din[i], one.add[i] = c->add[i];
    return one;
}

/* Numbers to measure on, all 0.0115, and `workspace` bytes behind them; NULL without room. */
static char *trial_memory(Call *c, size_t workspace) {
    Tensor *all[] = {&c->in[0],   &c->in[1],  &c->in[2],  &c->out[0],
                     &c->dout[0], &c->din[0], &c->din[1], &c->din[2]};
    enum { TENSORS = sizeof all / sizeof *all };
    size_t at[TENSORS], size = 0;
    for (int i = 0; i < TENSORS; i++) {
        at[i] = size;
        size += (shape_size(all[i]->shape) * sizeof(REAL) + 63) / 64 * 64;
    }
    char *memory = KERNEL(backend).alloc(size + workspace);
    if (!memory) return NULL;
    memset(memory, 0x3c, size);
    for (int i = 0; i < TENSORS; i++)
        all[i]->data = shape_size(all[i]->shape) ? memory + at[i] : NULL;
    c->workspace = memory + size;
    return memory;
}

/* Which of the ways it is; the first where there is no memory to measure in. */
static int fastest(const Call *c, int pass, const char *key, const Way *way, int count) {
    ConvAttr linear = *(const ConvAttr *)c->attr;
    linear.act = ACT_NONE;
    Call call = alone(c, pass, &linear);
    Trial t = {.backward = pass != FORWARD_PASS};
    size_t workspace = 0;
    int number[WAYS], best = 0;
    for (int i = 0; i < count; i++) {
        Way all[PASS_COUNT] = {way[i], way[i], way[i]};
        t.call[i] = call;
        prepare_by(&t.call[i], t.backward, all);
        workspace = larger(workspace, t.call[i].workspace_size);
        number[i] = (int)way[i];
    }
    char *memory = trial_memory(&call, workspace);
    for (int i = 0; i < count; i++) {
        call.state = t.call[i].state;
        t.call[i] = call;
    }
    if (memory) best = tune_fastest(key, number, count, trial_run, &t);
    for (int i = 0; i < count; i++) KERNEL(conv_drop)(&t.call[i]);
    KERNEL(backend).release(memory);
    return best;
}

/* The rule's way first, then the others that can do it. */
static int possible_ways(const Conv *g, Way rule, Way way[WAYS]) {
    const bool can[WAYS] = {[BY_DEPTHWISE] = depthwise_is(g),
                            [BY_ONEDNN] = onednn_usable(sizeof(REAL)),
                            [BY_PRODUCT] = is_product(g),
                            [BY_WINOGRAD] = is_winograd(g)};
    int count = 0;
    way[count++] = rule;
    for (int i = 0; i < WAYS; i++)
        if (can[i] && i != (int)rule) way[count++] = (Way)i;
    return count;
}

static Way by_measurement(const Conv *g, const Call *c, Way rule, int pass) {
    static const char *const name[PASS_COUNT] = {"forward", "inputs", "weights"};
    Way way[WAYS];
    int count = possible_ways(g, rule, way);
    if (count == 1) return rule;
    char key[256];
    snprintf(key, sizeof key, "%s x %d,%d,%d,%d w %d,%d,%d,%d stride %d pad %d dilation %d add %d",
             name[pass], g->n, g->h, g->w, g->ci, g->co, g->kh, g->kw, g->gi, g->stride, g->pad,
             g->dilation, pass != FORWARD_PASS && c->add[pass - INPUT_PASS]);
    return way[fastest(c, pass, key, way, count)];
}

void KERNEL(conv_prepare)(Call *c, bool backward) {
    Conv g = conv_of(c);
    Winograd winograd = winograd_of(&g);
    bool want[PASS_COUNT];
    wanted_passes(&g, c, backward, want);
    Way way[PASS_COUNT];
    for (int i = 0; i < PASS_COUNT; i++) {
        way[i] = by_rule(&g, c, &winograd, i);
        if (c->tune && !c->exact && want[i] && conv_size(&g))
            way[i] = by_measurement(&g, c, way[i], i);
    }
    prepare_by(c, backward, way);
}
