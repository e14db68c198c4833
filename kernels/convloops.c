/* convloops: one micro kernel, 4 pixels x LANES channels of a product of pixel rows with packed
 * weights.  Forward runs it with outputs as lanes, the gradient of x with inputs as lanes; pixels
 * outside the map point to a row of zeros.
 */
#include "kernels/convloops.h"

#include "kernels/activation.h"

enum { PIXELS = 4, LANES = 8 };

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

void KERNEL(convloops_finish)(const Conv *g, const REAL *sum, int count, const REAL *b,
                              const REAL *r, REAL *y) {
    for (int l = 0; l < count; l++) {
        REAL z = sum[l] + (b ? b[l] : 0) + (r ? r[l] : 0);
        y[l] = convloops_silu(g) ? z : conv_activate(g, z);
    }
    if (convloops_silu(g)) isa_pick(activation_silu)((void *)y, (const void *)y, (size_t)count);
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
                    KERNEL(convloops_finish)
                    (g, sum[q], count < LANES ? count : LANES, b ? b + first : NULL,
                     r ? r + at : NULL, y + at);
                }
            }
}

void KERNEL(convloops_forward)(const Conv *g, const Call *c, void *workspace, REAL *y) {
    REAL *packed = workspace;
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

void KERNEL(convloops_input_gradient)(const Conv *g, const Call *c, void *workspace) {
    REAL *packed = workspace;
    const REAL *dz = c->dout[0].data;
    REAL *dx = c->din[0].data;
    if (!conv_size(g)) return;
    pack(g, backward_packing(g), false, c->in[1].data, packed);
    PARALLEL_FOR
    for (int row = 0; row < g->n * g->h; row++)
        input_gradient_row(g, row, dz, packed, dx, c->add[0]);
}

void KERNEL(convloops_weight_gradient)(const Conv *g, const Call *c) {
    const REAL *x = c->in[0].data, *dz = c->dout[0].data;
    weight_gradient(g, x, dz, c->din[1].data, c->add[1]);
}

size_t KERNEL(convloops_bytes)(const Conv *g) {
    size_t forward = packed_size(g, forward_packing(g));
    size_t backward = packed_size(g, backward_packing(g));
    return (forward > backward ? forward : backward) * sizeof(REAL);
}
