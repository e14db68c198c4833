/* batchnorm in training mode (Ioffe and Szegedy 2015).  Statistics are sums over the pixels of each
 * channel.  `ref` makes them for LANES channels at a time; floats are summed in chunks of pixels,
 * whose number depends on the shape alone, and these in double. */
#include "kernels/batchnorm.h"
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

/* sum[l] = sum over the pixels of x - centre; squares[l] = sum of its square. */
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

/* What follows from the mean of channel k and the sum of squared distances from it. */
static void keep_statistics(const Call *c, size_t pixels, int k, double centre, double squares) {
    const BatchnormAttr *a = c->attr;
    REAL *running_mean = c->in[3].data, *running_var = c->in[4].data;
    REAL *mean = c->out[1].data, *inverse = c->out[2].data;
    double n = (double)pixels, momentum = (double)a->momentum;
    double unbiased = n > 1 ? squares / (n - 1) : 0;
    mean[k] = (REAL)centre;
    inverse[k] = (REAL)(1 / sqrt(squares / n + (double)a->eps));
    running_mean[k] = (REAL)((1 - momentum) * (double)running_mean[k] + momentum * centre);
    running_var[k] = (REAL)((1 - momentum) * (double)running_var[k] + momentum * unbiased);
}

static void statistics(const Call *c, Layout s, int first) {
    const REAL *x = (const REAL *)c->in[0].data + first;
    double centre[LANES] = {0}, sum[LANES], squares[LANES];
    int lanes = lanes_at(s, first);
    moments(s, x, centre, lanes, sum, squares);
    for (int l = 0; l < lanes; l++) centre[l] = sum[l] / (double)s.pixels;
    moments(s, x, centre, lanes, sum, squares);
    for (int l = 0; l < lanes; l++) keep_statistics(c, s.pixels, first + l, centre[l], squares[l]);
}

/* --- floats --- */

enum { CELLS = 8192, CHUNKS = 32, CHUNK_PIXELS = 64, PIECE = 16384 };

/* Two sums per chunk and channel. */
typedef struct {
    int chunks;
    double first[CELLS], second[CELLS]; /* [chunks][c] */
} Sums;

static bool has_vectors(Layout s) { return KERNEL_IS_FLOAT && s.c <= CELLS; }

static void sums_clear(Sums *sums, Layout s) {
    int most = CELLS / s.c < CHUNKS ? CELLS / s.c : CHUNKS;
    size_t wanted = s.pixels / CHUNK_PIXELS;
    sums->chunks = wanted < 1 ? 1 : wanted < (size_t)most ? (int)wanted : most;
    memset(sums->first, 0, (size_t)sums->chunks * (size_t)s.c * sizeof *sums->first);
    memset(sums->second, 0, (size_t)sums->chunks * (size_t)s.c * sizeof *sums->second);
}

static size_t chunk_begin(const Sums *sums, Layout s, int chunk) {
    return s.pixels * (size_t)chunk / (size_t)sums->chunks;
}

/* Moments of two chunks make those of both (Chan, Golub and LeVeque 1979). */
static void merge_moments(Sums *sums, Layout s) {
    for (int chunk = 1; chunk < sums->chunks; chunk++) {
        double before = (double)chunk_begin(sums, s, chunk);
        double after = (double)chunk_begin(sums, s, chunk + 1), share = (after - before) / after;
        for (int k = 0; k < s.c; k++) {
            double distance = sums->first[chunk * s.c + k] - sums->first[k];
            sums->first[k] += distance * share;
            sums->second[k] += sums->second[chunk * s.c + k] + distance * distance * before * share;
        }
    }
}

static void statistics_of_floats(const Call *c, Layout s) {
    Sums sums;
    sums_clear(&sums, s);
    const float *x = c->in[0].data;
    PARALLEL_FOR
    for (int chunk = 0; chunk < sums.chunks; chunk++) {
        size_t begin = chunk_begin(&sums, s, chunk), end = chunk_begin(&sums, s, chunk + 1);
        isa_pick(batchnorm_moments)(end - begin, s.c, x + begin * (size_t)s.c, 0,
                                    sums.first + chunk * s.c, sums.second + chunk * s.c);
    }
    merge_moments(&sums, s);
    for (int k = 0; k < s.c; k++) keep_statistics(c, s.pixels, k, sums.first[k], sums.second[k]);
}

