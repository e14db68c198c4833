/* The rows of cases_math.def and cases_nn.def, see opcheck.h, as tests.
 *
 *     static void op_is_proven(void **state) {
 *         const OpCase *c = *state;
 */
#ifndef TESTS_OPCASES_H
#define TESTS_OPCASES_H

#include "tests/opcheck.h"

/* How many rows an op has. */
int opcases_of(OpKind op);

/* Row i of an op. */
const OpCase *opcases_at(OpKind op, int i);

/* Runs every row as a cmocka test "op: row" with its OpCase as state, then `last`; returns what
 * main returns. */
int opcases_run(const char *group, void (*test)(void **state), void (*last)(void **state));

#endif
