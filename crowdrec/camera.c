#include "crowdrec/camera.h"

#include "crowdrec/jsonfile.h"
#include "tensor/file.h"

#include <math.h>
#include <string.h>

static const double LARGEST = 1e8; /* pixels */

static Status from_json(const char *path, double *matrix) {
    json_t *root;
    TRY(jsonfile_read(path, &root));
    const json_t *rows = json_is_object(root) ? json_object_get(root, "Intrinsic_matrix") : root;
    bool good = json_is_array(rows) && json_array_size(rows) == 3;
    for (int i = 0; good && i < 3; i++)
        good = jsonfile_numbers(json_array_get(rows, (size_t)i), 3, LARGEST, matrix + 3 * i);
    json_decref(root);
    if (good) return OK;
    return fail(ERR_INPUT, "%s: no 3x3 matrix of numbers, expected [[f,0,cx],[0,f,cy],[0,0,1]]",
                path);
}

static bool is_3x3(const Array *a) { return a->dims == 2 && a->dim[0] == 3 && a->dim[1] == 3; }

/* The array `camera`, as in result.npz, where three people bring further ones of 3x3; else the only
 * one, NULL unless count is 1. */
static const Array *matrix_of(const ArrayFile *f, int *count) {
    const Array *found = array_find(f, "camera");
    *count = found && is_3x3(found);
    if (*count) return found;
    for (int i = 0; i < f->count; i++)
        if (is_3x3(&f->array[i])) found = &f->array[i], ++*count;
    return *count == 1 ? found : NULL;
}

static Status from_arrays(const char *path, double *matrix) {
    ArrayFile f;
    Status status = file_load(path, &f);
    if (status == ERR_MODEL) return ERR_INPUT; /* to this reader it is no model */
    TRY(status);
    int count;
    const Array *found = matrix_of(&f, &count);
    for (int i = 0; found && i < 9; i++) matrix[i] = array_get(found, (size_t)i);
    array_file_free(&f);
    if (found) return OK;
    return fail(ERR_INPUT, "%s: has %d arrays of 3x3, expected one, or one named camera", path,
                count);
}

static bool looks_like_json(const char *path) {
    char head[512];
    size_t size = file_head(path, head, sizeof head), at = 0;
    while (at < size && memchr(" \t\r\n", head[at], 4)) at++;
    return at < size && (head[at] == '[' || head[at] == '{');
}

static Status check_matrix(const char *path, const double *k) {
    for (int i = 0; i < 9; i++)
        if (!(fabs(k[i]) <= LARGEST))
            return fail(ERR_INPUT, "%s: entry %d is %g, no length in pixels", path, i, k[i]);
    double fx = k[0], fy = k[4];
    if (!(fx >= 1 && fy >= 1))
        return fail(ERR_INPUT, "%s: focal lengths %g, %g; expected 1 pixel or more", path, fx, fy);
    if (fabs(fx - fy) > 0.02 * fmin(fx, fy))
        return fail(ERR_INPUT,
                    "%s: focal lengths %g, %g differ by more than 2 %%; scale the photo "
                    "to square pixels",
                    path, fx, fy);
    if (fabs(k[1]) > 0.001 * fx || k[3] != 0 || k[6] != 0 || k[7] != 0 || k[8] != 1)
        return fail(ERR_INPUT, "%s: skew or last row is not that of [[f,0,cx],[0,f,cy],[0,0,1]]",
                    path);
    return OK;
}

Status camera_choose(double focal_px, double fov, const char *intrinsics, CameraChoice *out) {
    *out = (CameraChoice){focal_px, fov, intrinsics, {0}};
    if ((focal_px != 0) + (fov != 0) + (intrinsics != NULL) > 1)
        return fail(ERR_USAGE, "more than one of --focal-px, --fov and --intrinsics");
    if (focal_px != 0 && !(focal_px >= 1 && focal_px <= LARGEST))
        return fail(ERR_USAGE, "--focal-px: %g is no focal length in pixels", focal_px);
    if (fov != 0 && !(fov >= 1 && fov <= 179))
        return fail(ERR_USAGE, "--fov: %g is not from 1 to 179 degrees", fov);
    if (!intrinsics) return OK;
    TRY(looks_like_json(intrinsics) ? from_json(intrinsics, out->matrix)
                                    : from_arrays(intrinsics, out->matrix));
    return check_matrix(intrinsics, out->matrix);
}

Status camera_of(const CameraChoice *choice, int width, int height, Camera *out) {
    *out = (Camera){.focal = hypot(width, height),
                    .cx = 0.5 * width,
                    .cy = 0.5 * height,
                    .source = "image diagonal"};
    if (choice->focal_px != 0) out->focal = choice->focal_px, out->source = "--focal-px";
    if (choice->fov != 0) {
        out->focal = 0.5 * width / tan(choice->fov * M_PI / 360);
        out->source = "--fov";
    }
    if (!choice->file) return OK;
    const double *k = choice->matrix;
    if (!(k[2] >= 0 && k[2] <= width && k[5] >= 0 && k[5] <= height))
        return fail(ERR_INPUT, "%s: principal point %g, %g lies outside the photo of %dx%d",
                    choice->file, k[2], k[5], width, height);
    *out = (Camera){sqrt(k[0] * k[4]), k[2], k[5], "--intrinsics"};
    return OK;
}
