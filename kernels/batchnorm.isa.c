#include "kernels/batchnorm.h"
#include "kernels/vector.h"

/* Pixels whose numbers stay in the first-level cache from one look at them to the next. */
static size_t block_pixels(int c) {
    enum { NUMBERS = 4096, LEAST = 16 };
    size_t pixels = NUMBERS / (size_t)c;
    return pixels < LEAST ? LEAST : pixels;
}

/* Chan, Golub and LeVeque 1979: the moments of two sets from those of each. */
static void merge(double before, double now, const Vector *mean_now, const Vector *squares_now,
                  int lanes, double *mean, double *squares) {
    double share = now / (before + now);
    float m[LANES], s[LANES];
    memcpy(m, mean_now, sizeof m);
    memcpy(s, squares_now, sizeof s);
    for (int l = 0; l < lanes; l++) {
        double distance = (double)m[l] - mean[l];
        mean[l] += distance * share;
        squares[l] += (double)s[l] + distance * distance * before * share;
    }
}

/* Four sums, so that none waits for its last addition. */
VECTOR_INLINE void block_moments(size_t pixels, size_t c, const float *x, size_t before,
                                 double *mean, double *squares, int lanes) {
    Vector sum[4] = {{0}}, square[4] = {{0}};
    size_t i = 0;
    for (; i + 4 <= pixels; i += 4)
        for (size_t q = 0; q < 4; q++) sum[q] += vector_load(x + (i + q) * c, lanes);
    for (; i < pixels; i++) sum[0] += vector_load(x + i * c, lanes);
    Vector centre = ((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)pixels;
    for (i = 0; i + 4 <= pixels; i += 4)
        for (size_t q = 0; q < 4; q++) {
            Vector d = vector_load(x + (i + q) * c, lanes) - centre;
            square[q] += d * d;
        }
    for (; i < pixels; i++) {
        Vector d = vector_load(x + i * c, lanes) - centre;
        square[0] += d * d;
    }
    square[0] = (square[0] + square[1]) + (square[2] + square[3]);
    merge((double)before, (double)pixels, &centre, square, lanes, mean, squares);
}

void ISA_NAME(batchnorm_moments)(size_t pixels, int c, const float *x, size_t before, double *mean,
                                 double *squares) {
    size_t step = block_pixels(c);
    for (size_t i = 0; i < pixels; i += step) {
        size_t count = pixels - i < step ? pixels - i : step;
        const float *from = x + i * (size_t)c;
        int k = 0;
        for (; k + LANES <= c; k += LANES)
            block_moments(count, (size_t)c, from + k, before + i, mean + k, squares + k, LANES);
        if (k < c)
            block_moments(count, (size_t)c, from + k, before + i, mean + k, squares + k, c - k);
    }
}

VECTOR_INLINE void apply(size_t pixels, size_t c, const float *x, Vector mean, Vector inverse,
                         Vector gamma, Vector beta, float *y, int lanes) {
    Vector scale = inverse * gamma;
    for (size_t i = 0; i < pixels * c; i += c)
        vector_store(y + i, (vector_load(x + i, lanes) - mean) * scale + beta, lanes);
}

void ISA_NAME(batchnorm_apply)(size_t pixels, int c, const float *x, const float *mean,
                               const float *inverse, const float *gamma, const float *beta,
                               float *y) {
    size_t step = block_pixels(c);
    for (size_t i = 0; i < pixels; i += step) {
        size_t count = pixels - i < step ? pixels - i : step, at = i * (size_t)c;
        for (int k = 0; k < c; k += LANES) {
            int lanes = vector_lanes(c - k);
            Vector m = vector_load(mean + k, lanes), s = vector_load(inverse + k, lanes);
            Vector g = vector_load(gamma + k, lanes), b = vector_load(beta + k, lanes);
            if (lanes == LANES)
                apply(count, (size_t)c, x + at + k, m, s, g, b, y + at + k, LANES);
            else
                apply(count, (size_t)c, x + at + k, m, s, g, b, y + at + k, lanes);
        }
    }
}

static void add_doubles(double *to, const Vector *from, int lanes) {
    float values[LANES];
    memcpy(values, from, sizeof values);
    for (int l = 0; l < lanes; l++) to[l] += (double)values[l];
}

VECTOR_INLINE void block_sums(size_t pixels, size_t c, const float *x, const float *dy,
                              const float *mean, double *sum, double *product, int lanes) {
    Vector m = vector_load(mean, lanes), s[2] = {{0}}, p[2] = {{0}};
    size_t i = 0;
    for (; i + 2 <= pixels; i += 2)
        for (size_t q = 0; q < 2; q++) {
            Vector d = vector_load(dy + (i + q) * c, lanes);
            s[q] += d;
            p[q] += d * (vector_load(x + (i + q) * c, lanes) - m);
        }
    if (i < pixels) {
        Vector d = vector_load(dy + i * c, lanes);
        s[0] += d;
        p[0] += d * (vector_load(x + i * c, lanes) - m);
    }
    s[0] += s[1], p[0] += p[1];
    add_doubles(sum, s, lanes);
    add_doubles(product, p, lanes);
}

void ISA_NAME(batchnorm_sums)(size_t pixels, int c, const float *x, const float *dy,
                              const float *mean, double *sum, double *product) {
    size_t step = block_pixels(c);
    for (size_t i = 0; i < pixels; i += step) {
        size_t count = pixels - i < step ? pixels - i : step, at = i * (size_t)c;
        int k = 0;
        for (; k + LANES <= c; k += LANES)
            block_sums(count, (size_t)c, x + at + k, dy + at + k, mean + k, sum + k, product + k,
                       LANES);
        if (k < c)
            block_sums(count, (size_t)c, x + at + k, dy + at + k, mean + k, sum + k, product + k,
                       c - k);
    }
}

/* Of the channels at x: what does not change from pixel to pixel. */
typedef struct {
    Vector mean, scale, shift, tilt;
} Line;

VECTOR_INLINE void gradient(size_t pixels, size_t c, const float *x, const float *dy, Line line,
                            float *dx, bool add, int lanes) {
    for (size_t i = 0; i < pixels * c; i += c) {
        Vector d = vector_load(dy + i, lanes) - line.shift;
        d -= (vector_load(x + i, lanes) - line.mean) * line.tilt;
        d *= line.scale;
        if (add) d += vector_load(dx + i, lanes);
        vector_store(dx + i, d, lanes);
    }
}

void ISA_NAME(batchnorm_gradient)(size_t pixels, int c, const float *x, const float *dy,
                                  const float *mean, const float *scale, const float *shift,
                                  const float *tilt, float *dx, bool add) {
    size_t step = block_pixels(c);
    for (size_t i = 0; i < pixels; i += step) {
        size_t count = pixels - i < step ? pixels - i : step, at = i * (size_t)c;
        for (int k = 0; k < c; k += LANES) {
            int lanes = vector_lanes(c - k);
            Line line = {vector_load(mean + k, lanes), vector_load(scale + k, lanes),
                         vector_load(shift + k, lanes), vector_load(tilt + k, lanes)};
            const float *from = x + at + k, *d = dy + at + k;
            if (lanes == LANES)
                gradient(count, (size_t)c, from, d, line, dx + at + k, add, LANES);
            else
                gradient(count, (size_t)c, from, d, line, dx + at + k, add, lanes);
        }
    }
}
