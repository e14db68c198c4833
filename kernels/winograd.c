/* winograd: which tiles and channels go where and when; the arithmetic is in winotile.isa.c,
 * winostride.isa.c and gemm.isa.c.
 *
 * Forward transforms tiles to V [36][tiles][c] and weights to U [36][c][k], multiplies plane by
 * plane to M [36][tiles][k] and transforms M to y.  Of U and V the smaller one is made whole
 * first; then threads take pieces of the other: blocks of tiles, or panels of outputs.  With stride
 * 2 there are 25 planes, where V has the channels of several phases of x side by side (winotile.h),
 * in the gradient of x M; U is always made whole.
 */
#include "kernels/winograd.h"

#include "kernels/gemm.h"
#include "kernels/winotile.h"
#include "tensor/error.h"
#include "tensor/parallel.h"

#include <math.h>
#include <string.h>

enum {
    PHASES = 4,              /* of x with stride 2 */
    BLOCK_BYTES = 640 << 10, /* of V and M that a thread works on at a time */
    CHUNK_BYTES = 4 << 20,   /* of V and D that all threads share for the gradient of weights */
    TILES_STEP = 24,         /* a multiple of every TILE_ROWS */
    MAX_BLOCK = 48,
    SLAB = 96, /* inputs whose weights are transformed at a time, where threads take panels */
    MIN_CHUNK = 96,
    MAX_CHUNK = 768,
    SHARE = 8, /* tiles that a thread transforms at a time, where all threads share a chunk */
};

static int min(int a, int b) { return a < b ? a : b; }

static int parts(int n, int size) { return (n + size - 1) / size; }

Winograd winograd_new(int n, int h, int w, int c, int k, int stride, int threads) {
    int out_h = parts(h, stride), out_w = parts(w, stride);
    int rows = parts(out_h, WINOTILE_SIDE), columns = parts(out_w, WINOTILE_SIDE);
    return (Winograd){n,      h, w, c, k, stride, out_h, out_w, rows, columns, n * rows * columns,
                      threads};
}

static int taps_of(const Winograd *s) { return s->stride == 1 ? WINOTILE_TAPS : WINOSTRIDE_TAPS; }

/* Phases of x whose channels stand side by side in plane xi. */
static int phases_of(const Winograd *s, int xi) {
    return s->stride == 1 ? 1 : winostride_phases(xi);
}

/* Columns of a plane of all phases of c channels; the last vector of one may reach into the next.
 */
static int phase_columns(const Winograd *s, int c) {
    return s->stride == 1 ? c : (PHASES - 1) * c + gemm_columns(c);
}

/* --- places in the workspace --- */

/* Planes are a cache line longer than their rows: tiles of a power of two would fight for the same
 * lines of the cache. */
static Planes planes(int rows, int columns) {
    int ld = gemm_columns(columns);
    return (Planes){NULL, (size_t)rows * (size_t)ld + GEMM_SLACK, ld};
}

static size_t planes_size(const Winograd *s, Planes p) {
    return ((size_t)taps_of(s) * p.plane + GEMM_SLACK + 15) / 16 * 16;
}

/* The next `size` numbers. */
static float *take(float **from, size_t size) {
    float *place = *from;
    *from += (size + 15) / 16 * 16;
    return place;
}

static float *take_zeros(float **from, int size) {
    float *zeros = take(from, (size_t)size);
    return memset(zeros, 0, (size_t)size * sizeof *zeros);
}

static size_t zeros_size(int size) { return ((size_t)size + 15) / 16 * 16; }

/* --- forward, and the gradient of x, which is forward from dz with weights turned round --- */

typedef struct {
    const Winograd *s; /* c: channels of `x`, k: channels of `y` */
    const float *x, *weights;
    bool turned;
    WinogradEnd end;
    float *y;
    bool by_tiles;    /* threads take blocks of tiles, else panels of outputs */
    int block, panel; /* tiles and outputs that are multiplied at a time */
    Planes u, v, m;   /* of which one worker's, or all threads' */
    WinoMaps maps;
} Product;

/* Columns of V, and of M for some outputs. */
static int input_columns(const Product *p) {
    return p->turned ? p->s->c : phase_columns(p->s, p->s->c);
}

