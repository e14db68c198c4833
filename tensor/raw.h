/* Raw: numbers as a file stores them, and the one place that turns them into an Array.
 *
 *     RawView v = {.type = RAW_F32, .bytes = storage, .dims = 2, .dim = {8, 6}, .stride = {1, 8}};
 *     TRY(raw_load(r, &v, &array));       // row-major, native byte order
 *
 * Types that the engine has not are widened without loss: i8, i16, u16 -> I32; u32, u64 -> I64.
 */
#ifndef TENSOR_RAW_H
#define TENSOR_RAW_H

#include "tensor/reader.h"

typedef enum {
    RAW_F32,
    RAW_F64,
    RAW_F16,
    RAW_BF16,
    RAW_I8,
    RAW_I16,
    RAW_I32,
    RAW_I64,
    RAW_U8, /* bool too */
    RAW_U16,
    RAW_U32,
    RAW_U64,
    RAW_TYPE_COUNT
} RawType;

typedef struct {
    RawType type;
    bool big_endian;
    Span bytes;
    int64_t offset; /* of the first element, in elements */
    int dims;
    int64_t dim[ARRAY_DIMS], stride[ARRAY_DIMS]; /* in elements */
} RawView;

size_t raw_size(RawType type);

/* The number of elements; fails on a negative size and where the product leaves 64 bits. */
Status raw_count(int dims, const int64_t *dim, size_t *out);

/* Sets the strides of a dense array, last size fastest, or first size fastest (fortran). */
Status raw_dense(RawView *v, bool fortran);

/* Checks that every element lies inside bytes, then points out->data there if the bytes are right
 * as they are, or at a converted copy.  out->name stays. */
Status raw_load(Reader *r, const RawView *v, Array *out);

#endif
