/* Files round trip, the public samples read, damaged ones fail without harm. */
#include "tests/support.h"

#include "tensor/pickle.h"
#include "tensor/rng.h"
#include "tensor/zip.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

/* ---- helpers ---- */

static void must(Status status) {
    if (status != OK) fail_msg("%s", error_reason());
}

static int entries_in_folder(void) {
    DIR *folder = opendir(support_folder());
    int count = 0;
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) count += e->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void assert_same(const Array *a, const Array *b) {
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->dims, b->dims);
    for (int i = 0; i < a->dims; i++) assert_int_equal(a->dim[i], b->dim[i]);
    assert_memory_equal(a->data, b->data, array_size(a) * dtype_size(a->dtype));
}

/* Arrays of every number type, with bytes from a stream, and of odd shapes. */
enum { SAMPLES = DTYPE_COUNT + 3 };
static void make_samples(Arena *arena, Array out[SAMPLES]) {
    for (int i = 0; i < SAMPLES; i++) {
        Array a = {.dtype = i < DTYPE_COUNT ? (Dtype)i : F32, .dims = 2, .dim = {3, 5}};
        if (i == DTYPE_COUNT) a.dims = 0;
        if (i == DTYPE_COUNT + 1) a.dim[0] = 0;
        if (i == DTYPE_COUNT + 2) a = (Array){.dims = ARRAY_DIMS, .dim = {1, 2, 1, 3, 1, 1, 2, 1}};
        a.name = arena_printf(arena, "net.layer%d.weight", i);
        size_t size = array_size(&a) * dtype_size(a.dtype);
        uint8_t *bytes = a.data = arena_alloc(arena, size);
        uint64_t stream = rng_stream(a.name, 1);
        for (size_t k = 0; k < size; k++) bytes[k] = (uint8_t)rng_splitmix(stream + k);
        out[i] = a;
    }
}

/* A growing file in memory. */
typedef struct {
    uint8_t data[1 << 16];
    size_t size;
} Blob;

