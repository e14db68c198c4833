/* Reader: what every file format's parser works with: a file's bytes, the ArrayFile being filled,
 * and a limit on the memory that a file of this size may ask for.
 *
 *     Reader r;
 *     TRY(reader_init(&r, arena, bytes, out));
 *     float *x = reader_alloc(&r, count, sizeof *x);   // count may be a lie
 *     if (!x) return r.status;                         // the reason is stored
 *
 * Nobody frees: everything lives in the file's arena.
 */
#ifndef TENSOR_READER_H
#define TENSOR_READER_H

#include "tensor/tensor.h"

#include <string.h>

typedef struct {
    const uint8_t *data;
    size_t size;
} Span;

typedef struct {
    Span file;
    Arena *arena;
    ArrayFile *out;
    size_t left;     /* bytes that may still be taken */
    bool big_endian; /* the file's numbers, where the whole file has one order */
    Status status;   /* of the latest reader_alloc that gave NULL */
    int array_capacity, meta_capacity;
} Reader;

/* Refuses a file that is larger than the machine's memory. */
Status reader_init(Reader *r, Arena *arena, Span file, ArrayFile *out);

/* Allows for data that a checked part of the file unfolds to (a deflated zip entry). */
void reader_allow(Reader *r, size_t bytes);

/* count * size zeroed bytes, or NULL with r->status and the reason set. */
void *reader_alloc(Reader *r, size_t count, size_t size);

/* A larger copy of a list that is full: *capacity doubles.  NULL like reader_alloc. */
void *reader_grow(Reader *r, const void *list, size_t *capacity, size_t size);

/* Appends to r->out.  A text array (see file_text) gets a note in the metadata. */
Status reader_add(Reader *r, const char *name, Array array, bool text);
Status reader_add_meta(Reader *r, const char *key, const char *value);

/* Text from a file, quoted for a message: one line, printable, at most about 60 characters.  Lives
 * until four further calls of this thread. */
const char *reader_quote(const void *text, size_t size);

/* Takes the first size bytes off *rest; false, and nothing taken, when there are fewer. */
static inline bool reader_take(Span *rest, uint64_t size, Span *out) {
    if (size > rest->size) return false;
    *out = (Span){rest->data, (size_t)size};
    rest->data += size, rest->size -= (size_t)size;
    return true;
}

static inline Span reader_span(const char *text) {
    return (Span){(const uint8_t *)text, strlen(text)};
}

static inline bool reader_equal(Span span, const char *text) {
    return span.size == strlen(text) && !memcmp(span.data, text, span.size);
}

/* The order of the bytes, a prefix first. */
static inline int reader_compare(Span a, Span b) {
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = shared ? memcmp(a.data, b.data, shared) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static inline uint16_t reader_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t reader_u32(const uint8_t *p) {
    return reader_u16(p) | (uint32_t)reader_u16(p + 2) << 16;
}
static inline uint64_t reader_u64(const uint8_t *p) {
    return reader_u32(p) | (uint64_t)reader_u32(p + 4) << 32;
}

#endif
