/* fold: a norm in inference mode moved into the conv before it, with gradients; a block for each
 * output channel k.  s = 1/sqrt(var + eps); w' = w*gamma*s, b' = beta + (b - mean)*gamma*s. */
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

/* size: packs of a filter. */
template <int N>
static __global__ void fold_values(Norm n, unsigned size, const REAL *__restrict__ w,
                                   const REAL *__restrict__ beta, REAL *__restrict__ out,
                                   REAL *__restrict__ bias) {
    unsigned k = blockIdx.x;
    size_t first = (size_t)k * size;
    REAL scale = n.gamma[k] * inverse_deviation(n, k);
    for (unsigned i = threadIdx.x; i < size; i += blockDim.x) {
        Pack<N> x = pack_load<N>(w, first + i);
        for (int l = 0; l < N; l++) x.v[l] *= scale;
        pack_put<N>(out, first + i, x, false);
    }
    if (threadIdx.x == 0) bias[k] = beta[k] + centred_bias(n, k) * scale;
}

/* An output that nobody used has no gradient: dout or dbias is NULL then, as is an input's gradient
 * that nobody wants. */
typedef struct {
    const REAL *w, *dout, *dbias;
    REAL *dw, *dgamma, *dbeta, *db;
    bool add_w, add_gamma, add_beta, add_b;
} Gradients;

/* dw = gamma*s*dw', db = gamma*s*db', dbeta = db', dgamma = s*(<dw', w> + (b - mean)*db'). */
template <int N> static __global__ void fold_gradients(Norm n, unsigned size, Gradients g) {
    unsigned k = blockIdx.x;
    size_t first = (size_t)k * size;
    REAL s = inverse_deviation(n, k), scale = n.gamma[k] * s, d = g.dbias ? g.dbias[k] : 0;
    double product = 0;
    for (unsigned i = threadIdx.x; i < size; i += blockDim.x) {
        Pack<N> dout = pack_load<N>(g.dout, first + i), w = pack_load<N>(g.w, first + i);
        for (int l = 0; l < N; l++) {
            product += (double)dout.v[l] * (double)w.v[l];
            dout.v[l] *= scale;
        }
        if (g.dw) pack_put<N>(g.dw, first + i, dout, g.add_w);
    }
    REAL sum = (REAL)sum_block(product);
    if (threadIdx.x > 0) return;
    if (g.dgamma) kernel_put(g.dgamma + k, s * (sum + centred_bias(n, k) * d), g.add_gamma);
    if (g.dbeta) kernel_put(g.dbeta + k, d, g.add_beta);
    if (g.db) kernel_put(g.db + k, scale * d, g.add_b);
}

void CUDA(fold_forward)(const Call *c) {
    const REAL *w = cuda_data(&c->in[0]), *beta = cuda_data(&c->in[2]);
    REAL *out = cuda_data(&c->out[0]), *bias = cuda_data(&c->out[1]);
    unsigned size = filter_size(c), filters = (unsigned)c->in[0].shape.n;
    Norm n = norm_of(c);
    if (cuda_fours(size, w, out))
        LAUNCH(fold_values<4>, filters, SUM_THREADS, 0, n, size / 4, w, beta, out, bias);
    else
        LAUNCH(fold_values<1>, filters, SUM_THREADS, 0, n, size, w, beta, out, bias);
}

void CUDA(fold_backward)(const Call *c) {
    Gradients g = {cuda_data(&c->in[0]),
                   cuda_data(&c->dout[0]),
                   cuda_data(&c->dout[1]),
                   cuda_data(&c->din[0]),
                   cuda_data(&c->din[1]),
                   cuda_data(&c->din[2]),
                   cuda_data(&c->din[5]),
                   c->add[0],
                   c->add[1],
                   c->add[2],
                   c->add[5]};
    unsigned size = filter_size(c), filters = (unsigned)c->in[0].shape.n;
    Norm n = norm_of(c);
    if (cuda_fours(size, g.w, g.dout, g.dw))
        LAUNCH(fold_gradients<4>, filters, SUM_THREADS, 0, n, size / 4, g);
    else
        LAUNCH(fold_gradients<1>, filters, SUM_THREADS, 0, n, size, g);
}