static void put(Blob *b, const void *data, size_t size) {
    assert_true(b->size + size <= sizeof b->data);
    if (size) memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void put_number(Blob *b, uint64_t value, size_t size) { put(b, &value, size); }

typedef struct {
    const char *name;
    const void *data;
    size_t size;
} Member;

static void put_zip_fields(Blob *b, const Member *m, bool wide) {
    size_t length = strlen(m->name);
    put_number(b, 0, 2), put_number(b, 0, 2), put_number(b, 0, 4);
    put_number(b, crc32(0, m->data, (uInt)m->size), 4);
    put_number(b, wide ? UINT32_MAX : m->size, 4), put_number(b, wide ? UINT32_MAX : m->size, 4);
    put_number(b, length, 2);
}

/* A stored zip; wide: all sizes and offsets in zip64 fields, as for an archive above 4 GiB. */
static void make_zip(Blob *b, const Member *m, int count, bool wide) {
    size_t offset[16];
    b->size = 0;
    for (int i = 0; i < count; i++) {
        offset[i] = b->size;
        put_number(b, 0x04034b50, 4), put_number(b, 20, 2);
        put_zip_fields(b, &m[i], wide);
        put_number(b, 0, 2), put(b, m[i].name, strlen(m[i].name)), put(b, m[i].data, m[i].size);
    }
    size_t directory = b->size;
    for (int i = 0; i < count; i++) {
        put_number(b, 0x02014b50, 4), put_number(b, 20, 2), put_number(b, 20, 2);
        put_zip_fields(b, &m[i], wide);
        put_number(b, wide ? 28 : 0, 2), put_number(b, 0, 8), put_number(b, 0, 2);
        put_number(b, wide ? UINT32_MAX : offset[i], 4), put(b, m[i].name, strlen(m[i].name));
        if (!wide) continue;
        put_number(b, 1, 2), put_number(b, 24, 2);
        put_number(b, m[i].size, 8), put_number(b, m[i].size, 8), put_number(b, offset[i], 8);
    }
    size_t end = b->size, size = end - directory;
    if (wide) {
        put_number(b, 0x06064b50, 4), put_number(b, 44, 8), put_number(b, 45, 2);
        put_number(b, 45, 2), put_number(b, 0, 8), put_number(b, (uint64_t)count, 8);
        put_number(b, (uint64_t)count, 8), put_number(b, size, 8), put_number(b, directory, 8);
        put_number(b, 0x07064b50, 4), put_number(b, 0, 4), put_number(b, end, 8);
        put_number(b, 1, 4);
    }
    put_number(b, 0x06054b50, 4), put_number(b, 0, 4);
    put_number(b, wide ? 0xffff : (uint64_t)count, 2);
    put_number(b, wide ? 0xffff : (uint64_t)count, 2);
    put_number(b, wide ? UINT32_MAX : size, 4), put_number(b, wide ? UINT32_MAX : directory, 4);
    put_number(b, 0, 2);
}

static void make_npy(Blob *b, int version, const char *header, const void *data, size_t size) {
    b->size = 0;
    put(b, "\x93NUMPY", 6), put_number(b, (uint64_t)version, 1), put_number(b, 0, 1);
    put_number(b, strlen(header), version == 1 ? 2 : 4);
    put(b, header, strlen(header)), put(b, data, size);
}

static Status load(const void *data, size_t size, ArrayFile *out) {
    return file_load_memory("memory", data, size, out);
}

static void assert_refused(const void *data, size_t size, const char *part) {
    ArrayFile f;
    if (load(data, size, &f) == OK) fail_msg("'%s' was loaded", part);
    if (!strstr(error_reason(), part)) fail_msg("'%s' is not in '%s'", part, error_reason());
    assert_null(f.arena);
}

/* ---- npz, npy, zip ---- */

static void npz_round_trip(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Array all[SAMPLES], written[SAMPLES];
    ArrayFile f;
    int count = 0;
    make_samples(arena, all);
    for (int i = 0; i < SAMPLES; i++)
        if (all[i].dtype != BF16) written[count++] = all[i];
    const char *path = support_in_folder("round.npz");
    must(file_write_npz(path, written, count));
    must(file_load(path, &f));
    assert_string_equal(f.kind, "npz");
    assert_int_equal(f.count, count);
    for (int i = 0; i < count; i++) assert_same(&f.array[i], &written[i]);
    array_file_free(&f);

    int before = entries_in_folder();
    assert_int_equal(file_write_npz(path, all, SAMPLES), ERR_INPUT); /* npy has no bf16 */
    assert_int_equal(entries_in_folder(), before);
    must(file_load(path, &f)); /* the old content stays */
    array_file_free(&f);

    for (int i = 0; i < count; i++) {
        must(file_write_npy(support_in_folder("round.npy"), &written[i]));
        must(file_load(support_in_folder("round.npy"), &f));
        written[i].name = "";
        assert_same(&f.array[0], &written[i]);
        array_file_free(&f);
    }
    arena_free(arena);
}

static void npy_variants(void **state) {
    (void)state;
    static const double WANT[] = {1, 2, 3, 4, 5, 6};
    static const uint32_t U4[] = {1, 3, 5, 2, 4, 6}; /* columns of 3x2 */
    static const uint8_t BIG[] = {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6};
    Blob b;
    ArrayFile f;
    for (int version = 1; version <= 3; version++) {
        make_npy(&b, version, "{'descr': '<u4', 'fortran_order': True, 'shape': (3, 2), }  \n", U4,
                 sizeof U4);
        must(load(b.data, b.size, &f));
        assert_int_equal(f.array[0].dtype, I64);
        for (size_t i = 0; i < 6; i++) assert_true(array_get(f.array, i) == WANT[i]);
        array_file_free(&f);
    }
    make_npy(&b, 1, "{'shape': (6L,), 'fortran_order': False, 'descr': '>i2'}", BIG, sizeof BIG);
    must(load(b.data, b.size, &f));
    assert_int_equal(f.array[0].dtype, I32);
    for (size_t i = 0; i < 6; i++) assert_true(array_get(f.array, i) == WANT[i]);
    array_file_free(&f);
    make_npy(&b, 1, "{'descr': '|b1', 'fortran_order': False, 'shape': ()}", "\1", 1);
    must(load(b.data, b.size, &f));
    assert_int_equal(f.array[0].dims, 0);
    assert_true(array_get(f.array, 0) == 1);
    array_file_free(&f);
}

static void npy_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *part;
    } BAD[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "bytes of data"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "header"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296,)}", "60 bits"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "header"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", "8 sizes"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "'<c8'"},
        {"{'descr': '<U0', 'fortran_order': False, 'shape': (9007199254740992,)}", "'<U0'"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "Python objects"},
        {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}", "structured"},
        {"{'descr': '<f4', 'shape': (2,)}", "lacks"},
        {"{'descr': '<f4', 'fortran_order': No, 'shape': (2,)}", "header"},
        {"{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}", "number type"},
        {"", "header"},
        {"{", "header"},
    };
    Blob b;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        make_npy(&b, 1, BAD[i].header, "01234567", 8);
        assert_refused(b.data, b.size, BAD[i].part);
    }
    make_npy(&b, 4, "{}", "", 0);
    assert_refused(b.data, b.size, "version 4");
}

static void text_arrays(void **state) {
    (void)state;
    static const uint32_t WIDE[] = {'a', 0, 0, 0xe9, 0x4eba, 0x1f600};
    Blob npy, zip;
    ArrayFile f;
    make_npy(&npy, 1, "{'descr': '<U3', 'fortran_order': False, 'shape': (2,)}", WIDE, sizeof WIDE);
    Member members[] = {{"names.npy", npy.data, npy.size}, {"bytes.npy", NULL, 0}};
    Blob bytes;
    make_npy(&bytes, 1, "{'descr': '|S2', 'fortran_order': False, 'shape': (2, 1)}", "xyz", 4);
    members[1].data = bytes.data, members[1].size = bytes.size;
    make_zip(&zip, members, 2, false);
    must(load(zip.data, zip.size, &f));
    assert_string_equal(file_text(&f, "names", 0), "a");
    assert_string_equal(file_text(&f, "names", 1), "\u00e9\u4eba\U0001f600");
    assert_null(file_text(&f, "names", 2));
    assert_string_equal(file_text(&f, "bytes", 0), "xy");
    assert_string_equal(file_text(&f, "bytes", 1), "z");
    assert_null(file_text(&f, "nothing", 0));
    array_file_free(&f);
    uint32_t surrogate = 0xd800;
    make_npy(&npy, 1, "{'descr': '<U1', 'fortran_order': False, 'shape': ()}", &surrogate, 4);
    assert_refused(npy.data, npy.size, "code point");
}

