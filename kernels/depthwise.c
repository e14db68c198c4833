/* depthwise: plain loops over c, which `ref` keeps to, and rows of vectors for floats. */
#include "kernels/depthwise.h"

enum { CHUNKS = 32, CHUNK_ROWS = 8, SUM_LANES = 16, PIECE = 256 };

static bool has_vectors(const Conv *g) {
    return KERNEL_IS_FLOAT && g->kh * g->kw <= DEPTHWISE_TAPS;
}

/* Weights as [taps][c], as rows of channels want them. */
static void pack(const Conv *g, const REAL *w, REAL *packed) {
    int taps = g->kh * g->kw;
    for (int k = 0; k < g->co; k++)
        for (int tap = 0; tap < taps; tap++)
            packed[(size_t)tap * g->co + k] = w[(size_t)k * taps + tap];
}

static size_t taps_size(const Conv *g) { return (size_t)g->kh * g->kw * g->co; }

/* Rows of outputs whose products are summed in one piece: their number depends on the map alone,
 * and so do the results. */
static int chunks_of(const Conv *g) {
    int chunks = g->n * g->ho / CHUNK_ROWS;
    return chunks < 1 ? 1 : chunks < CHUNKS ? chunks : CHUNKS;
}

size_t KERNEL(depthwise_bytes)(const Conv *g) {
    return taps_size(g) * (size_t)(has_vectors(g) ? chunks_of(g) + 1 : 1) * sizeof(REAL);
}

/* --- plain loops --- */

static void forward_row(const Conv *g, int row, const REAL *x, const REAL *packed, const REAL *b,
                        const REAL *r, REAL *restrict y) {
    int image = row / g->ho, i = row % g->ho, c = g->co;
    for (int j = 0; j < g->wo; j++) {
        size_t at = ((size_t)row * g->wo + j) * c;
        for (int l = 0; l < c; l++) y[at + l] = 0;
        for (int tap = 0; tap < g->kh * g->kw; tap++) {
            int h = conv_source(g, i, tap / g->kw), w = conv_source(g, j, tap % g->kw);
            if (h < 0 || h >= g->h || w < 0 || w >= g->w) continue;
            const REAL *restrict from = x + (((size_t)image * g->h + h) * g->w + w) * c;
            const REAL *restrict weight = packed + (size_t)tap * c;
            for (int l = 0; l < c; l++) y[at + l] += from[l] * weight[l];
        }
        for (int l = 0; l < c; l++)
            y[at + l] = conv_activate(g, y[at + l] + (b ? b[l] : 0) + (r ? r[at + l] : 0));
    }
}

static void input_gradient_row(const Conv *g, int row, const REAL *dz, const REAL *packed,
                               REAL *restrict dx, bool add) {
    int image = row / g->h, i = row % g->h, c = g->ci;
    for (int j = 0; j < g->w; j++) {
        REAL *restrict to = dx + ((size_t)row * g->w + j) * c;
        if (!add) memset(to, 0, c * sizeof *to);
        for (int tap = 0; tap < g->kh * g->kw; tap++) {
            int h = conv_target(g, i, tap / g->kw, g->ho),
                w = conv_target(g, j, tap % g->kw, g->wo);
            if (h < 0 || w < 0) continue;
            const REAL *restrict from = dz + (((size_t)image * g->ho + h) * g->wo + w) * c;
            const REAL *restrict weight = packed + (size_t)tap * c;
            for (int l = 0; l < c; l++) to[l] += from[l] * weight[l];
        }
    }
}

