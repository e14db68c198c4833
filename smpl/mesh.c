#include "smpl/mesh.h"

#include "tensor/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static Status check(const char *path, const Mesh *mesh) {
    for (size_t i = 0; i < 3 * (size_t)mesh->vertices; i++)
        if (!isfinite(mesh->vertex[i]))
            return fail(ERR_INPUT, "%s: vertex %zu is not finite, nothing written", path, i / 3);
    return OK;
}

static void put_obj(FILE *out, const Mesh *mesh) {
    for (int i = 0; i < mesh->vertices; i++) {
        const float *p = mesh->vertex + 3 * (size_t)i;
        fprintf(out, "v %.9g %.9g %.9g\n", (double)p[0], (double)p[1], (double)p[2]);
    }
    for (int i = 0; i < mesh->faces; i++) {
        const int32_t *corner = mesh->face + 3 * (size_t)i;
        fprintf(out, "f %d %d %d\n", corner[0] + 1, corner[1] + 1, corner[2] + 1);
    }
}

static void put_u32(FILE *out, uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) putc((int)(value >> shift & 255), out);
}

static void put_ply(FILE *out, const Mesh *mesh) {
    fprintf(out,
            "ply\nformat binary_little_endian 1.0\n"
            "element vertex %d\nproperty float x\nproperty float y\nproperty float z\n"
            "element face %d\nproperty list uchar int vertex_indices\nend_header\n",
            mesh->vertices, mesh->faces);
    for (size_t i = 0; i < 3 * (size_t)mesh->vertices; i++) {
        uint32_t bits;
        memcpy(&bits, &mesh->vertex[i], sizeof bits);
        put_u32(out, bits);
    }
    for (size_t i = 0; i < (size_t)mesh->faces; i++) {
        putc(3, out);
        for (int k = 0; k < 3; k++) put_u32(out, (uint32_t)mesh->face[3 * i + (size_t)k]);
    }
}

static Status write_mesh(const char *path, const Mesh *mesh, void (*put)(FILE *, const Mesh *)) {
    FileWriter w;
    TRY(check(path, mesh));
    TRY(file_begin(path, &w));
    put(w.stream, mesh);
    return file_commit(&w); /* a failed write shows there */
}

Status mesh_write_obj(const char *path, const Mesh *mesh) {
    return write_mesh(path, mesh, put_obj);
}
