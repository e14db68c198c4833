#include "crowdrec/coco.h"

#include "crowdrec/jsonfile.h"
#include "crowdrec/photos.h"
#include "smpl/joints.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CATEGORY_PERSON = 1 };

static const double LARGEST = 1e6; /* pixels; nothing beyond is a place in a photo */

typedef struct {
    const char *name; /* without folders; NULL in a results list with numbers */
    json_int_t id;
    int width, height; /* 0: not said */
} CocoImage;

typedef struct {
    int image, entry; /* indices */
    Person person;
} CocoEntry;

struct Coco {
    char *path;
    json_t *root;   /* owns the names */
    json_t *lookup; /* image id as text -> index in image */
    json_t *people; /* ids of the category "person" as text */
    CocoImage *image;
    CocoEntry *entry;
    int images, entries;
    bool list; /* results form */
};

/* ---- reading: ids ---- */

const char *coco_id(const json_t *id, char buffer[COCO_ID_TEXT]) {
    if (json_is_string(id)) return json_string_value(id);
    if (!json_is_integer(id)) return NULL;
    snprintf(buffer, COCO_ID_TEXT, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
    return buffer;
}

static int find_image(const Coco *coco, const json_t *id) {
    char buffer[COCO_ID_TEXT];
    const char *text = coco_id(id, buffer);
    const json_t *index = text ? json_object_get(coco->lookup, text) : NULL;
    return index ? (int)json_integer_value(index) : -1;
}

static void add_image(Coco *coco, const json_t *id, const CocoImage *image) {
    char buffer[COCO_ID_TEXT];
    json_object_set_new(coco->lookup, coco_id(id, buffer), json_integer(coco->images));
    coco->image[coco->images++] = *image;
}

static int small_int(const json_t *value) {
    json_int_t n = json_integer_value(value);
    return n > 0 && n <= INT32_MAX ? (int)n : 0;
}

static Status read_images(Coco *coco, const json_t *images) {
    for (size_t i = 0; i < json_array_size(images); i++) {
        const json_t *item = json_array_get(images, i), *id = json_object_get(item, "id");
        const char *name = json_string_value(json_object_get(item, "file_name"));
        char buffer[COCO_ID_TEXT];
        if (!name || !coco_id(id, buffer))
            return fail(ERR_INPUT, "images[%zu]: no id or no file_name", i);
        if (find_image(coco, id) >= 0)
            return fail(ERR_INPUT, "images[%zu]: its id is used twice", i);
        add_image(coco, id,
                  &(CocoImage){photos_name(name), json_integer_value(id),
                               small_int(json_object_get(item, "width")),
                               small_int(json_object_get(item, "height"))});
    }
    return OK;
}

Status coco_categories(const json_t *categories, json_t *people) {
    char buffer[COCO_ID_TEXT];
    for (size_t i = 0; i < json_array_size(categories); i++) {
        const json_t *item = json_array_get(categories, i), *id = json_object_get(item, "id");
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && !strcmp(name, "person") && coco_id(id, buffer))
            json_object_set_new(people, coco_id(id, buffer), json_true());
    }
    if (json_array_size(categories) && !json_object_size(people))
        return fail(ERR_INPUT, "no category is named \"person\"");
    return OK;
}

bool coco_is_person(const json_t *people, const json_t *item) {
    const json_t *id = json_object_get(item, "category_id");
    char buffer[COCO_ID_TEXT];
    if (!id) return true;
    if (!json_object_size(people)) return json_integer_value(id) == CATEGORY_PERSON;
    const char *text = coco_id(id, buffer);
    return text && json_object_get(people, text);
}

/* ---- reading: one person ---- */