static void zip64(void **state) {
    (void)state;
    Blob npy, zip;
    ArrayFile f;
    make_npy(&npy, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "01234567", 8);
    Member members[] = {{"a.npy", npy.data, npy.size}, {"b.npy", npy.data, npy.size}};
    for (int wide = 0; wide < 2; wide++) {
        make_zip(&zip, members, 2, wide);
        must(load(zip.data, zip.size, &f));
        assert_int_equal(f.count, 2);
        assert_memory_equal(f.array[1].data, "01234567", 8);
        array_file_free(&f);
        zip.data[30 + 5 + npy.size - 1] ^= 1; /* the last byte of a.npy */
        assert_refused(zip.data, zip.size, "CRC-32");
    }
    members[1].name = "a.npy";
    make_zip(&zip, members, 2, false);
    assert_refused(zip.data, zip.size, "two entries");
    members[1].name = "b.txt";
    make_zip(&zip, members, 2, false);
    assert_refused(zip.data, zip.size, "'b.txt'");
}

/* ---- safetensors ---- */

static void safetensors_round_trip(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Array all[SAMPLES];
    struct ArrayMeta meta[] = {{"net", "yolox_s"}, {"input", "RGB \u00b1 \"quoted\""}, {"", ""}};
    make_samples(arena, all);
    ArrayFile out = {.array = all, .count = SAMPLES, .meta = meta, .meta_count = 3}, f;
    const char *path = support_in_folder("round.safetensors");
    must(file_write_safetensors(path, &out));
    must(file_load(path, &f));
    assert_string_equal(f.kind, "safetensors");
    assert_int_equal(f.count, SAMPLES);
    for (int i = 0; i < SAMPLES; i++) assert_same(&f.array[i], &all[i]);
    assert_int_equal(f.meta_count, 3);
    for (int i = 0; i < 3; i++) assert_string_equal(array_meta(&f, meta[i].key), meta[i].value);
    array_file_free(&f);

    int before = entries_in_folder();
    all[1].name = all[0].name;
    assert_int_equal(file_write_safetensors(path, &out), ERR_INPUT);
    all[1].name = "\xff";
    assert_int_equal(file_write_safetensors(path, &out), ERR_INPUT);
    assert_int_equal(entries_in_folder(), before);
    arena_free(arena);
}

static void make_safetensors(Blob *b, const char *header, size_t size) {
    b->size = 0;
    put_number(b, strlen(header), 8), put(b, header, strlen(header));
    for (size_t i = 0; i < size; i++) put_number(b, i, 1);
}

static void safetensors_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *part;
    } BAD[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "bytes of data"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", "lie in the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "lie in the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", "lie in the file"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "no tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "size -2"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", "shape"},
        {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]}}", "'F8_E4M3'"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", "number type"},
        {"{\"a\":[]}", "number type"},
        {"{\"__metadata__\":{\"x\":1}}", "no text"},
        {"{\"__metadata__\":7}", "no object"},
        {"{\"a\":", "JSON"},
        {"{\"a\":1,\"a\":1}", "JSON"},
    };
    Blob b;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        make_safetensors(&b, BAD[i].header, 8);
        assert_refused(b.data, b.size, BAD[i].part);
    }
    b.data[0] = b.data[1] = 0xff;
    assert_refused(b.data, b.size, "cut or larger");
    ArrayFile f;
    make_safetensors(&b, "{\"a\":{\"dtype\":\"I16\",\"shape\":[2,2],\"data_offsets\":[0,8]}}", 8);
    must(load(b.data, b.size, &f));
    assert_int_equal(f.array[0].dtype, I32);
    assert_true(array_get(f.array, 3) == 0x0706);
    array_file_free(&f);
}

/* ---- pickles ---- */

static void body_containers(void **state) {
    (void)state;
    static const char *const FILES[] = {"body_deflate.npz", "body_py2_chumpy.pkl",
                                        "body_py2_protocol0_noposedirs.pkl", "body_py3_p4.pkl"};
    static const char *const FIELDS[] = {"v_template", "shapedirs",     "posedirs", "J_regressor",
                                         "weights",    "kintree_table", "f"};
    ArrayFile want = support_arrays("fixtures_body/smpl/body_stored.npz");
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        char relative[256];
        snprintf(relative, sizeof relative, "fixtures_body/smpl/%s", FILES[i]);
        ArrayFile got = support_arrays(relative);
        bool no_pose = strstr(FILES[i], "noposedirs");
        for (size_t k = 0; k < sizeof FIELDS / sizeof *FIELDS; k++) {
            const Array *a = array_find(&got, FIELDS[k]), *b = support_array(&want, FIELDS[k]);
            if (no_pose && !strcmp(FIELDS[k], "posedirs")) {
                assert_null(a);
                continue;
            }
            if (!a) fail_msg("%s has no %s", FILES[i], FIELDS[k]);
            assert_string_equal(array_shape_text(a), array_shape_text(b));
            for (size_t n = 0; n < array_size(a); n++)
                if (array_get(a, n) != array_get(b, n))
                    fail_msg("%s: %s[%zu] is %.9g, not %.9g", FILES[i], FIELDS[k], n,
                             array_get(a, n), array_get(b, n));
        }
        array_file_free(&got);
    }
    array_file_free(&want);
}

