#include "crowdrec/truth.h"

#include "crowdrec/crop.h"
#include "tensor/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A person's rows in people.npz. */
typedef struct {
    char name[TRUTH_NAME];
    float center[2], scale, part[TRAINING24_COUNT][3], joints[TRAINING24_COUNT][4];
    float pose[CROWD_POSE], shape[CROWD_BETAS], has_smpl, trans[3], focal;
    float halpe_2d[CROWD_KEYPOINTS][3], halpe_3d[CROWD_KEYPOINTS][4], box[4], visible;
} Row;

struct Truth {
    char *folder;
    bool jpeg;
    FileWriter coco, bodies; /* person_keypoints.json: annotations; truth.json */
    Row *row;
    size_t rows, room;
    int *photo; /* numbers of the photos so far */
    int photos, photo_room, width, height;
};

void truth_name(int number, bool jpeg, char out[TRUTH_NAME]) {
    snprintf(out, TRUTH_NAME, "scene_%06d.%s", number, jpeg ? "jpg" : "png");
}

/* ---- text ---- */

/* JSON has nothing but finite numbers. */
static void put_numbers(FILE *f, const char *name, const float *value, int count, int digits) {
    fprintf(f, "\"%s\": [", name);
    for (int i = 0; i < count; i++) fprintf(f, "%s%.*g", i ? ", " : "", digits, (double)value[i]);
    fputc(']', f);
}

/* Pixels to the hundredth; v as whole numbers. */
static void put_keypoints(FILE *f, const char *name, const ScenePerson *p, int count) {
    fprintf(f, "\"%s\": [", name);
    for (int i = 0; i < count; i++) {
        const float *k = p->keypoints[i];
        bool in = k[2] > 0;
        fprintf(f, "%s%.2f, %.2f, %d", i ? ", " : "", in ? (double)k[0] : 0, in ? (double)k[1] : 0,
                (int)k[2]);
    }
    fputc(']', f);
}

static void put_box(FILE *f, const float box[4]) {
    fprintf(f, "\"bbox\": [%.2f, %.2f, %.2f, %.2f]", (double)box[0], (double)box[1],
            (double)(box[2] - box[0]), (double)(box[3] - box[1]));
}

static void put_annotation(Truth *t, int number, const ScenePerson *p) {
    FILE *f = t->coco.stream;
    int known = 0;
    for (int i = 0; i < COCO17_COUNT; i++) known += p->keypoints[i][2] > 0;
    fprintf(f, "%s\n{\"id\": %zu, \"image_id\": %d, \"category_id\": 1, \"iscrowd\": 0, ",
            t->rows > 1 ? "," : "", t->rows, number);
    put_box(f, p->box);
    fprintf(f, ", \"area\": %.2f, \"num_keypoints\": %d, ", (double)p->seen / 4, known);
    put_keypoints(f, "keypoints", p, COCO17_COUNT);
    fputs(", ", f);
    put_keypoints(f, "halpe_keypoints", p, CROWD_KEYPOINTS);
    fprintf(f, ", \"visible\": %.6g}", (double)p->visible);
}

static void put_body(FILE *f, int id, const ScenePerson *p) {
    fprintf(f, "%s\n  {", id ? "," : "");
    put_numbers(f, "pose", p->pose, CROWD_POSE, 9);
    fputs(", ", f);
    put_numbers(f, "shape", p->betas, CROWD_BETAS, 9);
    fputs(", ", f);
    put_numbers(f, "trans_cam", p->trans, 3, 9);
    fprintf(f, ", \"scale_smpl\": 1.0, \"gender\": \"neutral\", \"id\": %d, ", id);
    put_box(f, p->box);
    fprintf(f, ", \"visible\": %.6g, \"plane\": %d}", (double)p->visible, p->plane);
}

static void put_scene(Truth *t, const char *name, const Scene *s) {
    FILE *f = t->bodies.stream;
    fprintf(f,
            "%s\n\"%s\": {\"Intrinsic_matrix\": [[%.17g, 0, %.9g], [0, %.17g, %.9g], [0, 0, 1]],\n",
            t->photos ? "," : "", name, s->focal, s->cx, s->focal, s->cy);
    fputs(" \"planes\": [", f);
    for (int i = 0; i < s->planes; i++) {
        fprintf(f, "%s{", i ? ", " : "");
        put_numbers(f, "normal", s->plane[i].normal, 3, 9);
        fprintf(f, ", \"offset\": %.9g}", (double)s->plane[i].offset);
    }
    fputs("],\n \"person_list\": [", f);
    for (int i = 0; i < s->people; i++) put_body(f, i, &s->person[i]);
    fputs("]}", f);
}