Status coco_keypoints(const json_t *list, double value[3 * CROWD_KEYPOINTS], int *joints) {
    *joints = json_array_size(list) == 3 * COCO17_COUNT ? COCO17_COUNT : CROWD_KEYPOINTS;
    if (jsonfile_numbers(list, 3 * *joints, LARGEST, value)) return OK;
    return fail(ERR_INPUT,
                "keypoints: %zu values, expected 51 or 78 numbers: x, y, v of 17 or 26 joints",
                json_array_size(list));
}

static Status read_keypoints(const json_t *item, Person *p) {
    double value[3 * CROWD_KEYPOINTS];
    int joints;
    TRY(coco_keypoints(json_object_get(item, "keypoints"), value, &joints));
    bool visibility = true, any = false;
    for (int i = 0; i < joints; i++) {
        double v = value[3 * i + 2];
        if (v < 0) return fail(ERR_INPUT, "keypoints: confidence %g of joint %d is negative", v, i);
        visibility = visibility && (v == 0 || v == 1 || v == 2);
        any = any || v > 0;
    }
    for (int i = 0; i < joints; i++) {
        double v = value[3 * i + 2];
        p->keypoints[i][0] = (float)value[3 * i];
        p->keypoints[i][1] = (float)value[3 * i + 1];
        p->keypoints[i][2] = visibility ? v > 0 : (float)v;
    }
    if (any) p->flags |= PERSON_HAS_KEYPOINTS;
    return OK;
}

static Status read_box(const json_t *box, Person *p) {
    double value[4];
    if (!jsonfile_numbers(box, 4, LARGEST, value) || !(value[2] > 0 && value[3] > 0))
        return fail(ERR_INPUT, "bbox: expected four numbers x, y, width, height, sizes above 0");
    for (int k = 0; k < 2; k++) {
        p->box[k] = (float)value[k];
        p->box[2 + k] = (float)(value[k] + value[2 + k]);
    }
    return OK;
}

static Status box_of_keypoints(Person *p) {
    if (crowd_box_of_keypoints(p, 1)) return OK;
    return fail(ERR_INPUT, "no bbox, and its keypoints span none");
}

static Status read_person(const json_t *item, CocoContent content, int index, Person *p) {
    const json_t *box = json_object_get(item, "bbox"), *score = json_object_get(item, "score");
    if (!box) box = json_object_get(item, "box");
    *p = (Person){.id = index, .score = 1, .group = -1};
    if (json_is_integer(json_object_get(item, "id"))) {
        json_int_t id = json_integer_value(json_object_get(item, "id"));
        if (id >= INT32_MIN && id <= INT32_MAX) p->id = (int)id;
    }
    if (score) {
        p->score = (float)json_number_value(score);
        if (!json_is_number(score) || !isfinite(p->score))
            return fail(ERR_INPUT, "score: expected a number");
    }
    if (content == COCO_KEYPOINTS) TRY(read_keypoints(item, p));
    if (!box && content == COCO_KEYPOINTS) return box_of_keypoints(p);
    return read_box(box, p);
}

static Status read_entry(Coco *coco, const json_t *item, CocoContent content, int index) {
    if (!json_is_object(item)) return fail(ERR_INPUT, "expected an object");
    if (json_integer_value(json_object_get(item, "iscrowd"))) return OK;
    if (!coco_is_person(coco->people, item)) return OK;
    const json_t *id = json_object_get(item, "image_id");
    char buffer[COCO_ID_TEXT];
    if (!coco_id(id, buffer)) return fail(ERR_INPUT, "image_id: expected a whole number or text");
    int image = find_image(coco, id);
    if (image < 0 && !coco->list) return fail(ERR_INPUT, "image_id: no image has this id");
    if (image < 0) {
        const char *name = json_string_value(id);
        image = coco->images;
        add_image(coco, id,
                  &(CocoImage){name ? photos_name(name) : NULL, json_integer_value(id), 0, 0});
    }
    CocoEntry *e = &coco->entry[coco->entries];
    TRY(read_person(item, content, index, &e->person));
    e->image = image, e->entry = index;
    coco->entries++;
    return OK;
}

