#include "autograd/place.h"

#include "tensor/error.h"

#include <stdlib.h>

enum { ALIGN = 64 };

static int by_size(const void *a, const void *b) {
    const Block *x = *(Block *const *)a, *y = *(Block *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y; /* the order of qsort alone is not the same everywhere */
}

static size_t end_of(const Block *b) { return b->offset + (b->bytes + ALIGN - 1) / ALIGN * ALIGN; }

/* placed is ordered by offset; the new block goes into the first gap that is wide enough. */
static size_t first_gap(Block *const *placed, int count, const Block *b) {
    size_t offset = 0;
    for (int i = 0; i < count; i++) {
        const Block *other = placed[i];
        if (other->last < b->first || b->last < other->first) continue;
        if (other->offset >= offset && other->offset - offset >= b->bytes) break;
        if (end_of(other) > offset) offset = end_of(other);
    }
    return offset;
}

size_t place_blocks(Block *blocks, int count) {
    Block **order = malloc((size_t)(count + 1) * sizeof *order);
    Block **placed = malloc((size_t)(count + 1) * sizeof *placed);
    CHECK(order && placed, "out of memory");
    for (int i = 0; i < count; i++) order[i] = &blocks[i];
    qsort(order, (size_t)count, sizeof *order, by_size);
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        Block *b = order[i];
        b->offset = first_gap(placed, i, b);
        if (end_of(b) > total) total = end_of(b);
        int at = i;
        for (; at > 0 && placed[at - 1]->offset > b->offset; at--) placed[at] = placed[at - 1];
        placed[at] = b;
    }
    free(order);
    free(placed);
    return total;
}
