#include "tensor/arena.h"

#include "tensor/error.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, BLOCK = 1 << 16 };

typedef struct Block {
    struct Block *next;
    size_t used, size; /* of the bytes behind the header */
} Block;

_Static_assert(sizeof(Block) <= ALIGN, "the header fits before the first aligned byte");

struct Arena {
    Block *head;
};

Arena *arena_new(void) {
    Arena *arena = calloc(1, sizeof *arena);
    CHECK(arena, "out of memory");
    return arena;
}

void arena_free(Arena *arena) {
    if (!arena) return;
    for (Block *b = arena->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(arena);
}

static Block *block_new(size_t bytes) {
    size_t size = bytes > BLOCK ? bytes : BLOCK;
    Block *b = aligned_alloc(ALIGN, ALIGN + size);
    if (b) *b = (Block){.size = size};
    return b;
}

void *arena_try_alloc(Arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    Block *b = arena->head;
    if (!b || b->size - b->used < bytes) {
        b = block_new(bytes);
        if (!b) return NULL;
        b->next = arena->head;
        arena->head = b;
    }
    void *p = (char *)b + ALIGN + b->used;
    b->used += bytes;
    return memset(p, 0, bytes);
}

void *arena_alloc(Arena *arena, size_t bytes) {
    void *p = arena_try_alloc(arena, bytes);
    CHECK(p, "out of memory: %zu bytes", bytes);
    return p;
}

char *arena_strndup(Arena *arena, const char *text, size_t length) {
    return memcpy(arena_alloc(arena, length + 1), text, length);
}

char *arena_strdup(Arena *arena, const char *text) {
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(Arena *arena, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(length >= 0, "bad format %s", format);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}
