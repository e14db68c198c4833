/* Tensor: a shaped place for numbers inside the engine.  Array: a named block of numbers in a file.
 *
 * A Tensor is always contiguous, always four sizes n, h, w, c with c fastest (images are NHWC, conv
 * weights are O,kh,kw,I stored as n,h,w,c; vectors are [1,1,1,c]).  It owns nothing: the Plan or
 * the Params it belongs to own the bytes.  Dtype F32 means the engine's real number: float on
 * backends `cpu` and `cuda`, double on `ref`.
 *
 * An Array has up to ARRAY_DIMS sizes in the file's own order (PyTorch's, row-major) and any Dtype.
 */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include "tensor/arena.h"
#include "tensor/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { F32, F64, F16, BF16, I32, I64, U8, DTYPE_COUNT } Dtype;

size_t dtype_size(Dtype dtype);
const char *dtype_name(Dtype dtype); /* "f32", ... */

float half_to_float(uint16_t bits);      /* IEEE binary16 */
uint16_t half_from_float(float value);   /* nearest even, overflow to infinity */
float bfloat_to_float(uint16_t bits);    /* bfloat16 */
uint16_t bfloat_from_float(float value); /* nearest even */

typedef struct {
    int n, h, w, c;
} Shape;

size_t shape_size(Shape s); /* n*h*w*c */
bool shape_equal(Shape a, Shape b);

/* "[2,64,48,32]" in a buffer of this thread; eight calls live at the same time. */
const char *shape_text(Shape s);

typedef struct {
    const char *name;
    Dtype dtype;
    Shape shape;
    void *data;
    int id; /* index in its Graph */
} Tensor;

enum { ARRAY_DIMS = 8 };

typedef struct {
    const char *name; /* full dotted path, without a leading "module." */
    Dtype dtype;
    int dims; /* 0 for a scalar */
    int64_t dim[ARRAY_DIMS];
    void *data; /* row-major, native byte order */
} Array;

/* A file's arrays in file order, plus text metadata (safetensors header, npz: none). */
typedef struct {
    Arena *arena;     /* owns all below */
    const char *kind; /* "torch zip", "torch legacy", "safetensors", "npz", "npy", "pickle" */
    Array *array;
    int count;
    struct ArrayMeta {
        const char *key, *value;
    } * meta;
    int meta_count;
} ArrayFile;

size_t array_size(const Array *a);                             /* number of elements */
double array_get(const Array *a, size_t i);                    /* element i as double */
void array_to_float(const Array *a, float *out);               /* all elements */
const char *array_shape_text(const Array *a);                  /* like shape_text */
const Array *array_find(const ArrayFile *f, const char *name); /* NULL if absent */
const char *array_meta(const ArrayFile *f, const char *key);   /* NULL if absent */
void array_file_free(ArrayFile *f); /* zeroes *f; a zeroed file is allowed */

#endif
