#include "tensor/safetensors.h"

#include "tensor/file.h"
#include "tensor/raw.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* Real headers have about 100 bytes per tensor; JSON of this size parses to some 500 MiB at worst.
 */
enum { LENGTH_SIZE = 8, HEADER_MAX = 16 << 20, ALIGN = 8 };

static const char METADATA[] = "__metadata__";

static const struct {
    const char *name;
    RawType type;
} TYPE[] = {
    {"F32", RAW_F32}, {"F64", RAW_F64}, {"F16", RAW_F16}, {"BF16", RAW_BF16}, {"I64", RAW_I64},
    {"I32", RAW_I32}, {"I16", RAW_I16}, {"I8", RAW_I8},   {"U8", RAW_U8},     {"BOOL", RAW_U8},
    {"U16", RAW_U16}, {"U32", RAW_U32}, {"U64", RAW_U64},
};

bool safetensors_is(Span file) {
    return file.size > LENGTH_SIZE && file.data[LENGTH_SIZE] == '{' &&
           reader_u64(file.data) <= UINT32_MAX;
}

/* ---- reading ---- */

typedef struct {
    int64_t begin, end;
} Range;

static Status find_type(const char *name, RawType *out) {
    for (size_t i = 0; name && i < sizeof TYPE / sizeof *TYPE; i++)
        if (!strcmp(name, TYPE[i].name)) return *out = TYPE[i].type, OK;
    return fail(ERR_MODEL, "number type %s is not read",
                name ? reader_quote(name, strlen(name)) : "(none)");
}

/* A list of integers out of the header; false if it is anything else. */
static bool read_integers(const json_t *list, size_t at_most, int64_t *out) {
    if (!json_is_array(list) || json_array_size(list) > at_most) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *number = json_array_get(list, i);
        if (!json_is_integer(number)) return false;
        out[i] = json_integer_value(number);
    }
    return true;
}

static Status load_tensor(Reader *r, const char *name, const json_t *entry, Span data,
                          Range *range) {
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    int64_t offset[2] = {0};
    size_t count = 0;
    RawView v = {0};
    TRY(find_type(json_string_value(json_object_get(entry, "dtype")), &v.type));
    if (!read_integers(shape, ARRAY_DIMS, v.dim))
        return fail(ERR_MODEL, "the shape is no list of up to %d integers", ARRAY_DIMS);
    if (!read_integers(offsets, 2, offset) || json_array_size(offsets) != 2 || offset[0] < 0 ||
        offset[1] < offset[0] || (uint64_t)offset[1] > data.size)
        return fail(ERR_MODEL, "the data offsets do not lie in the file");
    v.dims = (int)json_array_size(shape);
    v.bytes = (Span){data.data + offset[0], (size_t)(offset[1] - offset[0])};
    TRY(raw_count(v.dims, v.dim, &count));
    if (count * raw_size(v.type) != v.bytes.size)
        return fail(ERR_MODEL, "%zu elements of %zu bytes have %zu bytes of data", count,
                    raw_size(v.type), v.bytes.size);
    Array array = {0};
    TRY(raw_dense(&v, false));
    TRY(raw_load(r, &v, &array));
    *range = (Range){offset[0], offset[1]};
    return reader_add(r, arena_strdup(r->arena, name), array, false);
}

static Status load_metadata(Reader *r, json_t *metadata) {
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return fail(ERR_MODEL, "metadata %s is no text", reader_quote(key, strlen(key)));
        TRY(reader_add_meta(r, arena_strdup(r->arena, key),
                            arena_strdup(r->arena, json_string_value(value))));
    }
    return json_is_object(metadata) ? OK : fail(ERR_MODEL, "the metadata is no object");
}

