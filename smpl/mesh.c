#include "smpl/mesh.h"

#include "tensor/file.h"

#include <math.h>
#include <stdio.h>

static Status check(const char *path, const Mesh *mesh) {
    for (size_t i = 0; i < 3 * (size_t)mesh->vertices; i++)
        if (!isfinite(mesh->vertex[i]))
            return fail(ERR_INPUT, "%s: vertex %zu is not finite, nothing written", path, i / 3);
    return OK;
}

static void put(FILE *out, const Mesh *mesh) {
    for (int i = 0; i < mesh->vertices; i++) {
        const float *p = mesh->vertex + 3 * (size_t)i;
        fprintf(out, "v %.9g %.9g %.9g\n", (double)p[0], (double)p[1], (double)p[2]);
    }
    for (int i = 0; i < mesh->faces; i++) {
        const int32_t *corner = mesh->face + 3 * (size_t)i;
        fprintf(out, "f %d %d %d\n", corner[0] + 1, corner[1] + 1, corner[2] + 1);
    }
}

Status mesh_write_obj(const char *path, const Mesh *mesh) {
    FileWriter w;
    TRY(check(path, mesh));
    TRY(file_begin(path, &w));
    put(w.stream, mesh);
    return file_commit(&w); /* a failed write shows there */
}
