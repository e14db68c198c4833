#include "tensor/reader.h"

#include <stdio.h>
#include <unistd.h>

/* Parsing one byte of a pickle takes at most about 100 bytes, of every other format far fewer. */
enum { BYTES_PER_BYTE = 128, BYTES_AT_LEAST = 16 << 20, ITEMS_AT_LEAST = 16 };

static size_t machine_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX / 2;
}

Status reader_init(Reader *r, Arena *arena, Span file, ArrayFile *out) {
    size_t memory = machine_memory();
    if (file.size > memory)
        return fail(ERR_MEMORY, "has %zu MiB, this machine only %zu MiB of memory", file.size >> 20,
                    memory >> 20);
    *r = (Reader){.file = file, .arena = arena, .out = out, .left = BYTES_AT_LEAST};
    reader_allow(r, file.size);
    return OK;
}

/* Never more than half the machine. */
void reader_allow(Reader *r, size_t bytes) {
    size_t most = machine_memory() / 2, more;
    if (__builtin_mul_overflow(bytes, BYTES_PER_BYTE, &more) || more > most) more = most;
    r->left = r->left + more > most ? most : r->left + more;
}

void *reader_alloc(Reader *r, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > r->left) {
        r->status = fail(ERR_MODEL, "asks for more memory than its %zu bytes can need (%zu x %zu)",
                         r->file.size, count, size);
        return NULL;
    }
    void *p = arena_try_alloc(r->arena, bytes ? bytes : 1);
    if (!p)
        r->status = fail(ERR_MEMORY, "needs %zu MiB more memory than there is", bytes >> 20);
    else
        r->left -= bytes;
    return p;
}

void *reader_grow(Reader *r, const void *list, size_t *capacity, size_t size) {
    size_t grown = *capacity ? 2 * *capacity : ITEMS_AT_LEAST;
    void *copy = reader_alloc(r, grown, size);
    if (!copy) return NULL;
    if (*capacity) memcpy(copy, list, *capacity * size);
    *capacity = grown;
    return copy;
}

Status reader_add(Reader *r, const char *name, Array array, bool text) {
    ArrayFile *f = r->out;
    if (f->count == r->array_capacity) {
        size_t capacity = (size_t)r->array_capacity;
        Array *grown = reader_grow(r, f->array, &capacity, sizeof *grown);
        if (!grown) return r->status;
        f->array = grown, r->array_capacity = (int)capacity;
    }
    array.name = name;
    f->array[f->count++] = array;
    return text ? reader_add_meta(r, arena_printf(r->arena, "text:%s", name), "utf-8") : OK;
}

Status reader_add_meta(Reader *r, const char *key, const char *value) {
    ArrayFile *f = r->out;
    if (f->meta_count == r->meta_capacity) {
        size_t capacity = (size_t)r->meta_capacity;
        struct ArrayMeta *grown = reader_grow(r, f->meta, &capacity, sizeof *grown);
        if (!grown) return r->status;
        f->meta = grown, r->meta_capacity = (int)capacity;
    }
    f->meta[f->meta_count++] = (struct ArrayMeta){key, value};
    return OK;
}

const char *reader_quote(const void *text, size_t size) {
    enum { SHOWN = 60 };
    static _Thread_local char buffer[4][SHOWN + 8];
    static _Thread_local int next;
    char *out = buffer[next++ & 3];
    size_t shown = size < SHOWN ? size : SHOWN;
    out[0] = '\'';
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = ((const unsigned char *)text)[i];
        out[1 + i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    snprintf(out + 1 + shown, sizeof buffer[0] - 1 - shown, size > shown ? "...'" : "'");
    return out;
}