static int output_columns(const Product *p, int outputs) {
    return p->s->stride > 1 && p->turned ? PHASES * gemm_columns(outputs) : outputs;
}

/* Sizes alone. */
static Product product_of(const Winograd *s, bool turned) {
    Product p = {.s = s,
                 .turned = turned,
                 .by_tiles = s->stride > 1 || s->tiles > s->k,
                 .panel = min(gemm_panel(), s->k)};
    int inputs = input_columns(&p), outputs = output_columns(&p, p.panel);
    size_t tile = (size_t)taps_of(s) * sizeof(float) * (size_t)(gemm_columns(inputs) + outputs);
    int fits = (int)(BLOCK_BYTES / tile) / TILES_STEP * TILES_STEP;
    p.block = min(fits < TILES_STEP ? TILES_STEP : min(fits, MAX_BLOCK), s->tiles);
    p.u.plane = p.by_tiles ? gemm_packed_size(output_columns(&p, s->k), inputs)
                           : gemm_packed_size(p.panel, min(SLAB, s->c));
    p.u.plane += GEMM_SLACK;
    p.v = planes(p.by_tiles ? p.block : s->tiles, inputs);
    p.m = planes(p.by_tiles ? p.block : s->tiles, outputs);
    return p;
}

static size_t product_size(const Product *p) {
    const Winograd *s = p->s;
    size_t shared = planes_size(s, p->by_tiles ? p->u : p->v);
    size_t own = planes_size(s, p->by_tiles ? p->v : p->u) + planes_size(s, p->m);
    return zeros_size(s->c) + shared + own * (size_t)s->workers;
}

/* M = or += V U for some tiles, outputs and the inputs c0 .. c0+inputs-1; u: the outputs' part of
 * U, in the first plane and for one phase `begin` numbers behind its beginning. */
static void multiply(const Product *p, Planes v, int tiles, int c0, int inputs, const float *u,
                     size_t begin, int outputs, Planes m) {
    for (int xi = 0; xi < taps_of(p->s); xi++) {
        int phases = phases_of(p->s, xi), rows = inputs, columns = outputs;
        if (!p->turned)
            rows *= phases;
        else if (p->s->stride > 1)
            columns = phases * gemm_columns(outputs);
        gemm_packed(tiles, columns, rows, v.data + xi * v.plane + c0, v.ld,
                    u + xi * p->u.plane + begin * (size_t)phases, m.data + xi * m.plane, m.ld,
                    c0 > 0);
    }
}

static void transform_weights(const Product *p, int k0, int outputs, int c0, int inputs, float *u) {
    int c = p->turned ? p->s->k : p->s->c; /* channels of x, whose gradient it is when turned */
    if (p->s->stride == 1) ISA_PICK(winotile_weights)
    (c, p->weights, p->turned, k0, outputs, c0, inputs, u, p->u.plane);
    else ISA_PICK(winostride_weights)(c, p->weights, p->turned, k0, outputs, inputs, u, p->u.plane);
}

static void transform_inputs(const Product *p, int first, int tiles, Planes v) {
    if (p->s->stride == 1)
        ISA_PICK(winotile_input)(&p->maps, first, tiles, &v);
    else if (p->turned)
        ISA_PICK(winostride_window)(&p->maps, first, tiles, &v);
    else
        ISA_PICK(winostride_input)(&p->maps, first, tiles, &v);
}

static void transform_outputs(const Product *p, Planes m, int first, int tiles, int k0,
                              int outputs) {
    if (p->s->stride == 1)
        ISA_PICK(winotile_output)(p->s, &m, first, tiles, k0, outputs, &p->end, p->y);
    else if (p->turned)
        ISA_PICK(winostride_input_gradient)(p->s, &m, first, tiles, k0, outputs, &p->end, p->y);
    else
        ISA_PICK(winostride_output)(p->s, &m, first, tiles, k0, outputs, &p->end, p->y);
}

