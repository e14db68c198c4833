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
#include "tensor/parallel.h"

#include <string.h>

enum {
    PHASES = 4,              /* of x with stride 2 */
    BLOCK_BYTES = 640 << 10, /* of V and M that a thread works on at a time */
    CHUNK_BYTES = 4 << 20,   /* of V and D that all threads share for the gradient of weights */
    MAX_BLOCK = 48,
    SLAB = 96, /* inputs whose weights are transformed at a time, where threads take panels */
    MIN_CHUNK = 96,
    MAX_CHUNK = 768,
    SHARE = 8, /* tiles that a thread transforms at a time, where all threads share a chunk */
};

static int min(int a, int b) { return a < b ? a : b; }

Winograd winograd_new(int n, int h, int w, int c, int k, int stride, int threads) {
    int out_h = winotile_parts(h, stride), out_w = winotile_parts(w, stride);
    int rows = winotile_parts(out_h, WINOTILE_SIDE), columns = winotile_parts(out_w, WINOTILE_SIDE);
    return (Winograd){n,      h, w, c, k, stride, out_h, out_w, rows, columns, n * rows * columns,
                      threads};
}

static const WinoTransforms *transforms_of(const Winograd *s) {
    return s->stride == 1 ? isa_pick(winotile_transforms)() : isa_pick(winostride_transforms)();
}

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
    return ((size_t)transforms_of(s)->taps * p.plane + GEMM_SLACK + 15) / 16 * 16;
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
    const WinoTransforms *transforms;
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

/* What the worker with the most to do takes of n, in pieces of `size`. */
static int longest(int n, int size, int workers) {
    int pieces = winotile_parts(n, size), before = (winotile_parts(pieces, workers) - 1) * size;
    bool last_alone = (pieces - 1) % workers == 0;
    return before + (last_alone ? n - (pieces - 1) * size : size);
}

/* The size of the pieces of n, `most` or so many steps less that the workers have the same to do:
 * that gains more than larger pieces, which take a few percent less time. */
static int piece(int n, int most, int step, int workers) {
    int best = min(most, n);
    for (int size = (best - 1) / step * step; size > 0; size -= step)
        if (10 * longest(n, size, workers) < 9 * longest(n, best, workers)) best = size;
    return best;
}

