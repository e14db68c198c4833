#include "tensor/npy.h"

#include "tensor/raw.h"

#include <stdio.h>

enum { MAGIC_SIZE = 6, ALIGN = 64, HEADER_MAX = 1 << 16, TYPE_SIZE_MAX = 1 << 20 };

static const char MAGIC[] = "\x93NUMPY";

/* ---- types and their elements ---- */

static const struct {
    size_t size;
    RawType raw;
    char kind;
} NUMBER[] = {
    {4, RAW_F32, 'f'}, {8, RAW_F64, 'f'}, {2, RAW_F16, 'f'}, {1, RAW_I8, 'i'},
    {2, RAW_I16, 'i'}, {4, RAW_I32, 'i'}, {8, RAW_I64, 'i'}, {1, RAW_U8, 'u'},
    {2, RAW_U16, 'u'}, {4, RAW_U32, 'u'}, {8, RAW_U64, 'u'}, {1, RAW_U8, 'b'},
};

static Status unknown_type(const void *text, size_t size) {
    return fail(ERR_MODEL, "number type %s is not read, expected f2 f4 f8 i1-i8 u1-u8 b1 U S",
                reader_quote(text, size));
}

Status npy_type(const void *text, size_t size, NpyType *out) {
    const char *p = text, *end = p + size;
    *out = (NpyType){0};
    if (p < end && *p && strchr("<>=|", *p)) out->big_endian = *p++ == '>';
    if (p == end || !*p || !strchr("fiubUSO?", *p)) return unknown_type(text, size);
    out->kind = *p++;
    for (; p < end && *p >= '0' && *p <= '9' && out->size < TYPE_SIZE_MAX; p++)
        out->size = out->size * 10 + (size_t)(*p - '0');
    if (p != end) return unknown_type(text, size);
    if (out->kind == '?') out->kind = 'b', out->size = 1;
    if (out->kind == 'U') out->size *= 4;
    if (out->kind == 'O' || (out->size && strchr("US", out->kind))) return OK;
    for (size_t i = 0; i < sizeof NUMBER / sizeof *NUMBER; i++)
        if (NUMBER[i].kind == out->kind && NUMBER[i].size == out->size) return OK;
    return unknown_type(text, size);
}

static RawType raw_type(NpyType type) {
    for (size_t i = 0; i < sizeof NUMBER / sizeof *NUMBER; i++)
        if (NUMBER[i].kind == type.kind && NUMBER[i].size == type.size) return NUMBER[i].raw;
    CHECK(false, "type %c%zu", type.kind, type.size);
}

