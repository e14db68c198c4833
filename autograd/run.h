/* Run: the steps of a plan on a backend, the blocks of a chain side by side.  Of autograd alone.
 *
 *     run_prepare(backend, step, arena, &workspace);   // before memory is placed
 *     run_bind(backend, step, memory, workspace);      // once the step's tensors have addresses
 *     i = run_step(backend, &list, i, false);          // a chain's steps all together
 *     run_drop(backend, step);
 */
#ifndef AUTOGRAD_RUN_H
#define AUTOGRAD_RUN_H

#include "autograd/chain.h"

/* Makes the step's op ready; *workspace, or that of its chain's lanes, grows to the bytes that it
 * asks for. */
void run_prepare(const Backend *backend, Step *step, Arena *arena, size_t *workspace);

/* workspace: the step's, unless it runs in lanes, which have their own in the plan's memory. */
void run_bind(const Backend *backend, Step *step, char *memory, void *workspace);

/* Runs step i, or the chain that begins there, and adds the seconds to each step's where `timing`;
 * the last step that was run. */
int run_step(const Backend *backend, StepList *list, int i, bool timing);

void run_drop(const Backend *backend, Step *step);

#endif
