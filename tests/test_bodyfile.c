/* Body files: five containers of one body, where Halpe-26 comes from, and files that are wrong. */
#include "tests/support.h"

#include "smpl/body.h"
#include "tensor/rng.h"
#include "tests/smallbody.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const CONTAINERS[] = {
    "fixtures_body/smpl/body_stored.npz",
    "fixtures_body/smpl/body_deflate.npz",
    "fixtures_body/smpl/body_py2_chumpy.pkl",
    "fixtures_body/smpl/body_py2_protocol0_noposedirs.pkl",
    "fixtures_body/smpl/body_py3_p4.pkl",
};
enum { COUNT = sizeof CONTAINERS / sizeof *CONTAINERS, SMALL = 100 };

static Body *load(const char *path, const char *regressor) {
    Body *body;
    if (body_load(path, regressor, &body)) fail_msg("%s", error_reason());
    return body;
}

/* Writes and loads a small body. */
static Body *load_small(const SmallBody *s, const char *regressor) {
    const char *path = support_in_folder("body.npz");
    smallbody_write(s, path);
    return load(path, regressor);
}

static void same(const char *what, const float *a, const float *b, size_t n) {
    if (!a || !b || memcmp(a, b, n * sizeof *a)) fail_msg("%s differ", what);
}

static void containers_hold_one_body(void **state) {
    (void)state;
    Body *first = load(support_fixture(CONTAINERS[0]), NULL);
    size_t v = (size_t)first->vertices;
    assert_non_null(first->posedirs);
    for (int i = 1; i < COUNT; i++) {
        Body *b = load(support_fixture(CONTAINERS[i]), NULL);
        assert_int_equal(b->vertices, first->vertices);
        assert_int_equal(b->faces, first->faces);
        same("template", b->v_template, first->v_template, 3 * v);
        same("shapedirs", b->shapedirs, first->shapedirs, 3 * v * BODY_BETAS);
        same("weights", b->weights, first->weights, v * BODY_JOINTS);
        same("regressor", b->joint_regressor, first->joint_regressor, v * BODY_JOINTS);
        assert_memory_equal(b->joint_template, first->joint_template, BODY_ROWS * sizeof(double));
        assert_memory_equal(b->face, first->face, 3 * (size_t)b->faces * sizeof *b->face);
        assert_memory_equal(b->tree.parent, first->tree.parent, BODY_JOINTS);
        assert_true(!b->posedirs == !!strstr(CONTAINERS[i], "noposedirs"));
        assert_true(!b->halpe.pose == !b->posedirs);
        if (b->posedirs) {
            same("posedirs", b->posedirs, first->posedirs, 3 * v * BODY_FEATURES);
            same("halpe", b->halpe.pose, first->halpe.pose,
                 HALPE26_COUNT * BODY_ROWS * BODY_FEATURES);
        }
        body_free(b);
    }
    body_free(first);
}

static void more_betas_are_cut(void **state) {
    (void)state;
    SmallBody *s = smallbody_new(SMALL, 30);
    Body *ten = load_small(s, NULL);
    Array few = *smallbody_array(s, "shapedirs");
    smallbody_remove(s, "shapedirs");
    enum { MANY = 16 };
    float *many = smallbody_add(s, "shapedirs", SMALL, 3, MANY)->data;
    for (int i = 0; i < SMALL * 3 * MANY; i++)
        many[i] = i % MANY < BODY_BETAS
                      ? ((const float *)few.data)[i / MANY * BODY_BETAS + i % MANY]
                      : 99;
    Body *sixteen = load_small(s, NULL);
    same("shapedirs", ten->shapedirs, sixteen->shapedirs, SMALL * 3 * BODY_BETAS);
    body_free(ten);
    body_free(sixteen);
    smallbody_free(s);
}

/* ---- the Halpe-26 regressor ---- */

/* Halpe joints of the unposed template. */
static void rest(const Body *body, float out[HALPE26_COUNT][3]) {
    const float zero[BODY_ROWS] = {0};
    body_pose(body, zero, zero, zero, NULL, NULL, &out[0][0]);
}

/* A regressor [26,v] whose row k is vertex 3 k. */
static void fill_regressor(Array *a) {
    for (int k = 0; k < HALPE26_COUNT; k++) ((float *)a->data)[k * SMALL + 3 * k] = 1;
}

