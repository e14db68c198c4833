#include "smpl/bodyfile.h"

#include "smpl/landmarks.h"
#include "tensor/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_VERTICES = 1 << 20, /* against absurd files; SMPL has 6890 and 13776 */
    MAX_FACES = 1 << 22,
};

/* The root's parent in SMPL's kintree_table: -1 as uint32. */
static const double NO_PARENT_U32 = 4294967295.0;

/* Metres, metres per unit and weights are far smaller; keeps all sums finite. */
static const double MAX_NUMBER = 1e6;

/* How far the sums of skinning weights and of regressor rows may be from 1. */
static const double SUM_TOLERANCE = 1e-3;

/* The array of that name if it has the wanted sizes: n is exactly n, -n is n or more.  NULL with
 * the reason of an ERR_MODEL. */
static const Array *find(const ArrayFile *f, const char *name, int dims, const int *want) {
    const Array *a = array_find(f, name);
    if (!a) {
        fail(ERR_MODEL, "no array %s; is this a body model of SMPL's format?", name);
        return NULL;
    }
    char expected[64] = "";
    size_t length = 0;
    bool good = a->dims == dims;
    for (int i = 0; i < dims; i++) {
        int least = abs(want[i]);
        good = good && a->dim[i] >= least && (want[i] < 0 || a->dim[i] == least);
        length += (size_t)snprintf(expected + length, sizeof expected - length, "%s%s%d",
                                   i ? "," : "", want[i] < 0 ? ">=" : "", least);
    }
    if (good) return a;
    fail(ERR_MODEL, "%s is %s, expected [%s]", name, array_shape_text(a), expected);
    return NULL;
}

static Status no_memory(const char *name) {
    return fail(ERR_MEMORY, "no memory for the numbers of %s", name);
}

/* The first `keep` numbers of each of an array's rows (its last size) as floats. */
static Status floats(Arena *arena, const Array *a, int keep, const float **out) {
    size_t row = (size_t)a->dim[a->dims - 1], rows = array_size(a) / row, width = (size_t)keep;
    float *values = arena_try_alloc(arena, rows * width * sizeof *values);
    if (!values) return no_memory(a->name);
    for (size_t i = 0; i < rows * width; i++) {
        size_t from = i / width * row + i % width;
        double value = array_get(a, from);
        if (!(fabs(value) <= MAX_NUMBER))
            return fail(ERR_MODEL, "%s: number %zu is %g, expected a number within %g", a->name,
                        from, value, MAX_NUMBER);
        values[i] = (float)value;
    }
    *out = values;
    return OK;
}

static Status load_floats(Arena *arena, const ArrayFile *f, const char *name, int dims,
                          const int *want, const float **out) {
    const Array *a = find(f, name, dims, want);
    if (!a) return ERR_MODEL;
    return floats(arena, a, want[dims - 1], out);
}

/* Each row of values [rows,size] must sum to 1. */
static Status check_sums(const char *name, const float *values, int rows, int size) {
    for (int i = 0; i < rows; i++) {
        double sum = 0;
        for (int k = 0; k < size; k++) sum += (double)values[(size_t)i * (size_t)size + (size_t)k];
        if (!(fabs(sum - 1) <= SUM_TOLERANCE))
            return fail(ERR_MODEL, "%s: row %d sums to %g, expected 1", name, i, sum);
    }
    return OK;
}

static Status load_template(const ArrayFile *f, Body *b) {
    const Array *a = find(f, "v_template", 2, (int[]){-1, 3});
    if (!a) return ERR_MODEL;
    if (a->dim[0] > MAX_VERTICES)
        return fail(ERR_MODEL, "v_template has %lld vertices, expected at most %d",
                    (long long)a->dim[0], MAX_VERTICES);
    b->vertices = (int)a->dim[0];
    return floats(b->arena, a, 3, &b->v_template);
}

static Status load_blend_shapes(const ArrayFile *f, Body *b) {
    const Array *a = find(f, "shapedirs", 3, (int[]){b->vertices, 3, -BODY_BETAS});
    if (!a) return ERR_MODEL;
    TRY(floats(b->arena, a, BODY_BETAS, &b->shapedirs));
    if (!array_find(f, "posedirs")) return OK;
    return load_floats(b->arena, f, "posedirs", 3, (int[]){b->vertices, 3, BODY_FEATURES},
                       &b->posedirs);
}

static Status load_skin(const ArrayFile *f, Body *b) {
    TRY(load_floats(b->arena, f, "weights", 2, (int[]){b->vertices, BODY_JOINTS}, &b->weights));
    TRY(check_sums("weights", b->weights, b->vertices, BODY_JOINTS));
    TRY(load_floats(b->arena, f, "J_regressor", 2, (int[]){BODY_JOINTS, b->vertices},
                    &b->joint_regressor));
    return check_sums("J_regressor", b->joint_regressor, BODY_JOINTS, b->vertices);
}

