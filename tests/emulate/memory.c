#include "tests/emulate/memory.h"

#include "tensor/error.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, POISON = 0xff };

/* A piece of memory, and copies of it from before and after the first run. */
typedef struct Block {
    struct Block *next, *previous;
    size_t bytes;
    unsigned char *data, *begin, *first;
} Block;

_Static_assert(sizeof(Block) <= ALIGNMENT, "a Block lies before its numbers");

static Block ring = {.next = &ring, .previous = &ring};

/* Kernels' __shared__ and SCRATCH variables lie in sections of their own, which the linker names.
 */
extern unsigned char __start_kernel_shared[] __attribute__((weak)),
    __stop_kernel_shared[] __attribute__((weak)), __start_kernel_scratch[] __attribute__((weak)),
    __stop_kernel_scratch[] __attribute__((weak));

static void insert(Block *b) {
    b->next = ring.next, b->previous = &ring;
    b->next->previous = b;
    ring.next = b;
}

void *memory_alloc(size_t bytes) {
    if (bytes > SIZE_MAX / 2) return NULL;
    Block *b = aligned_alloc(ALIGNMENT, (bytes + 2 * ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (!b) return NULL;
    *b = (Block){.bytes = bytes, .data = (unsigned char *)b + ALIGNMENT};
    insert(b);
    return b->data;
}

void memory_release(void *p) {
    if (!p) return;
    Block *b = (Block *)((unsigned char *)p - ALIGNMENT);
    b->next->previous = b->previous;
    b->previous->next = b->next;
    free(b);
}

/* Sections hold the sanitizer's red zones as well: these go over them, in words where they can. */
#define UNCHECKED __attribute__((no_sanitize("address")))
typedef uint64_t Word __attribute__((aligned(1), may_alias));

UNCHECKED static void copy(unsigned char *to, const unsigned char *from, size_t bytes) {
    size_t i = 0;
    for (; i + sizeof(Word) <= bytes; i += sizeof(Word))
        *(volatile Word *)(to + i) = *(const volatile Word *)(from + i);
    for (; i < bytes; i++) ((volatile unsigned char *)to)[i] = from[i];
}

UNCHECKED static void poison(unsigned char *to, size_t bytes) {
    size_t i = 0;
    for (; i + sizeof(Word) <= bytes; i += sizeof(Word)) *(volatile Word *)(to + i) = ~(Word)0;
    for (; i < bytes; i++) ((volatile unsigned char *)to)[i] = POISON;
}

UNCHECKED static size_t first_difference(const unsigned char *a, const unsigned char *b,
                                         size_t bytes) {
    size_t i = 0;
    while (i < bytes && a[i] == b[i]) i++;
    return i;
}

static void copy_block(const Block *b, unsigned char *to, const unsigned char *from) {
    if (b->data == __start_kernel_scratch)
        copy(to, from, b->bytes);
    else if (b->bytes)
        memcpy(to, from, b->bytes);
}

static void insert_scratch(void) {
    static Block scratch;
    scratch.data = __start_kernel_scratch;
    scratch.bytes = (size_t)(__stop_kernel_scratch - __start_kernel_scratch);
    if (scratch.bytes && !scratch.next) insert(&scratch);
}

static unsigned char *take(const Block *b) {
    unsigned char *p = malloc(b->bytes + 1);
    CHECK(p, "no memory for a copy of %zu bytes", b->bytes);
    copy_block(b, p, b->data);
    return p;
}

void memory_save(void) {
    insert_scratch();
    for (Block *b = ring.next; b != &ring; b = b->next) b->begin = take(b);
}

void memory_swap(void) {
    for (Block *b = ring.next; b != &ring; b = b->next) {
        b->first = take(b);
        copy_block(b, b->data, b->begin);
    }
}

const char *memory_difference(void) {
    static char text[96];
    text[0] = '\0';
    for (Block *b = ring.next; b != &ring; b = b->next) {
        size_t at = b->data == __start_kernel_scratch || memcmp(b->data, b->first, b->bytes)
                        ? first_difference(b->data, b->first, b->bytes)
                        : b->bytes;
        if (at < b->bytes) snprintf(text, sizeof text, "byte %zu of a block of %zu", at, b->bytes);
        free(b->begin);
        free(b->first);
        b->begin = b->first = NULL;
    }
    return text[0] ? text : NULL;
}

void memory_poison_shared(void) {
    poison(__start_kernel_shared, (size_t)(__stop_kernel_shared - __start_kernel_shared));
}