static void check_regressor(const Body *body) {
    float halpe[HALPE26_COUNT][3];
    rest(body, halpe);
    for (int k = 0; k < HALPE26_COUNT; k++)
        support_close("halpe", halpe[k], body->v_template + 9 * k, 3, 1e-6);
}

static void regressor_comes_from_a_file(void **state) {
    (void)state;
    const char *npz = support_in_folder("halpe.npz"), *npy = support_in_folder("halpe.npy");
    SmallBody *s = smallbody_new(SMALL, 30);
    Array *a = smallbody_add(s, "any name", HALPE26_COUNT, SMALL, 0);
    fill_regressor(a);
    assert_int_equal(file_write_npz(npz, a, 1), OK);
    assert_int_equal(file_write_npy(npy, a), OK);
    smallbody_remove(s, "any name");
    const char *const files[] = {npz, npy};
    for (int i = 0; i < 2; i++) {
        Body *b = load_small(s, files[i]);
        assert_string_equal(b->halpe_source, "a regressor file");
        check_regressor(b);
        body_free(b);
    }
    smallbody_free(s);
}

static void regressor_comes_from_the_body(void **state) {
    (void)state;
    SmallBody *s = smallbody_new(SMALL, 30);
    fill_regressor(smallbody_add(s, "J_regressor_halpe", HALPE26_COUNT, SMALL, 0));
    Body *b = load_small(s, NULL);
    assert_string_equal(b->halpe_source, "the body file");
    check_regressor(b);
    body_free(b);
    smallbody_free(s);
}

static void joint_at(const Body *body, int joint, const float *got) {
    double place[3] = {(double)got[0], (double)got[1], (double)got[2]};
    support_close64("joint", place, body->joint_template + 3 * joint, 3, 1e-6);
}

/* Facts about a standing person that hold for landmarks of any template. */
static void check_landmarks(const Body *body) {
    enum { X, Y, Z };
    float p[HALPE26_COUNT][3];
    rest(body, p);
    joint_at(body, SMPL24_L_WRIST, p[HALPE26_L_WRIST]);
    joint_at(body, SMPL24_R_KNEE, p[HALPE26_R_KNEE]);
    joint_at(body, SMPL24_NECK, p[HALPE26_NECK]);
    for (int i = 0; i < HALPE26_COUNT; i++) {
        int flip = joints_order(JOINTS_HALPE26)->joint[i].flip;
        if (i < flip) assert_true(p[i][X] > p[flip][X]);
        if (i != HALPE26_HEAD) assert_true(p[HALPE26_HEAD][Y] >= p[i][Y]);
    }
    float ears = (p[HALPE26_L_EAR][Z] + p[HALPE26_R_EAR][Z]) / 2;
    for (int side = 0; side < 2; side++) {
        float ankle = (float)body->joint_template[3 * (SMPL24_L_ANKLE + side) + Z];
        assert_true(p[HALPE26_NOSE][Z] >= p[HALPE26_L_EYE + side][Z]);
        assert_true(p[HALPE26_L_EYE + side][Z] >= ears);
        assert_true(p[HALPE26_L_BIG_TOE + side][Z] > ankle);
        assert_true(p[HALPE26_L_SMALL_TOE + side][Z] > ankle);
        assert_true(p[HALPE26_L_HEEL + side][Z] < ankle);
        assert_true(fabsf(p[HALPE26_L_SMALL_TOE + side][X]) >=
                    fabsf(p[HALPE26_L_BIG_TOE + side][X]));
    }
}

static void regressor_is_made_of_landmarks(void **state) {
    (void)state;
    Body *b = load(support_fixture(CONTAINERS[0]), NULL);
    assert_string_equal(b->halpe_source, "extreme vertices of the template");
    check_landmarks(b);
    body_free(b);
}

static void smpl_topology_has_known_vertices(void **state) {
    static const struct {
        int halpe, vertex;
    } KNOWN[] = {{HALPE26_NOSE, 332},
                 {HALPE26_R_EYE, 6260},
                 {HALPE26_L_EAR, 583},
                 {HALPE26_HEAD, 411},
                 {HALPE26_R_HEEL, 6787}};
    (void)state;
    SmallBody *s = smallbody_new(6890, 13776);
    smallbody_remove(s, "posedirs");
    Body *b = load_small(s, NULL);
    float p[HALPE26_COUNT][3];
    rest(b, p);
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        support_close("vertex", p[KNOWN[i].halpe], b->v_template + 3 * KNOWN[i].vertex, 3, 1e-6);
    body_free(b);
    smallbody_free(s);
}