/* kintree_table: the parents, then the joints' own numbers. */
static Status load_tree(const ArrayFile *f, Body *b) {
    const Array *a = find(f, "kintree_table", 2, (int[]){2, BODY_JOINTS});
    if (!a) return ERR_MODEL;
    double root = array_get(a, 0);
    if (root != -1 && root != NO_PARENT_U32)
        return fail(ERR_MODEL, "kintree_table: joint 0 has parent %g, expected none (-1 or %.0f)",
                    root, NO_PARENT_U32);
    b->tree.parent[0] = -1;
    for (int j = 0; j < BODY_JOINTS; j++) {
        double parent = array_get(a, (size_t)j), id = array_get(a, BODY_JOINTS + (size_t)j);
        if (id != j)
            return fail(ERR_MODEL, "kintree_table: column %d is joint %g, expected %d", j, id, j);
        if (!j) continue;
        if (!(parent >= 0 && parent < j && parent == floor(parent)))
            return fail(ERR_MODEL,
                        "kintree_table: joint %d has parent %g, expected a joint before it", j,
                        parent);
        b->tree.parent[j] = (int8_t)parent;
    }
    return OK;
}

static Status load_faces(const ArrayFile *f, Body *b) {
    const Array *a = find(f, "f", 2, (int[]){-1, 3});
    if (!a) return ERR_MODEL;
    if (a->dim[0] > MAX_FACES)
        return fail(ERR_MODEL, "f has %lld triangles, expected at most %d", (long long)a->dim[0],
                    MAX_FACES);
    size_t count = array_size(a);
    int32_t *face = arena_try_alloc(b->arena, count * sizeof *face);
    if (!face) return no_memory("f");
    for (size_t i = 0; i < count; i++) {
        double v = array_get(a, i);
        if (!(v >= 0 && v < b->vertices && v == floor(v)))
            return fail(ERR_MODEL, "f: corner %zu is vertex %g, expected 0 to %d", i, v,
                        b->vertices - 1);
        face[i] = (int32_t)v;
    }
    b->face = face;
    b->faces = (int)(count / 3);
    return OK;
}

/* joint_template and joint_shapedirs: the regressor applied to template and shapedirs. */
static void regress_joints(Body *b) {
    double *at = arena_alloc(b->arena, BODY_ROWS * sizeof *at);
    float *by_beta = arena_alloc(b->arena, BODY_ROWS * BODY_BETAS * sizeof *by_beta);
    for (int j = 0; j < BODY_JOINTS; j++) {
        const float *row = b->joint_regressor + (size_t)j * (size_t)b->vertices;
        double slope[3 * BODY_BETAS] = {0};
        for (size_t v = 0; v < (size_t)b->vertices; v++) {
            if (row[v] == 0) continue;
            for (size_t k = 0; k < 3; k++)
                at[3 * j + (int)k] += (double)row[v] * (double)b->v_template[3 * v + k];
            const float *dirs = b->shapedirs + v * 3 * BODY_BETAS;
            for (int k = 0; k < 3 * BODY_BETAS; k++) slope[k] += (double)row[v] * (double)dirs[k];
        }
        for (int k = 0; k < 3 * BODY_BETAS; k++) by_beta[3 * BODY_BETAS * j + k] = (float)slope[k];
    }
    b->joint_template = at;
    b->joint_shapedirs = by_beta;
}

static Status load_arrays(const ArrayFile *f, Body *b) {
    TRY(load_template(f, b));
    TRY(load_blend_shapes(f, b));
    TRY(load_skin(f, b));
    TRY(load_tree(f, b));
    TRY(load_faces(f, b));
    regress_joints(b);
    return OK;
}

static const char HALPE[] = "J_regressor_halpe";

static Status load_halpe(const Body *b, const ArrayFile *f, Arena *arena, const float **out) {
    TRY(load_floats(arena, f, HALPE, 2, (int[]){HALPE26_COUNT, b->vertices}, out));
    return check_sums(HALPE, *out, HALPE26_COUNT, b->vertices);
}

/* An .npy's array has no name, an .npz with one array may call it anything. */
static Status load_halpe_file(Body *b, const char *path, Arena *arena, const float **out) {
    ArrayFile f;
    TRY(file_load(path, &f));
    if (f.count == 1) f.array[0].name = HALPE;
    Status status = load_halpe(b, &f, arena, out);
    array_file_free(&f);
    b->halpe_source = "a regressor file";
    return status ? error_prefix(status, "%s", path) : OK;
}

/* The body file's own regressor, or landmarks of the template. */
static Status own_halpe(Body *b, const ArrayFile *f, Arena *arena, const float **out) {
    if (array_find(f, HALPE)) {
        b->halpe_source = "the body file";
        return load_halpe(b, f, arena, out);
    }
    float *regressor =
        arena_try_alloc(arena, (size_t)b->vertices * HALPE26_COUNT * sizeof *regressor);
    if (!regressor) return no_memory(HALPE);
    b->halpe_source = landmarks_halpe(b, regressor);
    *out = regressor;
    return OK;
}

Status bodyfile_read(const ArrayFile *file, const char *name, const char *halpe_path,
                     Arena *scratch, Body *body, const float **halpe) {
    Status status = load_arrays(file, body);
    if (status == OK && !halpe_path) status = own_halpe(body, file, scratch, halpe);
    if (status) return error_prefix(status, "%s", name);
    return halpe_path ? load_halpe_file(body, halpe_path, scratch, halpe) : OK;
}
