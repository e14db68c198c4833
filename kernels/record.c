/* record: scalars of a step to their row of a history, in place. */
#include "kernels/kernel.h"
#include "kernels/update.h"

void KERNEL(record_forward)(const Call *c) {
    REAL *cursor = c->in[0].data, *history = c->in[1].data;
    size_t count = (size_t)c->in[1].shape.c, row = update_row(cursor, c->in[1].shape.n);
    for (size_t i = 0; history && i < count; i++)
        history[row * count + i] = *(const REAL *)c->in[RECORD_FIRST + i].data;
    *cursor += 1;
}
