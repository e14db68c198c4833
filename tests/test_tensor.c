/* Number types, shapes, arenas, errors and random numbers. */
#include "tests/sha256.h"
#include "tests/support.h"

#include "tensor/file.h"
#include "tensor/freememory.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#undef fail /* cmocka's, which hides ours */

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void half_round_trip(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = half_to_float((uint16_t)bits);
        uint16_t back = half_from_float(value);
        if (isnan(value))
            assert_true(isnan(half_to_float(back)));
        else
            assert_int_equal(back, bits);
    }
    assert_true(half_to_float(0x3c00) == 1.0f);
    assert_true(half_to_float(0x7bff) == 65504.0f);
    assert_true(half_to_float(0x0001) == 0x1p-24f);
    assert_true(half_to_float(0xfc00) == -INFINITY);
    assert_true(signbit(half_to_float(0x8000)));
}

/* Between two neighbours the nearer one wins, at the middle the even one. */
static void half_rounding(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 0x7bff; bits++) {
        float low = half_to_float((uint16_t)bits), high = half_to_float((uint16_t)(bits + 1));
        float middle = (low + high) / 2; /* exact: both have 11 bits */
        assert_int_equal(half_from_float(middle), bits + (bits & 1));
        assert_int_equal(half_from_float(nextafterf(middle, 0)), bits);
        assert_int_equal(half_from_float(nextafterf(middle, INFINITY)), bits + 1);
        assert_int_equal(half_from_float(-middle), 0x8000 | (bits + (bits & 1)));
    }
    assert_int_equal(half_from_float(65519.996f), 0x7bff);
    assert_int_equal(half_from_float(65520.0f), 0x7c00);
    assert_int_equal(half_from_float(INFINITY), 0x7c00);
    assert_true(isnan(half_to_float(half_from_float(NAN))));
}

static void bfloat_conversion(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = bfloat_to_float((uint16_t)bits);
        assert_int_equal(bits_of(value), bits << 16);
        if (isnan(value))
            assert_true(isnan(bfloat_to_float(bfloat_from_float(value))));
        else
            assert_int_equal(bfloat_from_float(value), bits);
    }
    for (uint32_t bits = 0; bits < 0x7f80; bits += 7) {
        uint32_t middle = bits << 16 | 0x8000;
        assert_int_equal(bfloat_from_float(float_of(middle)), bits + (bits & 1));
        assert_int_equal(bfloat_from_float(float_of(middle - 1)), bits);
        assert_int_equal(bfloat_from_float(float_of(middle + 1)), bits + 1);
    }
    assert_int_equal(bfloat_from_float(float_of(0x7f7fffff)), 0x7f80);
    assert_true(isnan(bfloat_to_float(bfloat_from_float(float_of(0x7f800001)))));
}

static void arrays(void **state) {
    (void)state;
    double f64[] = {1.5, -2};
    uint16_t f16[] = {0x3e00, 0xc000}, bf16[] = {0x3fc0, 0xc000};
    int32_t i32[] = {7, -2};
    int64_t i64[] = {1LL << 40, -2};
    uint8_t u8[] = {255, 2};
    float f32[] = {1.5f, -2};
    const struct {
        Dtype dtype;
        void *data;
        double first;
    } cases[] = {{F32, f32, 1.5}, {F64, f64, 1.5},    {F16, f16, 1.5}, {BF16, bf16, 1.5},
                 {I32, i32, 7},   {I64, i64, 0x1p40}, {U8, u8, 255}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Array a = {.dtype = cases[i].dtype, .dims = 2, .dim = {2, 1}, .data = cases[i].data};
        float out[2];
        array_to_float(&a, out);
        assert_true(array_get(&a, 0) == cases[i].first && out[0] == (float)cases[i].first);
        assert_true(array_get(&a, 1) == (a.dtype == U8 ? 2 : -2));
    }
    Array scalar = {.dtype = F32, .data = f32}, empty = {.dims = 2, .dim = {0, 3}};
    assert_int_equal(array_size(&scalar), 1);
    assert_int_equal(array_size(&empty), 0);
    assert_string_equal(array_shape_text(&empty), "[0,3]");
    assert_string_equal(array_shape_text(&scalar), "[]");
    assert_string_equal(shape_text((Shape){2, 64, 48, 32}), "[2,64,48,32]");
    assert_int_equal(shape_size((Shape){1 << 20, 1 << 20, 2, 3}), 6ULL << 40);
    assert_true(shape_equal((Shape){1, 2, 3, 4}, (Shape){1, 2, 3, 4}));
    assert_false(shape_equal((Shape){1, 2, 3, 4}, (Shape){1, 2, 3, 5}));
}

