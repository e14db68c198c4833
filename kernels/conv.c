/* conv: for float Winograd where it pays and oneDNN where it has a fast kernel; own loops for
 * everything else.
 *
 * The own loops are one micro kernel: 4 pixels x LANES channels of a product of pixel rows with
 * packed weights.  Forward runs it with outputs as lanes, the gradient of x with inputs as lanes;
 * pixels outside the map point to a row of zeros.  Depthwise convs have a file of their own.
 */
#include "kernels/activation.h"
#include "kernels/conv.h"
#include "kernels/depthwise.h"
#include "kernels/onednn.h"
#include "kernels/winograd.h"

#include <stdlib.h>

enum { PIXELS = 4, LANES = 8, SUM_LANES = 16 };

static int round_up(int value, int multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

/* Packed weights: [groups][kh*kw][rows][lanes], lanes padded with zeros to a multiple of LANES,
 * then a row of zeros.  Rows are summed over: inputs in forward, outputs for the gradient of x. */
typedef struct {
    int rows, lanes;
} Packing;

static Packing forward_packing(const Conv *g) { return (Packing){g->gi, round_up(g->go, LANES)}; }

static Packing backward_packing(const Conv *g) { return (Packing){g->go, round_up(g->gi, LANES)}; }

static size_t packed_size(const Conv *g, Packing p) {
    return (size_t)g->groups * g->kh * g->kw * p.rows * p.lanes +
           (size_t)(p.rows > p.lanes ? p.rows : p.lanes);
}

static const REAL *zero_row(const Conv *g, Packing p, const REAL *packed) {
    return packed + packed_size(g, p) - (p.rows > p.lanes ? p.rows : p.lanes);
}

static void pack(const Conv *g, Packing p, bool outputs_are_lanes, const REAL *w, REAL *packed) {
    int taps = g->kh * g->kw;
    memset(packed, 0, packed_size(g, p) * sizeof *packed);
    PARALLEL_FOR
    for (int gt = 0; gt < g->groups * taps; gt++) {
        int group = gt / taps, tap = gt % taps;
        for (int o = 0; o < g->go; o++) {
            const REAL *from = w + ((size_t)(group * g->go + o) * taps + tap) * g->gi;
            REAL *to = packed + (size_t)gt * p.rows * p.lanes;
            for (int i = 0; i < g->gi; i++)
                to[outputs_are_lanes ? (size_t)i * p.lanes + o : (size_t)o * p.lanes + i] = from[i];
        }
    }
}

/* As many numbers as every x86-64 takes at once; anywhere in memory. */
typedef REAL Vector __attribute__((vector_size(16), aligned(sizeof(REAL)), may_alias));
enum { VECTORS = LANES * sizeof(REAL) / sizeof(Vector) };

/* sum[p][l] += row[p][r] * weights[r][l] over all r.  Compilers do not find these vectors in plain
 * loops over l: a third of the speed. */
static inline void multiply_rows(REAL sum[PIXELS][LANES], const REAL *const row[PIXELS], int rows,
                                 const REAL *restrict weights, int stride) {
    Vector t[PIXELS][VECTORS];
    memcpy(t, sum, sizeof t);
    for (int r = 0; r < rows; r++, weights += stride)
        for (int p = 0; p < PIXELS; p++)
            for (int l = 0; l < VECTORS; l++) t[p][l] += row[p][r] * ((const Vector *)weights)[l];
    memcpy(sum, t, sizeof t);
}

/* Whether whole rows go through SiLU's vectors, which are made for float. */
static bool silu_rows(const Conv *g) { return KERNEL_IS_FLOAT && g->act == ACT_SILU; }

/* One value per channel of one pixel, before the activation: bias and residual where present. */
static void finish(const Conv *g, const REAL *sum, int count, const REAL *b, const REAL *r,
                   REAL *y) {
    for (int l = 0; l < count; l++) {
        REAL z = sum[l] + (b ? b[l] : 0) + (r ? r[l] : 0);
        y[l] = silu_rows(g) ? z : conv_activate(g, z);
    }
    if (silu_rows(g)) ISA_PICK(activation_silu)((void *)y, (const void *)y, (size_t)count);
}

/* Output row `row` of n*ho rows. */
static void forward_row(const Conv *g, int row, const REAL *x, const REAL *packed, const REAL *b,
                        const REAL *r, REAL *y) {
    Packing p = forward_packing(g);
    const REAL *zeros = zero_row(g, p, packed);
    int image = row / g->ho, i = row % g->ho, taps = g->kh * g->kw;
    for (int group = 0; group < g->groups; group++)
        for (int lane = 0; lane < g->go; lane += LANES)
            for (int j = 0; j < g->wo; j += PIXELS) {
                REAL sum[PIXELS][LANES] = {0};
                for (int tap = 0; tap < taps; tap++) {
                    int h = conv_source(g, i, tap / g->kw);
                    if (h < 0 || h >= g->h) continue;
                    const REAL *from[PIXELS];
                    for (int q = 0; q < PIXELS; q++) {
                        int w = conv_source(g, j + q, tap % g->kw);
                        bool inside = j + q < g->wo && w >= 0 && w < g->w;
                        size_t pixel = ((size_t)image * g->h + h) * g->w + (inside ? w : 0);
                        from[q] = inside ? x + pixel * g->ci + group * g->gi : zeros;
                    }
                    size_t block = (size_t)(group * taps + tap) * p.rows * p.lanes;
                    multiply_rows(sum, from, p.rows, packed + block + lane, p.lanes);
                }
                int first = group * g->go + lane, count = g->go - lane;
                for (int q = 0; q < PIXELS && j + q < g->wo; q++) {
                    size_t at = ((size_t)row * g->wo + j + q) * g->co + first;
                    finish(g, sum[q], count < LANES ? count : LANES, b ? b + first : NULL,
                           r ? r + at : NULL, y + at);
                }
            }
}

static void own_forward(const Conv *g, const Call *c, REAL *packed, REAL *y) {
    const REAL *x = c->in[0].data, *b = c->in[2].data, *r = c->in[3].data;
    pack(g, forward_packing(g), true, c->in[1].data, packed);
    PARALLEL_FOR
    for (int row = 0; row < g->n * g->ho; row++) forward_row(g, row, x, packed, b, r, y);
}

/* Input row `row` of n*h rows: dx[i] = sum over taps and outputs of dz[target]*w. */
static void input_gradient_row(const Conv *g, int row, const REAL *dz, const REAL *packed, REAL *dx,
                               bool add) {
    Packing p = backward_packing(g);
    const REAL *zeros = zero_row(g, p, packed);
    int image = row / g->h, i = row % g->h, taps = g->kh * g->kw;
    for (int group = 0; group < g->groups; group++)
        for (int lane = 0; lane < g->gi; lane += LANES)
            for (int j = 0; j < g->w; j += PIXELS) {
                REAL sum[PIXELS][LANES] = {0};
                for (int tap = 0; tap < taps; tap++) {
                    int h = conv_target(g, i, tap / g->kw, g->ho);
                    if (h < 0) continue;
                    const REAL *from[PIXELS];
                    bool any = false;
                    for (int q = 0; q < PIXELS; q++) {
                        int w = j + q < g->w ? conv_target(g, j + q, tap % g->kw, g->wo) : -1;
                        size_t pixel = ((size_t)image * g->ho + h) * g->wo + (w < 0 ? 0 : w);
                        from[q] = w < 0 ? zeros : dz + pixel * g->co + group * g->go;
                        any |= w >= 0;
                    }
                    size_t block = (size_t)(group * taps + tap) * p.rows * p.lanes;
                    if (any) multiply_rows(sum, from, p.rows, packed + block + lane, p.lanes);
                }
                int count = g->gi - lane < LANES ? g->gi - lane : LANES;
                for (int q = 0; q < PIXELS && j + q < g->w; q++) {
                    size_t pixel = (size_t)row * g->w + j + q;
                    REAL *to = dx + pixel * g->ci + group * g->gi + lane;
                    for (int l = 0; l < count; l++) kernel_put(to + l, sum[q][l], add);
                }
            }
}

/* The outputs j0 <= j < j1 that read inside the map through column tap k. */
static void valid_columns(const Conv *g, int k, int *j0, int *j1) {
    *j0 = 0;
    while (*j0 < g->wo && conv_source(g, *j0, k) < 0) ++*j0;
    *j1 = g->wo;
    while (*j1 > *j0 && conv_source(g, *j1 - 1, k) >= g->w) --*j1;
}

/* dw[o][l] += sum over one row of outputs of dz[j][o] * x[j][l] for up to 4 outputs and LANES
 * inputs. */
static inline void weight_gradient_block(const REAL *dz, int co, const REAL *x, size_t x_step,
                                         int pixels, int outputs, int lanes, REAL *dw,
                                         size_t dw_step) {
    REAL sum[PIXELS][LANES] = {0};
    for (int j = 0; j < pixels; j++, dz += co, x += x_step)
        for (int o = 0; o < outputs; o++)
            for (int l = 0; l < lanes; l++) sum[o][l] += dz[o] * x[l];
    for (int o = 0; o < outputs; o++)
        for (int l = 0; l < lanes; l++) dw[o * dw_step + l] += sum[o][l];
}

/* Row kh of the kernels of up to 4 outputs from `first` on. */
static void weight_gradient_rows(const Conv *g, const REAL *x, const REAL *dz, int first,
                                 int outputs, int kh, REAL *dw) {
    size_t filter = (size_t)g->kh * g->kw * g->gi, x_step = (size_t)g->stride * g->ci;
    int group = first / g->go;
    for (int row = 0; row < g->n * g->ho; row++) {
        int h = conv_source(g, row % g->ho, kh);
        if (h < 0 || h >= g->h) continue;
        const REAL *x_row = x + ((size_t)(row / g->ho) * g->h + h) * g->w * g->ci + group * g->gi;
        for (int kw = 0; kw < g->kw; kw++) {
            int j0, j1;
            valid_columns(g, kw, &j0, &j1);
            if (j1 <= j0) continue;
            const REAL *from = x_row + (size_t)conv_source(g, j0, kw) * g->ci;
            const REAL *dz_row = dz + ((size_t)row * g->wo + j0) * g->co + first;
            REAL *to = dw + first * filter + (size_t)(kh * g->kw + kw) * g->gi;
            for (int l = 0; l < g->gi; l += LANES)
                if (outputs == PIXELS && g->gi - l >= LANES)
                    weight_gradient_block(dz_row, g->co, from + l, x_step, j1 - j0, PIXELS, LANES,
                                          to + l, filter);
                else
                    weight_gradient_block(dz_row, g->co, from + l, x_step, j1 - j0, outputs,
                                          g->gi - l < LANES ? g->gi - l : LANES, to + l, filter);
        }
    }
}

static void weight_gradient(const Conv *g, const REAL *x, const REAL *dz, REAL *dw, bool add) {
    int blocks = (g->go + PIXELS - 1) / PIXELS, count = g->groups * blocks * g->kh;
    if (!add) memset(dw, 0, (size_t)g->co * g->kh * g->kw * g->gi * sizeof *dw);
    PARALLEL_FOR
    for (int i = 0; i < count; i++) {
        int block = i / g->kh, o = block % blocks * PIXELS;
        weight_gradient_rows(g, x, dz, block / blocks * g->go + o,
                             g->go - o < PIXELS ? g->go - o : PIXELS, i % g->kh, dw);
    }
}

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

static void own_input_gradient(const Conv *g, const Call *c, REAL *packed) {
    const REAL *dz = c->dout[0].data;
    REAL *dx = c->din[0].data;
    if (!conv_size(g)) return;
    pack(g, backward_packing(g), false, c->in[1].data, packed);
    PARALLEL_FOR
    for (int row = 0; row < g->n * g->h; row++)
        input_gradient_row(g, row, dz, packed, dx, c->add[0]);
}

static void own_weight_gradient(const Conv *g, const Call *c) {
    const REAL *x = c->in[0].data, *dz = c->dout[0].data;
    weight_gradient(g, x, dz, c->din[1].data, c->add[1]);
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
        if (silu_rows(g)) ISA_PICK(activation_silu_slope)
        ((void *)(dz + begin), (const void *)(dz + begin), (const void *)(value + begin),
         end - begin, false);
        else if (g->act == ACT_SILU) for (size_t i = begin; i < end; i++) dz[i] *=
            conv_silu_slope(value[i]);
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

/* A 1x1 conv is a product of matrices that needs no packing; forward gains from it only while
 * packing the weights costs more than a separate pass for bias and activation. */
enum { PRODUCT_PIXELS = 512 };

static bool is_product(const Conv *g) {
    return onednn_usable(sizeof(REAL)) && conv_size(g) && g->kh == 1 && g->kw == 1 &&
           g->stride == 1 && !g->pad && g->groups == 1;
}

static bool is_product_forward(const Conv *g) {
    return is_product(g) && g->n * g->h * g->w < PRODUCT_PIXELS;
}

static void product_forward(const Conv *g, const Call *c, REAL *y) {
    const REAL *b = c->in[2].data, *r = c->in[3].data;
    int pixels = g->n * g->h * g->w;
    OnednnMatrix x = {c->in[0].data, g->ci, false}, w = {c->in[1].data, g->ci, true};
    onednn_gemm(pixels, g->co, g->ci, x, w, y, g->co, false);
    PARALLEL_FOR
    for (int p = 0; p < pixels; p++) {
        size_t at = (size_t)p * g->co;
        finish(g, y + at, g->co, b, r ? r + at : NULL, y + at);
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

/* Who does each pass of a call. */
typedef enum { BY_LOOPS, BY_DEPTHWISE, BY_ONEDNN, BY_PRODUCT, BY_WINOGRAD } Way;
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
           g->stride == 1 && g->pad == 1 && g->dilation == 1 && g->groups == 1;
}

static Way own_way(const Conv *g) { return depthwise_is(g) ? BY_DEPTHWISE : BY_LOOPS; }

/* oneDNN is the faster one for a depthwise conv's values and gradient of x, the slower one for its
 * weights. */
static Way choose(const Conv *g, const Call *c, const Winograd *winograd, int pass) {
    if (is_product(g) && (pass != FORWARD_PASS || is_product_forward(g))) return BY_PRODUCT;
    if (!c->exact && is_winograd(g) && winograd_pays(winograd)) return BY_WINOGRAD;
    if (depthwise_is(g) && pass == WEIGHT_PASS) return BY_DEPTHWISE;
    return onednn_usable(sizeof(REAL)) && conv_size(g) ? BY_ONEDNN : own_way(g);
}

/* Bytes of the value before the activation, at the start of the workspace of SILU's backward. */
static size_t value_bytes(const Conv *g) {
    return g->act == ACT_SILU ? (conv_size(g) * sizeof(REAL) + 63) / 64 * 64 : 0;
}

static size_t own_bytes(const Conv *g) {
    size_t forward = packed_size(g, forward_packing(g));
    size_t backward = packed_size(g, backward_packing(g));
    return (forward > backward ? forward : backward) * sizeof(REAL);
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
        if (s->way[i] == BY_LOOPS) bytes = larger(bytes, own_bytes(g));
        if (s->way[i] == BY_DEPTHWISE) bytes = larger(bytes, KERNEL(depthwise_bytes)(g));
        if (s->way[i] == BY_WINOGRAD)
            bytes = larger(bytes, winograd_bytes(&s->winograd, (WinogradPass)i));
    }
    return larger(bytes, onednn_bytes);
}

void KERNEL(conv_prepare)(Call *c, bool backward) {
    Conv g = conv_of(c);
    ConvState *s = calloc(1, sizeof *s);
    CHECK(s, "out of memory");
    s->winograd = winograd_new(g.n, g.h, g.w, g.ci, g.co, parallel_threads());
    bool want[PASS_COUNT] = {!backward || g.act == ACT_SILU, wanted(c, 0), wanted(c, 1)};
    for (int i = 0; i < PASS_COUNT; i++) s->way[i] = choose(&g, c, &s->winograd, i);
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
    case BY_LOOPS: own_forward(g, c, workspace, y); break;
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
    case BY_LOOPS: own_input_gradient(g, c, workspace); break;
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
    case BY_LOOPS: own_weight_gradient(g, c); return false;
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
