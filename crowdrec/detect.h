/* Detect: people's boxes in a photo, by YOLOX.
 *
 *     Detector *d;
 *     TRY(detect_open("bytetrack_x_mot17.pth.tar", &(DetectOptions){0}, &d));
 *     TRY(detect_run(d, &photo, &crowd));          // adds one person a box
 *     detect_close(d);
 *
 * Any YOLOX variant and ByteTrack's; the variant is read off the checkpoint.  A person is class 0
 * of the 80 COCO classes, or the only class.  Which pixels the weights expect is decided by, in
 * this order: the option `input`; the metadata entry "input" of a safetensors file; the weights
 * themselves: the first convolution with its norm amplifies 0..255 pixels less than once and
 * ImageNet-normalised ones more than ten times, so a largest gain (norm weight / deviation * |row|)
 * below 2 means "bgr255", otherwise "imagenet".
 */
#ifndef CROWDREC_DETECT_H
#define CROWDREC_DETECT_H

#include "crowdrec/crop.h"
#include "crowdrec/crowd.h"
#include "crowdrec/image.h"
#include "nets/net.h"

typedef struct {
    const Backend *backend; /* NULL: cpu */
    float confidence;       /* least score = objectness * class, 0: 0.23 (paper, table 1) */
    float iou;              /* of two boxes above which the lower score goes, 0: 0.7 (ByteTrack) */
    bool agnostic;          /* boxes of any class suppress each other */
    int height, width;      /* of the input, multiples of 32, 0: the net's own */
    const char *input; /* "bgr255" (current YOLOX) or "imagenet" (ByteTrack, early YOLOX); NULL */
} DetectOptions;

typedef struct Detector Detector;

/* weights: a path, or "rule:NET:SEED[:GAIN]".  ERR_USAGE for an impossible option, ERR_MODEL for a
 * file that is no YOLOX, ERR_MEMORY. */
Status detect_open(const char *weights, const DetectOptions *options, Detector **out);

/* The same with parameters that stay the caller's, as a network in training has them; an option
 * `input` is required and the backend is theirs. */
Status detect_open_params(const NetSpec *spec, Params *params, const DetectOptions *options,
                          Detector **out);
void detect_close(Detector *detector); /* NULL is allowed */

const char *detect_input(const Detector *detector);     /* "bgr255" or "imagenet" */
bool detect_pixels(const char *input, CropPixels *out); /* of that name; false: not known */

/* Adds the people to the crowd in order of falling score.  Boxes are in photo pixels, not clipped:
 * a box may reach beyond the photo where the person does. */
Status detect_run(Detector *detector, const Image *photo, Crowd *crowd);

typedef struct {
    float box[4], score, objectness; /* score = objectness * class probability */
    int class_index, anchor;         /* anchor: row of the network's output */
} Detection;

/* Everything of every class, falling score.  The list lives until the detector's next run. */
Status detect_all(Detector *detector, const Image *photo, const Detection **out, int *count);

#endif
