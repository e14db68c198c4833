/* Zeros: zeroed memory for a table whose size is known; its end ends the program, with a number.
 *
 *     double *score = zeros(people, sizeof *score);
 *     free(score);
 */
#ifndef TENSOR_ZEROS_H
#define TENSOR_ZEROS_H

#include "tensor/error.h"

#include <stdlib.h>

/* Room for one more than count, so that an empty table is no NULL. */
static inline void *zeros(long count, size_t size) {
    void *p = calloc((size_t)count + 1, size);
    CHECK(p, "no memory for %ld times %zu bytes", count, size);
    return p;
}

#endif