/* ---- rows ---- */

/* Hips, knees, ... of Halpe-26 in the order of the training sets; those without a partner 0. */
static void set_training(const ScenePerson *p, Row *r) {
    float known[CROWD_KEYPOINTS][3], placed[CROWD_KEYPOINTS][4];
    const float *pelvis = p->joints[HALPE26_HIP];
    for (int i = 0; i < CROWD_KEYPOINTS; i++) {
        for (int k = 0; k < 3; k++) placed[i][k] = p->joints[i][k] - pelvis[k];
        for (int k = 0; k < 2; k++) known[i][k] = p->keypoints[i][k];
        known[i][2] = p->keypoints[i][2] > 0, placed[i][3] = 1;
    }
    joints_convert(JOINTS_HALPE26, JOINTS_TRAINING24, known[0], 3, r->part[0]);
    joints_convert(JOINTS_HALPE26, JOINTS_TRAINING24, placed[0], 4, r->joints[0]);
}

static void set_row(const char *name, const Scene *s, const ScenePerson *p, Row *r) {
    memset(r, 0, sizeof *r);
    memcpy(r->name, name, TRUTH_NAME);
    crop_cliff_box(p->box, r->center, &r->scale);
    set_training(p, r);
    memcpy(r->pose, p->pose, sizeof r->pose);
    memcpy(r->shape, p->betas, sizeof r->shape);
    memcpy(r->trans, p->trans, sizeof r->trans);
    memcpy(r->halpe_2d, p->keypoints, sizeof r->halpe_2d);
    memcpy(r->box, p->box, sizeof r->box);
    r->has_smpl = 1, r->focal = (float)s->focal, r->visible = p->visible;
    for (int i = 0; i < CROWD_KEYPOINTS; i++) {
        memcpy(r->halpe_3d[i], p->joints[i], sizeof p->joints[i]);
        r->halpe_3d[i][3] = 1;
    }
}

static Status make_room(Truth *t, int people) {
    if (t->rows + (size_t)people > t->room) {
        size_t room = 2 * t->room + (size_t)people;
        Row *row = realloc(t->row, room * sizeof *row);
        if (!row) return fail(ERR_MEMORY, "no memory for the truth of %zu people", room);
        t->row = row, t->room = room;
    }
    if (t->photos == t->photo_room) {
        int room = 2 * t->photo_room + 64;
        int *photo = realloc(t->photo, (size_t)room * sizeof *photo);
        if (!photo) return fail(ERR_MEMORY, "no memory for %d photos", room);
        t->photo = photo, t->photo_room = room;
    }
    return OK;
}

/* ---- npz ---- */

enum { ARRAYS = 16 };

/* A field of all rows as an array of its own. */
static Array field(const Truth *t, Arena *arena, const char *name, size_t offset, int64_t a,
                   int64_t b) {
    Array out = {name, F32, b ? 3 : a ? 2 : 1, {(int64_t)t->rows, a, b}, NULL};
    size_t bytes = (size_t)(a ? a : 1) * (size_t)(b ? b : 1) * sizeof(float);
    char *to = arena_alloc(arena, t->rows * bytes + 1);
    for (size_t i = 0; i < t->rows; i++)
        memcpy(to + i * bytes, (const char *)&t->row[i] + offset, bytes);
    out.data = to;
    return out;
}

static Array names(const Truth *t, Arena *arena) {
    static const char FOLDER[] = "images/";
    enum { LENGTH = TRUTH_NAME + sizeof FOLDER };
    char *to = arena_alloc(arena, t->rows * LENGTH + 1);
    for (size_t i = 0; i < t->rows; i++)
        snprintf(to + i * LENGTH, LENGTH, "%s%s", FOLDER, t->row[i].name);
    return (Array){"imgname", U8, 2, {(int64_t)t->rows, LENGTH}, to};
}

