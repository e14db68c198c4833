#include "crowdrec/detsample.h"

#include "crowdrec/crop.h"
#include "crowdrec/hsv.h"
#include "crowdrec/metrics.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double LEAST_SCALE = 0.2, MOST_SCALE = 2; /* input pixels for a photo's */
static const double LEAST_TALL = 16, MOST_TALL = 400;  /* of the person in the middle */
static const double LABEL_SEEN = 0.25, LABEL_TALL = 12, LABEL_INSIDE = 0.3;
static const double MARGIN = 0.15; /* of a window, where its person's middle is not */

enum { TILES = 4, DRAWS = 8 }; /* DRAWS: random numbers of a tile */

/* A part of the input, in its pixels. */
typedef struct {
    int x, y, width, height;
} Tile;

/* Photo pixel (x, y) is shown at ((x - x0) * scale, (y - y0) * scale) of its tile. */
typedef struct {
    double x0, y0, scale;
} Window;

typedef struct {
    const DetSource *source;
    uint64_t stream;
    float *input, *labels;
    int count; /* of labels */
} Sample;

static double uniform(uint64_t stream, uint64_t i, double low, double high) {
    return low + (high - low) * (double)rng_uniform(stream, i);
}

/* ---- where a window lies ---- */

static double tall(const DatasetPerson *p) { return (double)p->box[3] - p->box[1]; }

static bool is_seen(const DatasetPerson *p) { return !p->ignore && p->visible >= LABEL_SEEN; }

/* One of the photo's people who are seen, NULL without any. */
static const DatasetPerson *draw_person(const Dataset *set, const DatasetPhoto *photo, double u) {
    int seen = 0;
    for (int i = 0; i < photo->count; i++) seen += is_seen(&set->person[photo->first + i]);
    int chosen = (int)(u * seen);
    for (int i = 0; i < photo->count; i++) {
        const DatasetPerson *p = &set->person[photo->first + i];
        if (is_seen(p) && !chosen--) return p;
    }
    return NULL;
}

/* Begin of a stretch of `size` of a photo's `whole` pixels: near `wish`, and not beyond either end
 * unless the photo is too small, which then lies anywhere in it. */
static double place(double wish, double size, double whole, double u) {
    if (size > whole) return u * (whole - size);
    return fmax(0, fmin(wish, whole - size));
}

/* About one of the photo's people: as large as the photo shows it, or at a size that is drawn. */
static Window draw_window(const Dataset *set, const DatasetPhoto *photo, const Tile *tile,
                          bool resized, uint64_t stream) {
    const DatasetPerson *p = draw_person(set, photo, rng_uniform(stream, 0));
    Window w = {.scale = 1};
    double x = uniform(stream, 2, 0, photo->width), y = uniform(stream, 3, 0, photo->height);
    if (p) {
        double wish = exp(uniform(stream, 1, log(LEAST_TALL), log(MOST_TALL)));
        if (resized) w.scale = fmin(fmax(wish / tall(p), LEAST_SCALE), MOST_SCALE);
        x = ((double)p->box[0] + p->box[2]) / 2, y = ((double)p->box[1] + p->box[3]) / 2;
    }
    double width = tile->width / w.scale, height = tile->height / w.scale;
    w.x0 = place(x - width * uniform(stream, 4, MARGIN, 1 - MARGIN), width, photo->width,
                 rng_uniform(stream, 6));
    w.y0 = place(y - height * uniform(stream, 5, MARGIN, 1 - MARGIN), height, photo->height,
                 rng_uniform(stream, 7));
    return w;
}

/* ---- who is in it ---- */

void detsample_clip(const DatasetPerson *p, const DatasetPhoto *photo, double out[4]) {
    const double size[2] = {photo->width, photo->height};
    for (int k = 0; k < 4; k++) out[k] = fmax(0, fmin((double)p->box[k], size[k % 2]));
}

/* Puts a label in place of the smallest one when there are too many. */
static void add_label(Sample *s, const double box[4]) {
    float *label = s->labels + 5 * (size_t)s->count;
    if (s->count == s->source->boxes) {
        label = s->labels;
        for (int i = 1; i < s->count; i++) {
            float *other = s->labels + 5 * (size_t)i;
            if (other[3] * other[4] < label[3] * label[4]) label = other;
        }
        if (!(metrics_area(box) > (double)(label[3] * label[4]))) return;
    } else
        s->count++;
    label[0] = 0;
    for (int k = 0; k < 2; k++) {
        label[1 + k] = (float)((box[k] + box[2 + k]) / 2);
        label[3 + k] = (float)(box[2 + k] - box[k]);
    }
}

static void label_person(Sample *s, const DatasetPerson *p, const DatasetPhoto *photo,
                         const Tile *tile, const Window *w) {
    double box[4];
    if (!is_seen(p) || tall(p) * w->scale < LABEL_TALL) return;
    detsample_clip(p, photo, box);
    double before = metrics_area(box) * w->scale * w->scale;
    const double from[2] = {w->x0, w->y0}, size[2] = {tile->width, tile->height};
    for (int k = 0; k < 4; k++)
        box[k] = fmax(0, fmin((box[k] - from[k % 2]) * w->scale, size[k % 2]));
    if (!(metrics_area(box) > 0 && metrics_area(box) >= LABEL_INSIDE * before)) return;
    for (int k = 0; k < 4; k++) box[k] += k % 2 ? tile->y : tile->x;
    add_label(s, box);
}

