#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} DTYPE[DTYPE_COUNT] = {
    [F32] = {"f32", 4}, [F64] = {"f64", 8}, [F16] = {"f16", 2}, [BF16] = {"bf16", 2},
    [I32] = {"i32", 4}, [I64] = {"i64", 8}, [U8] = {"u8", 1},
};

size_t dtype_size(Dtype dtype) { return DTYPE[dtype].size; }
const char *dtype_name(Dtype dtype) { return DTYPE[dtype].name; }

static float float_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float half_to_float(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, low = bits & 1023;
    if (exponent == 31) return float_from_bits(sign | 0x7f800000 | low << 13);
    if (exponent) return float_from_bits(sign | (exponent + 112) << 23 | low << 13);
    float subnormal = (float)low * 0x1p-24f;
    return sign ? -subnormal : subnormal;
}

uint16_t half_from_float(float value) {
    uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (rest >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds to 65536 or more */
    if (rest < 0x38800000) { /* subnormal: the addition rounds to multiples of 2^-24 */
        uint32_t shifted = float_bits(float_from_bits(rest) + 0.5f) - float_bits(0.5f);
        return (uint16_t)(sign | shifted);
    }
    uint32_t odd = rest >> 13 & 1;
    return (uint16_t)(sign | (rest - 0x38000000 + 0xfff + odd) >> 13);
}

float bfloat_to_float(uint16_t bits) { return float_from_bits((uint32_t)bits << 16); }

uint16_t bfloat_from_float(float value) {
    uint32_t bits = float_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

size_t shape_size(Shape s) { return (size_t)s.n * (size_t)s.h * (size_t)s.w * (size_t)s.c; }

bool shape_equal(Shape a, Shape b) { return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c; }

static char *text_buffer(size_t *size) {
    static _Thread_local char buffer[8][192];
    static _Thread_local int next;
    *size = sizeof buffer[0];
    return buffer[next++ & 7];
}

const char *shape_text(Shape s) {
    size_t size;
    char *text = text_buffer(&size);
    snprintf(text, size, "[%d,%d,%d,%d]", s.n, s.h, s.w, s.c);
    return text;
}

size_t array_size(const Array *a) {
    size_t size = 1;
    for (int i = 0; i < a->dims; i++) size *= (size_t)a->dim[i];
    return size;
}

double array_get(const Array *a, size_t i) {
    switch (a->dtype) {
    case F32: return ((const float *)a->data)[i];
    case F64: return ((const double *)a->data)[i];
    case F16: return half_to_float(((const uint16_t *)a->data)[i]);
    case BF16: return bfloat_to_float(((const uint16_t *)a->data)[i]);
    case I32: return ((const int32_t *)a->data)[i];
    case I64: return (double)((const int64_t *)a->data)[i];
    case U8: return ((const uint8_t *)a->data)[i];
    case DTYPE_COUNT: break;
    }
    CHECK(false, "dtype %d", a->dtype);
}

void array_to_float(const Array *a, float *out) {
    size_t size = array_size(a);
    if (a->dtype == F32 && size) memcpy(out, a->data, size * sizeof *out);
    if (a->dtype == F32) return;
    for (size_t i = 0; i < size; i++) out[i] = (float)array_get(a, i);
}

const char *array_shape_text(const Array *a) {
    size_t size, used = 0;
    char *text = text_buffer(&size);
    used += (size_t)snprintf(text, size, "[");
    for (int i = 0; i < a->dims; i++)
        used +=
            (size_t)snprintf(text + used, size - used, i ? ",%lld" : "%lld", (long long)a->dim[i]);
    snprintf(text + used, size - used, "]");
    return text;
}

const Array *array_find(const ArrayFile *f, const char *name) {
    for (int i = 0; i < f->count; i++)
        if (!strcmp(f->array[i].name, name)) return &f->array[i];
    return NULL;
}

const char *array_meta(const ArrayFile *f, const char *key) {
    for (int i = 0; i < f->meta_count; i++)
        if (!strcmp(f->meta[i].key, key)) return f->meta[i].value;
    return NULL;
}

void array_file_free(ArrayFile *f) {
    arena_free(f->arena);
    *f = (ArrayFile){0};
}