size_t npy_utf8(uint32_t c, char *out) {
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    if (c < 0x80) return out[0] = (char)c, 1;
    size_t extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t LEAD[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(LEAD[extra] | c >> 6 * extra);
    for (size_t i = 1; i <= extra; i++) out[i] = (char)(0x80 | (c >> 6 * (extra - i) & 0x3f));
    return 1 + extra;
}

/* One element, cut at its zero padding; `S` bytes are taken as they are. */
static Status text_element(NpyType type, const uint8_t *p, char *out, size_t *length) {
    size_t used = 0;
    for (size_t i = 0; i < type.size; i += type.kind == 'U' ? 4 : 1) {
        uint32_t c = p[i];
        if (type.kind == 'U') c = reader_u32(p + i);
        if (type.kind == 'U' && type.big_endian) c = __builtin_bswap32(c);
        if (!c) break;
        size_t more = 1;
        if (type.kind == 'S')
            out[used] = (char)c;
        else if (!(more = npy_utf8(c, out + used)))
            return fail(ERR_MODEL, "a text element holds the code point 0x%x, which is none", c);
        used += more;
    }
    out[used] = 0;
    *length = used;
    return OK;
}

/* Rows are as long as the longest element, hence two passes. */
static Status text_array(Reader *r, NpyType type, size_t count, Span bytes, Array *out) {
    char *element = reader_alloc(r, type.size + 1, 1);
    size_t longest = 0, length = 0;
    if (!element) return r->status;
    for (size_t i = 0; i < count; i++) {
        TRY(text_element(type, bytes.data + i * type.size, element, &length));
        if (length > longest) longest = length;
    }
    size_t row = longest + 1;
    char *data = reader_alloc(r, count, row);
    if (!data) return r->status;
    for (size_t i = 0; i < count; i++) {
        TRY(text_element(type, bytes.data + i * type.size, element, &length));
        memcpy(data + i * row, element, length);
    }
    out->dtype = U8;
    out->dim[out->dims++] = (int64_t)row;
    out->data = data;
    return OK;
}

Status npy_array(Reader *r, NpyType type, bool fortran, int dims, const int64_t *dim, Span bytes,
                 Array *out, bool *text) {
    size_t count, held;
    TRY(raw_count(dims, dim, &count));
    *text = type.kind == 'U' || type.kind == 'S';
    if (type.kind == 'O') return fail(ERR_MODEL, "an array of Python objects is not read");
    if (__builtin_mul_overflow(count, type.size, &held) || held != bytes.size)
        return fail(ERR_MODEL, "an array of %zu elements of %zu bytes has %zu bytes of data", count,
                    type.size, bytes.size);
    *out = (Array){.dims = dims};
    memcpy(out->dim, dim, (size_t)dims * sizeof *dim);
    if (*text) {
        if (dims == ARRAY_DIMS || (fortran && dims > 1))
            return fail(ERR_MODEL, "a text array has %d sizes or Fortran order", dims);
        return text_array(r, type, count, bytes, out);
    }
    RawView v = {
        .type = raw_type(type), .big_endian = type.big_endian, .bytes = bytes, .dims = dims};
    memcpy(v.dim, dim, (size_t)dims * sizeof *dim);
    TRY(raw_dense(&v, fortran));
    return raw_load(r, &v, out);
}

/* ---- the header: a Python dict literal of three fields ---- */

typedef struct {
    NpyType type;
    bool fortran;
    int dims;
    int64_t dim[ARRAY_DIMS];
} Header;

static void skip_space(Span *s) {
    while (s->size && strchr(" \t\r\n", *s->data) && *s->data) s->data++, s->size--;
}

static bool accept(Span *s, const char *word) {
    skip_space(s);
    Span found, before = *s;
    if (reader_take(s, strlen(word), &found) && reader_equal(found, word)) return true;
    *s = before;
    return false;
}

static Status bad_header(Span rest) {
    return fail(ERR_MODEL, "damaged npy header at %s",
                reader_quote(rest.data, rest.size < 16 ? rest.size : 16));
}

static Status read_string(Span *s, Span *out) {
    if (!accept(s, "'")) return bad_header(*s);
    const uint8_t *end = memchr(s->data, '\'', s->size);
    if (!end) return bad_header(*s);
    reader_take(s, (uint64_t)(end - s->data), out);
    return accept(s, "'") ? OK : bad_header(*s);
}

static Status read_size(Span *s, int64_t *out) {
    skip_space(s);
    Span start = *s;
    *out = 0;
    for (; s->size && *s->data >= '0' && *s->data <= '9'; s->data++, s->size--)
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, *s->data - '0', out))
            return bad_header(start);
    accept(s, "L"); /* Python 2 wrote long integers so */
    return s->size < start.size ? OK : bad_header(start);
}

static Status read_shape(Span *s, Header *h) {
    if (!accept(s, "(")) return bad_header(*s);
    for (h->dims = 0; !accept(s, ")");) {
        if (h->dims == ARRAY_DIMS)
            return fail(ERR_MODEL, "an array has more than %d sizes", ARRAY_DIMS);
        TRY(read_size(s, &h->dim[h->dims++]));
        if (accept(s, ",")) continue;
        return accept(s, ")") ? OK : bad_header(*s);
    }
    return OK;
}

