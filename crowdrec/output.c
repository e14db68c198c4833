#include "crowdrec/output.h"

#include "crowdrec/coco.h"
#include "crowdrec/gigacrowd.h"
#include "crowdrec/jsonfile.h"
#include "crowdrec/render.h"
#include "crowdrec/result.h"
#include "crowdrec/sketch.h"
#include "smpl/mesh.h"
#include "tensor/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const output_names[] = {"detections.json", "keypoints.json", "predict.json",
                                    "eval.json", NULL};
const char *const output_pictures[] = {"overlay.png", "side.png", NULL};

bool output_is_picture(const char *name) {
    for (const char *const *p = output_pictures; *p; p++)
        if (!strcmp(*p, name)) return true;
    return false;
}

Status output_spares(const char *input, const char *path) {
    if (!input || !file_is_same(input, path)) return OK;
    return fail(ERR_USAGE, "%s: would be overwritten by the results; give another --output", input);
}

Status output_prepare(const char *folder) {
    char path[FILE_PATH];
    if (!*folder) return fail(ERR_USAGE, "--output: '' names no folder");
    if (file_make_folder(folder)) return error_prefix(ERR_USAGE, "--output");
    TRY(file_join(folder, ".crowdrec-XXXXXX", path));
    int fd = mkstemp(path);
    if (fd < 0)
        return fail(ERR_USAGE, "--output: %s: cannot write here: %s", folder, strerror(errno));
    close(fd);
    unlink(path);
    return OK;
}

/* ---- meshes ---- */

/* The number of a file that an earlier run wrote, -1 of any other. */
static int mesh_number(const char *name) {
    int number = -1, end = 0;
    if (sscanf(name, "person_%9d.obj%n", &number, &end) != 1 || !end || name[end]) return -1;
    return number;
}

/* Removes person_%04d.obj of people that this run does not have. */
static Status remove_stale(const char *folder, const Crowd *crowd) {
    DIR *dir = opendir(folder);
    char path[FILE_PATH];
    Status status = OK;
    for (struct dirent *e; dir && status == OK && (e = readdir(dir));) {
        int number = mesh_number(e->d_name);
        bool ours =
            number >= 0 && number < crowd->count && crowd->person[number].flags & PERSON_HAS_BODY;
        if (number < 0 || ours) continue;
        status = file_join(folder, e->d_name, path);
        if (status == OK && unlink(path))
            status = fail(ERR_INPUT, "%s: cannot remove: %s", path, strerror(errno));
    }
    if (dir) closedir(dir);
    return status;
}

static Status write_meshes(const char *parent, const Results *r) {
    char folder[FILE_PATH], path[FILE_PATH], name[32];
    const Body *body = r->body;
    TRY(file_join(parent, "meshes", folder));
    TRY(file_make_folder(folder));
    float *vertex = malloc((size_t)body->vertices * 3 * sizeof *vertex);
    if (!vertex) return fail(ERR_MEMORY, "%s: no memory for %d vertices", folder, body->vertices);
    Mesh mesh = {vertex, body->face, body->vertices, body->faces};
    Status status = OK;
    for (int i = 0; status == OK && i < r->crowd->count; i++) {
        const Person *p = &r->crowd->person[i];
        if (!(p->flags & PERSON_HAS_BODY)) continue;
        body_pose(body, p->pose, p->betas, p->trans, vertex, NULL, NULL);
        snprintf(name, sizeof name, "person_%04d.obj", i);
        status = file_join(folder, name, path);
        if (status == OK) status = mesh_write_obj(path, &mesh);
    }
    free(vertex);
    return status == OK ? remove_stale(folder, r->crowd) : status;
}

/* ---- pictures ---- */

/* Writes the picture that a renderer made, and frees it. */
static Status write_picture(const char *folder, const char *name, Status rendered, Image *picture) {
    char path[FILE_PATH];
    TRY(rendered);
    Status status = file_join(folder, name, path);
    if (status == OK) status = image_write_png(path, picture);
    image_free(picture);
    return status;
}

static Status write_pictures(const char *folder, const Results *r) {
    Image picture = {0};
    bool bodies = r->body && crowd_count(r->crowd, PERSON_HAS_BODY);
    Status drawn = bodies ? render_overlay(r->image, r->crowd, r->body, &picture)
                          : sketch_people(r->image, r->crowd, &picture);
    TRY(write_picture(folder, "overlay.png", drawn, &picture));
    if (!bodies) return OK;
    return write_picture(folder, "side.png", render_side(r->before, r->crowd, r->body, &picture),
                         &picture);
}

/* ---- all ---- */

Status output_photo(const char *folder, const Results *r) {
    char path[FILE_PATH];
    TRY(file_join(folder, "result.npz", path));
    TRY(result_write_npz(path, r->crowd));
    TRY(write_pictures(folder, r));
    if (r->body && r->meshes) TRY(write_meshes(folder, r));
    TRY(file_join(folder, "result.json", path));
    return jsonfile_write(path, JSONFILE_FLOAT, result_json(r->crowd, r->recipe, r->refined));
}

Status output_run(const char *folder, const Crowd *crowd, int count, unsigned stages) {
    char path[FILE_PATH];
    TRY(file_join(folder, "detections.json", path));
    TRY(coco_write(path, COCO_BOXES, crowd, count));
    if (stages & OUTPUT_KEYPOINTS) {
        TRY(file_join(folder, "keypoints.json", path));
        TRY(coco_write(path, COCO_KEYPOINTS, crowd, count));
    }
    if (!(stages & OUTPUT_BODIES)) return OK;
    TRY(file_join(folder, "predict.json", path));
    return jsonfile_write(path, JSONFILE_DOUBLE, gigacrowd_json(crowd, count));
}
