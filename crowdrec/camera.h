/* Camera: the pinhole camera that a photo was taken with, as far as it is known.
 *
 *     CameraChoice choice;
 *     TRY(camera_choose(0, 0, "intrinsics.json", &choice));
 *     TRY(camera_of(&choice, photo.width, photo.height, &crowd.camera));
 *
 * Without any knowledge the focal length is the photo's diagonal (paper 1.2) and the principal
 * point its middle.
 */
#ifndef CROWDREC_CAMERA_H
#define CROWDREC_CAMERA_H

#include "crowdrec/crowd.h"

typedef struct {
    double focal_px, fov; /* 0: not given */
    const char *file;     /* NULL: not given */
    double matrix[9];     /* of the file, row-major */
} CameraChoice;

/* focal_px in pixels, fov (horizontal) in degrees, intrinsics a file with a 3x3 matrix: a JSON
 * array of rows or an object with "Intrinsic_matrix", an npy, or an npz whose array `camera` or
 * only 3x3 array it is.  0 and NULL mean not given; more than one is ERR_USAGE.  A matrix must be
 * that of a pinhole camera with square pixels (fx and fy within 2 %, no skew); the focal length is
 * sqrt(fx fy). */
Status camera_choose(double focal_px, double fov, const char *intrinsics, CameraChoice *out);

/* ERR_INPUT when a file's principal point lies outside a photo of this size. */
Status camera_of(const CameraChoice *choice, int width, int height, Camera *out);

#endif