/* ---- reading: the file ---- */

static Status read_root(Coco *coco, CocoContent content) {
    const json_t *root = coco->root, *images = json_object_get(root, "images");
    const json_t *entries = json_is_array(root) ? root : json_object_get(root, "annotations");
    coco->list = entries == root;
    if (!json_is_array(entries) || (!coco->list && !json_is_array(images)))
        return fail(ERR_INPUT, "no COCO file: expected a list, or images and annotations");
    size_t count = json_array_size(entries);
    coco->entry = malloc((count + 1) * sizeof *coco->entry);
    coco->image = malloc((count + json_array_size(images) + 1) * sizeof *coco->image);
    if (!coco->entry || !coco->image) return fail(ERR_MEMORY, "no memory for %zu people", count);
    TRY(read_images(coco, images));
    TRY(coco_categories(json_object_get(root, "categories"), coco->people));
    for (size_t i = 0; i < count; i++) {
        Status status = read_entry(coco, json_array_get(entries, i), content, (int)i);
        if (status)
            return error_prefix(status, "%s[%zu]", coco->list ? "entry " : "annotations", i);
    }
    return OK;
}

Status coco_open(const char *path, CocoContent content, Coco **out) {
    json_t *root;
    *out = NULL;
    TRY(jsonfile_read(path, &root));
    Coco *coco = calloc(1, sizeof *coco);
    CHECK(coco, "out of memory");
    *coco = (Coco){
        .path = strdup(path), .root = root, .lookup = json_object(), .people = json_object()};
    Status status = read_root(coco, content);
    if (status) {
        coco_close(coco);
        return error_prefix(status, "%s", path);
    }
    *out = coco;
    return OK;
}

void coco_close(Coco *coco) {
    if (!coco) return;
    json_decref(coco->root);
    json_decref(coco->lookup);
    json_decref(coco->people);
    free(coco->path);
    free(coco->image);
    free(coco->entry);
    free(coco);
}

/* ---- reading: one photo ---- */

/* The number that the first length characters end in: 44474 of COCO_val2014_000000044474. */
static json_int_t trailing_number(const char *text, int length) {
    enum { DIGITS = 18 }; /* fit 64 bits */
    int begin = length;
    while (begin && text[begin - 1] >= '0' && text[begin - 1] <= '9') begin--;
    if (begin == length || length - begin > DIGITS) return -1;
    return strtoll(text + begin, NULL, 10);
}

static bool is_image(const Coco *coco, const CocoImage *image, const char *name) {
    int stem = photos_stem(name);
    if (!image->name) return image->id >= 0 && trailing_number(name, stem) == image->id;
    if (!strcmp(image->name, name)) return true;
    return coco->list && (int)strlen(image->name) == stem &&
           !strncmp(image->name, name, (size_t)stem);
}

/* The first image of that name after `after`, or -1. */
static int next_image(const Coco *coco, const char *name, int after) {
    for (int i = after + 1; i < coco->images; i++)
        if (is_image(coco, &coco->image[i], name)) return i;
    return -1;
}

bool coco_size(const Coco *coco, const char *photo, int *width, int *height) {
    int image = next_image(coco, photos_name(photo), -1);
    if (image < 0) return false;
    *width = coco->image[image].width, *height = coco->image[image].height;
    return true;
}

