/* conv: cuDNN where it has an engine, cuBLAS for linear layers, own plain loops for every other
 * shape (depthwise convs among them).
 *
 * x, w, y, the residual and their gradients may be stored as bfloat16.  In BF16 engines read
 * bfloat16: what is stored as float is rounded in the workspace.
 */
#include "kernels/stored.cuh"

extern "C" {
#include "kernels/conv.h"
#include "kernels/cublas_gemm.h"
#include "kernels/cudnn_conv.h"
}

#include <stdlib.h>

/* --- around the convolution --- */

/* y = act(sum + b + r); sum may lie in y. */
template <int N>
static __global__ void finish(size_t count, Conv g, Stored sum, const REAL *__restrict__ b,
                              Stored r, Stored y) {
    unsigned packs = (unsigned)g.co / N;
    EACH(i, count) {
        Pack<N> z = stored_load<N>(sum, i), bias = pack_load<N>(b, (unsigned)i % packs);
        Pack<N> rest = stored_load<N>(r, i);
        for (int l = 0; l < N; l++) z.v[l] = conv_activate(&g, z.v[l] + bias.v[l] + rest.v[l]);
        stored_put<N>(y, i, z, false);
    }
}

/* A pass over a gradient: dz = dy * act'(z), which is the residual's gradient as well, and the
 * bias's as sums of shares of the pixels. */
typedef struct {
    Conv g;
    Stored value;  /* z for SILU, y for the others, whose sign is z's */
    Stored dy, dz; /* dz: absent where dy is it, or nobody reads it; it may lie in dy */
    Stored dr;     /* absent: not wanted */
    bool add;      /* to dr */
    REAL *sums;    /* [shares,co], NULL: not wanted */
} Slopes;

enum { SLOPE_THREADS = 256, SLOPE_TURNS = 4 };
#ifdef CUDA_EMULATION
enum { SLOPE_SHARES = 3 };
#else
enum { SLOPE_SHARES = 512 };
#endif

static __device__ REAL slope_of(const Conv &g, REAL value) {
    if (g.act == ACT_SILU) return conv_silu_slope(value);
    return value > 0 ? 1 : g.act == ACT_LEAKY ? g.slope : 0;
}

/* Each lane's sum over the block's lines; line 0 has it in the end. */
template <int N>
static __device__ void add_lines(REAL *shared, unsigned lines, unsigned lanes, Pack<N> *sum) {
    unsigned line = threadIdx.x / lanes;
    REAL *own = shared + threadIdx.x;
    for (int l = 0; l < N; l++) own[l * SLOPE_THREADS] = sum->v[l];
    __syncthreads();
    for (unsigned left = lines; left > 1;) {
        unsigned half = (left + 1) / 2;
        for (int l = 0; l < N && line < left - half; l++)
            own[l * SLOPE_THREADS] += own[l * SLOPE_THREADS + half * lanes];
        left = half;
        __syncthreads();
    }
    for (int l = 0; l < N; l++) sum->v[l] = own[l * SLOPE_THREADS];
}

/* A block has `lanes` packs of channels side by side, and as many lines of pixels as it has threads
 * for; block y takes every gridDim.y-th line. */
template <int N>
static __global__ void slopes(Slopes s, size_t pixels, unsigned packs, unsigned lanes) {
    SHARED(REAL, shared);
    unsigned lines = SLOPE_THREADS / lanes, line = threadIdx.x / lanes;
    unsigned pack = blockIdx.x * lanes + threadIdx.x % lanes;
    bool works = line < lines && pack < packs;
    Pack<N> sum = {};
    for (size_t p = (size_t)blockIdx.y * lines + line; works && p < pixels;
         p += (size_t)gridDim.y * lines) {
        size_t i = p * packs + pack;
        Pack<N> d = stored_load<N>(s.dy, i);
        if (s.g.act != ACT_NONE) {
            Pack<N> value = stored_load<N>(s.value, i);
            for (int l = 0; l < N; l++) d.v[l] *= slope_of(s.g, value.v[l]);
        }
        if (s.dz.data) stored_put<N>(s.dz, i, d, false);
        if (s.dr.data) stored_put<N>(s.dr, i, d, s.add);
        for (int l = 0; l < N; l++) sum.v[l] += d.v[l];
    }
    if (!s.sums) return;
    add_lines<N>(shared, lines, lanes, &sum);
    for (int l = 0; works && !line && l < N; l++)
        s.sums[((size_t)blockIdx.y * packs + pack) * N + l] = sum.v[l];
}

