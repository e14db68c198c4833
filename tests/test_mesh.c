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

static void obj_reads_back(void **state) {
    (void)state;
    const char *path = support_in_folder("person.obj");
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

static int files_in(const char *folder) {
    int count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static void failures_leave_nothing(void **state) {
    (void)state;
    int before = files_in(support_folder());
    float kept = vertex[2][1];
    vertex[2][1] = NAN;
    assert_int_equal(mesh_write_obj(support_in_folder("nan.mesh"), &MESH), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "nan.mesh: vertex 2 is not finite"));
    vertex[2][1] = kept;
    assert_int_equal(mesh_write_obj(support_in_folder("no/such/folder.mesh"), &MESH), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "no/such/folder.mesh"));
    assert_int_equal(mesh_write_obj("/dev/full/x", &MESH), ERR_INPUT);
    assert_int_equal(files_in(support_folder()), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(obj_reads_back),
        cmocka_unit_test(failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
