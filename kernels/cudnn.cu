/* Convolutions through cuDNN's graph API; the only file that sees cuDNN. */
#include "kernels/cuda.cuh"

extern "C" {
#include "kernels/cudnn_conv.h"
#include "kernels/engines.h"
}

#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>

enum { MADE = 80, CHOICES = 64, NOTES = CUDNN_NUMERICAL_NOTE_TYPE_COUNT };

/* What an engine may ask for; the plan's workspace is as large as its largest call's. */
static const int64_t LARGEST_WORKSPACE = (int64_t)256 << 20;

/* Names of the tensors inside one operation graph. */
enum { ID_X = 1, ID_W, ID_Y, ID_B, ID_R, ID_INNER };

struct CudnnConv {
    CudnnConvKey key;
    bool deterministic;
    cudnnBackendDescriptor_t plan; /* NULL: no engine takes the key */
    int64_t workspace;
    CudnnConv *next;
};

static cudnnHandle_t the_handle;
static CudnnConv *known;
static bool deterministic, tuning;
static Engines *engines;

void cudnn_conv_deterministic(bool on) { deterministic = on; }

const char *cudnn_conv_version(void) {
    static char text[32];
    int version = (int)cudnnGetVersion();
    snprintf(text, sizeof text, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    return text;
}

const char *cudnn_conv_open(void) {
    cudnnStatus_t status = cudnnCreate(&the_handle);
    return status ? cudnnGetErrorString(status) : NULL;
}

/* --- descriptors: made, filled, finalized, and destroyed together --- */

typedef cudnnBackendDescriptor_t Desc;

/* After the first failure nothing more is asked of cuDNN; the caller looks once, at the end. */
typedef struct {
    Desc made[MADE];
    int count;
    cudnnStatus_t status;
} Build;

static Desc make(Build *b, cudnnBackendDescriptorType_t type) {
    Desc d = NULL;
    CHECK(b->count < MADE, "%d descriptors", b->count);
    if (!b->status) b->status = cudnnBackendCreateDescriptor(type, &d);
    if (!b->status) b->made[b->count++] = d;
    return d;
}

static void set(Build *b, Desc d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    if (!b->status) b->status = cudnnBackendSetAttribute(d, name, type, count, values);
}

static void set_desc(Build *b, Desc d, cudnnBackendAttributeName_t name, Desc value) {
    set(b, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void set_type(Build *b, Desc d, cudnnBackendAttributeName_t name, cudnnDataType_t value) {
    set(b, d, name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}

static void set_float(Build *b, Desc d, cudnnBackendAttributeName_t name, float value) {
    set(b, d, name, CUDNN_TYPE_FLOAT, 1, &value);
}

static void set_pair(Build *b, Desc d, cudnnBackendAttributeName_t name, int value) {
    int64_t pair[2] = {value, value};
    set(b, d, name, CUDNN_TYPE_INT64, 2, pair);
}

static Desc finalized(Build *b, Desc d) {
    if (!b->status) b->status = cudnnBackendFinalize(d);
    return d;
}

static void destroy(Build *b) {
    while (b->count) cudnnBackendDestroyDescriptor(b->made[--b->count]);
}

/* --- the operation graph of a key --- */

/* cuDNN's sizes are n,c,h,w whatever the order in memory, which here is n,h,w,c. */
static Desc tensor(Build *b, int64_t id, Shape s, cudnnDataType_t type, bool is_virtual) {
    int64_t size[4] = {s.n, s.c, s.h, s.w}, align = 16;
    int64_t stride[4] = {(int64_t)s.h * s.w * s.c, 1, (int64_t)s.w * s.c, s.c};
    Desc d = make(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set_type(b, d, CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    set(b, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, size);
    set(b, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
    set(b, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(b, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    set(b, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    return finalized(b, d);
}

static Desc convolution(Build *b, const CudnnConvKey *k) {
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t dims = 2;
    Desc d = make(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set_type(b, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    set(b, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(b, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    set_pair(b, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, k->dilation);
    set_pair(b, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, k->stride);
    set_pair(b, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, k->pad);
    set_pair(b, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, k->pad);
    return finalized(b, d);
}

/* The attributes' names of the three passes. */
typedef struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t conv, x, w, y, alpha, beta;
} PassNames;

static const PassNames PASS[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static Desc conv_operation(Build *b, const CudnnConvKey *k, Desc x, Desc w, Desc y) {
    const PassNames *name = &PASS[k->pass];
    Desc conv = convolution(b, k), d = make(b, name->type);
    set_desc(b, d, name->conv, conv);
    set_desc(b, d, name->x, x);
    set_desc(b, d, name->w, w);
    set_desc(b, d, name->y, y);
    set_float(b, d, name->alpha, 1);
    set_float(b, d, name->beta, 0);
    return finalized(b, d);
}

static Desc pointwise(Build *b, cudnnPointwiseMode_t mode, double slope) {
    Desc d = make(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(b, d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set_type(b, d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    if (slope != 0)
        set(b, d, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, CUDNN_TYPE_DOUBLE, 1, &slope);
    return finalized(b, d);
}

/* y = mode(x) or, with another, mode(x, other). */
static Desc pointwise_operation(Build *b, Desc what, Desc x, Desc other, Desc y) {
    Desc d = make(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (other) set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other);
    set_desc(b, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    return finalized(b, d);
}

static Desc activation(Build *b, const CudnnConvKey *k) {
    if (k->act == ACT_SILU) return pointwise(b, CUDNN_POINTWISE_SWISH_FWD, 0);
    return pointwise(b, CUDNN_POINTWISE_RELU_FWD, k->act == ACT_LEAKY ? (double)k->slope : 0);
}

static cudnnDataType_t type_of(bool half) { return half ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

static cudnnDataType_t type_read(const CudnnConvKey *k) {
    return type_of(k->precision == PRECISION_BF16);
}

static cudnnDataType_t type_made(const CudnnConvKey *k) { return type_of(k->half_out); }

/* A convolution and what follows it; values between two operations stay inside the engine. */
typedef struct {
    Desc op[4], value;
    int count, left; /* operations done, and to come */
} Chain;

static Desc next_value(Build *b, const CudnnConvKey *k, const Chain *c) {
    if (c->left) return tensor(b, ID_INNER + c->left, k->y, CUDNN_DATA_FLOAT, true);
    return tensor(b, ID_Y, k->y, type_made(k), false);
}

static void append(Build *b, const CudnnConvKey *k, Chain *c, Desc what, Desc other) {
    c->left--;
    Desc y = next_value(b, k, c);
    c->op[c->count++] = pointwise_operation(b, what, c->value, other, y);
    c->value = y;
}

static Chain forward_chain(Build *b, const CudnnConvKey *k) {
    Chain c = {};
    c.left = (k->has_bias != 0) + (k->has_residual != 0) + (k->act != ACT_NONE);
    c.value = next_value(b, k, &c);
    c.op[c.count++] = conv_operation(b, k, tensor(b, ID_X, k->x, type_read(k), false),
                                     tensor(b, ID_W, k->w, type_read(k), false), c.value);
    Shape channels = {1, 1, 1, k->w.n};
    if (k->has_bias)
        append(b, k, &c, pointwise(b, CUDNN_POINTWISE_ADD, 0),
               tensor(b, ID_B, channels, CUDNN_DATA_FLOAT, false));
    if (k->has_residual)
        append(b, k, &c, pointwise(b, CUDNN_POINTWISE_ADD, 0),
               tensor(b, ID_R, k->y, type_of(k->half_residual), false));
    if (k->act != ACT_NONE) append(b, k, &c, activation(b, k), NULL);
    return c;
}

static Chain gradient_chain(Build *b, const CudnnConvKey *k) {
    bool inputs = k->pass == CUDNN_CONV_INPUTS;
    Chain c = {};
    Desc x = tensor(b, ID_X, k->x, inputs ? type_made(k) : type_read(k), false);
    Desc w = tensor(b, ID_W, k->w, inputs ? type_read(k) : type_made(k), false);
    c.op[c.count++] = conv_operation(b, k, x, w, tensor(b, ID_Y, k->y, type_read(k), false));
    return c;
}

static Desc operation_graph(Build *b, const CudnnConvKey *k) {
    Chain c = k->pass == CUDNN_CONV_FORWARD ? forward_chain(b, k) : gradient_chain(b, k);
    Desc d = make(b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(b, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, c.count, c.op);
    set(b, d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &the_handle);
    return finalized(b, d);
}

/* --- the engine --- */

/* Notes that an engine for this precision must not carry, as a mask.  An engine that multiplies
 * fp32 numbers on tensor cores does so in TF32. */
static unsigned forbidden_notes(Precision precision) {
    unsigned mask = 1u << CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
    if (deterministic) mask |= 1u << CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    if (precision != PRECISION_BF16) mask |= 1u << CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    if (precision == PRECISION_FP32)
        mask |= 1u << CUDNN_NUMERICAL_NOTE_TENSOR_CORE | 1u << CUDNN_NUMERICAL_NOTE_WINOGRAD |
                1u << CUDNN_NUMERICAL_NOTE_FFT;
    return mask;
}

/* Whether an engine may be taken, and its number in the library, -1 if it has none. */
static bool is_allowed(Build *b, Desc config, Precision precision, int64_t *number) {
    Desc engine = make(b, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendNumericalNote_t note[NOTES];
    int64_t count = 0;
    unsigned mask = 0;
    if (!b->status)
        b->status = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE,
                                             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine);
    if (!b->status)
        b->status = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                             CUDNN_TYPE_NUMERICAL_NOTE, NOTES, &count, note);
    for (int i = 0; i < count && !b->status; i++) mask |= 1u << note[i];
    if (b->status || cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX,
                                              CUDNN_TYPE_INT64, 1, &count, number))
        *number = -1;
    return !b->status && !(mask & forbidden_notes(precision));
}

/* The plan of an engine's configuration; NULL when the engine declines or wants too much memory. */
static Desc plan_of(Desc config, int64_t *workspace) {
    Build b = {};
    int64_t count;
    Desc plan = make(&b, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    set(&b, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &the_handle);
    set_desc(&b, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    finalized(&b, plan);
    if (!b.status)
        b.status = cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                            CUDNN_TYPE_INT64, 1, &count, workspace);
    if (!b.status && *workspace <= LARGEST_WORKSPACE) return plan;
    destroy(&b);
    return NULL;
}

/* The best configurations first, as the heuristic sees it. */
static int64_t suggestions(Build *b, Desc graph, cudnnBackendHeurMode_t mode,
                           Desc config[CHOICES]) {
    int64_t count = 0;
    Desc heuristics = make(b, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_desc(b, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    set(b, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    finalized(b, heuristics);
    for (int i = 0; i < CHOICES; i++) config[i] = make(b, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!b->status)
        b->status =
            cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, CHOICES, &count, config);
    return b->status ? 0 : count;
}

/* The heuristic's lists, the better first. */
static const cudnnBackendHeurMode_t LIST[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
enum { LISTS = sizeof LIST / sizeof *LIST };

/* An engine made ready. */
typedef struct {
    Desc plan;
    int64_t workspace;
    EngineChoice choice;
} Candidate;

/* The first `limit` allowed engines of a list that accept the graph, from place `first` on.  A
 * failed look at one says nothing of others. */
static int candidates(Desc graph, const CudnnConvKey *k, int list, int first, int limit,
                      Candidate *out) {
    Build b = {};
    Desc config[CHOICES];
    int64_t count = suggestions(&b, graph, LIST[list], config), number = 0;
    int found = 0;
    for (int i = first; i < count && found < limit; i++) {
        Build look = {};
        Candidate *c = &out[found];
        c->plan = is_allowed(&look, config[i], k->precision, &number)
                      ? plan_of(config[i], &c->workspace)
                      : NULL;
        c->choice.list = list, c->choice.place = i, c->choice.engine = number;
        found += c->plan != NULL;
        destroy(&look);
    }
    destroy(&b);
    return found;
}

static cudnnStatus_t execute(const CudnnConvKey *k, Desc plan, const CudnnConvData *data) {
    int64_t id[] = {ID_X, ID_W, ID_Y, ID_B, ID_R};
    void *address[] = {data->x, data->w, data->y, data->b, data->r};
    int count = 3;
    if (k->has_bias) count++;
    if (k->has_residual) id[count] = ID_R, address[count++] = data->r;
    Build b = {};
    Desc pack = make(&b, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(&b, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, id);
    set(&b, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, address);
    set(&b, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &data->workspace);
    finalized(&b, pack);
    if (!b.status) b.status = cudnnSetStream(the_handle, cuda_stream());
    if (!b.status) b.status = cudnnBackendExecute(the_handle, plan, pack);
    destroy(&b);
    return b.status;
}

/* --- measuring --- */

enum { TRIALS = 8, ROUNDS = 3, RUNS = 5 };

/* Numbers to measure on, all 0.0115 as float and as bfloat16; NULL without memory for them. */
static char *trial_memory(const CudnnConvKey *k, CudnnConvData *data) {
    const size_t sizes[] = {shape_size(k->x), shape_size(k->w), shape_size(k->y), (size_t)k->w.n,
                            k->has_residual ? shape_size(k->y) : 0};
    void **part[] = {&data->x, &data->w, &data->y, &data->b, &data->r};
    size_t at[5], total = 0;
    for (int i = 0; i < 5; i++) {
        at[i] = total;
        total += (sizes[i] * sizeof(REAL) + CUDA_ALIGN - 1) / CUDA_ALIGN * CUDA_ALIGN;
    }
    void *memory = NULL;
    if (cudaMalloc(&memory, total + (size_t)LARGEST_WORKSPACE) != cudaSuccess) {
        (void)cudaGetLastError();
        return NULL;
    }
    if (cudaMemsetAsync(memory, 0x3c, total, cuda_stream()) != cudaSuccess)
        (void)cudaGetLastError();
    for (int i = 0; i < 5; i++) *part[i] = (char *)memory + at[i];
    data->workspace = (char *)memory + total;
    return (char *)memory;
}

/* The best round's microseconds a run; INFINITY for an engine that does not run. */
static double measure(const CudnnConvKey *k, const Candidate *c, const CudnnConvData *data,
                      cudaEvent_t begin, cudaEvent_t end) {
    double best = INFINITY;
    bool runs = !execute(k, c->plan, data); /* the first run may load code */
    for (int round = 0; round < ROUNDS && runs; round++) {
        float milliseconds = 0;
        runs = cudaEventRecord(begin, cuda_stream()) == cudaSuccess;
        for (int i = 0; i < RUNS && runs; i++) runs = !execute(k, c->plan, data);
        runs = runs && cudaEventRecord(end, cuda_stream()) == cudaSuccess &&
               cudaEventSynchronize(end) == cudaSuccess &&
               cudaEventElapsedTime(&milliseconds, begin, end) == cudaSuccess;
        if (runs && milliseconds * 1e3 / RUNS < best) best = milliseconds * 1e3 / RUNS;
    }
    if (!runs) (void)cudaGetLastError();
    return runs ? best : INFINITY;
}

/* Which of them is the fastest; the heuristic's first where they cannot be measured. */
static int fastest(const CudnnConvKey *k, Candidate *c, int count) {
    CudnnConvData data = {};
    cudaEvent_t begin = NULL, end = NULL;
    char *memory = trial_memory(k, &data);
    int best = 0;
    if (memory && cudaEventCreate(&begin) == cudaSuccess && cudaEventCreate(&end) == cudaSuccess)
        for (int i = 0; i < count; i++) {
            c[i].choice.microseconds = measure(k, &c[i], &data, begin, end);
            if (c[i].choice.microseconds < c[best].choice.microseconds) best = i;
        }
    if (begin) cudaEventDestroy(begin);
    if (end) cudaEventDestroy(end);
    if (memory) cudaFree(memory);
    return best;
}

void cudnn_conv_tune(bool on) {
    tuning = on;
    if (!on || engines) return;
    char scope[512];
    int device = 0;
    cudaDeviceProp gpu;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaGetDeviceProperties(&gpu, device) != cudaSuccess) {
        (void)cudaGetLastError();
        tuning = false;
        return;
    }
    snprintf(scope, sizeof scope, "%s, cuDNN %s", gpu.name, cudnn_conv_version());
    engines = engines_open(scope);
}

static void key_text(const CudnnConvKey *k, char text[ENGINES_KEY]) {
    static const char *const pass[] = {"forward", "inputs", "weights"};
    static const char *const precision[PRECISIONS] = {"tf32", "fp32", "bf16"};
    snprintf(text, ENGINES_KEY,
             "%s %s x %d,%d,%d,%d w %d,%d,%d,%d stride %d pad %d dilation %d act %d %g bias %d "
             "residual %d %d half %d deterministic %d",
             pass[k->pass], precision[k->precision], k->x.n, k->x.h, k->x.w, k->x.c, k->w.n, k->w.h,
             k->w.w, k->w.c, k->stride, k->pad, k->dilation, (int)k->act, (double)k->slope,
             k->has_bias, k->has_residual, k->half_residual, k->half_out, deterministic);
}

/* What an earlier run found to be the fastest, if the library still lists it there. */
static bool remembered(Desc graph, const CudnnConvKey *k, const char *text, Candidate *out) {
    EngineChoice choice;
    if (!engines_find(engines, text, &choice) || choice.list >= LISTS) return false;
    if (!candidates(graph, k, choice.list, choice.place, 1, out)) return false;
    if (out->choice.place == choice.place && out->choice.engine == choice.engine) return true;
    cudnnBackendDestroyDescriptor(out->plan);
    return false;
}

/* The first candidate becomes the fastest, and is remembered; the others go. */
static void keep_fastest(const CudnnConvKey *k, const char *text, Candidate *c, int count) {
    int best = fastest(k, c, count);
    Candidate kept = c[best];
    for (int i = 0; i < count; i++)
        if (i != best) cudnnBackendDestroyDescriptor(c[i].plan);
    c[0] = kept;
    if (kept.choice.microseconds > 0 && kept.choice.microseconds < INFINITY)
        engines_keep(engines, text, &kept.choice);
}

static void choose(Desc graph, CudnnConv *conv) {
    const CudnnConvKey *k = &conv->key;
    Candidate c[TRIALS] = {};
    char text[ENGINES_KEY];
    int count = 0;
    key_text(k, text);
    if (tuning && remembered(graph, k, text, &c[0])) {
        conv->plan = c[0].plan, conv->workspace = c[0].workspace;
        return;
    }
    for (int list = 0; list < LISTS && !count; list++)
        count = candidates(graph, k, list, 0, tuning ? (int)TRIALS : 1, c);
    if (tuning && count) keep_fastest(k, text, c, count);
    if (count) conv->plan = c[0].plan, conv->workspace = c[0].workspace;
}

static CudnnConv *conv_new(const CudnnConvKey *key) {
    CudnnConv *conv = (CudnnConv *)calloc(1, sizeof *conv);
    CHECK(conv, "out of memory");
    conv->key = *key;
    conv->deterministic = deterministic;
    Build b = {};
    Desc graph = operation_graph(&b, key);
    if (!b.status) choose(graph, conv);
    destroy(&b);
    return conv;
}

const CudnnConv *cudnn_conv_find(const CudnnConvKey *key) {
    CudnnConv *conv = known;
    while (conv && (memcmp(&conv->key, key, sizeof *key) || conv->deterministic != deterministic))
        conv = conv->next;
    if (!conv) {
        conv = conv_new(key);
        conv->next = known;
        known = conv;
    }
    return conv->plan ? conv : NULL;
}

size_t cudnn_conv_workspace(const CudnnConv *conv) { return (size_t)conv->workspace; }

void cudnn_conv_run(const CudnnConv *conv, const CudnnConvData *data) {
    cudnnStatus_t status = execute(&conv->key, conv->plan, data);
    if (status) cuda_broken("cudnn", cudnnGetErrorString(status));
}