/* One tap of up to SUM_LANES channels from `first` on, summed over all outputs. */
static void weight_gradient_tap(const Conv *g, const REAL *x, const REAL *dz, int first, int lanes,
                                int tap, REAL *dw, bool add) {
    int c = g->co, taps = g->kh * g->kw;
    REAL total[SUM_LANES] = {0};
    for (int row = 0; row < g->n * g->ho; row++) {
        int h = conv_source(g, row % g->ho, tap / g->kw);
        if (h < 0 || h >= g->h) continue;
        REAL sum[SUM_LANES] = {0};
        for (int j = 0; j < g->wo; j++) {
            int w = conv_source(g, j, tap % g->kw);
            if (w < 0 || w >= g->w) continue;
            const REAL *d = dz + ((size_t)row * g->wo + j) * c + first;
            const REAL *v = x + (((size_t)(row / g->ho) * g->h + h) * g->w + w) * c + first;
            for (int l = 0; l < lanes; l++) sum[l] += d[l] * v[l];
        }
        for (int l = 0; l < lanes; l++) total[l] += sum[l];
    }
    for (int l = 0; l < lanes; l++)
        kernel_put(dw + (size_t)(first + l) * taps + tap, total[l], add);
}

static void weight_gradient_plain(const Conv *g, const REAL *x, const REAL *dz, REAL *dw,
                                  bool add) {
    int taps = g->kh * g->kw, blocks = (g->co + SUM_LANES - 1) / SUM_LANES;
    PARALLEL_FOR
    for (int i = 0; i < blocks * taps; i++) {
        int first = i / taps * SUM_LANES, left = g->co - first;
        weight_gradient_tap(g, x, dz, first, left < SUM_LANES ? left : SUM_LANES, i % taps, dw,
                            add);
    }
}

/* --- rows of vectors; pointers are void, for these are never called with double --- */

static const float *map_row(const void *map, int image, int height, int i, int width, int c) {
    return (const float *)map + ((size_t)image * height + i) * width * c;
}

static void forward_vectors(const Conv *g, int row, const void *x, const void *packed,
                            const void *b, const void *r, void *y) {
    size_t at = (size_t)row * g->wo * g->co;
    DepthwiseRow d = {.width = g->w, .step = g->stride, .c = g->co, .outputs = g->wo};
    d.y = (float *)y + at, d.y_step = (size_t)g->co;
    d.b = b, d.r = r ? (const float *)r + at : NULL;
    d.act = g->act, d.slope = (float)g->slope;
    for (int tap = 0; tap < g->kh * g->kw; tap++) {
        int h = conv_source(g, row % g->ho, tap / g->kw);
        if (h < 0 || h >= g->h) continue;
        d.tap[d.taps++] = (DepthwiseTap){map_row(x, row / g->ho, g->h, h, g->w, g->co),
                                         (const float *)packed + (size_t)tap * g->co,
                                         conv_source(g, 0, tap % g->kw)};
    }
    isa_pick(depthwise_row)(&d);
}

/* Columns `column`, column + stride, ... of row `row` of dx. */
static void input_gradient_columns(const Conv *g, int row, int column, const void *dz,
                                   const void *packed, void *dx, bool add) {
    DepthwiseRow d = {.width = g->wo, .step = 1, .c = g->ci, .add = add};
    d.outputs = (g->w - column + g->stride - 1) / g->stride;
    d.y = (float *)dx + ((size_t)row * g->w + column) * g->ci;
    d.y_step = (size_t)g->stride * g->ci;
    for (int tap = 0; tap < g->kh * g->kw; tap++) {
        int h = conv_target(g, row % g->h, tap / g->kw, g->ho);
        int scaled = column + g->pad - tap % g->kw * g->dilation;
        if (h < 0 || scaled % g->stride) continue;
        d.tap[d.taps++] =
            (DepthwiseTap){map_row(dz, row / g->h, g->ho, h, g->wo, g->co),
                           (const float *)packed + (size_t)tap * g->co, scaled / g->stride};
    }
    isa_pick(depthwise_row)(&d);
}