/* Without vertices that follow the head its landmarks fall on the head's joint. */
static void headless_bodies_have_landmarks(void **state) {
    (void)state;
    SmallBody *s = smallbody_new(SMALL, 30);
    for (size_t v = 0; v < SMALL; v++) {
        if (v % BODY_JOINTS != SMPL24_HEAD) continue;
        smallbody_set(s, "weights", v * BODY_JOINTS + SMPL24_HEAD, 0);
        smallbody_set(s, "weights", v * BODY_JOINTS + SMPL24_NECK, 1);
    }
    Body *b = load_small(s, NULL);
    float p[HALPE26_COUNT][3];
    rest(b, p);
    joint_at(b, SMPL24_HEAD, p[HALPE26_NOSE]);
    joint_at(b, SMPL24_HEAD, p[HALPE26_R_EYE]);
    joint_at(b, SMPL24_HEAD, p[HALPE26_HEAD]);
    body_free(b);
    smallbody_free(s);
}

/* ---- wrong files ---- */

static void refused(const char *path, const char *regressor, const char *reason) {
    Body *body = NULL;
    Status status = body_load(path, regressor, &body);
    if (status != ERR_MODEL) fail_msg("status %d, expected '%s'", status, reason);
    if (!strstr(error_reason(), reason) || strchr(error_reason(), '\n'))
        fail_msg("'%s' does not say '%s'", error_reason(), reason);
    const char *blamed = regressor ? regressor : path;
    if (strncmp(error_reason(), blamed, strlen(blamed)))
        fail_msg("'%s' does not begin with %s", error_reason(), blamed);
}