/* The pickle says what the JSON says; arrays stand there as {"array": nested lists, ...}. */
static void assert_same_tree(const PickleValue *v, const json_t *want) {
    size_t i;
    const char *key;
    json_t *child;
    double number;
    assert_non_null(v);
    const json_t *array = json_object_get(want, "array");
    if (array) {
        enum { MOST = 1024 };
        double got[MOST];
        int n = pickle_numbers(v, got, MOST), k = 0;
        size_t columns =
            json_is_array(json_array_get(array, 0)) ? json_array_size(json_array_get(array, 0)) : 1;
        assert_int_equal(n, json_array_size(array) * columns);
        for (k = 0; k < n; k++) {
            const json_t *row = json_array_get(array, (size_t)k / columns);
            if (json_is_array(row)) row = json_array_get(row, (size_t)k % columns);
            assert_true(got[k] == json_number_value(row));
        }
    } else if (json_is_object(want)) {
        assert_int_equal(pickle_count(v), json_object_size(want));
        i = 0;
        json_object_foreach((json_t *)(uintptr_t)want, key, child) {
            assert_string_equal(pickle_text(pickle_key(v, i++)), key);
            assert_same_tree(pickle_get(v, key), child);
        }
    } else if (json_is_array(want)) {
        assert_int_equal(pickle_count(v), json_array_size(want));
        json_array_foreach(want, i, child) assert_same_tree(pickle_item(v, i), child);
    } else if (json_is_string(want)) {
        assert_string_equal(pickle_text(v), json_string_value(want));
    } else if (json_is_null(want)) {
        assert_int_equal(v->kind, PICKLE_NONE);
    } else {
        assert_true(pickle_number(v, &number) && number == json_number_value(want));
    }
}

static void sample_pickles(void **state) {
    (void)state;
    static const char *const NAMES[] = {"gigacrowd_test", "person_params"};
    for (int i = 0; i < 2; i++) {
        char relative[256];
        Pickle pickle;
        snprintf(relative, sizeof relative, "fixtures_body/formats/%s_content.json", NAMES[i]);
        json_t *want = support_json(relative);
        snprintf(relative, sizeof relative, "fixtures_body/formats/%s.pkl", NAMES[i]);
        must(pickle_load(support_fixture(relative), &pickle));
        assert_same_tree(&pickle.root, want);
        pickle_free(&pickle);
        json_decref(want);
    }
}

static void data_set_text(void **state) {
    (void)state;
    ArrayFile f = support_arrays("fixtures_body/formats/h36m_train.npz");
    const Array *scale = support_array(&f, "scale");
    for (size_t i = 0; i < array_size(scale); i++) {
        const char *name = file_text(&f, "imgname", i);
        assert_non_null(name);
        assert_memory_equal(name, "images/S", 8);
        assert_string_equal(name + strlen(name) - 4, ".jpg");
    }
    assert_null(file_text(&f, "imgname", array_size(scale)));
    assert_null(file_text(&f, "scale", 0));
    array_file_free(&f);
}

static Status run(const char *code, size_t size, Pickle *out) {
    return pickle_load_memory("memory", code, size, out);
}
#define RUN(code, out) run(code, sizeof(code) - 1, out)

static void pickle_values(void **state) {
    (void)state;
    Pickle p;
    double number, many[8];
    must(RUN(
        "(dp0\nS'a\\x41\\n'\np1\nL-12L\nsVk\\u00e9\nF2.5\nsI01\nNsI5\n(I1\n(lp2\nI2\naI3\natp3\ns.",
        &p));
    assert_int_equal(pickle_count(&p.root), 4);
    assert_true(pickle_number(pickle_get(&p.root, "aA\n"), &number) && number == -12);
    assert_true(pickle_number(pickle_get(&p.root, "k\u00e9"), &number) && number == 2.5);
    assert_int_equal(pickle_numbers(pickle_item(&p.root, 3), many, 8), 3);
    assert_true(many[0] == 1 && many[1] == 2 && many[2] == 3);
    assert_int_equal(pickle_numbers(pickle_item(&p.root, 3), many, 2), -1);
    assert_null(pickle_get(&p.root, "absent"));
    assert_null(pickle_get(pickle_item(&p.root, 0), "a"));
    assert_null(pickle_item(NULL, 0));
    assert_null(pickle_text(pickle_item(&p.root, 9)));
    pickle_free(&p);

    must(RUN("\x80\2]q\0(K\1M\0\1J\xff\xff\xff\xff\x8a\1\xfe\x8a\x9\0\0\0\0\0\0\0\0\1"
             "G?\xf0\0\0\0\0\0\0e.",
             &p));
    static const double WANT[] = {1, 256, -1, -2};
    for (size_t i = 0; i < 4; i++)
        assert_true(pickle_number(pickle_item(&p.root, i), &number) && number == WANT[i]);
    assert_int_equal(pickle_item(&p.root, 4)->kind, PICKLE_BIG);
    assert_true(pickle_number(pickle_item(&p.root, 5), &number) && number == 1);
    pickle_free(&p);

    must(RUN("\x80\4}(\x8c\1xK\1C\1xK\2\x8c\1yK\3\x8c\1xK\4u.", &p)); /* x three times */
    assert_int_equal(pickle_count(&p.root), 2);
    assert_string_equal(pickle_text(pickle_key(&p.root, 0)), "x");
    assert_true(pickle_number(pickle_get(&p.root, "x"), &number) && number == 4);
    assert_true(pickle_number(pickle_get(&p.root, "y"), &number) && number == 3);
    pickle_free(&p);
}