/* A channel's shares, summed by LINES threads. */
enum { CHANNELS = 32, LINES = 16 };

static __global__ void bias_total(unsigned co, unsigned shares, const REAL *__restrict__ sums,
                                  REAL *__restrict__ db, bool add) {
    SHARED(REAL, shared);
    unsigned lane = threadIdx.x % CHANNELS, line = threadIdx.x / CHANNELS;
    unsigned channel = blockIdx.x * CHANNELS + lane;
    REAL sum = 0;
    for (unsigned i = line; i < shares && channel < co; i += LINES)
        sum += sums[(size_t)i * co + channel];
    shared[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned half = LINES / 2; half; half /= 2) {
        if (line < half) shared[threadIdx.x] += shared[threadIdx.x + half * CHANNELS];
        __syncthreads();
    }
    if (!line && channel < co) kernel_put(&db[channel], shared[lane], add);
}

static unsigned slope_shares(size_t lines) {
    return (unsigned)(lines < 1 ? 1 : lines > SLOPE_SHARES ? (size_t)SLOPE_SHARES : lines);
}

/* Returns the number of shares. */
static unsigned run_slopes(const Slopes *s) {
    const Conv *g = &s->g;
    bool fours = g->co % 4 == 0;
    size_t pixels = (size_t)g->n * g->ho * g->wo;
    unsigned packs = (unsigned)g->co / (fours ? 4 : 1);
    unsigned lanes = packs < SLOPE_THREADS ? packs : (unsigned)SLOPE_THREADS;
    unsigned turn = SLOPE_THREADS / lanes * SLOPE_TURNS, wide = (packs + lanes - 1) / lanes;
    dim3 blocks(wide, slope_shares((pixels + turn - 1) / turn));
    if (fours)
        LAUNCH(slopes<4>, blocks, SLOPE_THREADS, 4 * SLOPE_THREADS * sizeof(REAL), *s, pixels,
               packs, lanes);
    else
        LAUNCH(slopes<1>, blocks, SLOPE_THREADS, SLOPE_THREADS * sizeof(REAL), *s, pixels, packs,
               lanes);
    return blocks.y;
}

/* --- filters as the gradient of inputs reads them where that is a convolution: [ci,kh,kw,co], taps
 * backwards; a block moves a square of channels of one tap --- */

enum { FLIP = 32, FLIP_THREADS = 256 };

static __global__ void flip(Conv g, Stored w, Stored to) {
    SHARED(REAL, square); /* [FLIP,FLIP + 1] */
    int taps = g.kh * g.kw, tap = blockIdx.z, x = threadIdx.x % FLIP;
    int first_c = blockIdx.x * FLIP, first_o = blockIdx.y * FLIP;
    for (int row = threadIdx.x / FLIP; row < FLIP; row += FLIP_THREADS / FLIP) {
        int o = first_o + row, c = first_c + x;
        if (o < g.co && c < g.ci)
            square[row * (FLIP + 1) + x] = stored_get(w, ((size_t)o * taps + tap) * g.ci + c);
    }
    __syncthreads();
    for (int row = threadIdx.x / FLIP; row < FLIP; row += FLIP_THREADS / FLIP) {
        int o = first_o + x, c = first_c + row;
        if (o < g.co && c < g.ci)
            stored_put_one(to, ((size_t)c * taps + taps - 1 - tap) * g.co + o,
                           square[x * (FLIP + 1) + row], false);
    }
}

static void flip_filters(const Conv *g, Stored w, Stored to) {
    dim3 blocks((g->ci + FLIP - 1) / FLIP, (g->co + FLIP - 1) / FLIP, g->kh * g->kw);
    LAUNCH(flip, blocks, FLIP_THREADS, FLIP * (FLIP + 1) * sizeof(REAL), *g, w, to);
}

/* --- own convolution: one output, one input, one weight at a time --- */