static void product_block(const Product *p, int block, Planes v, Planes m) {
    const Winograd *s = p->s;
    int first = block * p->block, tiles = min(p->block, s->tiles - first);
    transform_inputs(p, first, tiles, v);
    for (int k0 = 0; k0 < s->k; k0 += p->panel) {
        int outputs = min(p->panel, s->k - k0);
        multiply(p, v, tiles, 0, s->c, p->u.data, (size_t)k0 * (size_t)s->c, outputs, m);
        transform_outputs(p, m, first, tiles, k0, outputs);
    }
}

/* Weights of as many inputs at a time as stay in the caches between transform and product. */
static void product_panel(const Product *p, int panel, float *u, Planes m) {
    const Winograd *s = p->s;
    int k0 = panel * p->panel, outputs = min(p->panel, s->k - k0);
    for (int c0 = 0; c0 < s->c; c0 += SLAB) {
        int inputs = min(SLAB, s->c - c0);
        transform_weights(p, k0, outputs, c0, inputs, u);
        multiply(p, p->v, s->tiles, c0, inputs, u, 0, outputs, m);
    }
    transform_outputs(p, m, 0, s->tiles, k0, outputs);
}

/* What all threads need, made by all of them. */
static void product_shared(const Product *p) {
    const Winograd *s = p->s;
    if (p->by_tiles) {
        PARALLEL_FOR
        for (int i = 0; i < parts(s->k, p->panel); i++) {
            int k0 = i * p->panel;
            size_t begin =
                s->stride == 1 ? (size_t)k0 * (size_t)s->c : 0; /* else it finds itself */
            transform_weights(p, k0, min(p->panel, s->k - k0), 0, s->c, p->u.data + begin);
        }
        return;
    }
    PARALLEL_FOR
    for (int i = 0; i < parts(s->tiles, SHARE); i++) {
        Planes v = p->v;
        v.data += (size_t)i * SHARE * v.ld;
        transform_inputs(p, i * SHARE, min(SHARE, s->tiles - i * SHARE), v);
    }
}

static void product_run(Product *p, void *workspace) {
    const Winograd *s = p->s;
    float *rest = workspace;
    p->maps.s = s, p->maps.x = p->x, p->maps.c = s->c, p->maps.zeros = take_zeros(&rest, s->c);
    p->maps.h = p->turned ? s->out_h : s->h, p->maps.w = p->turned ? s->out_w : s->w;
    Planes *shared = p->by_tiles ? &p->u : &p->v, *own = p->by_tiles ? &p->v : &p->u;
    shared->data = take(&rest, planes_size(s, *shared));
    product_shared(p);
    size_t own_size = planes_size(s, *own), size = own_size + planes_size(s, p->m);
    int pieces = p->by_tiles ? parts(s->tiles, p->block) : parts(s->k, p->panel), next = 0;
    PARALLEL_FOR
    for (int worker = 0; worker < s->workers; worker++) {
        Planes mine = *own, m = p->m;
        mine.data = rest + size * (size_t)worker, m.data = mine.data + own_size;
        for (int i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < pieces;)
            if (p->by_tiles)
                product_block(p, i, mine, m);
            else
                product_panel(p, i, mine.data, m);
    }
}

void winograd_forward(const Winograd *s, const float *x, const float *weights, WinogradEnd end,
                      float *y, void *workspace) {
    Product p = product_of(s, false);
    p.x = x, p.weights = weights, p.end = end, p.y = y;
    product_run(&p, workspace);
}

/* The same map seen from its outputs. */
static Winograd backwards(const Winograd *s) {
    Winograd back = *s;
    back.c = s->k, back.k = s->c;
    return back;
}

void winograd_input_gradient(const Winograd *s, const float *dz, const float *weights, float *dx,
                             bool add, void *workspace) {
    Winograd back = backwards(s);
    Product p = product_of(&back, true);
    p.x = dz, p.weights = weights, p.y = dx;
    p.end = (WinogradEnd){.r = add ? dx : NULL};
    product_run(&p, workspace);
}

/* --- gradient of weights: planes of V and D = A dz A', chunk by chunk of tiles --- */

typedef struct {
    const Winograd *s;
    int chunk;
    Planes v, d, sum; /* sum [36 or 25][k][c of all phases] */
    float *bias;      /* a row of sums for every SHARE tiles of a chunk */
    double *bias_sum; /* [k] */
} Outer;