static void files_by_name(void **state) {
    (void)state;
    Array a[] = {{.name = "x"}, {.name = ""}, {.name = "x.y"}};
    struct ArrayMeta meta[] = {{"net", "yolox"}};
    ArrayFile f = {.array = a, .count = 3, .meta = meta, .meta_count = 1};
    assert_ptr_equal(array_find(&f, "x.y"), &a[2]);
    assert_ptr_equal(array_find(&f, ""), &a[1]);
    assert_null(array_find(&f, "y"));
    assert_string_equal(array_meta(&f, "net"), "yolox");
    assert_null(array_meta(&f, "licence"));
    array_file_free(&f);
    assert_int_equal(f.count, 0);
}

static void put_text(const char *folder, const char *name, const char *text) {
    char path[FILE_PATH];
    assert_int_equal(file_make_folder(folder), OK);
    assert_int_equal(file_join(folder, name, path), OK);
    assert_int_equal(file_write(path, text, strlen(text)), OK);
}

static size_t memory_left(const char *list) {
    char root[FILE_PATH], path[FILE_PATH];
    assert_int_equal(file_join(support_folder(), "groups", root), OK);
    put_text(root, "list", list);
    assert_int_equal(file_join(root, "list", path), OK);
    return freememory_in_groups(path, root);
}

/* The tightest of a group and those above it, in both versions; what files hold can be had. */
static void memory_of_groups(void **state) {
    (void)state;
    char root[FILE_PATH], a[FILE_PATH], b[FILE_PATH], old[FILE_PATH];
    assert_int_equal(file_join(support_folder(), "groups", root), OK);
    assert_int_equal(file_join(root, "job", a), OK);
    assert_int_equal(file_join(a, "step", b), OK);
    assert_int_equal(file_join(root, "memory/slice", old), OK);
    put_text(a, "memory.max", "1000\n"), put_text(a, "memory.current", "700\n");
    put_text(a, "memory.stat", "anon 5\ninactive_file 150\n");
    put_text(b, "memory.max", "max\n"), put_text(b, "memory.current", "600\n");
    assert_int_equal(memory_left("1:cpu:/x\n0::/job/step\n"), 450);
    assert_int_equal(memory_left("0::/job/absent\n"), 450);
    put_text(b, "memory.max", "610\n");
    assert_int_equal(memory_left("0::/job/step\n"), 10);
    put_text(b, "memory.current", "999\n");
    assert_int_equal(memory_left("0::/job/step\n"), 0);
    assert_true(memory_left("0::/\n") == SIZE_MAX && memory_left("") == SIZE_MAX);
    put_text(old, "memory.limit_in_bytes", "500\n"), put_text(old, "memory.usage_in_bytes", "90\n");
    assert_int_equal(memory_left("4:memory:/slice\n0::/\n"), 410);
    assert_true(freememory() > 0);
}

static void arena(void **state) {
    (void)state;
    Arena *arena = arena_new();
    static const size_t SIZES[] = {0, 1, 63, 64, 65, 1000, 65536, 65537, 1 << 20, 3};
    for (size_t i = 0; i < 500; i++) {
        size_t size = SIZES[i % (sizeof SIZES / sizeof *SIZES)];
        unsigned char *p = arena_alloc(arena, size);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t k = 0; k < size; k++) assert_int_equal(p[k], 0);
        memset(p, 0xff, size);
    }
    assert_null(arena_try_alloc(arena, SIZE_MAX));
    assert_null(arena_try_alloc(arena, SIZE_MAX - 64));
    assert_string_equal(arena_printf(arena, "layer%d.%s", 7, "w"), "layer7.w");
    assert_string_equal(arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(arena_strdup(arena, ""), "");
    arena_free(arena);
    arena_free(NULL);
}

