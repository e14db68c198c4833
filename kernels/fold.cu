/* fold: a norm in inference mode moved into the conv before it, with gradients; a block for each
 * output channel k.  s = 1/sqrt(var + eps); w' = w*gamma*s, b' = beta + (b - mean)*gamma*s.  Linked
 * calls (Call.next) run together, as many as a launch's arguments have room for. */
#include "kernels/stored.cuh"
#include "kernels/sum.cuh"

/* Inputs [co], b may be NULL. */
typedef struct {
    const REAL *gamma, *mean, *var, *b;
    REAL eps;
} Norm;

static Norm norm_of(const Call *c) {
    Norm n = {cuda_data(&c->in[1]), cuda_data(&c->in[3]), cuda_data(&c->in[4]),
              cuda_data(&c->in[5]), ((const FoldAttr *)c->attr)->eps};
    return n;
}

static __device__ REAL inverse_deviation(const Norm &n, unsigned k) {
    return 1 / sqrt(n.var[k] + n.eps);
}

static __device__ REAL centred_bias(const Norm &n, unsigned k) {
    return (n.b ? n.b[k] : 0) - n.mean[k];
}

static unsigned filter_size(const Call *c) {
    Shape w = c->in[0].shape;
    return cuda_small((size_t)w.h * w.w * w.c);
}

/* The calls of one launch; `blocks` are those of all before it and its own. */
enum { BATCH = 32 };
template <class Job> struct Batch {
    int count;
    unsigned blocks[BATCH];
    Job job[BATCH];
};

/* Which job a block belongs to, and which of its filters. */
typedef struct {
    int job;
    unsigned k;
} Turn;

template <class Job> static __device__ Turn turn_of(const Batch<Job> &batch) {
    Turn t = {0, blockIdx.x};
    while (batch.blocks[t.job] <= blockIdx.x) t.job++;
    if (t.job) t.k -= batch.blocks[t.job - 1];
    return t;
}

template <class Job> static void batch_add(Batch<Job> *batch, unsigned filters, const Job &job) {
    unsigned before = batch->count ? batch->blocks[batch->count - 1] : 0;
    batch->job[batch->count] = job;
    batch->blocks[batch->count++] = before + filters;
}

/* --- forward --- */

typedef struct {
    Norm n;
    const REAL *w, *beta;
    Stored out;
    REAL *bias;
    unsigned size; /* of a filter */
    bool fours;
} Values;

template <int N> static __device__ void fold_filter(const Values &v, unsigned k, REAL scale) {
    unsigned packs = v.size / N;
    size_t first = (size_t)k * packs;
    for (unsigned i = threadIdx.x; i < packs; i += blockDim.x) {
        Pack<N> x = pack_load<N>(v.w, first + i);
        for (int l = 0; l < N; l++) x.v[l] *= scale;
        stored_put<N>(v.out, first + i, x, false);
    }
}

static __global__ void fold_values(Batch<Values> batch) {
    Turn t = turn_of(batch);
    const Values &v = batch.job[t.job];
    REAL scale = v.n.gamma[t.k] * inverse_deviation(v.n, t.k);
    if (v.fours)
        fold_filter<4>(v, t.k, scale);
    else
        fold_filter<1>(v, t.k, scale);
    if (threadIdx.x == 0) v.bias[t.k] = v.beta[t.k] + centred_bias(v.n, t.k) * scale;
}

static Values values_of(const Call *c) {
    Values v = {};
    v.n = norm_of(c);
    v.w = cuda_data(&c->in[0]), v.beta = cuda_data(&c->in[2]);
    v.out = stored_of(&c->out[0]), v.bias = cuda_data(&c->out[1]);
    v.size = filter_size(c);
    v.fours = cuda_fours(v.size, v.w) && stored_fours(v.size, v.out);
    return v;
}

void CUDA(fold_forward)(const Call *c) {
    while (c) {
        Batch<Values> batch = {};
        for (; c && batch.count < BATCH; c = c->next)
            batch_add(&batch, (unsigned)c->in[0].shape.n, values_of(c));
        LAUNCH(fold_values, batch.blocks[batch.count - 1], SUM_THREADS, 0, batch);
    }
}

/* --- backward --- */

/* An output that nobody used has no gradient: dout or dbias is NULL then, as is an input's gradient
 * that nobody wants. */
typedef struct {
    Norm n;
    const REAL *w, *dbias;
    Stored dout;
    REAL *dw, *dgamma, *dbeta, *db;
    unsigned size;
    bool fours, add_w, add_gamma, add_beta, add_b;
} Gradients;

/* dw of filter k; returns this thread's share of <dw', w>. */
template <int N>
static __device__ double filter_gradient(const Gradients &g, unsigned k, REAL scale) {
    unsigned packs = g.size / N;
    size_t first = (size_t)k * packs;
    double product = 0;
    for (unsigned i = threadIdx.x; i < packs; i += blockDim.x) {
        Pack<N> dout = stored_load<N>(g.dout, first + i), w = pack_load<N>(g.w, first + i);
        for (int l = 0; l < N; l++) {
            product += (double)dout.v[l] * (double)w.v[l];
            dout.v[l] *= scale;
        }
        if (g.dw) pack_put<N>(g.dw, first + i, dout, g.add_w);
    }
    return product;
}

/* dw = gamma*s*dw', db = gamma*s*db', dbeta = db', dgamma = s*(<dw', w> + (b - mean)*db'). */
static __global__ void fold_gradients(Batch<Gradients> batch) {
    Turn t = turn_of(batch);
    const Gradients &g = batch.job[t.job];
    unsigned k = t.k;
    REAL s = inverse_deviation(g.n, k), scale = g.n.gamma[k] * s, d = g.dbias ? g.dbias[k] : 0;
    double product = g.fours ? filter_gradient<4>(g, k, scale) : filter_gradient<1>(g, k, scale);
    REAL sum = (REAL)sum_block(product);
    if (threadIdx.x > 0) return;
    if (g.dgamma) kernel_put(g.dgamma + k, s * (sum + centred_bias(g.n, k) * d), g.add_gamma);
    if (g.dbeta) kernel_put(g.dbeta + k, d, g.add_beta);
    if (g.db) kernel_put(g.db + k, scale * d, g.add_b);
}

static Gradients gradients_of(const Call *c) {
    Gradients g = {};
    g.n = norm_of(c);
    g.w = cuda_data(&c->in[0]), g.dout = stored_of(&c->dout[0]), g.dbias = cuda_data(&c->dout[1]);
    g.dw = cuda_data(&c->din[0]), g.dgamma = cuda_data(&c->din[1]);
    g.dbeta = cuda_data(&c->din[2]), g.db = cuda_data(&c->din[5]);
    g.size = filter_size(c);
    g.fours = cuda_fours(g.size, g.w, g.dw) && stored_fours(g.size, g.dout);
    g.add_w = c->add[0], g.add_gamma = c->add[1], g.add_beta = c->add[2], g.add_b = c->add[5];
    return g;
}

void CUDA(fold_backward)(const Call *c) {
    while (c) {
        Batch<Gradients> batch = {};
        for (; c && batch.count < BATCH; c = c->next)
            batch_add(&batch, (unsigned)c->in[0].shape.n, gradients_of(c));
        LAUNCH(fold_gradients, batch.blocks[batch.count - 1], SUM_THREADS, 0, batch);
    }
}
