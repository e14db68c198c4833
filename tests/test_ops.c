/* Every op of ops.def: its rows of cases_nn.def and cases_math.def, proven by opcheck.h. */
#include "tests/opcases.h"
#include "tests/support.h"

static void op_is_proven(void **state) {
    const OpCase *c = *state;
    if (opcheck_run(c, &backend_ref, &backend_cpu) != OK) fail_msg("%s", error_reason());
}

static void every_op_has_a_case(void **state) {
    (void)state;
    for (int op = 0; op < OP_COUNT; op++)
        if (!opcases_of((OpKind)op)) fail_msg("op %s has no case", op_info((OpKind)op)->name);
}

int main(void) { return opcases_run("ops", op_is_proven, every_op_has_a_case); }