static void weight_gradient_row(const Conv *g, int row, const void *x, const void *dz, float *sum) {
    for (int kh = 0; kh < g->kh; kh++) {
        int h = conv_source(g, row % g->ho, kh);
        if (h < 0 || h >= g->h) continue;
        DepthwiseWeights d = {.width = g->w, .columns = g->wo, .step = g->stride, .c = g->co};
        d.x = map_row(x, row / g->ho, g->h, h, g->w, g->co);
        d.dz = map_row(dz, row / g->ho, g->ho, row % g->ho, g->wo, g->co);
        d.sum = sum + (size_t)kh * g->kw * g->co;
        for (d.taps = 0; d.taps < g->kw; d.taps++) d.offset[d.taps] = conv_source(g, 0, d.taps);
        isa_pick(depthwise_weights)(&d);
    }
}

/* Adds to the first chunk's numbers those of the others. */
static void sum_chunks(float *sum, size_t count, size_t step, int chunks) {
    for (int chunk = 1; chunk < chunks; chunk++) {
        const float *restrict other = sum + (size_t)chunk * step;
        for (size_t i = 0; i < count; i++) sum[i] += other[i];
    }
}

static void weight_gradient_vectors(const Conv *g, const void *x, const void *dz, float *sums,
                                    REAL *dw, bool add) {
    int chunks = chunks_of(g), rows = g->n * g->ho, taps = g->kh * g->kw;
    size_t size = taps_size(g);
    PARALLEL_FOR
    for (int chunk = 0; chunk < chunks; chunk++) {
        float *sum = sums + (size_t)chunk * size;
        memset(sum, 0, size * sizeof *sum);
        int end = (int)((long long)rows * (chunk + 1) / chunks);
        for (int row = (int)((long long)rows * chunk / chunks); row < end; row++)
            weight_gradient_row(g, row, x, dz, sum);
    }
    PARALLEL_FOR
    for (size_t start = 0; start < size; start += PIECE)
        sum_chunks(sums + start, size - start < PIECE ? size - start : PIECE, size, chunks);
    for (int k = 0; k < g->co; k++)
        for (int tap = 0; tap < taps; tap++)
            kernel_put(dw + (size_t)k * taps + tap, (REAL)sums[(size_t)tap * g->co + k], add);
}

/* --- the calls --- */

void KERNEL(depthwise_forward)(const Conv *g, const Call *c, void *workspace, REAL *y) {
    const REAL *x = c->in[0].data, *b = c->in[2].data, *r = c->in[3].data;
    REAL *packed = workspace;
    pack(g, c->in[1].data, packed);
    PARALLEL_FOR
    for (int row = 0; row < g->n * g->ho; row++)
        if (has_vectors(g))
            forward_vectors(g, row, x, packed, b, r, y);
        else
            forward_row(g, row, x, packed, b, r, y);
}

static void input_gradient_vectors(const Conv *g, int row, const void *dz, const void *packed,
                                   void *dx, bool add) {
    for (int column = 0; column < g->stride && column < g->w; column++)
        input_gradient_columns(g, row, column, dz, packed, dx, add);
}

void KERNEL(depthwise_input_gradient)(const Conv *g, const Call *c, void *workspace) {
    const REAL *dz = c->dout[0].data;
    REAL *dx = c->din[0].data, *packed = workspace;
    if (!conv_size(g)) return;
    pack(g, c->in[1].data, packed);
    PARALLEL_FOR
    for (int row = 0; row < g->n * g->h; row++)
        if (has_vectors(g))
            input_gradient_vectors(g, row, dz, packed, dx, c->add[0]);
        else
            input_gradient_row(g, row, dz, packed, dx, c->add[0]);
}

void KERNEL(depthwise_weight_gradient)(const Conv *g, const Call *c, void *workspace) {
    const REAL *x = c->in[0].data, *dz = c->dout[0].data;
    if (has_vectors(g))
        weight_gradient_vectors(g, x, dz, workspace, c->din[1].data, c->add[1]);
    else
        weight_gradient_plain(g, x, dz, c->din[1].data, c->add[1]);
}
