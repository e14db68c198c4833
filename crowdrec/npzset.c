#include "crowdrec/npzset.h"

#include "crowdrec/crop.h"
#include "smpl/joints.h"
#include "tensor/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    CENTER,
    SCALE,
    PART,
    JOINTS,
    POSE,
    SHAPE,
    HAS_SMPL,
    TRANS,
    FOCAL,
    HALPE_2D,
    HALPE_3D,
    BBOX,
    VISIBLE,
    FIELDS
} Field;

enum { LARGEST_ROW = 4 * CROWD_KEYPOINTS };

static const struct {
    const char *name;
    size_t size; /* numbers of one person */
} fields[FIELDS] = {
    [CENTER] = {"center", 2},
    [SCALE] = {"scale", 1},
    [PART] = {"part", 3 * (size_t)TRAINING24_COUNT},
    [JOINTS] = {"S", 4 * (size_t)TRAINING24_COUNT},
    [POSE] = {"pose", CROWD_POSE},
    [SHAPE] = {"shape", CROWD_BETAS},
    [HAS_SMPL] = {"has_smpl", 1},
    [TRANS] = {"global_t", 3},
    [FOCAL] = {"focal_l", 1},
    [HALPE_2D] = {"halpe_2d", 3 * (size_t)CROWD_KEYPOINTS},
    [HALPE_3D] = {"halpe_3d", LARGEST_ROW},
    [BBOX] = {"bbox", 4},
    [VISIBLE] = {"visible", 1},
};

static const double LARGEST = 1e6; /* no pixel, metre or angle is beyond */

typedef struct {
    Annotations *a;
    const ArrayFile *file;
    const Array *array[FIELDS]; /* NULL: absent */
    size_t count;
} Reading;

/* NULL where there is none.  Rows of bytes that end in a zero are what crowdrec writes a text as.
 */
static const char *photo_name(const Reading *r, size_t i) {
    const Array *names = array_find(r->file, "imgname");
    const char *text = file_text(r->file, "imgname", i);
    if (text || !names || names->dtype != U8 || names->dims != 2) return text;
    size_t length = (size_t)names->dim[1];
    if (i >= (size_t)names->dim[0] || !length) return NULL;
    const char *row = (const char *)names->data + i * length;
    return row[length - 1] ? NULL : row;
}

static Status find_fields(Reading *r) {
    const Array *names = array_find(r->file, "imgname");
    if (!photo_name(r, 0) || names->dims != 2)
        return fail(ERR_INPUT, "no people of a dataset: expected an array of texts 'imgname'");
    r->count = (size_t)names->dim[0];
    for (Field f = 0; f < FIELDS; f++) {
        const Array *array = r->array[f] = array_find(r->file, fields[f].name);
        if (array && (!array->dims || (size_t)array->dim[0] != r->count ||
                      array_size(array) != r->count * fields[f].size ||
                      file_text(r->file, fields[f].name, 0)))
            return fail(ERR_INPUT, "%s: shape %s, expected %zu numbers for each of %zu people",
                        fields[f].name, array_shape_text(array), fields[f].size, r->count);
    }
    if (!r->array[BBOX] && (!r->array[CENTER] || !r->array[SCALE]))
        return fail(ERR_INPUT, "neither 'bbox' nor 'center' and 'scale'");
    if (r->array[POSE] && !r->array[SHAPE]) return fail(ERR_INPUT, "'pose' without 'shape'");
    return OK;
}

/* Person i's numbers; out keeps what it has where the file has no such field. */
static Status get(const Reading *r, Field f, size_t i, float *out) {
    size_t size = fields[f].size;
    for (size_t k = 0; r->array[f] && k < size; k++) {
        double value = array_get(r->array[f], i * size + k);
        if (!(fabs(value) <= LARGEST))
            return fail(ERR_INPUT, "%s: number %zu is %g", fields[f].name, k, value);
        out[k] = (float)value;
    }
    return OK;
}

static Status read_box(const Reading *r, size_t i, DatasetPerson *p) {
    float center[2], scale;
    TRY(get(r, CENTER, i, center));
    TRY(get(r, SCALE, i, &scale));
    TRY(get(r, BBOX, i, p->box));
    if (!r->array[BBOX]) crop_cliff_inside(center, scale, p->box);
    if (!crop_usable(p->box))
        return fail(ERR_INPUT, "%s: a box without area", r->array[BBOX] ? "bbox" : "scale");
    return OK;
}

/* Which of two fields the file has. */
static Field either(const Reading *r, Field first, Field second) {
    return r->array[first] ? first : second;
}