static Status twice(Status status) {
    TRY(status);
    return fail(ERR_INPUT, "second");
}

static void errors(void **state) {
    (void)state;
    assert_int_equal(fail(ERR_MODEL, "%s has %d", "x", 3), ERR_MODEL);
    assert_string_equal(error_reason(), "x has 3");
    assert_int_equal(error_prefix(ERR_MODEL, "file %d", 1), ERR_MODEL);
    assert_string_equal(error_reason(), "file 1: x has 3");
    assert_int_equal(twice(ERR_DEVICE), ERR_DEVICE);
    assert_string_equal(error_reason(), "file 1: x has 3");
    assert_int_equal(twice(OK), ERR_INPUT);
    char *huge = malloc(5000);
    assert_non_null(huge);
    memset(huge, 'a', 4999);
    huge[4999] = 0;
    fail(ERR_INPUT, "%s", huge);
    error_prefix(ERR_INPUT, "%s", huge);
    assert_true(strlen(error_reason()) < 1100);
    free(huge);
    fail(ERR_INPUT, "a\nb\033[m: \303\244");
    error_prefix(ERR_INPUT, "\r");
    assert_string_equal(error_reason(), "?: a?b?[m: \303\244");
    error_clear();
    assert_string_equal(error_reason(), "");
}

static uint64_t hex_field(const json_t *object, const char *key) {
    return strtoull(json_string_value(json_object_get(object, key)), NULL, 16);
}

static void random_vectors(void **state) {
    (void)state;
    json_t *root = support_json("fixtures/rule_vectors.json"), *vector;
    size_t i;
    assert_true(rng_splitmix(0) == hex_field(root, "splitmix64_of_0"));
    assert_true(rng_fnv1a("") == hex_field(root, "fnv1a64_of_empty"));
    assert_true(rng_fnv1a("a") == hex_field(root, "fnv1a64_of_a"));
    json_array_foreach(json_object_get(root, "vectors"), i, vector) {
        const char *key = json_string_value(json_object_get(vector, "key"));
        uint64_t seed = (uint64_t)json_integer_value(json_object_get(vector, "seed"));
        uint64_t index = (uint64_t)json_integer_value(json_object_get(vector, "index"));
        uint64_t stream = rng_stream(key, seed);
        assert_true(rng_fnv1a(key) == hex_field(vector, "fnv1a64"));
        assert_true(stream == hex_field(vector, "h"));
        assert_true(rng_splitmix(stream + index) == hex_field(vector, "z"));
        assert_true(rng_signed(stream, index) == json_number_value(json_object_get(vector, "v")));
    }
    assert_true(i > 0);
    json_decref(root);
}

static void random_normal(void **state) {
    (void)state;
    enum { N = 100000 };
    uint64_t stream = rng_stream("normal", 1);
    double sum = 0, square = 0, fourth = 0;
    for (uint64_t i = 0; i < N; i++) {
        double x = rng_normal(stream, i);
        sum += x, square += x * x, fourth += x * x * x * x;
    }
    assert_true(fabs(sum / N) < 0.02); /* six standard errors */
    assert_true(fabs(square / N - 1) < 0.03);
    assert_true(fabs(fourth / N - 3) < 0.2);
}

/* FIPS 180-4 and the NIST examples. */
static void sha256(void **state) {
    (void)state;
    char hex[SHA256_TEXT];
    sha256_text("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_text("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_round_trip),
        cmocka_unit_test(half_rounding),
        cmocka_unit_test(bfloat_conversion),
        cmocka_unit_test(arrays),
        cmocka_unit_test(files_by_name),
        cmocka_unit_test(arena),
        cmocka_unit_test(memory_of_groups),
        cmocka_unit_test(errors),
        cmocka_unit_test(random_vectors),
        cmocka_unit_test(random_normal),
        cmocka_unit_test(sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
