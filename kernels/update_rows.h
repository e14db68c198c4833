/* Update_rows: update_adam for many floats, with the widest vectors that the processor has.  The
 * step is memory-bound: it moves 28 bytes per number. */
#ifndef KERNELS_UPDATE_ROWS_H
#define KERNELS_UPDATE_ROWS_H

#include "kernels/isa.h"
#include "kernels/update.h"

ISA_DECLARE(void, update_adam_rows,
            (const UpdateStep *step, float *w, const float *g, float *m, float *v, size_t size));

#endif