static Status read_keypoints(const Reading *r, size_t i, DatasetPerson *p) {
    float row[LARGEST_ROW] = {0};
    Field f = either(r, HALPE_2D, PART);
    TRY(get(r, f, i, row));
    if (f == PART)
        joints_convert(JOINTS_TRAINING24, JOINTS_HALPE26, row, 3, &p->keypoints[0][0]);
    else
        memcpy(p->keypoints, row, sizeof p->keypoints);
    for (int k = 0; k < CROWD_KEYPOINTS; k++) {
        float *v = &p->keypoints[k][2];
        if (f == PART) *v = *v > 0 ? 2 : 0; /* a confidence does not tell hidden ones */
        if (*v != 0 && *v != 1 && *v != 2)
            return fail(ERR_INPUT, "halpe_2d: visibility %g of joint %d, expected 0, 1 or 2",
                        (double)*v, k);
    }
    annotations_keypoints(p);
    return OK;
}

static Status read_joints(const Reading *r, size_t i, DatasetPerson *p) {
    float row[LARGEST_ROW] = {0};
    Field f = either(r, HALPE_3D, JOINTS);
    TRY(get(r, f, i, row));
    if (f == JOINTS)
        joints_convert(JOINTS_TRAINING24, JOINTS_HALPE26, row, 4, &p->joints[0][0]);
    else
        memcpy(p->joints, row, sizeof p->joints);
    annotations_joints(p);
    return OK;
}

static Status read_body(const Reading *r, size_t i, DatasetPerson *p) {
    float has = r->array[POSE] != NULL;
    TRY(get(r, HAS_SMPL, i, &has));
    if (!r->array[POSE] || !(has > 0)) return OK;
    TRY(get(r, POSE, i, p->pose));
    TRY(get(r, SHAPE, i, p->betas));
    TRY(get(r, TRANS, i, p->trans));
    p->has |= DATASET_SMPL | (r->array[TRANS] ? DATASET_TRANS : 0);
    return OK;
}

static Status read_person(const Reading *r, size_t i, DatasetPerson *p) {
    TRY(read_box(r, i, p));
    TRY(get(r, VISIBLE, i, &p->visible));
    if (!(p->visible >= 0 && p->visible <= 1))
        return fail(ERR_INPUT, "visible: %g, expected 0 to 1", (double)p->visible);
    TRY(read_keypoints(r, i, p));
    TRY(read_joints(r, i, p));
    TRY(read_body(r, i, p));
    float *focal = &r->a->photo[p->photo].focal;
    TRY(get(r, FOCAL, i, focal));
    return *focal >= 0 ? OK : fail(ERR_INPUT, "focal_l: %g is negative", (double)*focal);
}

/* ---- entries by photo ---- */

typedef struct {
    const char *name;
    size_t entry;
} Named;

static int by_name(const void *a, const void *b) {
    return strcmp(((const Named *)a)->name, ((const Named *)b)->name);
}

/* One photo for each name; photo [count] says which one an entry is of. */
static Status name_photos(const Reading *r, Named *named, int *photo) {
    for (size_t i = 0; i < r->count; i++) {
        named[i] = (Named){photo_name(r, i), i};
        if (!named[i].name) return fail(ERR_INPUT, "imgname: no text for entry %zu", i);
    }
    qsort(named, r->count, sizeof *named, by_name);
    for (size_t i = 0; i < r->count; i++) {
        int *own = &photo[named[i].entry];
        if (i && !by_name(&named[i - 1], &named[i]))
            *own = r->a->photos - 1;
        else
            TRY(annotations_photo(r->a, named[i].name, own));
    }
    return OK;
}

static Status read_people(const Reading *r, const int *photo) {
    for (size_t i = 0; i < r->count; i++) {
        DatasetPerson p = {.photo = photo[i], .visible = 1};
        Status status = read_person(r, i, &p);
        if (status) return error_prefix(status, "entry %zu", i);
        TRY(annotations_person(r->a, &p));
    }
    return OK;
}

static Status read_file(Reading *r) {
    TRY(find_fields(r));
    Named *named = malloc((r->count + 1) * sizeof *named);
    int *photo = malloc((r->count + 1) * sizeof *photo);
    Status status = named && photo ? name_photos(r, named, photo)
                                   : fail(ERR_MEMORY, "no memory for %zu people", r->count);
    if (!status) status = read_people(r, photo);
    free(named);
    free(photo);
    return status;
}

Status npzset_read(const char *path, Annotations *a) {
    ArrayFile file = {0};
    Status status = file_load(path, &file);
    if (status) return status == ERR_MODEL ? ERR_INPUT : status;
    Reading r = {.a = a, .file = &file};
    status = read_file(&r);
    array_file_free(&file);
    return status ? error_prefix(status, "%s", path) : OK;
}
