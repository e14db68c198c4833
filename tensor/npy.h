/* NumPy's array files: .npy (format 1.0, 2.0, 3.0) and .npz, a zip of them; and NumPy's way of
 * naming number types, which pickles use too.
 *
 * Text (`<U`, `|S`) becomes a U8 array with one more size: UTF-8, zero-terminated, rows of equal
 * length (see file_text).  Members of an npz that hold Python objects are left out, with a note
 * "skipped:NAME" in the metadata.
 */
#ifndef TENSOR_NPY_H
#define TENSOR_NPY_H

#include "tensor/zip.h"

Status npy_load(Reader *r); /* r->file is a .npy; its one array is named "" */
Status npy_load_zip(Reader *r, const Zip *zip);

/* What file_write_npy and file_write_npz promise. */
Status npy_write(const char *path, const Array *a);
Status npy_write_zip(const char *path, const Array *arrays, int count, int texts);

/* A type string such as "<f4", "i8", "|b1", "<U12". */
typedef struct {
    char kind; /* f i u b U S, or O: Python objects */
    size_t size;
    bool big_endian;
} NpyType;

/* Writes a code point as UTF-8, at most 4 bytes; gives the length, 0 if there is no such point. */
size_t npy_utf8(uint32_t code, char *out);

Status npy_type(const void *text, size_t size, NpyType *out);

/* The array of that type and shape whose elements fill bytes exactly.  *text says whether it is
 * text. */
Status npy_array(Reader *r, NpyType type, bool fortran, int dims, const int64_t *dim, Span bytes,
                 Array *out, bool *text);

#endif