static void pickle_refused(void **state) {
    (void)state;
    static const struct {
        const char *code;
        size_t size;
        const char *part;
    } BAD[] = {
#define CASE(code, part) {code, sizeof(code) - 1, part}
        CASE("cos\nsystem\n(S'true'\ntR.", "'system' of module 'os'"),
        CASE("\x80\4\x8c\xcposix\nsystem\x8c\1x\x93.", "'posix?system'"),
        CASE("(S'ls'\nios\nsystem\n.", "'os' 'system'"),
        CASE("c__builtin__\nlist\n(tR.", "may not be called"),
        CASE("ccollections\nOrderedDict\n(I1\ntR.", "wrong arguments"),
        CASE("(S'a'\nP1\n.", "opcode 0x50"),
        CASE("\x80\2K\1Q.", "persistent id"),
        CASE("}]K\1s.", "cannot be a key"),
        CASE("K\1b.", "empty stack"),
        CASE("K\1K\2b.", "has none"),
        CASE("K\1K\2.", "2 values"),
        CASE("(K\1.", "expected 1"),
        CASE("h\0.", "not defined"),
        CASE("0.", "empty stack"),
        CASE("K\1", "STOP"),
        CASE("K\1.x", "follow"),
        CASE("I1x\n.", "no integer"),
        CASE("S'abc\n.", "quotes"),
        CASE("S'\\q'\n.", "escape"),
        CASE("V\\uzzzz\n.", "escape"),
        CASE("", "STOP"),
        CASE("c_codecs\nencode\n(V\\u4eba\nVlatin1\ntR.", "latin-1"),
        CASE("cnumpy\ndtype\n(S'c8'\nI0\nI1\ntR.", "'c8'"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        Pickle p;
        Status status = run(BAD[i].code, BAD[i].size, &p);
        if (status == OK) fail_msg("case %zu (%s) was loaded", i, BAD[i].part);
        if (!strstr(error_reason(), BAD[i].part))
            fail_msg("case %zu: '%s' is not in '%s'", i, BAD[i].part, error_reason());
        assert_int_equal(status, ERR_INPUT);
        assert_null(p.arena);
    }
}

/* Keys of 4096 bytes are read, longer ones are not, however they come to be keys. */
static void long_keys(void **state) {
    (void)state;
    enum { LONGEST = 4096 };
    static const struct {
        const char *before, *after;
    } AROUND[] = {
        {"}X", "K\1s."},
        {"}(T", "K\1u."},
        {"(B", "K\1d."},
        {"}\x8b", "K\1s."}, /* an integer */
        {"ccollections\nOrderedDict\n(((X", "I1\nlltR."},
        {"((S'storage'\nctorch\nFloatStorage\nX", "S'cpu'\nI1\ntQl."},
    };
    static char key[LONGEST + 1];
    memset(key, 'k', sizeof key);
    for (size_t i = 0; i < sizeof AROUND / sizeof *AROUND; i++)
        for (size_t size = LONGEST; size <= LONGEST + 1; size++) {
            Blob b = {.size = 0};
            Pickle p;
            put(&b, AROUND[i].before, strlen(AROUND[i].before));
            put_number(&b, size, 4), put(&b, key, size);
            put(&b, AROUND[i].after, strlen(AROUND[i].after));
            Status status = pickle_load_memory("memory", b.data, b.size, &p);
            if (size == LONGEST) {
                if (status) fail_msg("case %zu: %s", i, error_reason());
                pickle_free(&p);
                continue;
            }
            assert_int_equal(status, ERR_INPUT);
            assert_non_null(strstr(error_reason(), "a key has 4097 bytes, at most 4096"));
        }
}

#define TENSOR                                                                      \
    "ctorch._utils\n_rebuild_tensor_v2\n((S'storage'\nctorch\nFloatStorage\nS'0'\n" \
    "S'cpu'\nI1\ntQI0\n(I1\nt(I1\nttR"

/* Beside a state dict there may be tensors; a state dict may have a known name in it. */
static void state_dicts_are_found(void **state) {
    (void)state;
    static const struct {
        const char *code, *prefix;
    } CASE[] = {
        {"(dS'epoch'\nI3\nsS'model_state_dict'\n(dS'w'\n" TENSOR "ssS'loss'\n" TENSOR "s.",
         "model_state_dict."},
        {"(dS'w'\n" TENSOR "sS'model'\n(dS'depth'\nI1\nssS'net'\n" TENSOR "s.", ""},
    };
    for (size_t i = 0; i < sizeof CASE / sizeof *CASE; i++) {
        Blob b;
        ArrayFile f;
        const float one = 1;
        make_zip(&b,
                 (Member[]){{"a/data.pkl", CASE[i].code, strlen(CASE[i].code)},
                            {"a/data/0", &one, sizeof one}},
                 2, false);
        must(load(b.data, b.size, &f));
        assert_int_equal(f.count, 2);
        assert_string_equal(file_state_prefix(&f), CASE[i].prefix);
        array_file_free(&f);
    }
}

/* Lists that hold the list below four times, 30 levels: 10^18 paths.  And one that holds itself. */
static void pickle_tangles(void **state) {
    (void)state;
    enum { LEVELS = 30 };
    static const char FIRST[] = "]q\0", LEVEL[] = "0](h\0h\0h\0h\0eq\0";
    Blob b = {.size = 0};
    Pickle p;
    double numbers[4];
    put(&b, FIRST, sizeof FIRST - 1);
    for (int i = 0; i < LEVELS; i++) put(&b, LEVEL, sizeof LEVEL - 1);
    put(&b, ".", 1);
    must(pickle_load_memory("tangle", b.data, b.size, &p));
    assert_int_equal(pickle_count(&p.root), 4);
    assert_int_equal(pickle_numbers(&p.root, numbers, 4), -1);
    pickle_free(&p);
    assert_refused(b.data, b.size, "no arrays");
    must(RUN("]q\0h\0a.", &p));
    assert_int_equal(pickle_numbers(&p.root, numbers, 4), -1);
    pickle_free(&p);
    assert_refused("]q\0h\0a.", 7, "no arrays");
}

/* A sparse matrix of 2 x 3 whose parts are given; its arrays are little-endian int32. */
static void make_sparse(Blob *b, const char *shape, const int32_t indices[2],
                        const int32_t indptr[4]) {
    static const char ARRAY[] =
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\n"
        "tR(I1\n(I%d\ntcnumpy\ndtype\n(S'i4'\nI0\nI1\ntRI00\nC%c";
    static const int32_t DATA[2] = {5, 7};
    const struct {
        const char *key;
        const int32_t *value;
        int count;
    } parts[] = {{"data", DATA, 2}, {"indices", indices, 2}, {"indptr", indptr, 4}};
    char text[512];
    b->size = 0;
    int n = snprintf(text, sizeof text,
                     "(dS'm'\ncscipy.sparse.csc\ncsc_matrix\n)\x81(dS'_shape'\n%ss", shape);
    put(b, text, (size_t)n);
    for (int i = 0; i < 3; i++) {
        n = snprintf(text, sizeof text, "S'%s'\n", parts[i].key);
        put(b, text, (size_t)n);
        n = snprintf(text, sizeof text, ARRAY, parts[i].count, 4 * parts[i].count);
        put(b, text, (size_t)n);
        put(b, parts[i].value, 4 * (size_t)parts[i].count);
        put(b, "tbs", 3);
    }
    put(b, "bs.", 3);
}

static void sparse_matrices(void **state) {
    (void)state;
    static const int32_t INDICES[2] = {1, 0}, INDPTR[4] = {0, 1, 1, 2};
    static const double WANT[] = {0, 0, 7, 5, 0, 0};
    static const char SHAPE[] = "(I2\nI3\nt";
    Blob b;
    ArrayFile f;
    make_sparse(&b, SHAPE, INDICES, INDPTR);
    must(load(b.data, b.size, &f));
    assert_string_equal(f.array[0].name, "m");
    assert_string_equal(array_shape_text(f.array), "[2,3]");
    for (size_t i = 0; i < 6; i++) assert_true(array_get(f.array, i) == WANT[i]);
    array_file_free(&f);
    make_sparse(&b, SHAPE, (const int32_t[]){1, 2}, INDPTR);
    assert_refused(b.data, b.size, "row 2 of 2");
    make_sparse(&b, SHAPE, (const int32_t[]){-1, 0}, INDPTR);
    assert_refused(b.data, b.size, "row -1 of 2");
    make_sparse(&b, SHAPE, INDICES, (const int32_t[]){0, 1, 1, 3});
    assert_refused(b.data, b.size, "column start");
    make_sparse(&b, SHAPE, INDICES, (const int32_t[]){0, 2, 1, 2});
    assert_refused(b.data, b.size, "column start");
    make_sparse(&b, "(I2\nI4\nt", INDICES, INDPTR);
    assert_refused(b.data, b.size, "matching sizes");
    make_sparse(&b, "(L4611686018427387904L\nI3\nt", INDICES, INDPTR);
    assert_refused(b.data, b.size, "60 bits");
    make_sparse(&b, "(L1099511627776L\nI3\nt", INDICES, INDPTR);
    assert_refused(b.data, b.size, "memory");
    make_sparse(&b, "(I2\nt", INDICES, INDPTR);
    assert_refused(b.data, b.size, "shape");
}

/* ---- files as such ---- */

/* A pipe is neither waited for nor replaced, a link is written through. */
static void other_than_files(void **state) {
    (void)state;
    const char *pipe = support_in_folder("pipe"), *link = support_in_folder("link"),
               *target = support_in_folder("target");
    struct stat info;
    Bytes bytes;
    char head[4];
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(file_read(pipe, 10, &bytes), ERR_INPUT);
    assert_int_equal(file_head(pipe, head, sizeof head), 0);
    assert_int_equal(file_write(pipe, "x", 1), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "no regular file"));
    assert_true(!stat(pipe, &info) && S_ISFIFO(info.st_mode));
    must(file_write(target, "old", 3));
    assert_int_equal(symlink(target, link), 0);
    must(file_write(link, "newer", 5));
    assert_true(!lstat(link, &info) && S_ISLNK(info.st_mode));
    assert_int_equal(file_head(target, head, sizeof head), 4);
    assert_memory_equal(head, "newe", 4);
    assert_true(file_is_same(link, target) && !file_is_same(link, pipe));
    assert_int_equal(unlink(target), 0);
    must(file_write(link, "led to nothing", 14));
    assert_true(!lstat(link, &info) && S_ISLNK(info.st_mode) && file_is_same(link, target));
    const char *relative = support_in_folder("relative");
    assert_int_equal(symlink("made", relative), 0);
    must(file_write(relative, "beside the link", 15));
    assert_true(!lstat(relative, &info) && S_ISLNK(info.st_mode));
    assert_true(file_is_same(relative, support_in_folder("made")));
    assert_false(file_is_same(support_in_folder("absent"), support_in_folder("absent")));
}

