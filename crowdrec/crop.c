#include "crowdrec/crop.h"

#include "kernels/backend.h"

#include <math.h>
#include <stdlib.h>

#define IMAGENET .mean = {0.485f, 0.456f, 0.406f}, .deviation = {0.229f, 0.224f, 0.225f}

AffineAttr crop_pixels(CropPixels rule, int out_h, int out_w) {
    static const AffineAttr rules[] = {
        [CROP_YOLOX_BGR] = {.border = 114, .reverse = true, .round8 = true},
        [CROP_YOLOX_IMAGENET] = {.border = 114, .scale = 1 / 255.0f, .round8 = true, IMAGENET},
        [CROP_HRNET] = {.scale = 1 / 255.0f, .round8 = true, IMAGENET},
        [CROP_FASTPOSE] = {.scale = 1 / 255.0f, .round8 = true, .mean = {0.406f, 0.457f, 0.480f}},
        [CROP_CLIFF] = {.scale = 1 / 255.0f, IMAGENET},
    };
    AffineAttr a = rules[rule];
    a.out_h = out_h, a.out_w = out_w;
    return a;
}

bool crop_usable(const float box[4]) {
    for (int i = 0; i < 4; i++)
        if (!(fabsf(box[i]) <= 1e6f)) return false;
    return box[2] > box[0] && box[3] > box[1];
}

CropBox crop_pose_box(const float box[4], double aspect) {
    double w = (double)box[2] - box[0], h = (double)box[3] - box[1];
    if (w > aspect * h)
        h = w / aspect;
    else
        w = aspect * h;
    return (CropBox){((double)box[0] + box[2]) / 2, ((double)box[1] + box[3]) / 2, 1.25 * w,
                     1.25 * h};
}

static Crop unclamped(double sx, double tx, double sy, double ty) {
    return (Crop){{sx, 0, tx, 0, sy, ty}, {-INFINITY, -INFINITY, INFINITY, INFINITY}};
}

Crop crop_around(const CropBox *box, int out_h, int out_w) {
    double s = box->width / out_w;
    return unclamped(s, box->cx - s * out_w / 2, s, box->cy - s * out_h / 2);
}

static const double CLIFF_ASPECT = 192.0 / 256, CLIFF_ROOM = 1.1; /* of the crop's height */

void crop_cliff_box(const float box[4], float center[2], float *scale) {
    double w = (double)box[2] - box[0], h = (double)box[3] - box[1];
    center[0] = (float)(((double)box[0] + box[2]) / 2);
    center[1] = (float)(((double)box[1] + box[3]) / 2);
    *scale = (float)(fmax(w / CLIFF_ASPECT, h) / 200 * CLIFF_ROOM);
}

void crop_cliff_inside(const float center[2], float scale, float box[4]) {
    double h = 200 * (double)scale / CLIFF_ROOM, half[] = {h * CLIFF_ASPECT / 2, h / 2};
    for (int k = 0; k < 2; k++) {
        box[k] = (float)(center[k] - half[k]);
        box[2 + k] = (float)(center[k] + half[k]);
    }
}

/* A resize of the pixels first..last to `out` pixels: half-pixel centres, clamped edges. */
static void resize_axis(double first, double last, int out, double *factor, double *shift) {
    *factor = (last - first + 1) / out;
    *shift = first + *factor / 2 - 0.5;
}

Crop crop_cliff(const float center[2], double scale, int out_h, int out_w) {
    double h = 200 * scale, w = h * out_w / out_h;
    double x0 = rint(center[0] - w / 2), x1 = fmax(rint(center[0] + w / 2) - 1, x0);
    double y0 = rint(center[1] - h / 2), y1 = fmax(rint(center[1] + h / 2) - 1, y0);
    Crop crop = {.rectangle = {x0, y0, x1, y1}};
    resize_axis(x0, x1, out_w, &crop.map[0], &crop.map[2]);
    resize_axis(y0, y1, out_h, &crop.map[4], &crop.map[5]);
    return crop;
}

Letterbox crop_letterbox(int height, int width, int out_h, int out_w) {
    double ratio = fmin((double)out_h / height, (double)out_w / width);
    Letterbox l = {.ratio = ratio,
                   .crop.rectangle = {0, 0, width - 1, height - 1},
                   .valid_h = (int)fmax(1, height * ratio),
                   .valid_w = (int)fmax(1, width * ratio)};
    resize_axis(0, width - 1, l.valid_w, &l.crop.map[0], &l.crop.map[2]);
    resize_axis(0, height - 1, l.valid_h, &l.crop.map[4], &l.crop.map[5]);
    return l;
}

Crop crop_mirrored(const Crop *crop, int out_w) {
    Crop m = *crop;
    m.map[0] = -crop->map[0];
    m.map[2] = crop->map[2] + crop->map[0] * out_w;
    m.map[3] = -crop->map[3];
    m.map[5] = crop->map[5] + crop->map[3] * out_w;
    return m;
}

void crop_to_photo(const Crop *crop, double x, double y, double photo[2]) {
    const double *m = crop->map;
    photo[0] = m[0] * x + m[1] * y + m[2];
    photo[1] = m[3] * x + m[4] * y + m[5];
}

void crop_numbers(const Crop *crop, int count, float *map, float *rectangle) {
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < 6; k++) map[6 * i + k] = (float)crop[i].map[k];
        for (int k = 0; k < 4; k++) rectangle[4 * i + k] = (float)crop[i].rectangle[k];
    }
}

void crop_run(const Image *photo, const Crop *crop, int count, const AffineAttr *pixels,
              float *out) {
    if (!count) return;
    float *numbers = malloc((size_t)count * 10 * sizeof *numbers);
    CHECK(numbers, "no memory for the maps of %d crops", count);
    float *map = numbers, *rectangle = numbers + (size_t)count * 6;
    crop_numbers(crop, count, map, rectangle);
    backend_cpu.op[OP_affine].forward(&(Call){
        .attr = pixels,
        .in = {{"photo", U8, {1, photo->height, photo->width, 3}, photo->rgb, 0},
               {"map", F32, {count, 1, 1, 6}, map, 1},
               {"rectangle", F32, {count, 1, 1, 4}, rectangle, 2}},
        .out = {{"crops", F32, {count, pixels->out_h, pixels->out_w, 3}, out, 3}},
    });
    free(numbers);
}
