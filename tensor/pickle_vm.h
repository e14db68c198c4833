/* The pickle machine: runs opcodes from an allow-list over a stack of values, without recursion.
 *
 *     PickleVm vm;
 *     Span rest = r->file;
 *     TRY(pickle_vm_run(r, &rest, &vm));   // vm.root; rest begins behind the STOP
 *
 * Format: Python's pickletools.py, which documents every opcode.
 */
#ifndef TENSOR_PICKLE_VM_H
#define TENSOR_PICKLE_VM_H

#include "tensor/pickle.h"

typedef struct {
    Reader *r;
    Span code;
    size_t at, opcode_at; /* next byte, and where the current opcode began */
    PickleValue *stack, *memo;
    size_t *mark; /* stack heights */
    size_t top, stack_capacity, marks, mark_capacity, memo_capacity, memoized;
    PickleItems *dicts;      /* all, to be put in order at the end */
    PickleStorage *storages; /* all */
    PickleValue root;
} PickleVm;

/* Runs one pickle at *rest and moves rest behind it. */
Status pickle_vm_run(Reader *r, Span *rest, PickleVm *vm);

/* fail(ERR_MODEL) with "pickle byte N: " in front. */
#define pickle_vm_fail(vm, ...) (pickle_vm_reason(vm, __VA_ARGS__), ERR_MODEL)
void pickle_vm_reason(const PickleVm *vm, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Refuses what cannot be a dict's key, and keys so long that sorting many of them takes long. */
Status pickle_vm_check_key(const PickleVm *vm, const PickleValue *key);

/* A new empty LIST, TUPLE, SET or DICT; appending to one. */
Status pickle_vm_items(PickleVm *vm, PickleKind kind, PickleValue *out);
Status pickle_vm_append(PickleVm *vm, PickleItems *items, PickleValue value);

#endif
