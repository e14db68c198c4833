/* conv: cuDNN where it has an engine, cuBLAS for linear layers, own plain loops for every other
 * shape (depthwise convs among them).
 *
 * BF16: x, w and dz are rounded to bfloat16 in the workspace; y and all gradients stay float.
 */
#include "kernels/cuda.cuh"

extern "C" {
#include "kernels/conv.h"
#include "kernels/cublas_gemm.h"
#include "kernels/cudnn_conv.h"
}

#include <stdlib.h>

/* --- bfloat16 --- */

typedef struct {
    uint16_t bits; /* the upper half of a float's */
} Half;

static __device__ REAL number(REAL value) { return value; }

static __device__ REAL number(Half value) {
    uint32_t bits = (uint32_t)value.bits << 16;
    REAL number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* To the nearest, of two equally near ones to the even; a NaN stays one. */
static __device__ Half half_of(REAL value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bool nan = (bits & 0x7fffffff) > 0x7f800000;
    Half half = {(uint16_t)(nan ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
    return half;
}

static __global__ void round_to_half(size_t count, const REAL *__restrict__ from,
                                     Half *__restrict__ to) {
    EACH(i, count) to[i] = half_of(from[i]);
}

/* --- around the convolution --- */

/* y = act(sum + b + r); sum may lie in y. */
template <typename T>
static __global__ void finish(size_t count, Conv g, const T *sum, const REAL *__restrict__ b,
                              const REAL *__restrict__ r, REAL *y) {
    EACH(i, count)
    y[i] = conv_activate(&g, number(sum[i]) + (b ? b[i % g.co] : 0) + (r ? r[i] : 0));
}

/* A gradient that was made apart, to where it belongs. */
template <typename T>
static __global__ void take(size_t count, const T *__restrict__ made, REAL *__restrict__ to,
                            bool add) {
    EACH(i, count) kernel_put(&to[i], number(made[i]), add);
}

/* dz = dy * act'(z), in place, and the residual's gradient, which equals dz.  `value` is z for SILU
 * and y for the others, whose sign is z's. */
static __global__ void activation_gradient(size_t count, Conv g, const REAL *__restrict__ value,
                                           REAL *__restrict__ dz, REAL *__restrict__ dr, bool add) {
    REAL below = g.act == ACT_LEAKY ? g.slope : 0;
    EACH(i, count) {
        REAL d = dz[i];
        if (g.act == ACT_SILU)
            d *= conv_silu_slope(value[i]);
        else if (g.act != ACT_NONE)
            d = value[i] > 0 ? d : below * d;
        dz[i] = d;
        if (dr) kernel_put(&dr[i], d, add);
    }
}

/* A sum over pixels in two launches: each of up to SUM_CHUNKS blocks in y sums its share of the
 * pixels for CHANNELS channels, then one thread a channel sums the blocks. */
enum { CHANNELS = 32, LINES = 8, SUM_CHUNKS = 64, CHUNK_PIXELS = 256 };

static unsigned sum_chunks(size_t pixels) {
    size_t chunks = (pixels + CHUNK_PIXELS - 1) / CHUNK_PIXELS;
    return (unsigned)(chunks < 1 ? 1 : chunks > SUM_CHUNKS ? (size_t)SUM_CHUNKS : chunks);
}

/* sums [chunks,co] */
static __global__ void bias_shares(size_t pixels, int co, const REAL *__restrict__ dz,
                                   REAL *__restrict__ sums) {
    SHARED(REAL, line);
    int lane = threadIdx.x % CHANNELS, first = threadIdx.x / CHANNELS;
    int channel = blockIdx.x * CHANNELS + lane;
    REAL sum = 0;
    if (channel < co)
        for (size_t p = blockIdx.y * LINES + first; p < pixels; p += (size_t)gridDim.y * LINES)
            sum += dz[p * co + channel];
    line[threadIdx.x] = sum;
    __syncthreads();
    for (int half = LINES / 2; half; half /= 2) {
        if (first < half) line[threadIdx.x] += line[threadIdx.x + half * CHANNELS];
        __syncthreads();
    }
    if (!first && channel < co) sums[(size_t)blockIdx.y * co + channel] = line[lane];
}

static __global__ void bias_total(size_t co, unsigned chunks, const REAL *__restrict__ sums,
                                  REAL *__restrict__ db, bool add) {
    EACH(channel, co) {
        REAL sum = 0;
        for (unsigned i = 0; i < chunks; i++) sum += sums[i * co + channel];
        kernel_put(&db[channel], sum, add);
    }
}

static void bias_gradient(const Conv *g, const REAL *dz, REAL *sums, REAL *db, bool add) {
    size_t pixels = (size_t)g->n * g->ho * g->wo;
    dim3 blocks((g->co + CHANNELS - 1) / CHANNELS, sum_chunks(pixels));
    LAUNCH(bias_shares, blocks, CHANNELS * LINES, CHANNELS * LINES * sizeof(REAL), pixels, g->co,
           dz, sums);
    LAUNCH_EACH(bias_total, (size_t)g->co, blocks.y, sums, db, add);
}

/* --- own convolution: one output, one input, one weight at a time --- */

static __global__ void own_forward(size_t count, Conv g, const REAL *__restrict__ x,
                                   const REAL *__restrict__ w, const REAL *__restrict__ b,
                                   const REAL *__restrict__ r, REAL *__restrict__ y) {
    EACH(at, count) {
        int o = at % g.co, j = at / g.co % g.wo, i = at / g.co / g.wo % g.ho;
        size_t image = at / g.co / g.wo / g.ho;
        REAL sum = 0;
        for (int tap = 0; tap < g.kh * g.kw; tap++) {
            int v = conv_source(&g, i, tap / g.kw), u = conv_source(&g, j, tap % g.kw);
            if (v < 0 || v >= g.h || u < 0 || u >= g.w) continue;
            const REAL *from = x + ((image * g.h + v) * g.w + u) * g.ci + o / g.go * g.gi;
            const REAL *weight = w + ((size_t)o * g.kh * g.kw + tap) * g.gi;
            for (int k = 0; k < g.gi; k++) sum += from[k] * weight[k];
        }
        y[at] = conv_activate(&g, sum + (b ? b[o] : 0) + (r ? r[at] : 0));
    }
}

static __global__ void own_inputs(size_t count, Conv g, const REAL *__restrict__ dz,
                                  const REAL *__restrict__ w, REAL *__restrict__ dx, bool add) {
    EACH(at, count) {
        int c = at % g.ci, j = at / g.ci % g.w, i = at / g.ci / g.w % g.h;
        int group = c / g.gi, taps = g.kh * g.kw;
        size_t image = at / g.ci / g.w / g.h;
        REAL sum = 0;
        for (int tap = 0; tap < taps; tap++) {
            int v = conv_target(&g, i, tap / g.kw, g.ho), u = conv_target(&g, j, tap % g.kw, g.wo);
            if (v < 0 || u < 0) continue;
            const REAL *from = dz + ((image * g.ho + v) * g.wo + u) * g.co + group * g.go;
            const REAL *weight = w + ((size_t)group * g.go * taps + tap) * g.gi + c % g.gi;
            for (int o = 0; o < g.go; o++) sum += from[o] * weight[(size_t)o * taps * g.gi];
        }
        kernel_put(&dx[at], sum, add);
    }
}

/* One block a weight: its threads share the output pixels. */
enum { WEIGHT_THREADS = 128 };

static __global__ void own_weights(Conv g, const REAL *__restrict__ x, const REAL *__restrict__ dz,
                                   REAL *__restrict__ dw, bool add) {
    SHARED(REAL, part);
    int at = blockIdx.x, c = at % g.gi, tap = at / g.gi % (g.kh * g.kw);
    int o = at / g.gi / (g.kh * g.kw), channel = o / g.go * g.gi + c;
    REAL sum = 0;
    for (int p = threadIdx.x; p < g.n * g.ho * g.wo; p += WEIGHT_THREADS) {
        int v = conv_source(&g, p / g.wo % g.ho, tap / g.kw);
        int u = conv_source(&g, p % g.wo, tap % g.kw);
        if (v < 0 || v >= g.h || u < 0 || u >= g.w) continue;
        size_t image = p / g.wo / g.ho;
        sum += dz[(size_t)p * g.co + o] * x[((image * g.h + v) * g.w + u) * g.ci + channel];
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = WEIGHT_THREADS / 2; half; half /= 2) {
        if ((int)threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (!threadIdx.x) kernel_put(&dw[at], part[0], add);
}

/* --- which way each pass of a call runs --- */

typedef struct {
    CublasGemm *gemm;      /* a linear layer's */
    const CudnnConv *conv; /* NULL as well: own loops */
    bool fused;            /* forward makes b, r and act too */
    bool half_in, half_out;
} Pass;

/* Parts of the workspace, as offsets. */
typedef struct {
    size_t size, library, x, w, dz, made, value, sums;
} Parts;

typedef struct {
    Pass forward, inputs, weights;
    Parts part;
} State;

static bool is_linear(const Conv *g) {
    return g->h == 1 && g->w == 1 && g->kh == 1 && g->kw == 1 && g->stride == 1 && !g->pad &&
           g->groups == 1 && g->n;
}

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

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

/* The first of the ways below, best first, that has an engine.  Engines that read bfloat16 make
 * floats only as a forward with its epilogue; a shape that none of them takes goes on in TF32. */
static Pass find_engine(CudnnConvKey key, Precision precision, const CudnnConvKey *fused) {
    static const struct {
        bool half, fused, half_out;
    } ways[] = {
        {true, true, false}, {true, false, true}, {false, true, false}, {false, false, false}};
    Pass p = {};
    for (size_t i = 0; i < sizeof ways / sizeof *ways && !p.conv; i++) {
        bool half = precision == PRECISION_BF16;
        if ((ways[i].half && !half) || (ways[i].fused && !fused)) continue;
        CudnnConvKey wish = ways[i].fused ? *fused : key;
        wish.precision = ways[i].half ? PRECISION_BF16 : half ? PRECISION_TF32 : precision;
        wish.half_out = ways[i].half_out;
        p.conv = cudnn_conv_find(&wish);
        p.fused = ways[i].fused, p.half_in = ways[i].half, p.half_out = ways[i].half_out;
    }
    if (!p.conv) p = Pass();
    return p;
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

static Pass find_forward(const Call *c, const Conv *g, Act act) {
    bool bias = shape_size(c->in[2].shape) != 0, residual = shape_size(c->in[3].shape) != 0;
    Pass p = {};
    if (is_linear(g)) {
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
    return find_engine(key, c->precision, &fused);
}

static Pass find_inputs(const Call *c, const Conv *g) {
    Pass p = {};
    if (is_linear(g)) {
        CublasShape s = product(c, g->n, g->ci, g->co);
        s.add = c->add[0];
        p.gemm = cublas_gemm_new(&s);
    }
    if (p.gemm || !worth_an_engine(g)) return p;
    return find_engine(key_of(c, g, CUDNN_CONV_INPUTS), c->precision, NULL);
}

static Pass find_weights(const Call *c, const Conv *g) {
    Pass p = {};
    if (is_linear(g)) {
        CublasShape s = product(c, g->co, g->ci, g->n);
        s.transpose_a = true, s.add = c->add[1];
        p.gemm = cublas_gemm_new(&s);
    }
    if (p.gemm || !worth_an_engine(g)) return p;
    return find_engine(key_of(c, g, CUDNN_CONV_WEIGHTS), c->precision, NULL);
}

static size_t library_bytes(const Pass *p) {
    return p->gemm ? (size_t)CUBLAS_WORKSPACE : p->conv ? cudnn_conv_workspace(p->conv) : 0;
}

/* What an engine makes apart from where it belongs. */
static size_t made_bytes(const Pass *p, Shape shape, bool add) {
    if (!p->conv || (!p->half_out && !add)) return 0;
    return shape_size(shape) * (p->half_out ? sizeof(Half) : sizeof(REAL));
}

static void plan_workspace(const Call *c, const Conv *g, bool backward, State *s) {
    Parts *p = &s->part;
    Shape x = c->in[0].shape, w = c->in[1].shape, y = {g->n, g->ho, g->wo, g->co};
    bool half = s->forward.half_in || s->inputs.half_in || s->weights.half_in;
    size_t library = library_bytes(&s->forward), made = made_bytes(&s->forward, y, false);
    library = largest(library, library_bytes(&s->inputs));
    library = largest(library, library_bytes(&s->weights));
    made = largest(made, made_bytes(&s->inputs, x, c->add[0]));
    made = largest(made, made_bytes(&s->weights, w, c->add[1]));
    p->library = add_part(p, library);
    p->made = add_part(p, made);
    p->x = add_part(p, half ? shape_size(x) * sizeof(Half) : 0);
    p->w = add_part(p, half ? shape_size(w) * sizeof(Half) : 0);
    if (!backward) return;
    size_t pixels = (size_t)g->n * g->ho * g->wo;
    p->dz = add_part(p, half ? conv_size(g) * sizeof(Half) : 0);
    p->value = add_part(p, g->act == ACT_SILU ? conv_size(g) * sizeof(REAL) : 0);
    if (shape_size(c->din[2].shape))
        p->sums = add_part(p, sum_chunks(pixels) * g->co * sizeof(REAL));
}

void CUDA(conv_prepare)(Call *c, bool backward) {
    Conv g = conv_of(c);
    State *s = (State *)calloc(1, sizeof *s);
    CHECK(s, "out of memory");
    if (!backward || g.act == ACT_SILU)
        s->forward = find_forward(c, &g, backward ? ACT_NONE : g.act);
    if (shape_size(c->din[0].shape)) s->inputs = find_inputs(c, &g);
    if (shape_size(c->din[1].shape)) s->weights = find_weights(c, &g);
    plan_workspace(c, &g, backward, s);
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
} Run;

static Run run_of(const Call *c) {
    Run r = {};
    r.call = c, r.state = (const State *)c->state, r.g = conv_of(c);
    r.work = cuda_workspace(c);
    return r;
}

/* The numbers as an engine reads them. */
static void *as_read(const Run *r, const Pass *p, const REAL *from, size_t count, size_t part) {
    if (!p->half_in) return (void *)from;
    Half *to = (Half *)(r->work + part);
    LAUNCH_EACH(round_to_half, count, from, to);
    return to;
}

static void engine_forward(const Run *r, const Pass *p, REAL *y) {
    const Call *c = r->call;
    const Parts *part = &r->state->part;
    REAL *b = cuda_data(&c->in[2]), *residual = cuda_data(&c->in[3]);
    void *made = p->half_out ? r->work + part->made : (void *)y;
    CudnnConvData data = {};
    data.x = as_read(r, p, cuda_data(&c->in[0]), shape_size(c->in[0].shape), part->x);
    data.w = as_read(r, p, cuda_data(&c->in[1]), shape_size(c->in[1].shape), part->w);
    data.y = made, data.b = b, data.r = residual, data.workspace = r->work + part->library;
    cudnn_conv_run(p->conv, &data);
    if (p->half_out)
        LAUNCH_EACH(finish<Half>, conv_size(&r->g), r->g, (const Half *)made, b, residual, y);
    else if (!p->fused && (b || residual || r->g.act != ACT_NONE))
        LAUNCH_EACH(finish<REAL>, conv_size(&r->g), r->g, (const REAL *)y, b, residual, y);
}

/* y of the activation that r->g names. */
static void forward(const Run *r, REAL *y) {
    const Call *c = r->call;
    const Pass *p = &r->state->forward;
    const REAL *x = cuda_data(&c->in[0]), *w = cuda_data(&c->in[1]);
    const REAL *b = cuda_data(&c->in[2]), *residual = cuda_data(&c->in[3]);
    if (p->gemm) {
        cublas_gemm_run(p->gemm, x, w, y, b, r->work + r->state->part.library);
        if (!p->fused)
            LAUNCH_EACH(finish<REAL>, conv_size(&r->g), r->g, (const REAL *)y, b, residual, y);
    } else if (p->conv)
        engine_forward(r, p, y);
    else
        LAUNCH_EACH(own_forward, conv_size(&r->g), r->g, x, w, b, residual, y);
}

static void take_made(const Pass *p, void *made, size_t count, REAL *to, bool add) {
    if (p->half_out)
        LAUNCH_EACH(take<Half>, count, (const Half *)made, to, add);
    else if (made != to)
        LAUNCH_EACH(take<REAL>, count, (const REAL *)made, to, add);
}

/* An engine's gradient of count numbers, to where it belongs.  `place` is that of data's places
 * which the pass writes. */
static void engine_gradient(const Run *r, const Pass *p, CudnnConvData *data, void **place,
                            size_t count, REAL *to, bool add) {
    const Parts *part = &r->state->part;
    *place = p->half_out || add ? r->work + part->made : (void *)to;
    data->workspace = r->work + part->library;
    cudnn_conv_run(p->conv, data);
    take_made(p, *place, count, to, add);
}

static void inputs_gradient(const Run *r, void *dz_half) {
    const Call *c = r->call;
    const Pass *p = &r->state->inputs;
    const Parts *part = &r->state->part;
    REAL *w = cuda_data(&c->in[1]), *dz = cuda_data(&c->dout[0]), *dx = cuda_data(&c->din[0]);
    size_t count = shape_size(c->in[0].shape);
    if (p->gemm) {
        cublas_gemm_run(p->gemm, dz, w, dx, NULL, r->work + part->library);
    } else if (p->conv) {
        CudnnConvData data = {};
        data.y = p->half_in ? dz_half : dz;
        data.w = as_read(r, p, w, shape_size(c->in[1].shape), part->w);
        engine_gradient(r, p, &data, &data.x, count, dx, c->add[0]);
    } else
        LAUNCH_EACH(own_inputs, count, r->g, (const REAL *)dz, (const REAL *)w, dx, c->add[0]);
}

static void weights_gradient(const Run *r, void *dz_half) {
    const Call *c = r->call;
    const Pass *p = &r->state->weights;
    const Parts *part = &r->state->part;
    REAL *x = cuda_data(&c->in[0]), *dz = cuda_data(&c->dout[0]), *dw = cuda_data(&c->din[1]);
    size_t count = shape_size(c->in[1].shape);
    if (p->gemm) {
        cublas_gemm_run(p->gemm, dz, x, dw, NULL, r->work + part->library);
    } else if (p->conv) {
        CudnnConvData data = {};
        data.y = p->half_in ? dz_half : dz;
        data.x = as_read(r, p, x, shape_size(c->in[0].shape), part->x);
        engine_gradient(r, p, &data, &data.w, count, dw, c->add[1]);
    } else
        LAUNCH(own_weights, (unsigned)count, WEIGHT_THREADS, WEIGHT_THREADS * sizeof(REAL), r->g,
               (const REAL *)x, (const REAL *)dz, dw, c->add[1]);
}

void CUDA(conv_forward)(const Call *c) {
    Run r = run_of(c);
    forward(&r, cuda_data(&c->out[0]));
}

void CUDA(conv_backward)(const Call *c) {
    Run r = run_of(c);
    const State *s = r.state;
    size_t size = conv_size(&r.g);
    REAL *dz = cuda_data(&c->dout[0]), *dr = cuda_data(&c->din[3]), *value = cuda_data(&c->out[0]);
    if (r.g.act == ACT_SILU) {
        Run linear = r;
        linear.g.act = ACT_NONE;
        value = (REAL *)(r.work + s->part.value);
        forward(&linear, value);
    }
    if (r.g.act != ACT_NONE || dr)
        LAUNCH_EACH(activation_gradient, size, r.g, (const REAL *)value, dz, dr, c->add[3]);
    Half *dz_half = (Half *)(r.work + s->part.dz);
    if (s->inputs.half_in || s->weights.half_in)
        LAUNCH_EACH(round_to_half, size, (const REAL *)dz, dz_half);
    if (c->din[0].data) inputs_gradient(&r, dz_half);
    if (c->din[1].data) weights_gradient(&r, dz_half);
    if (c->din[2].data)
        bias_gradient(&r.g, dz, (REAL *)(r.work + s->part.sums), cuda_data(&c->din[2]), c->add[2]);
}
