/* batchnorm in training mode (Ioffe and Szegedy 2015).  Statistics are sums over the pixels of each
 * channel, in double. */
#include "kernels/sum.cuh"

static Broadcast channels_of(Shape x) {
    Shape vector = {1, 1, 1, x.c};
    return broadcast_make(x, 1, &vector);
}

static double pixels_of(Shape x) { return (double)x.n * x.h * x.w; }

/* Sums of x - shift and of its square, shift being the channel's first number, which keeps the
 * digits of a small deviation far from 0. */
struct Statistics {
    typedef SumPair Value;
    BatchnormAttr attr;
    double pixels;
    const REAL *x;
    REAL *mean, *inverse, *running_mean, *running_var;

    __device__ SumPair term(unsigned at, unsigned m) const {
        double d = (double)x[at] - (double)x[m];
        SumPair term = {d, d * d};
        return term;
    }
    __device__ void put(unsigned m, SumPair sum) const {
        double offset = sum.a / pixels, centre = offset + (double)x[m];
        double squares = fmax(sum.b - sum.a * offset, 0.0), momentum = attr.momentum;
        double unbiased = pixels > 1 ? squares / (pixels - 1) : 0;
        mean[m] = (REAL)centre;
        inverse[m] = (REAL)(1 / sqrt(squares / pixels + attr.eps));
        running_mean[m] = (REAL)((1 - momentum) * running_mean[m] + momentum * centre);
        running_var[m] = (REAL)((1 - momentum) * running_var[m] + momentum * unbiased);
    }
};

/* Channels come in packs: [c/N] of them for each pixel. */
template <int N>
static __global__ void normalise(size_t count, unsigned packs, const REAL *__restrict__ x,
                                 const REAL *__restrict__ gamma, const REAL *__restrict__ beta,
                                 const REAL *__restrict__ mean, const REAL *__restrict__ inverse,
                                 REAL *__restrict__ y) {
    EACH(i, count) {
        unsigned k = (unsigned)i % packs;
        Pack<N> value = pack_load<N>(x, i), m = pack_load<N>(mean, k);
        Pack<N> s = pack_load<N>(inverse, k), g = pack_load<N>(gamma, k);
        Pack<N> b = pack_load<N>(beta, k);
        for (int l = 0; l < N; l++) value.v[l] = (value.v[l] - m.v[l]) * s.v[l] * g.v[l] + b.v[l];
        pack_put<N>(y, i, value, false);
    }
}

void CUDA(batchnorm_forward)(const Call *c) {
    Shape shape = c->in[0].shape;
    const REAL *x = cuda_data(&c->in[0]), *gamma = cuda_data(&c->in[1]);
    const REAL *beta = cuda_data(&c->in[2]);
    REAL *y = cuda_data(&c->out[0]), *mean = cuda_data(&c->out[1]);
    REAL *inverse = cuda_data(&c->out[2]);
    unsigned size = cuda_small(shape_size(shape)), channels = (unsigned)shape.c;
    if (!size) return;
    Statistics job = {*(const BatchnormAttr *)c->attr,
                      pixels_of(shape),
                      x,
                      mean,
                      inverse,
                      cuda_data(&c->in[3]),
                      cuda_data(&c->in[4])};
    Broadcast w = channels_of(shape);
    sum_launch(&w, 0, job);
    if (cuda_fours(channels, x, y, gamma, beta) && cuda_fours(4, mean, inverse))
        LAUNCH_EACH(normalise<4>, size / 4, channels / 4, x, gamma, beta, mean, inverse, y);
    else
        LAUNCH_EACH(normalise<1>, size, channels, x, gamma, beta, mean, inverse, y);
}

/* Means over the pixels of dy, and of dy*xhat behind them. */
enum { CHANNELS = 4096 };
SCRATCH(REAL, channel_means, 2 * CHANNELS);

/* dbeta = sum dy, dgamma = sum dy*xhat with xhat = (x - mean)*inverse. */
struct ChannelGradients {
    typedef SumPair Value;
    double pixels;
    const REAL *x, *dy, *mean, *inverse;
    REAL *dgamma, *dbeta;
    bool add_gamma, add_beta;

    __device__ SumPair term(unsigned at, unsigned m) const {
        double d = dy[at], xhat = (x[at] - mean[m]) * inverse[m];
        SumPair term = {d, d * xhat};
        return term;
    }
    __device__ void put(unsigned m, SumPair sum) const {
        channel_means[m] = (REAL)(sum.a / pixels);
        channel_means[CHANNELS + m] = (REAL)(sum.b / pixels);
        if (dbeta) kernel_put(dbeta + m, (REAL)sum.a, add_beta);
        if (dgamma) kernel_put(dgamma + m, (REAL)sum.b, add_gamma);
    }
};

/* dx = gamma*inverse * (dy - mean of dy - xhat * mean of dy*xhat). */
template <int N>
static __global__ void input_gradients(size_t count, unsigned packs, const REAL *__restrict__ x,
                                       const REAL *__restrict__ dy, const REAL *__restrict__ gamma,
                                       const REAL *__restrict__ mean,
                                       const REAL *__restrict__ inverse, REAL *__restrict__ dx,
                                       bool add) {
    EACH(i, count) {
        unsigned k = (unsigned)i % packs;
        Pack<N> value = pack_load<N>(x, i), d = pack_load<N>(dy, i), m = pack_load<N>(mean, k);
        Pack<N> s = pack_load<N>(inverse, k), g = pack_load<N>(gamma, k);
        for (int l = 0; l < N; l++) {
            REAL xhat = (value.v[l] - m.v[l]) * s.v[l];
            REAL of_dy = channel_means[k * N + l], of_product = channel_means[CHANNELS + k * N + l];
            d.v[l] = g.v[l] * s.v[l] * (d.v[l] - of_dy - xhat * of_product);
        }
        pack_put<N>(dx, i, d, add);
    }
}

void CUDA(batchnorm_backward)(const Call *c) {
    Shape shape = c->dout[0].shape;
    const REAL *x = cuda_data(&c->in[0]), *dy = cuda_data(&c->dout[0]);
    const REAL *gamma = cuda_data(&c->in[1]), *mean = cuda_data(&c->out[1]);
    const REAL *inverse = cuda_data(&c->out[2]);
    REAL *dx = cuda_data(&c->din[0]);
    unsigned size = cuda_small(shape_size(shape)), channels = (unsigned)shape.c;
    CHECK(channels <= CHANNELS, "batchnorm of %u channels", channels);
    ChannelGradients job = {
        pixels_of(shape),      x,         dy,       mean, inverse, cuda_data(&c->din[1]),
        cuda_data(&c->din[2]), c->add[1], c->add[2]};
    Broadcast w = channels_of(shape);
    sum_launch(&w, 0, job);
    if (!dx) return;
    if (cuda_fours(channels, x, dy, dx, gamma) && cuda_fours(4, mean, inverse))
        LAUNCH_EACH(input_gradients<4>, size / 4, channels / 4, x, dy, gamma, mean, inverse, dx,
                    c->add[0]);
    else
        LAUNCH_EACH(input_gradients<1>, size, channels, x, dy, gamma, mean, inverse, dx, c->add[0]);
}