static int compare_ranges(const void *a, const void *b) {
    const Range *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The format wants every byte to belong to exactly one tensor. */
static Status check_cover(Range *range, size_t count, size_t size) {
    int64_t at = 0;
    qsort(range, count, sizeof *range, compare_ranges);
    for (size_t i = 0; i < count; at = range[i++].end)
        if (range[i].begin != at) return fail(ERR_MODEL, "tensors overlap or leave a gap");
    return (size_t)at == size ? OK
                              : fail(ERR_MODEL, "%zu bytes belong to no tensor", size - (size_t)at);
}

static Status load_entries(Reader *r, json_t *header, Span data) {
    const char *key;
    json_t *value;
    size_t count = 0;
    Range *range = reader_alloc(r, json_object_size(header), sizeof *range);
    if (!range) return r->status;
    json_object_foreach(header, key, value) {
        if (!strcmp(key, METADATA)) {
            TRY(load_metadata(r, value));
            continue;
        }
        Status status = load_tensor(r, key, value, data, &range[count++]);
        if (status) return error_prefix(status, "%s", reader_quote(key, strlen(key)));
    }
    return check_cover(range, count, data.size);
}

Status safetensors_load(Reader *r) {
    Span data = r->file, length = {0}, text = {0};
    r->out->kind = "safetensors";
    if (!reader_take(&data, LENGTH_SIZE, &length)) return fail(ERR_MODEL, "is cut");
    uint64_t size = reader_u64(length.data);
    if (size > HEADER_MAX || !reader_take(&data, size, &text))
        return fail(ERR_MODEL, "a header of %llu bytes is cut or larger than %d",
                    (unsigned long long)size, HEADER_MAX);
    json_error_t error;
    json_t *header = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (!header)
        return fail(ERR_MODEL, "the header is no JSON at byte %d: %s", error.position,
                    reader_quote(error.text, strlen(error.text)));
    Status status = json_is_object(header) ? load_entries(r, header, data)
                                           : fail(ERR_MODEL, "the header is no JSON object");
    json_decref(header);
    return status;
}

/* ---- writing ---- */

static const char *type_name(Dtype dtype) {
    static const char *const NAME[DTYPE_COUNT] = {
        [F32] = "F32", [F64] = "F64", [F16] = "F16", [BF16] = "BF16",
        [I32] = "I32", [I64] = "I64", [U8] = "U8",
    };
    return NAME[dtype];
}

static size_t byte_count(const Array *a) { return array_size(a) * dtype_size(a->dtype); }

/* The new value belongs to object; false when it has the key already or either text is no UTF-8. */
static bool set_new(json_t *object, const char *key, json_t *value) {
    if (!value || json_object_get(object, key)) {
        json_decref(value);
        return false;
    }
    return !json_object_set_new(object, key, value);
}

static json_t *describe(const Array *a, json_int_t begin) {
    json_t *shape = json_array();
    json_int_t end = begin + (json_int_t)byte_count(a);
    for (int i = 0; i < a->dims; i++) json_array_append_new(shape, json_integer(a->dim[i]));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", type_name(a->dtype), "shape", shape,
                     "data_offsets", begin, end);
}

static Status fill_header(json_t *header, const ArrayFile *f) {
    json_t *metadata = json_object();
    json_object_set_new(header, METADATA, metadata);
    for (int i = 0; i < f->meta_count; i++)
        if (!set_new(metadata, f->meta[i].key, json_string(f->meta[i].value)))
            return fail(ERR_INPUT, "metadata %s is there twice or is no UTF-8",
                        reader_quote(f->meta[i].key, strlen(f->meta[i].key)));
    json_int_t offset = 0;
    for (int i = 0; i < f->count; i++) {
        const Array *a = &f->array[i];
        if (!set_new(header, a->name, describe(a, offset)))
            return fail(ERR_INPUT, "array %s is there twice or its name is no UTF-8",
                        reader_quote(a->name, strlen(a->name)));
        offset += (json_int_t)byte_count(a);
    }
    return OK;
}

/* Spaces behind the header let the numbers begin at a multiple of 8 bytes. */
static bool write_all(FILE *out, const char *header, const ArrayFile *f) {
    size_t length = strlen(header), size = (length + ALIGN - 1) / ALIGN * ALIGN;
    uint64_t size64 = size;
    bool good = fwrite(&size64, LENGTH_SIZE, 1, out) == 1 && fputs(header, out) >= 0;
    for (size_t i = length; i < size; i++) good = fputc(' ', out) != EOF && good;
    for (int i = 0; good && i < f->count; i++) {
        size_t bytes = byte_count(&f->array[i]);
        good = !bytes || fwrite(f->array[i].data, bytes, 1, out) == 1;
    }
    return good;
}

static Status write_file(const char *path, const ArrayFile *f, const char *header) {
    FileWriter w;
    TRY(file_begin(path, &w));
    if (write_all(w.stream, header, f)) return file_commit(&w);
    file_abandon(&w);
    return fail(ERR_INPUT, "%s: cannot write, is the disk full?", path);
}

Status safetensors_write(const char *path, const ArrayFile *f) {
    json_t *header = json_object();
    Status status = fill_header(header, f);
    char *text = status ? NULL : json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (status) return error_prefix(status, "%s", path);
    CHECK(text, "out of memory");
    status = write_file(path, f, text);
    free(text);
    return status;
}
