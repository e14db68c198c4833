/* Crop: where a network's input lies in the photo, and the pixels it gets.
 *
 *     CropBox around = crop_pose_box(person->box, 192.0 / 256);
 *     Crop crop = crop_around(&around, 256, 192);
 *     AffineAttr pixels = crop_pixels(CROP_FASTPOSE, 256, 192);
 *     crop_run(&photo, &crop, 1, &pixels, input);         // input [1,256,192,3]
 *     crop_to_photo(&crop, x, y, point);                  // input pixel -> photo pixel
 *
 * All arithmetic on geometry is double; pixel centres are at whole numbers on both sides.
 */
#ifndef CROWDREC_CROP_H
#define CROWDREC_CROP_H

#include "crowdrec/image.h"
#include "kernels/attr.h"

/* Crop pixel (x, y) shows photo pixel (m0 x + m1 y + m2, m3 x + m4 y + m5), clamped into the
 * rectangle x0, y0, x1, y1. */
typedef struct {
    double map[6], rectangle[4];
} Crop;

/* The pixel rules of the networks (order of channels, scale, mean, deviation, padding). */
typedef enum {
    CROP_YOLOX_BGR,      /* BGR 0..255, padded with 114 (YOLOX from release 0.1.1 on) */
    CROP_YOLOX_IMAGENET, /* RGB, ImageNet mean and deviation, padded with 114 (ByteTrack) */
    CROP_HRNET,          /* RGB, ImageNet, padded with 0 */
    CROP_FASTPOSE,       /* RGB / 255 minus AlphaPose's means, no deviation, padded with 0 */
    CROP_CLIFF           /* as CROP_HRNET, samples not rounded to whole grey levels */
} CropPixels;

AffineAttr crop_pixels(CropPixels rule, int out_h, int out_w);

/* Whether a box can be cropped: finite, no farther than 1e6 pixels, of positive width and height.
 */
bool crop_usable(const float box[4]);

/* A centre and a size in photo pixels. */
typedef struct {
    double cx, cy, width, height;
} CropBox;

/* AlphaPose and HRNet: the smallest box of the aspect width/height around box, times 1.25. */
CropBox crop_pose_box(const float box[4], double aspect);

/* The similarity that maps out_w columns onto the box's width and the centre onto the centre.  With
 * a heatmap's size in place of the input's it maps heatmap pixels. */
Crop crop_around(const CropBox *box, int out_h, int out_w);

/* CLIFF: centre, and scale = 1.1 times the height of the smallest 192:256 box around box, over 200.
 */
void crop_cliff_box(const float box[4], float center[2], float *scale);

/* The 192:256 box whose crop_cliff_box that is. */
void crop_cliff_inside(const float center[2], float scale, float box[4]);

/* CLIFF: the box with corners rounded to whole pixels, resized to out_h x out_w; borders of the box
 * repeat, what lies outside the photo is 0. */
Crop crop_cliff(const float center[2], double scale, int out_h, int out_w);

/* YOLOX: the whole photo in the top-left corner, as large as fits; the rest is padding. */
typedef struct {
    Crop crop;
    double ratio; /* input pixels per photo pixel */
    int valid_h, valid_w;
} Letterbox;

Letterbox crop_letterbox(int height, int width, int out_h, int out_w);

/* The crop mirrored along x, for flip tests: column x of the result is column out_w - x, so that a
 * heatmap of a whole fraction of the columns is mirrored in the same way (Huang et al., UDP, CVPR
 * 2020; about (out_w - 1) / 2 the two differ by part of a heatmap's pixel). */
Crop crop_mirrored(const Crop *crop, int out_w);

void crop_to_photo(const Crop *crop, double x, double y, double photo[2]);

/* As op affine takes them: map [count,6], rectangle [count,4]. */
void crop_numbers(const Crop *crop, int count, float *map, float *rectangle);

/* Cuts count crops out of the photo, out [count, out_h, out_w, 3].  Reads the photo in place. */
void crop_run(const Image *photo, const Crop *crop, int count, const AffineAttr *pixels,
              float *out);

#endif
