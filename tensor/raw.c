#include "tensor/raw.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files and engine share a byte order");

static const struct {
    size_t size;
    Dtype dtype;
} TYPE[RAW_TYPE_COUNT] = {
    [RAW_F32] = {4, F32}, [RAW_F64] = {8, F64}, [RAW_F16] = {2, F16}, [RAW_BF16] = {2, BF16},
    [RAW_I8] = {1, I32},  [RAW_I16] = {2, I32}, [RAW_I32] = {4, I32}, [RAW_I64] = {8, I64},
    [RAW_U8] = {1, U8},   [RAW_U16] = {2, I32}, [RAW_U32] = {4, I64}, [RAW_U64] = {8, I64},
};

size_t raw_size(RawType type) { return TYPE[type].size; }

Status raw_count(int dims, const int64_t *dim, size_t *out) {
    size_t product = 1;
    bool empty = false;
    for (int i = 0; i < dims; i++) {
        if (dim[i] < 0) return fail(ERR_MODEL, "an array has the size %lld", (long long)dim[i]);
        empty |= !dim[i];
        bool wraps = dim[i] && __builtin_mul_overflow(product, (size_t)dim[i], &product);
        if (wraps || product > INT64_MAX / 8)
            return fail(ERR_MODEL, "an array's sizes multiply to more than 60 bits");
    }
    *out = empty ? 0 : product;
    return OK;
}

Status raw_dense(RawView *v, bool fortran) {
    size_t count;
    TRY(raw_count(v->dims, v->dim, &count));
    int64_t stride = 1;
    for (int k = 0; k < v->dims; k++) {
        int i = fortran ? k : v->dims - 1 - k;
        v->stride[i] = stride;
        if (v->dim[i]) stride *= v->dim[i];
    }
    return OK;
}

static Status check_bounds(const RawView *v, size_t count) {
    int64_t last = v->offset, step;
    bool wrong = last < 0;
    for (int i = 0; i < v->dims; i++) {
        wrong |= v->stride[i] < 0;
        if (!count) continue;
        wrong |= __builtin_mul_overflow(v->dim[i] - 1, v->stride[i], &step) ||
                 __builtin_add_overflow(last, step, &last);
    }
    size_t held = v->bytes.size / raw_size(v->type);
    if (wrong || (count ? (uint64_t)last >= held : (uint64_t)last > held))
        return fail(ERR_MODEL, "an array reaches outside its %zu stored elements", held);
    return OK;
}

static bool is_dense(const RawView *v) {
    int64_t stride = 1;
    for (int i = v->dims - 1; i >= 0; i--) {
        if (v->dim[i] != 1 && v->stride[i] != stride) return false;
        stride *= v->dim[i];
    }
    return true;
}

static bool is_as_wanted(const RawView *v, size_t count) {
    size_t size = raw_size(v->type);
    uintptr_t address = (uintptr_t)v->bytes.data; /* offset counts whole elements */
    bool same_bits = size == dtype_size(TYPE[v->type].dtype) && v->type != RAW_U64;
    return count && same_bits && (size == 1 || !v->big_endian) && address % size == 0 &&
           is_dense(v);
}

static uint64_t fetch(const uint8_t *p, size_t size, bool big_endian) {
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (size) {
    case 1: return *p;
    case 2: memcpy(&two, p, 2); return big_endian ? __builtin_bswap16(two) : two;
    case 4: memcpy(&four, p, 4); return big_endian ? __builtin_bswap32(four) : four;
    default: memcpy(&eight, p, 8); return big_endian ? __builtin_bswap64(eight) : eight;
    }
}

static uint64_t widen(RawType type, uint64_t bits) {
    if (type == RAW_I8) return (uint64_t)(int8_t)bits;
    if (type == RAW_I16) return (uint64_t)(int16_t)bits;
    return bits;
}

static void put(uint8_t *out, size_t size, uint64_t bits) {
    switch (size) { /* little-endian: the low bytes come first */
    case 1: memcpy(out, &bits, 1); break;
    case 2: memcpy(out, &bits, 2); break;
    case 4: memcpy(out, &bits, 4); break;
    default: memcpy(out, &bits, 8); break;
    }
}

/* Visits the elements row-major, an odometer over the sizes; unsigned, since it steps past an edge
 * before it steps back. */
static Status copy(const RawView *v, size_t count, uint8_t *out) {
    size_t from = raw_size(v->type), to = dtype_size(TYPE[v->type].dtype);
    int64_t at[ARRAY_DIMS] = {0};
    uint64_t element = (uint64_t)v->offset;
    for (size_t n = 0; n < count; n++) {
        uint64_t bits = fetch(v->bytes.data + element * from, from, v->big_endian);
        if (v->type == RAW_U64 && bits > INT64_MAX)
            return fail(ERR_MODEL, "an unsigned number is above 2^63, which no array can hold");
        put(out + n * to, to, widen(v->type, bits));
        for (int i = v->dims - 1; i >= 0; i--) {
            element += (uint64_t)v->stride[i];
            if (++at[i] < v->dim[i]) break;
            element -= (uint64_t)v->stride[i] * (uint64_t)v->dim[i];
            at[i] = 0;
        }
    }
    return OK;
}

Status raw_load(Reader *r, const RawView *v, Array *out) {
    size_t count = 0;
    TRY(raw_count(v->dims, v->dim, &count));
    TRY(check_bounds(v, count));
    out->dtype = TYPE[v->type].dtype;
    out->dims = v->dims;
    memcpy(out->dim, v->dim, sizeof out->dim);
    if (is_as_wanted(v, count)) {
        /* The file's bytes are in the arena and writable there; Span only promises not to. */
        out->data = (void *)(uintptr_t)(v->bytes.data + (size_t)v->offset * raw_size(v->type));
        return OK;
    }
    out->data = reader_alloc(r, count, dtype_size(out->dtype));
    return out->data ? copy(v, count, out->data) : r->status;
}
