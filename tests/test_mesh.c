/* Mesh files: what is written reads back exactly, and a failure leaves nothing behind. */
#include "tests/support.h"

#include "smpl/mesh.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static float vertex[4][3] = {
    {0, -1.5f, 3.1415927f}, {1e-8f, 2, -3}, {0.1f, 1e6f, 7}, {-0.0f, 1, 2}};
static const int32_t FACE[2][3] = {{0, 1, 2}, {3, 2, 1}};
static const Mesh MESH = {&vertex[0][0], &FACE[0][0], 4, 2};

static const char *scratch(const char *name) {
    static char path[4200];
    snprintf(path, sizeof path, "%s/%s", support_folder(), name);
    return path;
}

static void obj_reads_back(void **state) {
    (void)state;
    const char *path = scratch("person.obj");
    assert_int_equal(mesh_write_obj(path, &MESH), OK);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (int i = 0; i < MESH.vertices; i++) {
        float p[3];
        assert_int_equal(fscanf(f, "v %f %f %f\n", &p[0], &p[1], &p[2]), 3);
        assert_memory_equal(p, vertex[i], sizeof p);
    }
    for (int i = 0; i < MESH.faces; i++) {
        int corner[3];
        assert_int_equal(fscanf(f, "f %d %d %d\n", &corner[0], &corner[1], &corner[2]), 3);
        for (int k = 0; k < 3; k++) assert_int_equal(corner[k], FACE[i][k] + 1);
    }
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

static uint32_t u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void ply_reads_back(void **state) {
    static const char HEADER[] = "ply\nformat binary_little_endian 1.0\n"
                                 "element vertex 4\nproperty float x\nproperty float y\n"
                                 "property float z\nelement face 2\n"
                                 "property list uchar int vertex_indices\nend_header\n";
    enum { START = sizeof HEADER - 1, CORNERS = START + 4 * 12 };
    (void)state;
    Bytes bytes;
    const char *path = scratch("person.ply");
    assert_int_equal(mesh_write_ply(path, &MESH), OK);
    assert_int_equal(file_read(path, 1 << 20, &bytes), OK);
    assert_int_equal(bytes.size, CORNERS + 2 * 13);
    assert_memory_equal(bytes.data, HEADER, START);
    for (int i = 0; i < 12; i++) {
        uint32_t bits = u32(bytes.data + START + 4 * i);
        assert_memory_equal(&bits, &vertex[0][0] + i, sizeof bits);
    }
    for (int i = 0; i < 2; i++) {
        const uint8_t *row = bytes.data + CORNERS + 13 * i;
        assert_int_equal(row[0], 3);
        for (int k = 0; k < 3; k++) assert_int_equal(u32(row + 1 + 4 * k), FACE[i][k]);
    }
    file_release(&bytes);
}

static int files_in(const char *folder) {
    int count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void failures_leave_nothing(void **state) {
    static Status (*const WRITERS[])(const char *, const Mesh *) = {mesh_write_obj, mesh_write_ply};
    (void)state;
    int before = files_in(support_folder());
    for (int i = 0; i < 2; i++) {
        float kept = vertex[2][1];
        vertex[2][1] = NAN;
        assert_int_equal(WRITERS[i](scratch("nan.mesh"), &MESH), ERR_INPUT);
        assert_non_null(strstr(error_reason(), "nan.mesh: vertex 2 is not finite"));
        vertex[2][1] = kept;
        assert_int_equal(WRITERS[i](scratch("no/such/folder.mesh"), &MESH), ERR_INPUT);
        assert_non_null(strstr(error_reason(), "no/such/folder.mesh"));
        assert_int_equal(WRITERS[i]("/dev/full/x", &MESH), ERR_INPUT);
    }
    assert_int_equal(files_in(support_folder()), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(obj_reads_back),
        cmocka_unit_test(ply_reads_back),
        cmocka_unit_test(failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