static Status read_field(Span *s, Header *h, unsigned *seen) {
    enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
    Span key = {0}, descr = {0};
    TRY(read_string(s, &key));
    if (!accept(s, ":")) return bad_header(*s);
    if (reader_equal(key, "descr")) {
        *seen |= DESCR;
        if (accept(s, "[")) return fail(ERR_MODEL, "structured arrays are not read");
        TRY(read_string(s, &descr));
        return npy_type(descr.data, descr.size, &h->type);
    }
    if (reader_equal(key, "fortran_order")) {
        *seen |= ORDER;
        h->fortran = accept(s, "True");
        return h->fortran || accept(s, "False") ? OK : bad_header(*s);
    }
    if (!reader_equal(key, "shape")) return bad_header(key);
    *seen |= SHAPE;
    return read_shape(s, h);
}

static Status read_header(Span *bytes, Header *h) {
    enum { ALL_FIELDS = 7 };
    Span prefix, length, text;
    *h = (Header){0};
    if (!reader_take(bytes, MAGIC_SIZE + 2, &prefix) || memcmp(prefix.data, MAGIC, MAGIC_SIZE))
        return fail(ERR_MODEL, "not an npy array: the magic bytes are missing");
    int version = prefix.data[MAGIC_SIZE];
    if (version < 1 || version > 3)
        return fail(ERR_MODEL, "npy format version %d, expected 1 to 3", version);
    if (!reader_take(bytes, version == 1 ? 2 : 4, &length))
        return fail(ERR_MODEL, "an npy header is cut");
    uint32_t size = version == 1 ? reader_u16(length.data) : reader_u32(length.data);
    if (size > HEADER_MAX || !reader_take(bytes, size, &text))
        return fail(ERR_MODEL, "an npy header of %u bytes is cut or longer than %d", size,
                    HEADER_MAX);
    unsigned seen = 0;
    bool more = accept(&text, "{");
    if (!more) return bad_header(text);
    while (more && !accept(&text, "}")) {
        TRY(read_field(&text, h, &seen));
        more = accept(&text, ",");
        if (!more && !accept(&text, "}")) return bad_header(text);
    }
    return seen == ALL_FIELDS ? OK : fail(ERR_MODEL, "an npy header lacks a field");
}

static Status load_array(Reader *r, Span bytes, const char *name) {
    Header h;
    TRY(read_header(&bytes, &h));
    if (h.type.kind == 'O')
        return reader_add_meta(r, arena_printf(r->arena, "skipped:%s", name), "Python objects");
    Array array = {0};
    bool text = false;
    TRY(npy_array(r, h.type, h.fortran, h.dims, h.dim, bytes, &array, &text));
    return reader_add(r, name, array, text);
}

Status npy_load(Reader *r) {
    r->out->kind = "npy";
    TRY(load_array(r, r->file, ""));
    return r->out->count ? OK : fail(ERR_MODEL, "an array of Python objects is not read");
}

Status npy_load_zip(Reader *r, const Zip *zip) {
    static const char SUFFIX[] = ".npy";
    enum { SUFFIX_SIZE = sizeof SUFFIX - 1 };
    r->out->kind = "npz";
    for (size_t i = 0; i < zip->count; i++) {
        Span name = zip->entry[i].name, bytes;
        if (name.size < SUFFIX_SIZE || memchr(name.data, 0, name.size) ||
            memcmp(name.data + name.size - SUFFIX_SIZE, SUFFIX, SUFFIX_SIZE))
            return fail(ERR_MODEL, "npz member %s is not an array",
                        reader_quote(name.data, name.size));
        TRY(zip_read(r, &zip->entry[i], &bytes));
        const char *field =
            arena_strndup(r->arena, (const char *)name.data, name.size - SUFFIX_SIZE);
        Status status = load_array(r, bytes, field);
        if (status) return error_prefix(status, "%s", reader_quote(field, strlen(field)));
    }
    return r->out->count ? OK : fail(ERR_MODEL, "the archive holds no arrays");
}

