#include "crowdrec/degrade.h"

#include "crowdrec/dice.h"
#include "tensor/parallel.h"

static Degrade draw(uint64_t seed) {
    Dice dice = dice_new("degrade", seed);
    Degrade d = {0};
    if (dice_chance(&dice, 0.5)) d.blur = (float)dice_range(&dice, 0.02, 0.18);
    d.dark = (float)dice_range(&dice, 0.3, 1.8);
    d.shot = (float)dice_range(&dice, 0.3, 2.2);
    if (dice_chance(&dice, 0.25)) d.coarse = (float)dice_log_range(&dice, 4, 22);
    return d;
}

/* One line of levels: each keeps 1 - 2 share of its own and takes the share of both neighbours. */
static void blur_line(uint8_t *line, int count, size_t step, float share) {
    int side = (int)(share * 256 + 0.5f), middle = 256 - 2 * side, before = line[0];
    for (int i = 0; i < count; i++) {
        uint8_t *at = line + (size_t)i * step;
        int now = *at, after = i + 1 < count ? at[step] : now;
        *at = (uint8_t)((side * (before + after) + middle * now + 128) >> 8);
        before = now;
    }
}

static void blur(Image *photo, float share) {
    size_t row = 3 * (size_t)photo->width;
    PARALLEL_FOR
    for (int y = 0; y < photo->height; y++)
        for (int k = 0; k < 3; k++)
            blur_line(photo->rgb + (size_t)y * row + (size_t)k, photo->width, 3, share);
    PARALLEL_FOR
    for (int x = 0; x < 3 * photo->width; x++)
        blur_line(photo->rgb + (size_t)x, photo->height, row, share);
}

static uint8_t level(float value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5f);
}

/* The sum of four bytes is nearly normal, of deviation 147.8. */
static int sum_of_bytes(uint32_t x) {
    return (int)((x & 255) + (x >> 8 & 255) + (x >> 16 & 255) + (x >> 24)) - 510;
}

/* Most of a pixel's noise is common to its colours. */
static void add_noise(const Degrade *d, uint64_t seed, Image *photo) {
    PARALLEL_FOR
    for (int y = 0; y < photo->height; y++)
        for (int x = 0; x < photo->width; x++) {
            size_t i = (size_t)y * (size_t)photo->width + (size_t)x;
            uint64_t bits = rng_splitmix(seed + i);
            uint8_t *rgb = photo->rgb + 3 * i;
            float common = (float)sum_of_bytes((uint32_t)bits) / 147.8f;
            for (int k = 0; k < 3; k++) {
                float own = (float)(bits >> (32 + 8 * k) & 255) / 73.9f - 1.7255f;
                float deviation = d->dark + d->shot * (float)rgb[k] / 255;
                rgb[k] = level((float)rgb[k] + deviation * (0.85f * common + 0.5f * own));
            }
        }
}

/* ---- blocks ---- */

enum { SIDE = 8 };

/* The orthonormal DCT-II, and its inverse by the transposed matrix. */
typedef struct {
    float m[SIDE][SIDE];
} Cosines;

static Cosines cosines(void) {
    Cosines c;
    for (int k = 0; k < SIDE; k++)
        for (int i = 0; i < SIDE; i++)
            c.m[k][i] =
                (float)(sqrt((k ? 2.0 : 1.0) / SIDE) * cos(M_PI * (2 * i + 1) * k / (2.0 * SIDE)));
    return c;
}

static void transform(const Cosines *c, bool inverse, float block[SIDE][SIDE]) {
    for (int pass = 0; pass < 2; pass++) {
        float out[SIDE][SIDE] = {{0}};
        for (int k = 0; k < SIDE; k++)
            for (int i = 0; i < SIDE; i++) {
                float factor = inverse ? c->m[i][k] : c->m[k][i];
                for (int j = 0; j < SIDE; j++) out[k][j] += factor * block[i][j];
            }
        for (int i = 0; i < SIDE; i++)
            for (int j = 0; j < SIDE; j++) block[j][i] = out[i][j];
    }
}

/* Higher frequencies are kept more coarsely, as JPEG does. */
static void quantise(float step, float block[SIDE][SIDE]) {
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            float own = step * (1 + 0.45f * (float)(i + j));
            block[i][j] = own * rintf(block[i][j] / own);
        }
}

/* Luma and two colour differences of BT.601. */
static void to_planes(const uint8_t *rgb, float plane[3]) {
    float y = 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2];
    plane[0] = y, plane[1] = (rgb[2] - y) / 1.772f, plane[2] = (rgb[0] - y) / 1.402f;
}

static void from_planes(const float plane[3], uint8_t *rgb) {
    float red = plane[0] + 1.402f * plane[2], blue = plane[0] + 1.772f * plane[1];
    rgb[0] = level(red), rgb[2] = level(blue);
    rgb[1] = level((plane[0] - 0.299f * red - 0.114f * blue) / 0.587f);
}

static void coarsen_block(const Cosines *c, float step, Image *photo, int x0, int y0) {
    float plane[3][SIDE][SIDE];
    size_t row = 3 * (size_t)photo->width;
    uint8_t *corner = photo->rgb + (size_t)y0 * row + 3 * (size_t)x0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        float p[3];
        to_planes(corner + (size_t)(i / SIDE) * row + 3 * (size_t)(i % SIDE), p);
        for (int k = 0; k < 3; k++) plane[k][i / SIDE][i % SIDE] = p[k];
    }
    for (int k = 0; k < 3; k++) {
        transform(c, false, plane[k]);
        quantise(k ? 1.7f * step : step, plane[k]);
        transform(c, true, plane[k]);
    }
    for (int i = 0; i < SIDE * SIDE; i++) {
        float p[3] = {plane[0][i / SIDE][i % SIDE], plane[1][i / SIDE][i % SIDE],
                      plane[2][i / SIDE][i % SIDE]};
        from_planes(p, corner + (size_t)(i / SIDE) * row + 3 * (size_t)(i % SIDE));
    }
}

/* What does not fill a block at the right and lower edge stays. */
static void coarsen(float step, Image *photo) {
    const Cosines c = cosines();
    PARALLEL_FOR
    for (int by = 0; by < photo->height / SIDE; by++)
        for (int bx = 0; bx < photo->width / SIDE; bx++)
            coarsen_block(&c, step, photo, bx * SIDE, by * SIDE);
}

void degrade_apply(const Degrade *d, uint64_t seed, Image *photo) {
    if (d->blur > 0) blur(photo, d->blur);
    if (d->dark > 0 || d->shot > 0) add_noise(d, seed, photo);
    if (d->coarse > 0) coarsen(d->coarse, photo);
}

void degrade_photo(Image *photo, uint64_t seed) {
    Degrade d = draw(seed);
    degrade_apply(&d, rng_stream("noise", seed), photo);
}