static void whole_files(void **state) {
    (void)state;
    const char *path = support_in_folder("some/deep/folder/file");
    Bytes bytes;
    must(file_make_folder(support_in_folder("some/deep/folder")));
    must(file_make_folder(support_in_folder("some/deep/folder/")));
    must(file_write(path, "old", 3));
    FileWriter w;
    must(file_begin(path, &w));
    assert_true(fputs("new content", w.stream) >= 0);
    file_abandon(&w);
    must(file_read(path, 3, &bytes));
    assert_int_equal(bytes.size, 3);
    assert_string_equal((char *)bytes.data, "old");
    file_release(&bytes);
    must(file_write(path, "new content", 11));
    assert_int_equal(file_read(path, 10, &bytes), ERR_INPUT);
    assert_int_equal(file_read(support_folder(), 10, &bytes), ERR_INPUT);
    assert_int_equal(file_read("/dev/zero", 10, &bytes), ERR_INPUT);
    assert_int_equal(file_read(support_in_folder("absent"), 10, &bytes), ERR_INPUT);
    assert_int_equal(file_make_folder(support_in_folder("some/deep/folder/file/below")), ERR_INPUT);
    assert_int_equal(file_write(support_in_folder("absent/file"), "x", 1), ERR_INPUT);
    /* A folder is there. */
    assert_int_equal(file_write(support_in_folder("some"), "x", 1), ERR_INPUT);
    struct stat info;
    must(file_write(path, NULL, 0));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 0);
    ArrayFile f;
    assert_int_equal(file_load(path, &f), ERR_MODEL);
    assert_int_equal(file_load(support_in_folder("absent"), &f), ERR_MODEL);
    assert_int_equal(file_load(support_folder(), &f), ERR_MODEL);
}

