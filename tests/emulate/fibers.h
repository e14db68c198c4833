/* The threads of one block as fibers.
 *
 *     fibers_run(&launch, true);       // block emulate_place.block, threads in falling order
 *
 * A fiber runs until it waits or ends; then the next one does.  When all have had their turn, whole
 * warps that wait for each other go on, then the whole block.  The emulate_sync, emulate_shuffle
 * and emulate_vote functions of emulate.h are defined here.
 */
#ifndef TESTS_EMULATE_FIBERS_H
#define TESTS_EMULATE_FIBERS_H

#include "tests/emulate/emulate.h"

enum { FIBERS_MAX = 1024 };

/* Runs every thread to its end, or until one complains. */
void fibers_run(const EmulateLaunch *launch, bool falling);

/* Sets emulate_place.thread to thread i of a block. */
void fibers_place(const EmulateLaunch *launch, int i);

#endif
