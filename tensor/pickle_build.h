/* What a pickle may name, and what it then means.  Each function is one opcode's work; failing is
 * the answer to everything outside the table. */
#ifndef TENSOR_PICKLE_BUILD_H
#define TENSOR_PICKLE_BUILD_H

#include "tensor/pickle_vm.h"

/* GLOBAL: looks a name up in the table. */
Status pickle_build_global(PickleVm *vm, Span module, Span name, PickleValue *out);

/* REDUCE, NEWOBJ: what the call of a global with a tuple of arguments stands for. */
Status pickle_build_call(PickleVm *vm, PickleValue callable, PickleValue arguments,
                         PickleValue *out);

/* BUILD: gives an object its state. */
Status pickle_build_state(PickleVm *vm, PickleValue object, PickleValue state);

/* BINPERSID: torch's description of a storage. */
Status pickle_build_storage(PickleVm *vm, PickleValue id, PickleValue *out);

#endif