/* Sizes alone. */
static Product product_of(const Winograd *s, bool turned) {
    Product p = {.s = s,
                 .transforms = transforms_of(s),
                 .turned = turned,
                 .by_tiles = s->stride > 1 || s->tiles > s->k};
    p.panel = p.by_tiles ? min(gemm_panel(), s->k)
                         : piece(s->k, gemm_panel(), gemm_columns(1), s->workers);
    int inputs = input_columns(&p), outputs = output_columns(&p, p.panel);
    size_t tile =
        (size_t)transforms_of(s)->taps * sizeof(float) * (size_t)(gemm_columns(inputs) + outputs);
    int fits = (int)(BLOCK_BYTES / tile) / WINOTILE_STEP * WINOTILE_STEP;
    p.block = piece(s->tiles, fits < WINOTILE_STEP ? WINOTILE_STEP : min(fits, MAX_BLOCK),
                    gemm_rows(), s->workers);
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
    for (int xi = 0; xi < p->transforms->taps; xi++) {
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

static void transform_weights(const Product *p, int k0, int outputs, int c0, int inputs, float *u,
                              size_t begin) {
    int c = p->turned ? p->s->k : p->s->c; /* channels of x, whose gradient it is when turned */
    WinoWeights w = {p->weights, c, p->turned, k0, outputs, c0, inputs};
    p->transforms->weights(&w, u, p->u.plane, begin);
}

static void transform_inputs(const Product *p, int first, int tiles, Planes v) {
    const WinoTransforms *t = p->transforms;
    (p->turned ? t->turned_input : t->input)(&p->maps, first, tiles, &v);
}

static void transform_outputs(const Product *p, Planes m, int first, int tiles, int k0,
                              int outputs) {
    const WinoTransforms *t = p->transforms;
    WinoSums sums = {p->s, m, first, tiles, k0, outputs, p->end, p->y};
    (p->turned ? t->turned_output : t->output)(&sums);
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
        transform_weights(p, k0, outputs, c0, inputs, u, 0);
        multiply(p, p->v, s->tiles, c0, inputs, u, 0, outputs, m);
    }
    transform_outputs(p, m, 0, s->tiles, k0, outputs);
}

/* What all threads need, made by all of them. */
static void product_shared(const Product *p) {
    const Winograd *s = p->s;
    if (p->by_tiles) {
        PARALLEL_FOR
        for (int i = 0; i < winotile_parts(s->k, p->panel); i++) {
            int k0 = i * p->panel;
            transform_weights(p, k0, min(p->panel, s->k - k0), 0, s->c, p->u.data,
                              (size_t)k0 * (size_t)s->c);
        }
        return;
    }
    PARALLEL_FOR
    for (int i = 0; i < winotile_parts(s->tiles, SHARE); i++) {
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
    int pieces = p->by_tiles ? winotile_parts(s->tiles, p->block) : winotile_parts(s->k, p->panel);
    PARALLEL_FOR
    for (int worker = 0; worker < s->workers; worker++) {
        Planes mine = *own, m = p->m;
        mine.data = rest + size * (size_t)worker, m.data = mine.data + own_size;
        for (int i = pieces * worker / s->workers; i < pieces * (worker + 1) / s->workers; i++)
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
    const WinoTransforms *transforms;
    int chunk;
    Planes v, d, sum; /* sum [36 or 25][k][c of all phases] */
    float *bias;      /* a row of sums for every SHARE tiles of a chunk */
    double *bias_sum; /* [k] */
} Outer;

static Outer outer_of(const Winograd *s) {
    int inputs = phase_columns(s, s->c);
    size_t tile = (size_t)transforms_of(s)->taps * sizeof(float) *
                  (size_t)(gemm_columns(inputs) + gemm_columns(s->k));
    int fits = (int)(CHUNK_BYTES / tile);
    int chunk = fits < MIN_CHUNK ? MIN_CHUNK : min(fits, MAX_CHUNK);
    chunk = min(chunk, s->tiles);
    return (Outer){.s = s,
                   .transforms = transforms_of(s),
                   .chunk = chunk,
                   .v = planes(chunk, inputs),
                   .d = planes(chunk, s->k),
                   .sum = planes(s->k, inputs)};
}

static size_t bias_size(const Outer *o) {
    return ((size_t)winotile_parts(o->chunk, SHARE) * (size_t)o->d.ld + 15) / 16 * 16;
}

static size_t outer_size(const Outer *o) {
    const Winograd *s = o->s;
    return zeros_size(s->c > s->k ? s->c : s->k) + planes_size(s, o->v) + planes_size(s, o->d) +
           planes_size(s, o->sum) + bias_size(o) + 2 * zeros_size(s->k);
}

/* Tiles first .. first+count-1, shared out by tile and then by plane: sums stay in one order. */
static void add_chunk(const Outer *o, const WinoMaps *x, const WinoMaps *dz, int first, int count) {
    PARALLEL_FOR
    for (int i = 0; i < winotile_parts(count, SHARE); i++) {
        int at = i * SHARE, tiles = min(SHARE, count - at);
        Planes v = o->v, d = o->d;
        v.data += (size_t)at * v.ld, d.data += (size_t)at * d.ld;
        o->transforms->input(x, first + at, tiles, &v);
        o->transforms->gradient(dz, first + at, tiles, &d, o->bias + (size_t)i * d.ld);
    }
    for (int i = 0; i < winotile_parts(count, SHARE); i++)
        for (int k = 0; k < dz->c; k++) o->bias_sum[k] += (double)o->bias[(size_t)i * o->d.ld + k];
    PARALLEL_FOR
    for (int xi = 0; xi < o->transforms->taps; xi++)
        gemm_outer(dz->c, x->c * phases_of(o->s, xi), count, o->d.data + xi * o->d.plane, o->d.ld,
                   o->v.data + xi * o->v.plane, o->v.ld, o->sum.data + xi * o->sum.plane, o->sum.ld,
                   first > 0);
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
    for (int k = 0; k < s->k; k++) o.transforms->weight_gradient(s->c, &o.sum, k, k + 1, dw, add);
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
