/* Place: where in one arena each value lies, so that values which are never needed at the same time
 * share bytes.  Largest first, each at the lowest offset that is free during its life. */
#ifndef AUTOGRAD_PLACE_H
#define AUTOGRAD_PLACE_H

#include <stddef.h>

typedef struct {
    size_t bytes;
    int first, last; /* steps of its life, both included */
    size_t offset;   /* set by place_blocks, a multiple of 64 */
} Block;

/* Returns the arena's size in bytes. */
size_t place_blocks(Block *blocks, int count);

#endif
