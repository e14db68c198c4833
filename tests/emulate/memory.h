/* The memory of backend `emulated`: what a kernel may change, so that it can run twice from the
 * same beginning.
 *
 *     memory_save();
 *     run();
 *     memory_swap();          // back to the beginning; what run() left is kept
 *     run_in_another_order();
 *     const char *difference = memory_difference();
 */
#ifndef TESTS_EMULATE_MEMORY_H
#define TESTS_EMULATE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *memory_alloc(size_t bytes);
void memory_release(void *p); /* NULL is allowed */

void memory_save(void);
void memory_swap(void);

/* One line if memory is not what it was at memory_swap, else NULL. */
const char *memory_difference(void);

/* Fills a block's static shared memory with NaN. */
void memory_poison_shared(void);

#endif
