/* batchnorm in training mode (Ioffe and Szegedy 2015).  Statistics are sums over the pixels of each
 * channel, made for LANES channels at a time by one thread, in double. */
#include "kernels/kernel.h"

enum { LANES = 16 };

typedef struct {
    size_t pixels;
    int c;
} Layout;

static Layout layout(const Call *c) {
    Shape x = c->in[0].shape;
    return (Layout){(size_t)x.n * x.h * x.w, x.c};
}

static int lanes_at(Layout s, int first) { return s.c - first < LANES ? s.c - first : LANES; }

/* sum[l] = sum over pixels of x - centre; squares[l] = sum of its square. */
static void moments(Layout s, const REAL *x, const double *centre, int lanes, double *sum,
                    double *squares) {
    for (int l = 0; l < lanes; l++) sum[l] = squares[l] = 0;
    for (size_t i = 0; i < s.pixels; i++)
        for (int l = 0; l < lanes; l++) {
            double d = (double)x[i * s.c + l] - centre[l];
            sum[l] += d;
            squares[l] += d * d;
        }
}

/* Mean and 1/deviation of up to LANES channels from `first` on, and the running statistics. */
static void statistics(const Call *c, Layout s, int first) {
    const BatchnormAttr *a = c->attr;
    const REAL *x = (const REAL *)c->in[0].data + first;
    REAL *running_mean = (REAL *)c->in[3].data + first,
         *running_var = (REAL *)c->in[4].data + first;
    REAL *mean = (REAL *)c->out[1].data + first, *inverse = (REAL *)c->out[2].data + first;
    double centre[LANES] = {0}, sum[LANES], squares[LANES], n = (double)s.pixels;
    int lanes = lanes_at(s, first);
    moments(s, x, centre, lanes, sum, squares);
    for (int l = 0; l < lanes; l++) centre[l] = sum[l] / n;
    moments(s, x, centre, lanes, sum, squares);
    for (int l = 0; l < lanes; l++) {
        double var = squares[l] / n, unbiased = n > 1 ? squares[l] / (n - 1) : 0;
        double momentum = (double)a->momentum;
        mean[l] = (REAL)centre[l];
        inverse[l] = (REAL)(1 / sqrt(var + (double)a->eps));
        running_mean[l] = (REAL)((1 - momentum) * (double)running_mean[l] + momentum * centre[l]);
        running_var[l] = (REAL)((1 - momentum) * (double)running_var[l] + momentum * unbiased);
    }
}

void KERNEL(batchnorm_forward)(const Call *c) {
    Layout s = layout(c);
    const REAL *gamma = c->in[1].data, *beta = c->in[2].data;
    const REAL *mean = c->out[1].data, *inverse = c->out[2].data;
    PARALLEL_FOR
    for (int first = 0; first < s.c; first += LANES) statistics(c, s, first);
    PARALLEL_FOR
    for (size_t i = 0; i < s.pixels; i++) {
        const REAL *x = (const REAL *)c->in[0].data + i * s.c;
        REAL *restrict y = (REAL *)c->out[0].data + i * s.c;
        for (int k = 0; k < s.c; k++) y[k] = (x[k] - mean[k]) * inverse[k] * gamma[k] + beta[k];
    }
}

/* dbeta = sum dy, dgamma = sum dy*xhat, dx = gamma/deviation * (dy - (dbeta + xhat*dgamma)/pixels)
 * with xhat = (x - mean)/deviation. */
static void channel_gradients(const Call *c, Layout s, int first) {
    const REAL *gamma = (const REAL *)c->in[1].data + first;
    const REAL *mean = (const REAL *)c->out[1].data + first;
    const REAL *inverse = (const REAL *)c->out[2].data + first;
    const REAL *x = (const REAL *)c->in[0].data + first,
               *dy = (const REAL *)c->dout[0].data + first;
    REAL *dgamma = c->din[1].data, *dbeta = c->din[2].data;
    REAL *dx = c->din[0].data ? (REAL *)c->din[0].data + first : NULL;
    double sum[LANES] = {0}, product[LANES] = {0}, n = (double)s.pixels;
    int lanes = lanes_at(s, first);
    for (size_t i = 0; i < s.pixels * s.c; i += s.c)
        for (int l = 0; l < lanes; l++) {
            sum[l] += (double)dy[i + l];
            product[l] += (double)dy[i + l] * (double)((x[i + l] - mean[l]) * inverse[l]);
        }
    for (int l = 0; l < lanes; l++) {
        if (dgamma) kernel_put(dgamma + first + l, (REAL)product[l], c->add[1]);
        if (dbeta) kernel_put(dbeta + first + l, (REAL)sum[l], c->add[2]);
    }
    if (!dx) return;
    REAL mean_sum[LANES], mean_product[LANES];
    for (int l = 0; l < lanes; l++) {
        mean_sum[l] = (REAL)(sum[l] / n);
        mean_product[l] = (REAL)(product[l] / n);
    }
    for (size_t i = 0; i < s.pixels * s.c; i += s.c)
        for (int l = 0; l < lanes; l++) {
            REAL xhat = (x[i + l] - mean[l]) * inverse[l];
            REAL d = dy[i + l] - mean_sum[l] - xhat * mean_product[l];
            kernel_put(dx + i + l, gamma[l] * inverse[l] * d, c->add[0]);
        }
}

void KERNEL(batchnorm_backward)(const Call *c) {
    Layout s = layout(c);
    PARALLEL_FOR
    for (int first = 0; first < s.c; first += LANES) channel_gradients(c, s, first);
}