static void wrong_numbers_are_refused(void **state) {
    static const struct {
        const char *array;
        size_t i;
        double value;
        const char *reason;
    } CASES[] = {
        {"v_template", 7, NAN, "v_template: number 7 is nan"},
        {"shapedirs", 0, INFINITY, "shapedirs: number 0 is inf"},
        {"posedirs", 5, -1e30, "posedirs: number 5 is -1e+30"},
        {"weights", 3 * BODY_JOINTS + 3, 0.5, "weights: row 3 sums to 0.75, expected 1"},
        {"weights", 1, -NAN, "weights: number 1"},
        {"J_regressor", 2 * SMALL, 9, "J_regressor: row 2 sums to"},
        {"kintree_table", 0, 5, "kintree_table: joint 0 has parent 5"},
        {"kintree_table", 4, 4, "kintree_table: joint 4 has parent 4"},
        {"kintree_table", 9, 23, "kintree_table: joint 9 has parent 23"},
        {"kintree_table", 9, -1, "kintree_table: joint 9 has parent -1"},
        {"kintree_table", BODY_JOINTS + 2, 7, "kintree_table: column 2 is joint 7"},
        {"f", 4, SMALL, "f: corner 4 is vertex 100, expected 0 to 99"},
        {"f", 89, -1, "f: corner 89 is vertex -1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        SmallBody *s = smallbody_new(SMALL, 30);
        smallbody_set(s, CASES[i].array, CASES[i].i, CASES[i].value);
        const char *path = support_in_folder("wrong.npz");
        smallbody_write(s, path);
        refused(path, NULL, CASES[i].reason);
        smallbody_free(s);
    }
}

static void wrong_shapes_are_refused(void **state) {
    static const struct {
        const char *array;
        int dim[3];
        const char *reason;
    } CASES[] = {
        {"v_template", {SMALL, 4, 0}, "v_template is [100,4], expected [>=1,3]"},
        {"v_template", {0, 3, 0}, "v_template is [0,3], expected [>=1,3]"},
        {"v_template", {SMALL - 1, 3, 0}, "shapedirs is [100,3,10], expected [99,3,>=10]"},
        {"shapedirs", {SMALL, 3, 9}, "shapedirs is [100,3,9], expected [100,3,>=10]"},
        {"shapedirs", {SMALL, 30, 0}, "shapedirs is [100,30], expected"},
        {"posedirs", {SMALL, 3, 486}, "posedirs is [100,3,486], expected [100,3,207]"},
        {"weights", {SMALL, 52, 0}, "weights is [100,52], expected [100,24]"},
        {"J_regressor", {SMALL, BODY_JOINTS, 0}, "J_regressor is [100,24], expected [24,100]"},
        {"kintree_table", {BODY_JOINTS, 0, 0}, "kintree_table is [24], expected [2,24]"},
        {"f", {30, 4, 0}, "f is [30,4], expected [>=1,3]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        SmallBody *s = smallbody_new(SMALL, 30);
        smallbody_remove(s, CASES[i].array);
        Array *a =
            smallbody_add(s, CASES[i].array, CASES[i].dim[0], CASES[i].dim[1], CASES[i].dim[2]);
        float *x = a->data;
        for (size_t k = 0; k < array_size(a); k++) x[k] = 0;
        const char *path = support_in_folder("wrong.npz");
        smallbody_write(s, path);
        refused(path, NULL, CASES[i].reason);
        smallbody_free(s);
    }
}

static void missing_arrays_are_refused(void **state) {
    static const char *const NAMES[] = {"v_template", "shapedirs",     "J_regressor",
                                        "weights",    "kintree_table", "f"};
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char reason[64];
        SmallBody *s = smallbody_new(SMALL, 30);
        smallbody_remove(s, NAMES[i]);
        const char *path = support_in_folder("wrong.npz");
        smallbody_write(s, path);
        snprintf(reason, sizeof reason, "no array %s", NAMES[i]);
        refused(path, NULL, reason);
        smallbody_free(s);
    }
    refused(support_in_folder("absent.pkl"), NULL, "cannot open");
}

static void wrong_regressors_are_refused(void **state) {
    (void)state;
    const char *body = support_in_folder("body.npz"), *halpe = support_in_folder("halpe.npy");
    SmallBody *s = smallbody_new(SMALL, 30);
    smallbody_write(s, body);
    Array *a = smallbody_add(s, "J_regressor_halpe", HALPE26_COUNT, SMALL, 0);
    assert_int_equal(file_write_npy(halpe, a), OK);
    refused(body, halpe, "J_regressor_halpe: row 0 sums to 0, expected 1");
    smallbody_write(s, body);
    refused(body, NULL, "J_regressor_halpe: row 0 sums to 0, expected 1");
    fill_regressor(a);
    a->dim[1] = SMALL - 1;
    assert_int_equal(file_write_npy(halpe, a), OK);
    refused(body, halpe, "J_regressor_halpe is [26,99], expected [26,100]");
    smallbody_free(s);
}

/* A cut or damaged file is refused or, where only numbers changed, read; it never crashes. */
static void damaged_files_do_no_harm(void **state) {
    enum { CUTS = 6, FLIPS = 12 };
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        Bytes bytes;
        const char *name = support_fixture(CONTAINERS[i]), *path = support_in_folder("damaged");
        uint64_t stream = rng_stream(CONTAINERS[i], 1);
        assert_int_equal(file_read(name, 1 << 26, &bytes), OK);
        for (int k = 0; k < CUTS; k++) {
            size_t size = (size_t)((double)rng_uniform(stream, (uint64_t)k) * (double)bytes.size);
            assert_int_equal(file_write(path, bytes.data, size), OK);
            refused(path, NULL, "");
        }
        for (int k = 0; k < FLIPS; k++) {
            uint64_t at = rng_splitmix(stream + (uint64_t)k);
            /* half of the flips hit the first 2000 bytes, where structure is */
            uint8_t *byte = &bytes.data[at % (k % 2 ? bytes.size : 2000)];
            *byte ^= (uint8_t)(1 << (at >> 60 & 7));
            assert_int_equal(file_write(path, bytes.data, bytes.size), OK);
            Body *body = NULL;
            Status status = body_load(path, NULL, &body);
            assert_true(status == OK || status == ERR_MODEL);
            if (status == OK) body_free(body);
            *byte ^= (uint8_t)(1 << (at >> 60 & 7));
        }
        file_release(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_hold_one_body),
        cmocka_unit_test(more_betas_are_cut),
        cmocka_unit_test(regressor_comes_from_a_file),
        cmocka_unit_test(regressor_comes_from_the_body),
        cmocka_unit_test(regressor_is_made_of_landmarks),
        cmocka_unit_test(smpl_topology_has_known_vertices),
        cmocka_unit_test(headless_bodies_have_landmarks),
        cmocka_unit_test(wrong_numbers_are_refused),
        cmocka_unit_test(wrong_shapes_are_refused),
        cmocka_unit_test(missing_arrays_are_refused),
        cmocka_unit_test(wrong_regressors_are_refused),
        cmocka_unit_test(damaged_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
