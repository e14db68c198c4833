#include "crowdrec/gigacrowd.h"

#include "crowdrec/jsonfile.h"
#include "crowdrec/photos.h"

#include <string.h>

/* ---- reading ---- */

static const double LARGEST = 1e6;        /* metres, radians, pixels: nothing beyond makes sense */
static const double LARGEST_CAMERA = 1e8; /* pixels */

static Status floats(const json_t *person, const char *key, int count, float *out) {
    double value[CROWD_POSE];
    if (!jsonfile_numbers(json_object_get(person, key), count, LARGEST, value))
        return fail(ERR_INPUT, "%s: expected %d numbers", key, count);
    for (int i = 0; i < count; i++) out[i] = (float)value[i];
    return OK;
}

/* A number within low..high, or the default when the key is absent. */
static Status number(const json_t *person, const char *key, double low, double high, double *out) {
    const json_t *value = json_object_get(person, key);
    if (!value) return OK;
    *out = json_number_value(value);
    if (json_is_number(value) && *out >= low && *out <= high) return OK;
    return fail(ERR_INPUT, "%s: expected a number from %g to %g", key, low, high);
}

static Status read_box(const json_t *box, GigaPerson *p) {
    double value[4];
    if (!box) return OK;
    if (!jsonfile_numbers(box, 4, LARGEST, value) || !(value[2] > 0 && value[3] > 0))
        return fail(ERR_INPUT, "bbox: expected four numbers x, y, width, height, sizes above 0");
    p->has_box = true;
    for (int k = 0; k < 2; k++) p->box[k] = value[k], p->box[2 + k] = value[k] + value[2 + k];
    return OK;
}

static Status read_person(const json_t *json, GigaPerson *p) {
    double scale = 1;
    p->visible = 1;
    if (!json_is_object(json)) return fail(ERR_INPUT, "expected an object");
    TRY(floats(json, "pose", CROWD_POSE, p->pose));
    TRY(floats(json, "shape", CROWD_BETAS, p->betas));
    TRY(floats(json, "trans_cam", 3, p->trans));
    TRY(number(json, "scale_smpl", 1e-3, 1e3, &scale));
    TRY(number(json, "visible", 0, 1, &p->visible));
    p->scale = (float)scale;
    return read_box(json_object_get(json, "bbox"), p);
}

static Status read_camera(const json_t *rows, double *camera) {
    bool good = json_is_array(rows) && json_array_size(rows) == 3;
    for (int i = 0; good && i < 3; i++)
        good = jsonfile_numbers(json_array_get(rows, (size_t)i), 3, LARGEST_CAMERA, camera + 3 * i);
    good = good && camera[0] > 0 && camera[4] > 0 && camera[1] == 0 && camera[3] == 0 &&
           camera[6] == 0 && camera[7] == 0 && camera[8] == 1;
    if (good) return OK;
    return fail(ERR_INPUT, "Intrinsic_matrix: expected [[f,0,cx],[0,f,cy],[0,0,1]]");
}

static Status read_photo(const json_t *json, Arena *arena, GigaPhoto *photo) {
    const json_t *list = json_object_get(json, "person_list");
    TRY(read_camera(json_object_get(json, "Intrinsic_matrix"), photo->camera));
    if (!json_is_array(list)) return fail(ERR_INPUT, "person_list: expected a list");
    size_t people = json_array_size(list);
    photo->person = arena_try_alloc(arena, (people + 1) * sizeof *photo->person);
    if (!photo->person) return fail(ERR_MEMORY, "no memory for %zu people", people);
    for (size_t i = 0; i < people; i++) {
        Status status = read_person(json_array_get(list, i), &photo->person[i]);
        if (status) return error_prefix(status, "person_list[%zu]", i);
    }
    photo->people = (int)people;
    return OK;
}

static Status read_photos(const json_t *root, GigaFile *file) {
    const char *name;
    json_t *entry;
    if (!json_is_object(root)) return fail(ERR_INPUT, "expected an object with photos' names");
    file->photo = arena_try_alloc(file->arena, (json_object_size(root) + 1) * sizeof *file->photo);
    if (!file->photo) return fail(ERR_MEMORY, "no memory for %zu photos", json_object_size(root));
    json_object_foreach((json_t *)root, name, entry) {
        GigaPhoto *photo = &file->photo[file->photos++];
        photo->name = arena_strdup(file->arena, name);
        Status status = read_photo(entry, file->arena, photo);
        if (status) return error_prefix(status, "'%s'", name);
    }
    return OK;
}

Status gigacrowd_read(const char *path, GigaFile *out) {
    json_t *root;
    *out = (GigaFile){0};
    TRY(jsonfile_read(path, &root));
    out->arena = arena_new();
    Status status = read_photos(root, out);
    json_decref(root);
    if (status == OK) return OK;
    gigacrowd_free(out);
    return error_prefix(status, "%s", path);
}

void gigacrowd_free(GigaFile *file) {
    arena_free(file->arena);
    *file = (GigaFile){0};
}

GigaPhoto *gigacrowd_find(const GigaFile *file, const char *name) {
    for (int i = 0; i < file->photos; i++)
        if (!strcmp(file->photo[i].name, name)) return &file->photo[i];
    return NULL;
}

/* ---- from a crowd ---- */

GigaPhoto gigacrowd_photo(const Crowd *crowd, Arena *arena) {
    const Camera *c = &crowd->camera;
    GigaPhoto photo = {.name = arena_strdup(arena, photos_name(crowd->photo)),
                       .camera = {c->focal, 0, c->cx, 0, c->focal, c->cy, 0, 0, 1}};
    photo.person = arena_alloc(arena, ((size_t)crowd->count + 1) * sizeof *photo.person);
    for (int i = 0; i < crowd->count; i++) {
        const Person *in = &crowd->person[i];
        if (!(in->flags & PERSON_HAS_BODY)) continue;
        GigaPerson *p = &photo.person[photo.people++];
        *p = (GigaPerson){.scale = 1, .has_box = true, .visible = 1};
        memcpy(p->pose, in->pose, sizeof p->pose);
        memcpy(p->betas, in->betas, sizeof p->betas);
        memcpy(p->trans, in->trans, sizeof p->trans);
        for (int k = 0; k < 4; k++) p->box[k] = in->box[k];
    }
    return photo;
}

/* ---- writing ---- */

static json_t *person_json(const Person *p) {
    return json_pack("{s:o, s:o, s:o, s:f, s:s}", "pose", jsonfile_floats(p->pose, CROWD_POSE),
                     "shape", jsonfile_floats(p->betas, CROWD_BETAS), "trans_cam",
                     jsonfile_floats(p->trans, 3), "scale_smpl", 1.0, "gender", "neutral");
}

static json_t *photo_json(const Crowd *crowd) {
    const Camera *c = &crowd->camera;
    json_t *people = json_array();
    for (int i = 0; i < crowd->count; i++)
        if (crowd->person[i].flags & PERSON_HAS_BODY)
            json_array_append_new(people, person_json(&crowd->person[i]));
    return json_pack("{s:[[f,i,f],[i,f,f],[i,i,i]], s:o}", "Intrinsic_matrix", c->focal, 0, c->cx,
                     0, c->focal, c->cy, 0, 0, 1, "person_list", people);
}

json_t *gigacrowd_json(const Crowd *crowd, int count) {
    json_t *root = json_object();
    for (int i = 0; i < count; i++) {
        json_t *name = jsonfile_text(photos_name(crowd[i].photo));
        json_object_set_new(root, json_string_value(name), photo_json(&crowd[i]));
        json_decref(name);
    }
    return root;
}