/* ---- writing ---- */

static const char *type_text(Dtype dtype) {
    switch (dtype) {
    case F32: return "<f4";
    case F64: return "<f8";
    case F16: return "<f2";
    case I32: return "<i4";
    case I64: return "<i8";
    case U8: return "|u1";
    case BF16:
    case DTYPE_COUNT: break;
    }
    return NULL;
}

/* Format 1.0: the header's length is a multiple of 64 and it ends in a newline.  text_rows: the
 * last size is the length of a text (`|S`). */
static Status make_header(Arena *arena, const Array *a, bool text_rows, Span *out) {
    enum { PREFIX_SIZE = MAGIC_SIZE + 4 };
    const char *type = type_text(a->dtype), *shape = "";
    int dims = text_rows ? a->dims - 1 : a->dims;
    if (!type) return fail(ERR_INPUT, "npy has no number type %s", dtype_name(a->dtype));
    if (text_rows) type = arena_printf(arena, "|S%lld", (long long)a->dim[dims]);
    for (int i = 0; i < dims; i++)
        shape =
            arena_printf(arena, "%s%lld,%s", shape, (long long)a->dim[i], i + 1 < dims ? " " : "");
    char *text = arena_printf(arena, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                              type, shape);
    size_t length = strlen(text), size = (PREFIX_SIZE + length + ALIGN) / ALIGN * ALIGN;
    uint8_t *header = arena_alloc(arena, size);
    memset(header, ' ', size);
    memcpy(header, MAGIC, MAGIC_SIZE);
    header[MAGIC_SIZE] = 1, header[MAGIC_SIZE + 1] = 0;
    header[MAGIC_SIZE + 2] = (uint8_t)(size - PREFIX_SIZE);
    header[MAGIC_SIZE + 3] = (uint8_t)((size - PREFIX_SIZE) >> 8);
    memcpy(header + PREFIX_SIZE, text, length);
    header[size - 1] = '\n';
    *out = (Span){header, size};
    return OK;
}

static Span array_bytes(const Array *a) {
    return (Span){a->data, array_size(a) * dtype_size(a->dtype)};
}

static Status write_npy(Arena *arena, const char *path, const Array *a) {
    Span header = {0};
    FileWriter w;
    TRY(make_header(arena, a, false, &header));
    TRY(file_begin(path, &w));
    Span body = array_bytes(a);
    if (fwrite(header.data, 1, header.size, w.stream) != header.size ||
        (body.size && fwrite(body.data, 1, body.size, w.stream) != body.size)) {
        file_abandon(&w);
        return fail(ERR_INPUT, "%s: cannot write, is the disk full?", path);
    }
    return file_commit(&w);
}

Status npy_write(const char *path, const Array *a) {
    Arena *arena = arena_new();
    Status status = write_npy(arena, path, a);
    arena_free(arena);
    return status;
}

static Status add_arrays(ZipWriter *w, Arena *arena, const Array *arrays, int count, int texts) {
    for (int i = 0; i < count; i++) {
        Span header = {0};
        const char *name = arena_printf(arena, "%s.npy", arrays[i].name);
        TRY(make_header(arena, &arrays[i], i < texts, &header));
        TRY(zip_add(w, name, header, array_bytes(&arrays[i])));
    }
    return OK;
}

Status npy_write_zip(const char *path, const Array *arrays, int count, int texts) {
    ZipWriter w;
    TRY(zip_begin(path, &w));
    Arena *arena = arena_new();
    Status status = add_arrays(&w, arena, arrays, count, texts);
    arena_free(arena);
    if (status == OK) return zip_finish(&w);
    zip_abandon(&w);
    return status;
}