static Outer outer_of(const Winograd *s) {
    int inputs = phase_columns(s, s->c);
    size_t tile =
        (size_t)taps_of(s) * sizeof(float) * (size_t)(gemm_columns(inputs) + gemm_columns(s->k));
    int fits = (int)(CHUNK_BYTES / tile);
    int chunk = fits < MIN_CHUNK ? MIN_CHUNK : min(fits, MAX_CHUNK);
    chunk = min(chunk, s->tiles);
    return (Outer){s,    chunk, planes(chunk, inputs), planes(chunk, s->k), planes(s->k, inputs),
                   NULL, NULL};
}

static size_t bias_size(const Outer *o) {
    return ((size_t)parts(o->chunk, SHARE) * (size_t)o->d.ld + 15) / 16 * 16;
}

static size_t outer_size(const Outer *o) {
    const Winograd *s = o->s;
    return zeros_size(s->c > s->k ? s->c : s->k) + planes_size(s, o->v) + planes_size(s, o->d) +
           planes_size(s, o->sum) + bias_size(o) + 2 * zeros_size(s->k);
}

/* Tiles first .. first+count-1 as rows 0 .. count-1 of v and d. */
static void transform_both(const WinoMaps *x, const WinoMaps *dz, int first, int count, Planes v,
                           Planes d, float *bias) {
    if (x->s->stride == 1) {
        ISA_PICK(winotile_input)(x, first, count, &v);
        ISA_PICK(winotile_gradient)(dz, first, count, &d, bias);
    } else {
        ISA_PICK(winostride_input)(x, first, count, &v);
        ISA_PICK(winostride_gradient)(dz, first, count, &d, bias);
    }
}

/* Tiles first .. first+count-1, shared out by tile and then by plane: sums stay in one order. */
static void add_chunk(const Outer *o, const WinoMaps *x, const WinoMaps *dz, int first, int count) {
    PARALLEL_FOR
    for (int i = 0; i < parts(count, SHARE); i++) {
        int at = i * SHARE, tiles = min(SHARE, count - at);
        Planes v = o->v, d = o->d;
        v.data += (size_t)at * v.ld, d.data += (size_t)at * d.ld;
        transform_both(x, dz, first + at, tiles, v, d, o->bias + (size_t)i * d.ld);
    }
    for (int i = 0; i < parts(count, SHARE); i++)
        for (int k = 0; k < dz->c; k++) o->bias_sum[k] += (double)o->bias[(size_t)i * o->d.ld + k];
    PARALLEL_FOR
    for (int xi = 0; xi < taps_of(o->s); xi++)
        gemm_outer(dz->c, x->c * phases_of(o->s, xi), count, o->d.data + xi * o->d.plane, o->d.ld,
                   o->v.data + xi * o->v.plane, o->v.ld, o->sum.data + xi * o->sum.plane, o->sum.ld,
                   first > 0);
}

/* Outputs k .. k+count-1 of dw. */
static void transform_sums(const Outer *o, int k, int count, float *dw, bool add) {
    if (o->s->stride == 1)
        ISA_PICK(winotile_weight_gradient)(o->s->c, &o->sum, k, k + count, dw, add);
    else
        ISA_PICK(winostride_weight_gradient)(o->s->c, &o->sum, k, k + count, dw, add);
}

void winograd_weight_gradient(const Winograd *s, const float *x, const float *dz, float *dw,
                              bool add, float *db, bool add_db, void *workspace) {
    Outer o = outer_of(s);
    float *rest = workspace, *zeros = take_zeros(&rest, s->c > s->k ? s->c : s->k);
    o.v.data = take(&rest, planes_size(s, o.v));
    o.d.data = take(&rest, planes_size(s, o.d));
    o.sum.data = take(&rest, planes_size(s, o.sum));
    o.bias = take(&rest, bias_size(&o));
    o.bias_sum = memset(rest, 0, (size_t)s->k * sizeof *o.bias_sum);
    WinoMaps from_x = {s, x, s->h, s->w, s->c, zeros},
             from_dz = {s, dz, s->out_h, s->out_w, s->k, zeros};
    for (int first = 0; first < s->tiles; first += o.chunk)
        add_chunk(&o, &from_x, &from_dz, first, min(o.chunk, s->tiles - first));
    PARALLEL_FOR
    for (int k = 0; k < s->k; k++) transform_sums(&o, k, 1, dw, add);
    for (int k = 0; db && k < s->k; k++) db[k] = (float)o.bias_sum[k] + (add_db ? db[k] : 0);
}

