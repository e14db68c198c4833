#include "crowdrec/cocoset.h"

#include "crowdrec/coco.h"
#include "crowdrec/crop.h"
#include "crowdrec/jsonfile.h"

#include <stdlib.h>

static const double LARGEST = 1e6; /* pixels; nothing beyond is a place in a photo */

/* The file's parts and what its ids mean. */
typedef struct {
    Annotations *a;
    const json_t *root;
    json_t *index;  /* image id as text -> photo */
    json_t *people; /* see coco_categories */
} Reading;

static int size_of(const json_t *value) {
    json_int_t n = json_integer_value(value);
    return n > 0 && n <= IMAGE_MAX_PIXELS ? (int)n : 0;
}

static Status read_image(const Reading *r, const json_t *item) {
    const char *name = json_string_value(json_object_get(item, "file_name"));
    char buffer[COCO_ID_TEXT];
    const char *id = coco_id(json_object_get(item, "id"), buffer);
    int photo;
    if (!name || !id) return fail(ERR_INPUT, "no id or no file_name");
    if (json_object_get(r->index, id)) return fail(ERR_INPUT, "its id is used twice");
    TRY(annotations_photo(r->a, name, &photo));
    json_object_set_new(r->index, id, json_integer(photo));
    r->a->photo[photo].width = size_of(json_object_get(item, "width"));
    r->a->photo[photo].height = size_of(json_object_get(item, "height"));
    return OK;
}

static Status read_box(const json_t *item, DatasetPerson *p) {
    double box[4];
    if (!jsonfile_numbers(json_object_get(item, "bbox"), 4, LARGEST, box) || box[2] < 0 ||
        box[3] < 0)
        return fail(ERR_INPUT, "bbox: expected four numbers x, y, width, height");
    for (int k = 0; k < 2; k++) {
        p->box[k] = (float)box[k];
        p->box[2 + k] = (float)(box[k] + box[2 + k]);
    }
    return OK;
}

static Status read_keypoints(const json_t *item, DatasetPerson *p) {
    const json_t *halpe = json_object_get(item, "halpe_keypoints");
    const json_t *list = halpe ? halpe : json_object_get(item, "keypoints");
    double value[3 * CROWD_KEYPOINTS];
    int joints;
    if (!list) return OK;
    TRY(coco_keypoints(list, value, &joints));
    for (int i = 0; i < joints; i++) {
        double v = value[3 * i + 2];
        if (v != 0 && v != 1 && v != 2)
            return fail(ERR_INPUT, "keypoints: visibility %g of joint %d, expected 0, 1 or 2", v,
                        i);
        for (int k = 0; k < 3; k++) p->keypoints[i][k] = (float)value[3 * i + k];
    }
    annotations_keypoints(p);
    return OK;
}

static Status read_visible(const json_t *item, DatasetPerson *p) {
    const json_t *visible = json_object_get(item, "visible");
    if (!visible) return OK;
    p->visible = (float)json_number_value(visible);
    if (json_is_number(visible) && p->visible >= 0 && p->visible <= 1) return OK;
    return fail(ERR_INPUT, "visible: expected a number from 0 to 1");
}

static Status read_person(const Reading *r, const json_t *item) {
    if (!json_is_object(item)) return fail(ERR_INPUT, "expected an object");
    if (!coco_is_person(r->people, item)) return OK;
    char buffer[COCO_ID_TEXT];
    const char *id = coco_id(json_object_get(item, "image_id"), buffer);
    const json_t *photo = id ? json_object_get(r->index, id) : NULL;
    if (!photo) return fail(ERR_INPUT, "image_id: no image has this id");
    DatasetPerson p = {.photo = (int)json_integer_value(photo), .visible = 1};
    p.ignore = json_integer_value(json_object_get(item, "iscrowd")) != 0;
    TRY(read_box(item, &p));
    TRY(read_visible(item, &p));
    TRY(read_keypoints(item, &p));
    return crop_usable(p.box) ? annotations_person(r->a, &p) : OK;
}

static Status read_list(const Reading *r, const char *key,
                        Status (*read)(const Reading *, const json_t *)) {
    const json_t *list = json_object_get(r->root, key);
    if (!json_is_array(list))
        return fail(ERR_INPUT, "no COCO annotations: expected images and annotations");
    for (size_t i = 0; i < json_array_size(list); i++) {
        Status status = read(r, json_array_get(list, i));
        if (status) return error_prefix(status, "%s[%zu]", key, i);
    }
    return OK;
}

static Status read_root(Reading *r) {
    TRY(coco_categories(json_object_get(r->root, "categories"), r->people));
    TRY(read_list(r, "images", read_image));
    return read_list(r, "annotations", read_person);
}

Status cocoset_read(const char *path, Annotations *a) {
    json_t *root;
    TRY(jsonfile_read(path, &root));
    Reading r = {a, root, json_object(), json_object()};
    Status status = read_root(&r);
    json_decref(r.index);
    json_decref(r.people);
    json_decref(root);
    return status ? error_prefix(status, "%s", path) : OK;
}