/* ---- pixels ---- */

static Status paint(const Sample *s, const Image *photo, const Tile *tile, const Window *w) {
    AffineAttr pixels = crop_pixels(CROP_YOLOX_BGR, tile->height, tile->width);
    double step = 1 / w->scale; /* pixel centres: half a pixel from the edges on both sides */
    Crop crop = {{step, 0, w->x0 + step / 2 - 0.5, 0, step, w->y0 + step / 2 - 0.5},
                 {-INFINITY, -INFINITY, INFINITY, INFINITY}};
    size_t row = 3 * (size_t)tile->width;
    float *part = malloc((size_t)tile->height * row * sizeof *part);
    if (!part) return fail(ERR_MEMORY, "no memory for a sample");
    crop_run(photo, &crop, 1, &pixels, part);
    for (int y = 0; y < tile->height; y++) {
        size_t to = (size_t)(tile->y + y) * (size_t)s->source->width + (size_t)tile->x;
        memcpy(s->input + 3 * to, part + (size_t)y * row, row * sizeof *part);
    }
    free(part);
    return OK;
}

/* From B, G, R in 0..255 to what the network expects. */
static void normalise(const DetSource *s, float *input) {
    AffineAttr rule = crop_pixels(s->pixels, s->height, s->width);
    if (s->pixels == CROP_YOLOX_BGR) return;
    for (int i = 0; i < s->height * s->width; i++) {
        const float rgb[3] = {input[3 * i + 2], input[3 * i + 1], input[3 * i]};
        for (int k = 0; k < 3; k++)
            input[3 * i + k] = (rgb[k] * rule.scale - rule.mean[k]) / rule.deviation[k];
    }
}

static void mirror(const Sample *s) {
    int width = s->source->width;
    for (int y = 0; y < s->source->height; y++) {
        float(*row)[3] = (float(*)[3])(s->input + 3 * (size_t)y * (size_t)width);
        for (int x = 0; x < width / 2; x++)
            for (int k = 0; k < 3; k++) {
                float kept = row[x][k];
                row[x][k] = row[width - 1 - x][k];
                row[width - 1 - x][k] = kept;
            }
    }
    for (int i = 0; i < s->count; i++) s->labels[5 * i + 1] = (float)width - s->labels[5 * i + 1];
}

static Status fill_tile(Sample *s, const DetPhoto *from, const Tile *tile, bool resized,
                        uint64_t stream) {
    Image image;
    Dataset *set = from->set;
    int number = from->photo;
    if (number == DETSAMPLE_ANY)
        number = (int)uniform(rng_stream("detsample any", stream), 0, 0, set->photos);
    TRY(dataset_photo(set, number, &image));
    const DatasetPhoto *photo = &set->photo[number];
    Window w = draw_window(set, photo, tile, resized, stream);
    Status status = paint(s, &image, tile, &w);
    dataset_release(set, number);
    TRY(status);
    for (int i = 0; i < photo->count; i++)
        label_person(s, &set->person[photo->first + i], photo, tile, &w);
    return OK;
}

/* ---- samples ---- */

/* One tile, or four about a point of the middle. */
static int draw_tiles(const Sample *s, bool mosaic, Tile tile[TILES]) {
    int width = s->source->width, height = s->source->height;
    tile[0] = (Tile){0, 0, width, height};
    if (!mosaic) return 1;
    int x = (int)(width * uniform(s->stream, 0, 0.3, 0.7));
    int y = (int)(height * uniform(s->stream, 1, 0.3, 0.7));
    tile[0] = (Tile){0, 0, x, y};
    tile[1] = (Tile){x, 0, width - x, y};
    tile[2] = (Tile){0, y, x, height - y};
    tile[3] = (Tile){x, y, width - x, height - y};
    return TILES;
}

Status detsample_make(const DetSource *source, uint64_t key, int i, bool mosaic, float *input,
                      float *labels) {
    Sample s = {source, rng_stream("detsample", key), input, labels, 0};
    Tile tile[TILES];
    uint64_t choice = rng_stream("detsample photo", key), window = rng_stream("window", key);
    memset(labels, 0, 5 * (size_t)source->boxes * sizeof *labels);
    int tiles = draw_tiles(&s, mosaic, tile);
    for (int k = 0; k < tiles; k++) {
        int photo = k ? (int)uniform(choice, (uint64_t)k, 0, source->photos) : i;
        TRY(fill_tile(&s, &source->photo[photo], &tile[k], mosaic, window + (uint64_t)k * DRAWS));
    }
    if (!source->no_flip && rng_uniform(s.stream, 2) < 0.5f) mirror(&s);
    HsvShift shift = hsv_draw(key);
    if (!source->no_colour) hsv_move(&shift, input, source->height * source->width);
    normalise(source, input);
    return OK;
}