size_t winograd_bytes(const Winograd *s, WinogradPass pass) {
    Winograd back = backwards(s);
    if (pass == WINOGRAD_WEIGHT_GRADIENT) {
        Outer o = outer_of(s);
        return outer_size(&o) * sizeof(float);
    }
    Product p = product_of(pass == WINOGRAD_FORWARD ? s : &back, pass != WINOGRAD_FORWARD);
    return product_size(&p) * sizeof(float);
}

/* --- the rule --- */

/* Nanoseconds of what a pass is made of, on one thread, with oneDNN 2.6.3; on other processors
 * their ratios are what counts. A direct sum: multiplications, in whole vectors of outputs, that
 * meet no edge; of all, where it makes no difference; those of one tap of one column, for each row
 * of a map starts anew; weights that are repacked; numbers read and written; a call.  In Winograd's
 * form: multiplications of the products, in whole tiles of sums; transformed numbers, with stride 1
 * those of the outputs; transformed weights, and those that the near caches do not hold, once more;
 * tiles and their places; a call.  `margin`: how much longer direct sums must be expected to take,
 * so that what is taken is no loss but for the noise of measurement. */
typedef struct {
    struct {
        double inner, all, row, weight, number, call;
    } direct;
    struct {
        double product, number, weight, far, tile, call;
    } fast;
    double margin;
    int least;  /* tiles; direct sums over fewer take less time than is said here */
    int narrow; /* channels of x and of y; the same */
} Cost;

typedef struct {
    int vector, tile_rows, tile_columns;
    double near;     /* transformed weights that the near caches hold */
    Cost pass[2][3]; /* of strides 1 and 2 */
} Costs;

/* Stride 1: an AMD EPYC of the first generation, fitted to the 3x3 shapes of `bench sweep 500`
 * (direct) and `bench sweep 220`.  Stride 2: one of the fourth with AVX2 alone, fitted to larger
 * shapes like the sweep's with at least 64 tiles and 24 channels. */
static const Costs AVX2 = {
    .vector = 8,
    .tile_rows = 6,
    .tile_columns = 16,
    .near = 500e3,
    .pass = {
        {
            [WINOGRAD_FORWARD] = {{0.0549, 0, 0.663, 0.276, 0.0579, 2540},
                                  {0.0655, 0.514, 0.195, 0.375, 7.8, 9310},
                                  1.15,
                                  0,
                                  0},
            [WINOGRAD_INPUT_GRADIENT] = {{0.0535, 0, 0.392, 0.210, 0.135, 2050},
                                         {0.0685, 0.256, 0.126, 0.447, 5.76, 9870},
                                         1.15,
                                         0,
                                         0},
            [WINOGRAD_WEIGHT_GRADIENT] = {{0.00752, 0.0518, 0.636, 1.35, 1.03, 4140},
                                          {0.0692, 0, 0.198, 1.03, 11.6, 10000},
                                          1.15,
                                          8,
                                          0},
        },
        {
            [WINOGRAD_FORWARD] =
                {{0.0215, 0.000543, 0.312, 0, 0, 0}, {0.019, 0.297, 0, 0.242, 0, 0}, 1.2, 64, 24},
            [WINOGRAD_INPUT_GRADIENT] = {{0.0188, 0.00367, 0.233, 0.028, 0, 0},
                                         {0.014, 0.454, 0, 0.426, 0, 0},
                                         1.15,
                                         64,
                                         24},
            [WINOGRAD_WEIGHT_GRADIENT] =
                {{0.0142, 0.0127, 0.142, 1.24, 0, 0}, {0.0196, 0.342, 0, 1.23, 0, 0}, 1.3, 64, 24},
        }}};

