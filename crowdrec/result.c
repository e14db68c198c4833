#include "crowdrec/result.h"

#include "crowdrec/crowdrec.h"
#include "crowdrec/jsonfile.h"
#include "crowdrec/photos.h"
#include "smpl/joints.h"
#include "tensor/file.h"

#include <string.h>

/* ---- result.json ---- */

static json_t *joint_names(JointOrder order) {
    const JointOrderInfo *info = joints_order(order);
    json_t *names = json_array();
    for (int i = 0; i < info->count; i++)
        json_array_append_new(names, json_string(info->joint[i].name));
    return names;
}

static json_t *flag_names(unsigned flags) {
    static const struct {
        unsigned bit;
        const char *name;
    } known[] = {{PERSON_HAS_KEYPOINTS, "keypoints"},
                 {PERSON_HAS_BODY, "body"},
                 {PERSON_REFINED, "refined"},
                 {PERSON_BEHIND_CAMERA, "behind camera"}};
    json_t *names = json_array();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (flags & known[i].bit) json_array_append_new(names, json_string(known[i].name));
    return names;
}

static void add_body(json_t *json, const Person *p) {
    json_object_set_new(json, "pose", jsonfile_floats(p->pose, CROWD_POSE));
    json_object_set_new(json, "betas", jsonfile_floats(p->betas, CROWD_BETAS));
    json_object_set_new(json, "trans", jsonfile_floats(p->trans, 3));
    json_object_set_new(json, "joints", jsonfile_rows(&p->joints[0][0], CROWD_KEYPOINTS, 3));
    json_object_set_new(json, "ground_distance", jsonfile_number(p->ground_distance));
    json_object_set_new(json, "crop",
                        json_pack("{s:o, s:o, s:o}", "center", jsonfile_floats(p->center, 2),
                                  "height", jsonfile_number(200.0 * p->scale), "camera",
                                  jsonfile_floats(p->crop_camera, 3)));
}

static json_t *person_json(const Person *p) {
    json_t *json = json_pack("{s:i, s:o, s:o, s:o}", "id", p->id, "flags", flag_names(p->flags),
                             "box", jsonfile_floats(p->box, 4), "score", jsonfile_number(p->score));
    if (p->flags & PERSON_HAS_KEYPOINTS)
        json_object_set_new(json, "keypoints",
                            jsonfile_rows(&p->keypoints[0][0], CROWD_KEYPOINTS, 3));
    if (p->flags & PERSON_HAS_BODY) add_body(json, p);
    if (!(p->flags & PERSON_REFINED)) return json;
    json_object_set_new(json, "group", json_integer(p->group));
    json_object_set_new(
        json, "loss",
        json_pack("{s:o, s:o, s:o}", "keypoints", jsonfile_number(p->loss_keypoints), "betas",
                  jsonfile_number(p->loss_betas), "pose", jsonfile_number(p->loss_pose)));
    return json;
}

static json_t *people_json(const Crowd *crowd) {
    json_t *people = json_array();
    for (int i = 0; i < crowd->count; i++)
        json_array_append_new(people, person_json(&crowd->person[i]));
    return people;
}

static json_t *ground_json(const Crowd *crowd) {
    const float *n = crowd->ground_normal;
    if (n[0] == 0 && n[1] == 0 && n[2] == 0) return json_null();
    return json_pack("{s:o, s:o, s:o}", "normal", jsonfile_floats(crowd->ground_normal, 3),
                     "offset", jsonfile_number(crowd->ground_offset), "spread",
                     jsonfile_number(crowd->ground_spread));
}

static json_t *refinement_json(const char *recipe, const RefineReport *report) {
    if (!report) return json_null();
    return json_pack("{s:s, s:i, s:i, s:s, s:o, s:o}", "recipe", recipe, "groups", report->groups,
                     "iterations", report->iterations, "reason", report->reason, "first_loss",
                     jsonfile_number(report->first), "last_loss", jsonfile_number(report->last));
}

static json_t *conventions_json(void) {
    return json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s}}", "units", "length", "metre", "angle",
                     "radian", "image", "pixel", "axes", "camera",
                     "x right, y down, z forward; origin in the camera", "image",
                     "x right, y down; pixel centres at whole numbers");
}