static __global__ void own_forward(size_t count, Conv g, Stored x, Stored w,
                                   const REAL *__restrict__ b, Stored r, Stored y) {
    EACH(at, count) {
        int o = at % g.co, j = at / g.co % g.wo, i = at / g.co / g.wo % g.ho;
        size_t image = at / g.co / g.wo / g.ho;
        REAL sum = 0;
        for (int tap = 0; tap < g.kh * g.kw; tap++) {
            int v = conv_source(&g, i, tap / g.kw), u = conv_source(&g, j, tap % g.kw);
            if (v < 0 || v >= g.h || u < 0 || u >= g.w) continue;
            size_t from = ((image * g.h + v) * g.w + u) * g.ci + o / g.go * g.gi;
            size_t weight = ((size_t)o * g.kh * g.kw + tap) * g.gi;
            for (int k = 0; k < g.gi; k++)
                sum += stored_get(x, from + k) * stored_get(w, weight + k);
        }
        stored_put_one(y, at, conv_activate(&g, sum + (b ? b[o] : 0) + stored_get(r, at)), false);
    }
}

static __global__ void own_inputs(size_t count, Conv g, Stored dz, Stored w, Stored dx, bool add) {
    EACH(at, count) {
        int c = at % g.ci, j = at / g.ci % g.w, i = at / g.ci / g.w % g.h;
        int group = c / g.gi, taps = g.kh * g.kw;
        size_t image = at / g.ci / g.w / g.h;
        REAL sum = 0;
        for (int tap = 0; tap < taps; tap++) {
            int v = conv_target(&g, i, tap / g.kw, g.ho), u = conv_target(&g, j, tap % g.kw, g.wo);
            if (v < 0 || u < 0) continue;
            size_t from = ((image * g.ho + v) * g.wo + u) * g.co + group * g.go;
            size_t weight = ((size_t)group * g.go * taps + tap) * g.gi + c % g.gi;
            for (int o = 0; o < g.go; o++)
                sum += stored_get(dz, from + o) * stored_get(w, weight + (size_t)o * taps * g.gi);
        }
        stored_put_one(dx, at, sum, add);
    }
}

/* One block a weight: its threads share the output pixels. */
enum { WEIGHT_THREADS = 128 };

