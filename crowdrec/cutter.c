#include "crowdrec/cutter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAP = 6, RECTANGLE = 4 };

struct Cutter {
    const Image *photo;
    const Backend *backend;
    size_t budget;
    uint8_t *memory; /* the device's, for the whole photo or a tile of it; NULL: cut on the host */
    bool whole;
    uint8_t *tile;  /* the host's [budget], rows of a tile behind each other */
    float *numbers; /* the device's: maps and rectangles of `numbered` crops */
    int numbered;
};

static size_t photo_bytes(const Image *photo) {
    return (size_t)photo->width * (size_t)photo->height * 3;
}

/* Without memory for a tile on both sides the cutter stays on the host. */
static void take_device(Cutter *c) {
    const Backend *b = c->backend;
    c->whole = photo_bytes(c->photo) <= c->budget;
    c->memory = b->alloc(c->whole ? photo_bytes(c->photo) : c->budget);
    if (c->memory && c->whole) b->write(c->memory, c->photo->rgb, photo_bytes(c->photo));
    if (!c->memory || c->whole) return;
    c->tile = malloc(c->budget);
    if (c->tile) return;
    b->release(c->memory);
    c->memory = NULL;
}

Status cutter_new(const Image *photo, const Backend *backend, size_t budget, Cutter **out) {
    Cutter *c = *out = calloc(1, sizeof *c);
    if (!c) return fail(ERR_MEMORY, "no memory for a photo's crops");
    *c = (Cutter){.photo = photo, .backend = backend, .budget = budget ? budget : CUTTER_BUDGET};
    if (!backend->on_host) take_device(c);
    return OK;
}

void cutter_free(Cutter *c) {
    if (!c) return;
    if (c->memory) c->backend->release(c->memory);
    if (c->numbers) c->backend->release(c->numbers);
    free(c->tile);
    free(c);
}

const Image *cutter_photo(const Cutter *c) { return c->photo; }
bool cutter_on_device(const Cutter *c) { return c->memory != NULL; }

/* --- on the host --- */

static void feed_from_host(const Cutter *c, const Crop *crop, const AffineAttr *pixels, Plan *plan,
                           const Tensor *input) {
    float *values = malloc(shape_size(input->shape) * sizeof *values + 1);
    CHECK(values, "no memory for %d crops", input->shape.n);
    crop_run(c->photo, crop, input->shape.n, pixels, values);
    plan_write(plan, input, F32, values);
    free(values);
}

/* --- on the device --- */

/* Maps and rectangles of the crops to the device; false when it has no room for them. */
static bool write_numbers(Cutter *c, const Crop *crop, int count) {
    const Backend *b = c->backend;
    size_t bytes = (size_t)count * (MAP + RECTANGLE) * sizeof(float);
    if (count > c->numbered) {
        if (c->numbers) b->release(c->numbers);
        c->numbers = b->alloc(bytes);
        c->numbered = c->numbers ? count : 0;
    }
    float *host = malloc(bytes + 1);
    if (host && c->numbers) {
        crop_numbers(crop, count, host, host + (size_t)count * MAP);
        b->write(c->numbers, host, bytes);
    }
    free(host);
    return host && c->numbers;
}

/* Crops first .. first + count - 1 of `all` out of the image that lies in the device's memory. */
static void launch(const Cutter *c, const AffineAttr *pixels, Shape image, int first, int count,
                   int all, float *out) {
    float *map = c->numbers + (size_t)first * MAP;
    float *rectangle = c->numbers + (size_t)all * MAP + (size_t)first * RECTANGLE;
    c->backend->op[OP_affine].forward(&(Call){
        .attr = pixels,
        .in = {{"photo", U8, image, c->memory, 0},
               {"map", F32, {count, 1, 1, MAP}, map, 1},
               {"rectangle", F32, {count, 1, 1, RECTANGLE}, rectangle, 2}},
        .out = {{"crops", F32, {count, pixels->out_h, pixels->out_w, 3}, out, 3}},
    });
}

/* Pixels x0 <= x < x1, y0 <= y < y1 of the photo. */
typedef struct {
    int x0, y0, x1, y1;
} Tile;

/* The whole pixels that samples between low and high read, and one more on each side for rounding;
 * none, where there is no number. */
static void reach(double low, double high, int size, int *begin, int *end) {
    *begin = (int)fmin(fmax(floor(low) - 1, 0), size);
    *end = (int)fmax(fmin(floor(high) + 3, size), *begin);
}