/* Pixels that a thread takes at a time. */
static size_t piece_pixels(Layout s) { return (size_t)s.c < PIECE ? PIECE / (size_t)s.c : 1; }

static size_t piece_count(Layout s, size_t begin) {
    size_t piece = piece_pixels(s);
    return s.pixels - begin < piece ? s.pixels - begin : piece;
}

static void forward_of_floats(const Call *c, Layout s) {
    const float *x = c->in[0].data;
    float *y = c->out[0].data;
    statistics_of_floats(c, s);
    PARALLEL_FOR
    for (size_t i = 0; i < s.pixels; i += piece_pixels(s)) {
        size_t at = i * (size_t)s.c;
        isa_pick(batchnorm_apply)(piece_count(s, i), s.c, x + at, c->out[1].data, c->out[2].data,
                                  c->in[1].data, c->in[2].data, y + at);
    }
}

/* dbeta and dgamma; what dx takes of them goes to shift and tilt, see batchnorm.h. */
static void channel_sums(const Call *c, Layout s, float *scale, float *shift, float *tilt) {
    Sums sums;
    sums_clear(&sums, s);
    const float *x = c->in[0].data, *dy = c->dout[0].data, *gamma = c->in[1].data;
    const float *mean = c->out[1].data, *inverse = c->out[2].data;
    REAL *dgamma = c->din[1].data, *dbeta = c->din[2].data;
    PARALLEL_FOR
    for (int chunk = 0; chunk < sums.chunks; chunk++) {
        size_t begin = chunk_begin(&sums, s, chunk), end = chunk_begin(&sums, s, chunk + 1);
        isa_pick(batchnorm_sums)(end - begin, s.c, x + begin * (size_t)s.c,
                                 dy + begin * (size_t)s.c, mean, sums.first + chunk * s.c,
                                 sums.second + chunk * s.c);
    }
    for (int chunk = 1; chunk < sums.chunks; chunk++)
        for (int k = 0; k < s.c; k++) {
            sums.first[k] += sums.first[chunk * s.c + k];
            sums.second[k] += sums.second[chunk * s.c + k];
        }
    for (int k = 0; k < s.c; k++) {
        double n = (double)s.pixels, product = sums.second[k] * (double)inverse[k];
        if (dgamma) kernel_put(dgamma + k, (REAL)product, c->add[1]);
        if (dbeta) kernel_put(dbeta + k, (REAL)sums.first[k], c->add[2]);
        scale[k] = gamma[k] * inverse[k];
        shift[k] = (float)(sums.first[k] / n);
        tilt[k] = (float)(product / n) * inverse[k];
    }
}

static void backward_of_floats(const Call *c, Layout s) {
    float scale[CELLS], shift[CELLS], tilt[CELLS], *dx = c->din[0].data;
    const float *x = c->in[0].data, *dy = c->dout[0].data;
    channel_sums(c, s, scale, shift, tilt);
    if (!dx) return;
    PARALLEL_FOR
    for (size_t i = 0; i < s.pixels; i += piece_pixels(s)) {
        size_t at = i * (size_t)s.c;
        isa_pick(batchnorm_gradient)(piece_count(s, i), s.c, x + at, dy + at, c->out[1].data, scale,
                                     shift, tilt, dx + at, c->add[0]);
    }
}

/* --- the calls --- */

void KERNEL(batchnorm_forward)(const Call *c) {
    Layout s = layout(c);
    if (has_vectors(s)) {
        forward_of_floats(c, s);
        return;
    }
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
    if (has_vectors(s)) {
        backward_of_floats(c, s);
        return;
    }
    PARALLEL_FOR
    for (int first = 0; first < s.c; first += LANES) channel_gradients(c, s, first);
}
