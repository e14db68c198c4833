/* Arena: many small allocations with one lifetime, freed whole.
 *
 *     Arena *arena = arena_new();
 *     char *name = arena_printf(arena, "layer%d", i);
 *     arena_free(arena);
 *
 * Memory is zeroed and aligned to 64 bytes.  arena_alloc aborts when the system has no memory left;
 * sizes that come from a file are checked against arena_try_alloc, which returns NULL instead.
 */
#ifndef TENSOR_ARENA_H
#define TENSOR_ARENA_H

#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *arena); /* NULL is allowed */

void *arena_alloc(Arena *arena, size_t bytes);
void *arena_try_alloc(Arena *arena, size_t bytes);
char *arena_strdup(Arena *arena, const char *text);
char *arena_strndup(Arena *arena, const char *text, size_t length);
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
