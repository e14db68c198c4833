/* fold: a norm in inference mode moved into the conv before it, with gradients.  mean and var are
 * constants.  s = 1/sqrt(var + eps); w' = w*gamma*s, b' = beta + (b - mean)*gamma*s. */
#include "kernels/kernel.h"

static REAL inverse_deviation(const Call *c, int k) {
    const FoldAttr *a = c->attr;
    return 1 / sqrt(((const REAL *)c->in[4].data)[k] + (REAL)a->eps);
}

static REAL centred_bias(const Call *c, int k) {
    const REAL *mean = c->in[3].data, *b = c->in[5].data;
    return (b ? b[k] : 0) - mean[k];
}

static size_t filter_size(const Call *c) {
    Shape w = c->in[0].shape;
    return (size_t)w.h * w.w * w.c;
}

void KERNEL(fold_forward)(const Call *c) {
    const REAL *w = c->in[0].data, *gamma = c->in[1].data, *beta = c->in[2].data;
    REAL *out = c->out[0].data, *bias = c->out[1].data;
    size_t size = filter_size(c);
    PARALLEL_FOR
    for (int k = 0; k < c->in[0].shape.n; k++) {
        REAL scale = gamma[k] * inverse_deviation(c, k);
        for (size_t i = k * size; i < (k + 1) * size; i++) out[i] = w[i] * scale;
        bias[k] = beta[k] + centred_bias(c, k) * scale;
    }
}

/* Sums of short pieces side by side, so that the loop is vectorised and float loses little. */
static REAL dot(const REAL *restrict a, const REAL *restrict b, size_t size) {
    enum { LANES = 8, PIECE = 512 };
    double total = 0;
    for (size_t begin = 0; begin < size; begin += PIECE) {
        size_t end = size - begin < PIECE ? size : begin + PIECE, i = begin;
        REAL sum[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++) sum[l] += a[i + l] * b[i + l];
        for (; i < end; i++) sum[0] += a[i] * b[i];
        for (int l = 0; l < LANES; l++) total += (double)sum[l];
    }
    return (REAL)total;
}

static void weight_gradient(REAL *restrict dw, const REAL *restrict dout, size_t size, REAL scale,
                            bool add) {
    if (add)
        for (size_t i = 0; i < size; i++) dw[i] += dout[i] * scale;
    else
        for (size_t i = 0; i < size; i++) dw[i] = dout[i] * scale;
}

/* dw = gamma*s*dw', db = gamma*s*db', dbeta = db', dgamma = s*(<dw', w> + (b - mean)*db').  An
 * output that nobody used has no gradient. */
void KERNEL(fold_backward)(const Call *c) {
    const REAL *w = c->in[0].data, *gamma = c->in[1].data;
    const REAL *dout = c->dout[0].data, *dbias = c->dout[1].data;
    REAL *dw = c->din[0].data, *dgamma = c->din[1].data;
    REAL *dbeta = c->din[2].data, *db = c->din[5].data;
    size_t size = filter_size(c);
    PARALLEL_FOR
    for (int k = 0; k < c->in[0].shape.n; k++) {
        REAL s = inverse_deviation(c, k), d = dbias ? dbias[k] : 0;
        if (dgamma) {
            REAL product = dout ? dot(dout + k * size, w + k * size, size) : 0;
            kernel_put(dgamma + k, s * (product + centred_bias(c, k) * d), c->add[1]);
        }
        if (dw && dout)
            weight_gradient(dw + k * size, dout + k * size, size, gamma[k] * s, c->add[0]);
        else if (dw && !c->add[0])
            memset(dw + k * size, 0, size * sizeof *dw);
        if (dbeta) kernel_put(dbeta + k, d, c->add[2]);
        if (db) kernel_put(db + k, gamma[k] * s * d, c->add[5]);
    }
}
