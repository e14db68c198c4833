#include "tests/emulate/libraries.h"

#include "kernels/conv.h"
#include "kernels/cublas_gemm.h"
#include "kernels/cudnn_conv.h"
#include "tests/emulate/emulate.h"

#include <stdlib.h>
#include <string.h>

enum { ENGINE_WORKSPACE = 1000, SCRIBBLE = 0x5a };

static unsigned offered;

void libraries_offer(unsigned engines) { offered = engines; }

/* --- numbers in memory: float or bfloat16 --- */

static double get(const void *p, size_t i, bool half) {
    return (double)(half ? bfloat_to_float(((const uint16_t *)p)[i]) : ((const float *)p)[i]);
}

static void put(void *p, size_t i, bool half, double value) {
    if (half)
        ((uint16_t *)p)[i] = bfloat_from_float((float)value);
    else
        ((float *)p)[i] = (float)value;
}

/* --- cuDNN --- */

struct CudnnConv {
    CudnnConvKey key;
    CudnnConv *next;
};

static bool is_offered(const CudnnConvKey *k) {
    bool fused = k->has_bias || k->has_residual || k->act != ACT_NONE;
    if (k->half_out && !(offered & LIBRARIES_HALF_OUT)) return false;
    if (k->half_out && !fused) return true;
    if (k->precision == PRECISION_BF16 && !(offered & LIBRARIES_HALF)) return false;
    return (offered & (fused ? LIBRARIES_FUSED : LIBRARIES_PLAIN)) != 0;
}

/* Engines live as long as the process, as cuDNN's do.  Those of TF32 may not run beside others
 * (docs/gpu.md). */
const CudnnConv *cudnn_conv_find(const CudnnConvKey *key) {
    static CudnnConv *engines;
    if (key->precision == PRECISION_TF32) emulate_complain("an engine for TF32 is asked for");
    if (!is_offered(key)) return NULL;
    CudnnConv *engine = malloc(sizeof *engine);
    CHECK(engine, "out of memory");
    *engine = (CudnnConv){*key, engines};
    engines = engine;
    return engine;
}

size_t cudnn_conv_workspace(const CudnnConv *conv) {
    (void)conv;
    return ENGINE_WORKSPACE;
}

static Conv sizes_of(const CudnnConvKey *k) {
    Conv g = {.act = k->act, .slope = k->slope, .stride = k->stride, .pad = k->pad};
    g.dilation = k->dilation, g.groups = k->x.c / k->w.c;
    g.n = k->x.n, g.h = k->x.h, g.w = k->x.w, g.ci = k->x.c;
    g.ho = k->y.h, g.wo = k->y.w, g.co = k->y.c;
    g.kh = k->w.h, g.kw = k->w.w, g.gi = k->w.c, g.go = k->w.n / g.groups;
    return g;
}

/* Calls `each` for every product: indices of x, w and y that it joins. */
static void products(const Conv *g, void (*each)(void *, size_t, size_t, size_t), void *context) {
    size_t outputs = (size_t)g->n * g->ho * g->wo * g->co;
    for (size_t y = 0; y < outputs; y++) {
        int o = (int)(y % g->co), j = (int)(y / g->co % g->wo),
            i = (int)(y / g->co / g->wo % g->ho);
        size_t image = y / g->co / g->wo / g->ho;
        for (int tap = 0; tap < g->kh * g->kw; tap++) {
            int v = conv_source(g, i, tap / g->kw), u = conv_source(g, j, tap % g->kw);
            if (v < 0 || v >= g->h || u < 0 || u >= g->w) continue;
            size_t x = ((image * g->h + v) * g->w + u) * g->ci + (size_t)(o / g->go) * g->gi;
            size_t w = ((size_t)o * g->kh * g->kw + tap) * g->gi;
            for (int k = 0; k < g->gi; k++) each(context, x + k, w + k, y);
        }
    }
}

typedef struct {
    const CudnnConvKey *key;
    const CudnnConvData *data;
    double *sum;
    bool half;
} Sums;

static void add_product(void *context, size_t x, size_t w, size_t y) {
    const Sums *s = context;
    const CudnnConvData *d = s->data;
    switch (s->key->pass) {
    case CUDNN_CONV_FORWARD: s->sum[y] += get(d->x, x, s->half) * get(d->w, w, s->half); break;
    case CUDNN_CONV_INPUTS: s->sum[x] += get(d->y, y, s->half) * get(d->w, w, s->half); break;
    case CUDNN_CONV_WEIGHTS: s->sum[w] += get(d->y, y, s->half) * get(d->x, x, s->half); break;
    }
}

static double epilogue(const Conv *g, const CudnnConvKey *k, const CudnnConvData *d, size_t i,
                       double sum) {
    if (k->has_bias) sum += get(d->b, i % (size_t)g->co, false);
    if (k->has_residual) sum += get(d->r, i, k->half_residual);
    return (double)conv_activate(g, (float)sum);
}

void cudnn_conv_run(const CudnnConv *conv, const CudnnConvData *data) {
    const CudnnConvKey *k = &conv->key;
    const Shape made[] = {k->y, k->x, k->w};
    void *const to[] = {data->y, data->x, data->w};
    Conv g = sizes_of(k);
    size_t count = shape_size(made[k->pass]);
    Sums s = {k, data, calloc(count + 1, sizeof *s.sum), k->precision == PRECISION_BF16};
    CHECK(s.sum, "out of memory");
    memset(data->workspace, SCRIBBLE, ENGINE_WORKSPACE);
    products(&g, add_product, &s);
    for (size_t i = 0; i < count; i++) {
        double value =
            k->pass == CUDNN_CONV_FORWARD ? epilogue(&g, k, data, i, s.sum[i]) : s.sum[i];
        put(to[k->pass], i, k->half_out, value);
    }
    free(s.sum);
}

/* --- cuBLASLt --- */

struct CublasGemm {
    CublasShape shape;
};

CublasGemm *cublas_gemm_new(const CublasShape *shape) {
    if (!(offered & LIBRARIES_GEMM) || !shape->count || !shape->m || !shape->n || !shape->k)
        return NULL;
    CublasGemm *g = malloc(sizeof *g);
    CHECK(g, "out of memory");
    g->shape = *shape;
    return g;
}

void cublas_gemm_free(CublasGemm *gemm) { free(gemm); }

void cublas_gemm_run(const CublasGemm *gemm, const float *a, const float *b, float *c,
                     const float *bias, void *workspace) {
    const CublasShape *s = &gemm->shape;
    memset(workspace, SCRIBBLE, ENGINE_WORKSPACE);
    memset((char *)workspace + CUBLAS_WORKSPACE - ENGINE_WORKSPACE, SCRIBBLE, ENGINE_WORKSPACE);
    for (int at = 0; at < s->count * s->m * s->n; at++) {
        int i = at / s->m / s->n, row = at / s->n % s->m, column = at % s->n;
        double sum = s->add ? (double)c[at] : 0;
        for (int k = 0; k < s->k; k++) {
            int of_a = s->transpose_a ? k * s->m + row : row * s->k + k;
            int of_b = s->transpose_b ? column * s->k + k : k * s->n + column;
            sum += (double)a[i * s->m * s->k + of_a] * (double)b[i * s->k * s->n + of_b];
        }
        if (s->bias) sum += (double)bias[column];
        c[at] = s->relu && !(sum > 0) ? 0 : (float)sum;
    }
}
