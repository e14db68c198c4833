/* Detsample: what a detector sees in training: windows of photos at many sizes, and who is in them.
 *
 *     DetSource source = {.height = 416, .width = 416, .boxes = 120, .photo = list, .photos = n};
 *     TRY(detsample_make(&source, key, i, mosaic, input, labels));
 *
 * A window shows its photo about a person who is drawn at random.  A mosaic is four windows of four
 * photos at 0.2 to 2 times their size, that person 16 to 400 pixels tall where that is possible; a
 * plain sample is one window of the photo's own pixels, what the detector sees in use.  Half of the
 * samples are mirrored; colours move as in hsv.h.
 *
 * Labelled is who is seen to a quarter or more, 12 pixels tall or more, and lies in the window with
 * at least 30 % of the box.  Boxes are cut off at the window's and the photo's edges.  Others are
 * background.
 */
#ifndef CROWDREC_DETSAMPLE_H
#define CROWDREC_DETSAMPLE_H

#include "crowdrec/crop.h"
#include "crowdrec/dataset.h"

enum { DETSAMPLE_ANY = -1 };

typedef struct {
    Dataset *set;
    int photo; /* DETSAMPLE_ANY: another one in every sample */
} DetPhoto;

typedef struct {
    int height, width; /* of the input */
    int boxes;         /* labels of a sample; of more people the largest count */
    const DetPhoto *photo;
    int photos;
    bool no_flip, no_colour;
    CropPixels pixels; /* of YOLOX, either one */
} DetSource;

/* Fills input [height,width,3], numbers as `pixels` says, and labels [boxes,5] = class 0, centre x,
 * centre y, w, h in pixels, zeros behind the last.  All randomness comes from key; photo i of the
 * list is in it.  Fails as dataset_photo does.  Several threads may call it. */
Status detsample_make(const DetSource *source, uint64_t key, int i, bool mosaic, float *input,
                      float *labels);

/* The part of a person's box that lies in the photo, x0, y0, x1, y1; without area when none does.
 */
void detsample_clip(const DatasetPerson *person, const DatasetPhoto *photo, double out[4]);

#endif