json_t *result_json(const Crowd *crowd, const char *recipe, const RefineReport *report) {
    const Camera *c = &crowd->camera;
    json_t *root = json_pack("{s:s, s:i, s:s}", "schema", RESULT_SCHEMA, "version", RESULT_VERSION,
                             "program", "crowdrec " CROWDREC_VERSION);
    json_t *conventions = conventions_json();
    json_object_update(root, conventions);
    json_decref(conventions);
    json_object_set_new(root, "joint_names", joint_names(JOINTS_HALPE26));
    json_object_set_new(root, "pose_joint_names", joint_names(JOINTS_SMPL24));
    json_object_set_new(root, "photo",
                        json_pack("{s:o, s:i, s:i}", "name",
                                  jsonfile_text(photos_name(crowd->photo)), "width", crowd->width,
                                  "height", crowd->height));
    json_object_set_new(root, "camera",
                        json_pack("{s:f, s:f, s:f, s:s}", "focal", c->focal, "cx", c->cx, "cy",
                                  c->cy, "source", c->source));
    json_object_set_new(root, "arithmetic",
                        *crowd->arithmetic ? json_string(crowd->arithmetic) : json_null());
    json_object_set_new(root, "ground", ground_json(crowd));
    json_object_set_new(root, "refinement", refinement_json(recipe, report));
    json_object_set_new(root, "ended", json_string(crowd->reason ? crowd->reason : "done"));
    json_object_set_new(root, "people", people_json(crowd));
    return root;
}

/* ---- result.npz ---- */

enum { NPZ_ARRAYS = 32 };

typedef struct {
    Arena *arena;
    const Crowd *crowd;
    Array array[NPZ_ARRAYS];
    int count;
} Npz;

static void *append(Npz *z, const char *name, Dtype dtype, int dims, int64_t a, int64_t b,
                    int64_t c) {
    CHECK(z->count < NPZ_ARRAYS, "%d arrays", z->count);
    Array *array = &z->array[z->count++];
    *array = (Array){.name = name, .dtype = dtype, .dims = dims, .dim = {a, b, c}};
    array->data = arena_alloc(z->arena, array_size(array) * dtype_size(dtype) + 1);
    return array->data;
}

/* One field of every person: rows of a x b numbers of 4 bytes, that lie `offset` inside a Person.
 */
static void add_field(Npz *z, const char *name, Dtype dtype, size_t offset, int a, int b) {
    size_t bytes = 4 * (size_t)a * (size_t)b;
    int dims = a * b == 1 ? 1 : b == 1 ? 2 : 3;
    char *out = append(z, name, dtype, dims, z->crowd->count, a, b);
    for (int i = 0; i < z->crowd->count; i++)
        memcpy(out + (size_t)i * bytes, (const char *)&z->crowd->person[i] + offset, bytes);
}

static void add_people(Npz *z) {
#define FIELD(member, dtype, a, b) add_field(z, #member, dtype, offsetof(Person, member), a, b)
    FIELD(id, I32, 1, 1);
    FIELD(flags, I32, 1, 1);
    FIELD(box, F32, 4, 1);
    FIELD(score, F32, 1, 1);
    FIELD(keypoints, F32, CROWD_KEYPOINTS, 3);
    FIELD(center, F32, 2, 1);
    FIELD(scale, F32, 1, 1);
    FIELD(crop_camera, F32, 3, 1);
    FIELD(pose, F32, CROWD_POSE, 1);
    FIELD(betas, F32, CROWD_BETAS, 1);
    FIELD(trans, F32, 3, 1);
    FIELD(joints, F32, CROWD_KEYPOINTS, 3);
    FIELD(ground_distance, F32, 1, 1);
    FIELD(group, I32, 1, 1);
    FIELD(loss_keypoints, F32, 1, 1);
    FIELD(loss_betas, F32, 1, 1);
    FIELD(loss_pose, F32, 1, 1);
#undef FIELD
}

Status result_write_npz(const char *path, const Crowd *crowd) {
    const Camera *c = &crowd->camera;
    Npz z = {.arena = arena_new(), .crowd = crowd};
    add_people(&z);
    double matrix[9] = {c->focal, 0, c->cx, 0, c->focal, c->cy, 0, 0, 1};
    memcpy(append(&z, "camera", F64, 2, 3, 3, 0), matrix, sizeof matrix);
    memcpy(append(&z, "image_size", I32, 1, 2, 0, 0), (int[]){crowd->width, crowd->height},
           2 * sizeof(int));
    memcpy(append(&z, "ground_normal", F32, 1, 3, 0, 0), crowd->ground_normal, 3 * sizeof(float));
    memcpy(append(&z, "ground_offset", F32, 0, 0, 0, 0), &crowd->ground_offset, sizeof(float));
    memcpy(append(&z, "ground_spread", F32, 0, 0, 0, 0), &crowd->ground_spread, sizeof(float));
    Status status = file_write_npz(path, z.array, z.count);
    arena_free(z.arena);
    return status;
}