static Status write_npz(const Truth *t, const char *path) {
    Arena *arena = arena_new();
#define FIELD(name, member, a, b) field(t, arena, name, offsetof(Row, member), a, b)
    const Array array[ARRAYS] = {names(t, arena),
                                 FIELD("center", center, 2, 0),
                                 FIELD("scale", scale, 0, 0),
                                 FIELD("part", part, TRAINING24_COUNT, 3),
                                 FIELD("S", joints, TRAINING24_COUNT, 4),
                                 FIELD("pose", pose, CROWD_POSE, 0),
                                 FIELD("shape", shape, CROWD_BETAS, 0),
                                 FIELD("has_smpl", has_smpl, 0, 0),
                                 FIELD("global_t", trans, 3, 0),
                                 FIELD("focal_l", focal, 0, 0),
                                 FIELD("halpe_2d", halpe_2d, CROWD_KEYPOINTS, 3),
                                 FIELD("halpe_3d", halpe_3d, CROWD_KEYPOINTS, 4),
                                 FIELD("bbox", box, 4, 0),
                                 FIELD("visible", visible, 0, 0)};
#undef FIELD
    int count = 0;
    while (count < ARRAYS && array[count].name) count++;
    Status status = file_write_npz_texts(path, array, count, 1);
    arena_free(arena);
    return status;
}

/* ---- all of it ---- */

static Status begin_file(const Truth *t, const char *name, FileWriter *out) {
    char path[FILE_PATH];
    TRY(file_join(t->folder, name, path));
    return file_begin(path, out);
}

Status truth_remove(const char *folder) {
    static const char *const name[] = {"truth.json", "people.npz", "person_keypoints.json"};
    char path[FILE_PATH];
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        TRY(file_join(folder, name[i], path));
        if (unlink(path) && errno != ENOENT)
            return fail(ERR_INPUT, "%s: cannot be removed: %s", path, strerror(errno));
    }
    return OK;
}

Status truth_begin(const char *folder, const SceneWish *wish, bool jpeg, Truth **out) {
    Truth *t = calloc(1, sizeof *t);
    if (!t || !(t->folder = strdup(folder)))
        return free(t), fail(ERR_MEMORY, "no memory for the truth");
    t->jpeg = jpeg, t->width = wish->width, t->height = wish->height;
    Status status = begin_file(t, "person_keypoints.json", &t->coco);
    if (status == OK) status = begin_file(t, "truth.json", &t->bodies);
    if (status != OK) return truth_abandon(t), status;
    fputs("{\"info\": {\"description\": \"crowdrec synth\"}, \"licenses\": [], \"annotations\": [",
          t->coco.stream);
    fputc('{', t->bodies.stream);
    *out = t;
    return OK;
}

Status truth_add(Truth *t, int number, const Scene *scene) {
    char name[TRUTH_NAME] = {0};
    TRY(make_room(t, scene->people));
    truth_name(number, t->jpeg, name);
    put_scene(t, name, scene);
    for (int i = 0; i < scene->people; i++) {
        set_row(name, scene, &scene->person[i], &t->row[t->rows++]);
        put_annotation(t, number, &scene->person[i]);
    }
    t->photo[t->photos++] = number;
    return OK;
}

static void put_end(Truth *t) {
    FILE *f = t->coco.stream;
    const JointOrderInfo *order = joints_order(JOINTS_COCO17);
    fputs("],\n\"images\": [", f);
    for (int i = 0; i < t->photos; i++) {
        char name[TRUTH_NAME];
        truth_name(t->photo[i], t->jpeg, name);
        fprintf(f, "%s\n{\"id\": %d, \"file_name\": \"%s\", \"width\": %d, \"height\": %d}",
                i ? "," : "", t->photo[i], name, t->width, t->height);
    }
    fputs("],\n\"categories\": [{\"id\": 1, \"name\": \"person\", \"supercategory\": \"person\", "
          "\"keypoints\": [",
          f);
    for (int i = 0; i < order->count; i++)
        fprintf(f, "%s\"%s\"", i ? ", " : "", order->joint[i].name);
    fputs("], \"skeleton\": []}]}\n", f);
    fputs("\n}\n", t->bodies.stream);
}

Status truth_commit(Truth *t) {
    char path[4200];
    put_end(t);
    snprintf(path, sizeof path, "%s/people.npz", t->folder);
    Status status = write_npz(t, path);
    if (status == OK) status = file_commit(&t->coco);
    if (status == OK) status = file_commit(&t->bodies);
    truth_abandon(t);
    return status;
}

void truth_abandon(Truth *t) {
    file_abandon(&t->coco);
    file_abandon(&t->bodies);
    free(t->row);
    free(t->photo);
    free(t->folder);
    free(t);
}