static __global__ void own_weights(Conv g, Stored x, Stored dz, Stored dw, bool add) {
    SHARED(REAL, part);
    int at = blockIdx.x, c = at % g.gi, tap = at / g.gi % (g.kh * g.kw);
    int o = at / g.gi / (g.kh * g.kw), channel = o / g.go * g.gi + c;
    REAL sum = 0;
    for (int p = threadIdx.x; p < g.n * g.ho * g.wo; p += WEIGHT_THREADS) {
        int v = conv_source(&g, p / g.wo % g.ho, tap / g.kw);
        int u = conv_source(&g, p % g.wo, tap % g.kw);
        if (v < 0 || v >= g.h || u < 0 || u >= g.w) continue;
        size_t image = p / g.wo / g.ho;
        sum += stored_get(dz, (size_t)p * g.co + o) *
               stored_get(x, ((image * g.h + v) * g.w + u) * g.ci + channel);
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = WEIGHT_THREADS / 2; half; half /= 2) {
        if ((int)threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (!threadIdx.x) stored_put_one(dw, at, part[0], add);
}

/* --- which way each pass of a call runs --- */

typedef struct {
    CublasGemm *gemm;      /* a linear layer's */
    const CudnnConv *conv; /* NULL as well: own loops */
    bool fused;            /* forward makes b, r and act too */
    bool flipped;          /* the inputs' gradient as a convolution of the output's */
    bool half_in, half_out;
} Pass;

/* Parts of the workspace, as offsets. */
typedef struct {
    size_t library, made; /* of a pass; made: what belongs elsewhere or in another form */
} PassParts;

typedef struct {
    size_t size, x, w, flipped, dz, dz_other, value, sums;
    PassParts forward, inputs, weights;
} Parts;

typedef struct {
    Pass forward, inputs, weights;
    Parts part;
} State;

static bool is_linear(const Conv *g) {
    return g->h == 1 && g->w == 1 && g->kh == 1 && g->kw == 1 && g->stride == 1 && !g->pad &&
           g->groups == 1 && g->n;
}

static bool any_half(const Call *c) {
    bool half = false;
    for (int i = 0; i < OP_MAX_IN; i++) half = half || stored_half(&c->in[i]);
    return half || stored_half(&c->out[0]) || stored_half(&c->dout[0]);
}

static size_t add_part(Parts *p, size_t bytes) {
    size_t at = p->size;
    p->size += (bytes + CUDA_ALIGN - 1) / CUDA_ALIGN * CUDA_ALIGN;
    return at;
}

static CudnnConvKey key_of(const Call *c, const Conv *g, CudnnPass pass) {
    CudnnConvKey key;
    memset(&key, 0, sizeof key);
    key.pass = pass;
    key.x = c->in[0].shape, key.w = c->in[1].shape;
    key.y.n = g->n, key.y.h = g->ho, key.y.w = g->wo, key.y.c = g->co;
    key.stride = g->stride, key.pad = g->pad, key.dilation = g->dilation;
    return key;
}

/* A way to run a pass. */
typedef struct {
    bool half, fused, half_out;
} Way;

/* The first of the ways, best first, that has an engine; without `half` it multiplies in
 * `precision`, for BF16 in FP32: TF32 engines may not run beside others (docs/gpu.md). */
static Pass find_engine(const CudnnConvKey *key, const CudnnConvKey *fused, Precision precision,
                        const Way *way, int ways) {
    Pass p = {};
    for (int i = 0; i < ways; i++) {
        CudnnConvKey wish = way[i].fused ? *fused : *key;
        if (way[i].half && precision != PRECISION_BF16) continue;
        wish.precision = way[i].half                   ? PRECISION_BF16
                         : precision == PRECISION_BF16 ? PRECISION_FP32
                                                       : precision;
        wish.half_out = way[i].half_out;
        p.conv = cudnn_conv_find(&wish);
        p.fused = way[i].fused, p.half_in = way[i].half, p.half_out = way[i].half_out;
        if (p.conv) return p;
    }
    return Pass();
}

static bool worth_an_engine(const Conv *g) {
    return conv_size(g) && !(g->groups > 1 && g->gi == 1);
}

static CublasShape product(const Call *c, int m, int n, int k) {
    CublasShape s = {};
    s.count = 1, s.m = m, s.n = n, s.k = k;
    s.precision = c->precision;
    return s;
}

/* Of y stored in that form.  Engines that read bfloat16 make float only with an epilogue. */
static Pass find_forward(const Call *c, const Conv *g, Act act, bool half_y) {
    bool bias = shape_size(c->in[2].shape) != 0, residual = shape_size(c->in[3].shape) != 0;
    bool all_float = !any_half(c);
    Pass p = {};
    if (is_linear(g) && all_float) {
        CublasShape s = product(c, g->n, g->co, g->ci);
        s.transpose_b = true;
        p.fused = !residual && (act == ACT_NONE || act == ACT_RELU);
        s.bias = p.fused && bias, s.relu = p.fused && act == ACT_RELU;
        p.gemm = cublas_gemm_new(&s);
    }
    if (p.gemm || !worth_an_engine(g)) return p;
    CudnnConvKey key = key_of(c, g, CUDNN_CONV_FORWARD), fused = key;
    fused.act = act, fused.slope = act == ACT_LEAKY ? g->slope : 0;
    fused.has_bias = bias, fused.has_residual = residual;
    fused.half_residual = residual && stored_half(&c->in[3]);
    const Way way[] = {{true, true, half_y},
                       {true, false, true},
                       {false, all_float, false},
                       {false, false, false}};
    return find_engine(&key, &fused, c->precision, way, 4);
}

/* An engine for a gradient, without an epilogue: sums with what is there would have to be compiled
 * for every shape, which takes longer than they save. */
static Pass find_gradient(const Call *c, const Conv *g, const CudnnConvKey *key) {
    static const Way way[] = {{true, false, true}, {false, false, false}};
    return worth_an_engine(g) ? find_engine(key, NULL, c->precision, way, 2) : Pass();
}

/* With stride 1 dx is the convolution of dz with filters whose taps run backwards and whose inputs
 * and outputs change places; engines for that are faster than those for gradients of inputs.  In
 * TF32 they would run beside those for the weights' gradients, which was not seen to be right
 * (docs/gpu.md). */
static Pass find_flipped(const Call *c, const Conv *g) {
    int pad = g->dilation * (g->kh - 1) - g->pad;
    if (c->precision == PRECISION_TF32 || g->stride > 1 || g->groups > 1 || g->kh != g->kw ||
        pad < 0)
        return Pass();
    CudnnConvKey key = key_of(c, g, CUDNN_CONV_FORWARD);
    Shape x = key.x;
    key.x = key.y, key.y = x, key.pad = pad;
    key.w.n = g->ci, key.w.c = g->co;
    Pass p = find_gradient(c, g, &key);
    p.flipped = p.conv != NULL;
    return p;
}

static Pass find_inputs(const Call *c, const Conv *g) {
    Pass p = {};
    if (is_linear(g) && !any_half(c)) {
        CublasShape s = product(c, g->n, g->ci, g->co);
        s.add = c->add[0];
        p.gemm = cublas_gemm_new(&s);
    }
    if (!p.gemm) p = find_flipped(c, g);
    if (p.gemm || p.conv) return p;
    CudnnConvKey key = key_of(c, g, CUDNN_CONV_INPUTS);
    return find_gradient(c, g, &key);
}

static Pass find_weights(const Call *c, const Conv *g) {
    Pass p = {};
    if (is_linear(g) && !any_half(c)) {
        CublasShape s = product(c, g->co, g->ci, g->n);
        s.transpose_a = true, s.add = c->add[1];
        p.gemm = cublas_gemm_new(&s);
    }
    if (p.gemm) return p;
    CudnnConvKey key = key_of(c, g, CUDNN_CONV_WEIGHTS);
    return find_gradient(c, g, &key);
}

/* Whether an engine writes where the numbers belong. */
static bool writes_place(const Pass *p, bool half_place, bool add) {
    return !add && p->half_out == half_place;
}

static PassParts pass_parts(Parts *parts, const Pass *p, size_t count, bool half_place, bool add) {
    PassParts own = {};
    if (p->gemm) own.library = add_part(parts, CUBLAS_WORKSPACE);
    if (!p->conv) return own;
    own.library = add_part(parts, cudnn_conv_workspace(p->conv));
    if (!writes_place(p, half_place, add))
        own.made = add_part(parts, stored_bytes(count, p->half_out));
    return own;
}

/* Whether a library of the pass reads numbers in that form; own loops take either. */
static bool reads_form(const Pass *p, bool half) {
    return p->conv ? p->half_in == half : p->gemm && !half;
}

/* Room for numbers that one of two passes reads in another form than they are stored in. */
static size_t read_part(Parts *parts, size_t count, bool half, const Pass *a, const Pass *b) {
    bool other = reads_form(a, !half) || reads_form(b, !half);
    return add_part(parts, other ? stored_bytes(count, !half) : 0);
}

/* Whether the gradient of z is made as bfloat16.  Where another call makes the weights' gradient
 * from it, it stays in dy's place and form. */
static bool half_dz(const Call *c, const State *s) {
    if (!shape_size(c->din[1].shape)) return stored_half(&c->dout[0]);
    return s->inputs.half_in || s->weights.half_in;
}

static void plan_workspace(const Call *c, const Conv *g, bool backward, bool half_y, State *s) {
    Parts *p = &s->part;
    size_t x = shape_size(c->in[0].shape), w = shape_size(c->in[1].shape), y = conv_size(g);
    bool half_x = stored_half(&c->in[0]), half_w = stored_half(&c->in[1]);
    p->forward = pass_parts(p, &s->forward, y, half_y, false);
    p->inputs = pass_parts(p, &s->inputs, x, half_x, c->add[0]);
    p->weights = pass_parts(p, &s->weights, w, half_w, c->add[1]);
    p->x = read_part(p, x, half_x, &s->forward, &s->weights);
    p->w = read_part(p, w, half_w, &s->forward, &s->inputs);
    p->flipped = add_part(p, s->inputs.flipped ? stored_bytes(w, s->inputs.half_in) : 0);
    if (!backward) return;
    size_t lines = (size_t)g->n * g->ho * g->wo;
    p->dz =
        add_part(p, half_dz(c, s) != stored_half(&c->dout[0]) ? stored_bytes(y, half_dz(c, s)) : 0);
    p->dz_other = read_part(p, y, half_dz(c, s), &s->inputs, &s->weights);
    p->value = add_part(p, g->act == ACT_SILU ? y * sizeof(REAL) : 0);
    if (shape_size(c->din[2].shape))
        p->sums = add_part(p, slope_shares(lines) * g->co * sizeof(REAL));
}

void CUDA(conv_prepare)(Call *c, bool backward) {
    Conv g = conv_of(c);
    State *s = (State *)calloc(1, sizeof *s);
    CHECK(s, "out of memory");
    bool half_y = !backward && stored_half(&c->out[0]);
    if (!backward || g.act == ACT_SILU)
        s->forward = find_forward(c, &g, backward ? ACT_NONE : g.act, half_y);
    if (shape_size(c->din[0].shape)) s->inputs = find_inputs(c, &g);
    if (shape_size(c->din[1].shape)) s->weights = find_weights(c, &g);
    plan_workspace(c, &g, backward, half_y, s);
    c->state = s;
    c->workspace_size = s->part.size ? s->part.size + CUDA_ALIGN : 0;
}

void CUDA(conv_drop)(Call *c) {
    State *s = (State *)c->state;
    if (!s) return;
    cublas_gemm_free(s->forward.gemm);
    cublas_gemm_free(s->inputs.gemm);
    cublas_gemm_free(s->weights.gemm);
    free(s);
    c->state = NULL;
}

/* --- running --- */

typedef struct {
    const Call *call;
    const State *state;
    Conv g;
    char *work;
    Stored x, w, r, dz, dz_other; /* dz: what reached z; dz_other: the same in the other form */
    const REAL *b;
    unsigned shares; /* of the bias's gradient */
} Run;

static Run run_of(const Call *c) {
    Run r = {};
    r.call = c, r.state = (const State *)c->state, r.g = conv_of(c);
    r.work = cuda_workspace(c);
    r.x = stored_of(&c->in[0]), r.w = stored_of(&c->in[1]), r.r = stored_of(&c->in[3]);
    r.b = cuda_data(&c->in[2]);
    return r;
}

/* The numbers in the form that an engine reads. */
static void *as_read(const Run *r, const Pass *p, Stored from, size_t count, size_t part) {
    if (from.half == p->half_in) return from.data;
    Stored to = stored_make(r->work + part, p->half_in);
    stored_move(count, from, to, false);
    return to.data;
}

static void run_finish(const Run *r, Stored sum, Stored y) {
    unsigned count = cuda_small(conv_size(&r->g));
    LAUNCH_PACKS(r->g.co % 4 == 0 && stored_fours(count, sum, r->r, y), finish, count, r->g, sum,
                 r->b, r->r, y);
}

static void engine_forward(const Run *r, const Pass *p, Stored y) {
    const Parts *part = &r->state->part;
    bool there = writes_place(p, y.half, false);
    Stored made = stored_make(there ? y.data : r->work + part->forward.made, p->half_out);
    CudnnConvData data = {};
    data.x = as_read(r, p, r->x, shape_size(r->call->in[0].shape), part->x);
    data.w = as_read(r, p, r->w, shape_size(r->call->in[1].shape), part->w);
    data.y = made.data, data.b = (void *)r->b, data.r = r->r.data;
    data.workspace = r->work + part->forward.library;
    cudnn_conv_run(p->conv, &data);
    if (!there || (!p->fused && (r->b || r->r.data || r->g.act != ACT_NONE)))
        run_finish(r, made, y);
}

/* y of the activation that r->g names. */
static void forward(const Run *r, Stored y) {
    const Pass *p = &r->state->forward;
    if (p->gemm) {
        cublas_gemm_run(p->gemm, (REAL *)r->x.data, (REAL *)r->w.data, (REAL *)y.data, r->b,
                        r->work + r->state->part.forward.library);
        if (!p->fused) run_finish(r, y, y);
    } else if (p->conv)
        engine_forward(r, p, y);
    else
        LAUNCH_EACH(own_forward, conv_size(&r->g), r->g, r->x, r->w, r->b, r->r, y);
}

/* The gradient of z in the form that a library reads. */
static void *dz_as(const Run *r, bool half) {
    return r->dz.half == half ? r->dz.data : r->dz_other.data;
}

/* An engine's gradient of count numbers, to where it belongs.  `place` is that of data's places
 * which the pass writes. */
static void engine_gradient(const Run *r, const Pass *p, const PassParts *part, CudnnConvData *data,
                            void **place, size_t count, Stored to, bool add) {
    bool there = writes_place(p, to.half, add);
    *place = there ? to.data : r->work + part->made;
    data->workspace = r->work + part->library;
    cudnn_conv_run(p->conv, data);
    if (!there) stored_move(count, stored_make(*place, p->half_out), to, add);
}

static void inputs_gradient(const Run *r) {
    const Pass *p = &r->state->inputs;
    const Parts *part = &r->state->part;
    size_t count = shape_size(r->call->in[0].shape);
    Stored dx = stored_of(&r->call->din[0]);
    bool add = r->call->add[0];
    if (p->gemm) {
        cublas_gemm_run(p->gemm, (REAL *)dz_as(r, false), (REAL *)r->w.data, (REAL *)dx.data, NULL,
                        r->work + part->inputs.library);
    } else if (p->conv) {
        CudnnConvData data = {};
        data.w = p->flipped ? r->work + part->flipped
                            : as_read(r, p, r->w, shape_size(r->call->in[1].shape), part->w);
        (p->flipped ? data.x : data.y) = dz_as(r, p->half_in);
        engine_gradient(r, p, &part->inputs, &data, p->flipped ? &data.y : &data.x, count, dx, add);
    } else
        LAUNCH_EACH(own_inputs, count, r->g, r->dz, r->w, dx, add);
}

static void weights_gradient(const Run *r) {
    const Pass *p = &r->state->weights;
    const Parts *part = &r->state->part;
    size_t count = shape_size(r->call->in[1].shape);
    Stored dw = stored_of(&r->call->din[1]);
    bool add = r->call->add[1];
    if (p->gemm) {
        cublas_gemm_run(p->gemm, (REAL *)dz_as(r, false), (REAL *)r->x.data, (REAL *)dw.data, NULL,
                        r->work + part->weights.library);
    } else if (p->conv) {
        CudnnConvData data = {};
        data.y = dz_as(r, p->half_in);
        data.x = as_read(r, p, r->x, shape_size(r->call->in[0].shape), part->x);
        engine_gradient(r, p, &part->weights, &data, &data.w, count, dw, add);
    } else
        LAUNCH(own_weights, (unsigned)count, WEIGHT_THREADS, WEIGHT_THREADS * sizeof(REAL), r->g,
               r->x, r->dz, dw, add);
}

/* Gradients of z and the residual, and shares of the bias's; afterwards r->dz and r->dz_other are
 * what the others read. */
static void activation_gradient(Run *r, Stored value) {
    const Call *c = r->call;
    const Parts *part = &r->state->part;
    bool half = half_dz(c, r->state);
    Stored dy = stored_of(&c->dout[0]);
    Slopes s = {};
    r->dz = dy.half == half ? dy : stored_make(r->work + part->dz, half);
    s.g = r->g, s.value = value, s.dy = dy, s.dr = stored_of(&c->din[3]), s.add = c->add[3];
    s.sums = c->din[2].data ? (REAL *)(r->work + part->sums) : NULL;
    if (dy.half != half || r->g.act != ACT_NONE) s.dz = r->dz;
    if (s.dz.data || s.dr.data || s.sums) r->shares = run_slopes(&s);
    if (reads_form(&r->state->inputs, !half) || reads_form(&r->state->weights, !half)) {
        r->dz_other = stored_make(r->work + part->dz_other, !half);
        stored_move(conv_size(&r->g), r->dz, r->dz_other, false);
    }
}

static void bias_gradient(const Run *r) {
    const Call *c = r->call;
    LAUNCH(bias_total, (r->g.co + CHANNELS - 1) / CHANNELS, CHANNELS * LINES,
           CHANNELS * LINES * sizeof(REAL), (unsigned)r->g.co, r->shares,
           (const REAL *)(r->work + r->state->part.sums), cuda_data(&c->din[2]), c->add[2]);
}

void CUDA(conv_forward)(const Call *c) {
    Run r = run_of(c);
    forward(&r, stored_of(&c->out[0]));
}

/* z of SILU, made again; y otherwise. */
static Stored value_again(const Run *r) {
    if (r->g.act != ACT_SILU) return stored_of(&r->call->out[0]);
    Run linear = *r;
    linear.g.act = ACT_NONE;
    Stored z = stored_make(r->work + r->state->part.value, false);
    forward(&linear, z);
    return z;
}

/* What does not need each other is made side by side. */
void CUDA(conv_backward)(const Call *c) {
    Run r = run_of(c);
    const Pass *inputs = &r.state->inputs;
    bool flips = inputs->flipped && c->din[0].data;
    if (flips) {
        cuda_beside();
        flip_filters(&r.g, r.w, stored_make(r.work + r.state->part.flipped, inputs->half_in));
        cuda_ahead();
    }
    activation_gradient(&r, value_again(&r));
    if (flips) cuda_together();
    cuda_beside();
    if (c->din[2].data) bias_gradient(&r);
    if (c->din[1].data) weights_gradient(&r);
    cuda_ahead();
    if (c->din[0].data) inputs_gradient(&r);
    cuda_together();
}