/* ---- damage ---- */

/* Changes, cuts, repeats or inserts bytes, depending on the stream alone. */
static size_t damage(uint8_t *data, size_t size, size_t room, uint64_t stream) {
    uint64_t at = 0;
    size_t steps = 1 + rng_splitmix(stream + at++) % 4;
    for (size_t i = 0; i < steps && size; i++) {
        uint64_t kind = rng_splitmix(stream + at++) % 16;
        size_t where = rng_splitmix(stream + at++) % size;
        uint64_t value = rng_splitmix(stream + at++);
        if (kind < 6) {
            data[where] ^= (uint8_t)(1u << value % 8);
        } else if (kind < 10) {
            data[where] = (uint8_t)value;
        } else if (kind < 12) {
            static const uint64_t EDGE[] = {0,          UINT64_MAX, INT64_MAX,
                                            UINT32_MAX, INT32_MAX,  1ULL << 63};
            size_t bytes = size - where < 8 ? size - where : 8;
            memcpy(data + where, &EDGE[value % 6], bytes);
        } else if (kind == 12) {
            size = where;
        } else if (kind == 13 && size < room) {
            memmove(data + where + 1, data + where, size++ - where);
            data[where] = (uint8_t)(value >> 8);
        } else {
            size_t from = (size_t)(value >> 8) % size, bytes = 1 + value % 32;
            if (bytes > size - where) bytes = size - where;
            if (bytes > size - from) bytes = size - from;
            memmove(data + where, data + from, bytes);
        }
    }
    return size;
}

/* Every number of a loaded file can be read. */
static double read_through(const ArrayFile *f) {
    double sum = 0;
    for (int i = 0; i < f->count; i++)
        for (size_t k = 0; k < array_size(&f->array[i]); k++) sum += array_get(&f->array[i], k);
    return sum;
}

static void try_variant(const char *name, const Blob *b, size_t *loaded) {
    ArrayFile f;
    Status status = load(b->data, b->size, &f);
    if (status == OK) {
        *loaded += read_through(&f) != 0;
        array_file_free(&f);
    } else if (status != ERR_MODEL || strchr(error_reason(), '\n')) {
        fail_msg("%s: status %d, '%s'", name, status, error_reason());
    }
}

enum { VARIANTS = 1000, SEED = 1 };

static void damaged_files(void **state) {
    (void)state;
    static const char *const FILES[] = {
        "fixtures/checkpoints/zip_nested.pth",
        "fixtures/checkpoints/zip_handmade_ok.pth",
        "fixtures/checkpoints/zip_deflated.pth",
        "fixtures/checkpoints/zip_numpy_scalar.pth",
        "fixtures/checkpoints/legacy_nested.pth",
        "fixtures/checkpoints/legacy_handmade_ok.pth",
        "fixtures/checkpoints/legacy_protocol4.pth",
        "fixtures/checkpoints/legacy_noncontiguous.pth",
        "fixtures_body/formats/gigacrowd_test.pkl",
        "fixtures_body/formats/person_params.pkl",
        "fixtures_body/formats/mpii_train.npz",
    };
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        Bytes bytes;
        Blob b;
        size_t loaded = 0;
        must(file_read(support_fixture(FILES[i]), sizeof b.data - 64, &bytes));
        for (uint64_t k = 0; k < VARIANTS; k++) {
            memcpy(b.data, bytes.data, bytes.size);
            b.size = damage(b.data, bytes.size, sizeof b.data, rng_stream(FILES[i], SEED + k));
            try_variant(FILES[i], &b, &loaded);
        }
        print_message("%s: %zu of %d variants load\n", FILES[i], loaded, VARIANTS);
        file_release(&bytes);
    }
}