/* The crop in the numbers that the op gets. */
static Crop in_single(const Crop *crop) {
    Crop single;
    for (int k = 0; k < MAP; k++) single.map[k] = (double)(float)crop->map[k];
    for (int k = 0; k < RECTANGLE; k++) single.rectangle[k] = (double)(float)crop->rectangle[k];
    return single;
}

/* What rows first .. end - 1 of a crop read.  Coordinates are linear, so corners are the extremes.
 */
static Tile footprint(const Cutter *c, const Crop *exact, int out_w, int first, int end) {
    const Crop single = in_single(exact), *crop = &single;
    const double *r = crop->rectangle;
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int corner = 0; corner < 4; corner++) {
        double at[2];
        crop_to_photo(crop, corner & 1 ? out_w - 1 : 0, corner & 2 ? end - 1 : first, at);
        for (int k = 0; k < 2; k++) {
            double x = fmin(fmax(at[k], r[k]), r[k + 2]);
            low[k] = fmin(low[k], x), high[k] = fmax(high[k], x);
        }
    }
    Tile t;
    reach(low[0], high[0], c->photo->width, &t.x0, &t.x1);
    reach(low[1], high[1], c->photo->height, &t.y0, &t.y1);
    if (t.x0 < t.x1 && t.y0 < t.y1) return t;
    return (Tile){0, 0, 1, 1}; /* nothing of it is seen */
}

static size_t tile_bytes(const Tile *t) {
    return (size_t)(t->x1 - t->x0) * (size_t)(t->y1 - t->y0) * 3;
}

static void upload_tile(Cutter *c, const Tile *t) {
    size_t row = (size_t)(t->x1 - t->x0) * 3, photo_row = (size_t)c->photo->width * 3;
    for (int y = t->y0; y < t->y1; y++)
        memcpy(c->tile + (size_t)(y - t->y0) * row,
               c->photo->rgb + (size_t)y * photo_row + (size_t)t->x0 * 3, row);
    c->backend->write(c->memory, c->tile, tile_bytes(t));
}

/* One row that reaches more than the budget. */
static void cut_row_on_host(const Cutter *c, const Crop *crop, const AffineAttr *pixels,
                            float *out) {
    size_t bytes = (size_t)pixels->out_w * 3 * sizeof(float);
    float *row = malloc(bytes + 1);
    CHECK(row, "no memory for a row of a crop");
    crop_run(c->photo, crop, 1, pixels, row);
    c->backend->write(out, row, bytes);
    free(row);
}

/* A crop of many, whose output begins at out, in bands of rows that fit. */
static void cut_rows(Cutter *c, const Crop *crop, const AffineAttr *pixels, int index, int all,
                     int first, int end, float *out) {
    Tile t = footprint(c, crop, pixels->out_w, first, end);
    bool fits = tile_bytes(&t) <= c->budget;
    if (!fits && end - first > 1) {
        int middle = first + (end - first) / 2;
        cut_rows(c, crop, pixels, index, all, first, middle, out);
        cut_rows(c, crop, pixels, index, all, middle, end, out);
        return;
    }
    AffineAttr band = *pixels;
    band.out_h = end - first, band.first_row = first;
    band.valid_h = pixels->valid_h ? pixels->valid_h : pixels->out_h;
    float *to = out + (size_t)first * (size_t)pixels->out_w * 3;
    if (!fits) {
        cut_row_on_host(c, crop, &band, to);
        return;
    }
    band.tile = (AffineTile){t.x0, t.y0, c->photo->height, c->photo->width};
    upload_tile(c, &t);
    launch(c, &band, (Shape){1, t.y1 - t.y0, t.x1 - t.x0, 3}, index, 1, all, to);
}

void cutter_feed(Cutter *c, const Crop *crop, const AffineAttr *pixels, Plan *plan,
                 const Tensor *input) {
    int count = input->shape.n;
    float *out = plan_input(plan, input);
    if (!out || !count) return;
    if (!c->memory || !write_numbers(c, crop, count)) {
        feed_from_host(c, crop, pixels, plan, input);
        return;
    }
    size_t size = shape_size(input->shape) / (size_t)count;
    if (c->whole)
        launch(c, pixels, (Shape){1, c->photo->height, c->photo->width, 3}, 0, count, count, out);
    for (int i = 0; i < count && !c->whole; i++)
        cut_rows(c, &crop[i], pixels, i, count, 0, pixels->out_h, out + (size_t)i * size);
}
