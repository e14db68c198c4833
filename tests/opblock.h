/* Numbers in a backend's memory between two guards, read and written as double.
 *
 *     OpBlock block = opblock_make(arena, &backend_cpu, F32, count);   // NaN everywhere
 *     opblock_write(&block, values);
 *     tensor.data = opblock_data(&block);
 *     TRY(opblock_read(&block, arena, &values));                       // fails if a guard changed
 *     opblock_drop(&block);
 *
 * Guards are NaN as well, so that reading them shows.
 */
#ifndef TESTS_OPBLOCK_H
#define TESTS_OPBLOCK_H

#include "kernels/backend.h"

typedef struct {
    const Backend *b;
    Dtype dtype;
    size_t count, bytes;
    unsigned char *host, *raw; /* with both guards */
} OpBlock;

/* The host's copy lives in the arena. */
OpBlock opblock_make(Arena *arena, const Backend *b, Dtype dtype, size_t count);
void opblock_drop(OpBlock *block); /* a zeroed one is allowed */

void *opblock_data(const OpBlock *block); /* NULL of a zeroed one */
void opblock_write(OpBlock *block, const double *values);

/* The numbers, in the arena; fails when a guard was written.  values may be NULL. */
Status opblock_read(const OpBlock *block, Arena *arena, double **values);

#endif