/* Damage behind a right CRC-32: the pickle of a checkpoint, the header of an npy. */
static void damaged_members(void **state) {
    (void)state;
    static const char *const FILES[] = {
        "fixtures/checkpoints/zip_nested.pth", "fixtures/checkpoints/zip_noncontiguous.pth",
        "fixtures/checkpoints/zip_handmade_ok.pth", "fixtures_body/formats/mpii_train.npz"};
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        Bytes bytes;
        Reader r;
        Zip zip;
        Member members[16] = {{0}};
        size_t loaded = 0;
        Arena *arena = arena_new();
        must(file_read(support_fixture(FILES[i]), 1 << 20, &bytes));
        must(reader_init(&r, arena, (Span){bytes.data, bytes.size}, NULL));
        must(zip_open(&r, &zip));
        int count = zip.count < 16 ? (int)zip.count : 16;
        assert_true(count > 0);
        for (int k = 0; k < count; k++) {
            Span content;
            must(zip_read(&r, &zip.entry[k], &content));
            const ZipEntry *e = &zip.entry[k];
            members[k] = (Member){arena_strndup(arena, (const char *)e->name.data, e->name.size),
                                  content.data, content.size};
        }
        for (uint64_t k = 0; k < VARIANTS; k++) {
            Blob member, b;
            uint64_t stream = rng_stream(FILES[i], SEED + k);
            Member changed[16];
            memcpy(changed, members, sizeof members);
            int which = rng_splitmix(stream) % 4 ? 0 : count - 1;
            size_t head = members[which].size < 4096 ? members[which].size : 4096;
            member.size = 0;
            put(&member, members[which].data, head);
            size_t size = damage(member.data, head, sizeof member.data, stream + 1000);
            changed[which].data = member.data, changed[which].size = size;
            make_zip(&b, changed, count, k % 2);
            try_variant(FILES[i], &b, &loaded);
        }
        print_message("%s: %zu of %d variants load\n", FILES[i], loaded, VARIANTS);
        file_release(&bytes);
        arena_free(arena);
    }
}

static void damaged_safetensors(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Array all[SAMPLES];
    Bytes bytes;
    size_t loaded = 0;
    make_samples(arena, all);
    ArrayFile out = {.array = all, .count = SAMPLES};
    must(file_write_safetensors(support_in_folder("damage.safetensors"), &out));
    must(file_read(support_in_folder("damage.safetensors"), 1 << 15, &bytes));
    for (uint64_t k = 0; k < VARIANTS; k++) {
        Blob b;
        memcpy(b.data, bytes.data, bytes.size);
        b.size = damage(b.data, bytes.size, sizeof b.data, rng_stream("safetensors", SEED + k));
        try_variant("safetensors", &b, &loaded);
    }
    print_message("safetensors: %zu of %d variants load\n", loaded, VARIANTS);
    file_release(&bytes);
    arena_free(arena);
}

/* The text of protocol 0 is too long for many variants: its first and last part, where names are.
 */
static void damaged_bodies(void **state) {
    (void)state;
    static const char *const FILES[] = {"body_py2_chumpy.pkl", "body_py2_protocol0_noposedirs.pkl",
                                        "body_py3_p4.pkl"};
    enum { BODY_VARIANTS = 60 };
    for (size_t i = 0; i < 3; i++) {
        char relative[256];
        Bytes bytes;
        size_t loaded = 0;
        snprintf(relative, sizeof relative, "fixtures_body/smpl/%s", FILES[i]);
        must(file_read(support_fixture(relative), 1 << 26, &bytes));
        uint8_t *copy = malloc(bytes.size);
        assert_non_null(copy);
        for (uint64_t k = 0; k < BODY_VARIANTS; k++) {
            ArrayFile f;
            uint64_t stream = rng_stream(FILES[i], SEED + k);
            memcpy(copy, bytes.data, bytes.size);
            size_t window = bytes.size < 4096 ? bytes.size : 4096;
            size_t size = damage(copy, window, window, stream) == window ? bytes.size : window / 2;
            if (load(copy, size, &f) == OK) {
                loaded += read_through(&f) != 0;
                array_file_free(&f);
            }
        }
        print_message("%s: %zu of %d variants load\n", FILES[i], loaded, BODY_VARIANTS);
        free(copy);
        file_release(&bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npz_round_trip),
        cmocka_unit_test(npy_variants),
        cmocka_unit_test(npy_refused),
        cmocka_unit_test(text_arrays),
        cmocka_unit_test(zip64),
        cmocka_unit_test(safetensors_round_trip),
        cmocka_unit_test(safetensors_refused),
        cmocka_unit_test(body_containers),
        cmocka_unit_test(sample_pickles),
        cmocka_unit_test(data_set_text),
        cmocka_unit_test(pickle_values),
        cmocka_unit_test(pickle_refused),
        cmocka_unit_test(long_keys),
        cmocka_unit_test(state_dicts_are_found),
        cmocka_unit_test(pickle_tangles),
        cmocka_unit_test(sparse_matrices),
        cmocka_unit_test(other_than_files),
        cmocka_unit_test(whole_files),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(damaged_members),
        cmocka_unit_test(damaged_safetensors),
        cmocka_unit_test(damaged_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