Status coco_people(const Coco *coco, bool only_photo, Crowd *crowd) {
    const char *name = photos_name(crowd->photo);
    int image = next_image(coco, name, -1);
    if (image >= 0 && next_image(coco, name, image) >= 0)
        return fail(ERR_INPUT,
                    "%s: has several images named '%s'; whose people are meant is not told",
                    coco->path, name);
    if (image < 0 && only_photo && coco->list && coco->images == 1 && !coco->image[0].name)
        image = 0;
    if (image < 0) return fail(ERR_INPUT, "%s: has no image named '%s'", coco->path, name);
    const CocoImage *in = &coco->image[image];
    if ((in->width && in->width != crowd->width) || (in->height && in->height != crowd->height))
        return fail(ERR_INPUT,
                    "%s: '%s' is %dx%d there, the photo is %dx%d; boxes are in its pixels",
                    coco->path, name, in->width, in->height, crowd->width, crowd->height);
    for (int i = 0; i < coco->entries; i++) {
        const CocoEntry *e = &coco->entry[i];
        if (e->image != image) continue;
        const float *box = e->person.box;
        if (!crowd_sees(crowd, box))
            return fail(ERR_INPUT,
                        "%s: entry %d: box %g, %g to %g, %g lies outside the photo of %dx%d",
                        coco->path, e->entry, (double)box[0], (double)box[1], (double)box[2],
                        (double)box[3], crowd->width, crowd->height);
        *crowd_add(crowd) = e->person;
    }
    return OK;
}

/* ---- writing ---- */

static json_t *image_json(const Crowd *crowd, int id) {
    return json_pack("{s:i, s:o, s:i, s:i}", "id", id, "file_name",
                     jsonfile_text(photos_name(crowd->photo)), "width", crowd->width, "height",
                     crowd->height);
}

static json_t *person_json(const Person *p, CocoContent content, int id, int image) {
    float width = p->box[2] - p->box[0], height = p->box[3] - p->box[1];
    float box[4] = {p->box[0], p->box[1], width, height};
    json_t *json =
        json_pack("{s:i, s:i, s:i, s:i, s:o, s:o, s:o}", "id", id, "image_id", image, "category_id",
                  CATEGORY_PERSON, "iscrowd", 0, "bbox", jsonfile_floats(box, 4), "area",
                  jsonfile_number((double)width * height), "score", jsonfile_number(p->score));
    if (content == COCO_BOXES) return json;
    int seen = 0;
    for (int i = 0; i < CROWD_KEYPOINTS; i++) seen += p->keypoints[i][2] > 0;
    json_object_set_new(json, "num_keypoints", json_integer(seen));
    json_object_set_new(json, "keypoints",
                        jsonfile_floats(&p->keypoints[0][0], 3 * CROWD_KEYPOINTS));
    return json;
}

/* The lines of a drawing count joints from 1. */
static json_t *category_json(CocoContent content) {
    json_t *json = json_pack("{s:i, s:s, s:s}", "id", CATEGORY_PERSON, "name", "person",
                             "supercategory", "person");
    if (content == COCO_BOXES) return json;
    const JointOrderInfo *order = joints_order(JOINTS_HALPE26);
    json_t *names = json_array(), *lines = json_array();
    for (int i = 0; i < order->count; i++) {
        json_array_append_new(names, json_string(order->joint[i].name));
        if (order->joint[i].parent >= 0)
            json_array_append_new(lines, json_pack("[ii]", i + 1, order->joint[i].parent + 1));
    }
    json_object_set_new(json, "keypoints", names);
    json_object_set_new(json, "skeleton", lines);
    return json;
}

Status coco_write(const char *path, CocoContent content, const Crowd *crowd, int count) {
    json_t *images = json_array(), *people = json_array();
    for (int i = 0; i < count; i++) {
        json_array_append_new(images, image_json(&crowd[i], i + 1));
        for (int k = 0; k < crowd[i].count; k++) {
            const Person *p = &crowd[i].person[k];
            if (content == COCO_KEYPOINTS && !(p->flags & PERSON_HAS_KEYPOINTS)) continue;
            int id = (int)json_array_size(people) + 1;
            json_array_append_new(people, person_json(p, content, id, i + 1));
        }
    }
    json_t *root = json_pack("{s:{s:s}, s:[], s:o, s:o, s:[o]}", "info", "description",
                             "written by crowdrec", "licenses", "images", images, "annotations",
                             people, "categories", category_json(content));
    return jsonfile_write(path, JSONFILE_FLOAT, root);
}