/* One of the fourth: stride 1 fitted to `bench sweep 500`, stride 2 to the larger shapes. */
static const Costs AVX512 = {
    .vector = 16,
    .tile_rows = 8,
    .tile_columns = 48,
    .near = 1e6,
    .pass = {
        {
            [WINOGRAD_FORWARD] = {{0.0166, 0, 0.0988, 0.149, 0.133, 1690},
                                  {0.0131, 0.184, 0.167, 0.115, 0, 1180},
                                  1.2,
                                  0,
                                  0},
            [WINOGRAD_INPUT_GRADIENT] = {{0.0173, 0, 0.0563, 0.101, 0.0327, 1190},
                                         {0.0119, 0.210, 0.131, 0.151, 0, 622},
                                         1.25,
                                         0,
                                         0},
            [WINOGRAD_WEIGHT_GRADIENT] = {{0.0175, 0, 0.264, 0.378, 0.0283, 421},
                                          {0.0140, 0, 0.116, 0.391, 0.332, 2030},
                                          1.3,
                                          0,
                                          0},
        },
        {
            [WINOGRAD_FORWARD] = {{0.018, 0, 0.0946, 0.397, 0.0103, 0},
                                  {0.0171, 0.179, 0.0906, 0.247, 0, 0},
                                  1.25,
                                  64,
                                  24},
            [WINOGRAD_INPUT_GRADIENT] = {{0.015, 0.00233, 0.193, 0.141, 0, 0},
                                         {0.0126, 0.365, 0.177, 0.439, 0, 0},
                                         1.3,
                                         64,
                                         24},
            [WINOGRAD_WEIGHT_GRADIENT] =
                {{0.0212, 0, 0.285, 0.362, 0, 0}, {0.0147, 0.34, 0.0409, 1.36, 0, 0}, 1.25, 64, 24},
        }}};

static double whole(int n, int step) { return (double)parts(n, step) * step; }

/* Pixels that the three taps of one side find in a map of this size. */
static double inner_taps(int size, int stride) {
    return stride == 1 ? 3.0 * size - 2 : 3.0 * parts(size, 2) - 1 - size % 2;
}

bool winograd_pays(const Winograd *s, WinogradPass pass) {
    const Costs *costs = isa_best() == ISA_AVX512 ? &AVX512 : &AVX2;
    const Cost *cost = &costs->pass[s->stride - 1][pass];
    int from = pass == WINOGRAD_INPUT_GRADIENT ? s->k : s->c, to = s->c + s->k - from;
    double weights = (double)s->c * s->k, tiles = s->tiles;
    double inputs = (double)s->n * s->h * s->w, outputs = (double)s->n * s->out_h * s->out_w;
    double direct = cost->direct.inner * s->n * inner_taps(s->h, s->stride) *
                        inner_taps(s->w, s->stride) * from * whole(to, costs->vector) +
                    cost->direct.all * 9 * outputs * weights +
                    cost->direct.row * s->n * s->out_h * weights +
                    cost->direct.weight * 9 * weights +
                    cost->direct.number * (inputs * s->c + outputs * s->k) + cost->direct.call;
    double products =
        pass == WINOGRAD_WEIGHT_GRADIENT
            ? tiles * whole(s->k, costs->tile_rows) * whole(s->c, costs->tile_columns)
            : whole(s->tiles, costs->tile_rows) * from * whole(to, costs->tile_columns);
    double each = s->stride == 1 ? WINOTILE_TAPS : WINOSTRIDE_PRODUCTS;
    double numbers = s->stride == 1 ? WINOTILE_TAPS * tiles * to
                                    : tiles * (each * s->c + WINOSTRIDE_TAPS * (double)s->k);
    double times = s->stride == 1 || pass == WINOGRAD_WEIGHT_GRADIENT
                       ? 1
                       : parts(s->tiles, TILES_STEP); /* that far weights are read */
    double fast = cost->fast.product * each * products + cost->fast.number * numbers +
                  cost->fast.weight * each * weights + cost->fast.tile * each * tiles +
                  cost->fast.far * times * fmax(0, each * weights - costs->near) + cost->fast.call;
    bool measured = s->tiles >= cost->least && s->c >= cost->narrow && s->k >= cost->narrow;
    return measured && direct > cost->margin * fast;
}
