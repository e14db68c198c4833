/* Several stacks in one thread.
 *
 *     Context main_context, other;
 *     context_make(&other, stack, size, function);     // function never returns
 *     context_switch(&main_context, &other);           // until somebody switches back
 *
 * On x86-64 a switch is a few instructions; elsewhere it is ucontext's, which also calls the
 * system.
 */
#ifndef TESTS_EMULATE_CONTEXT_H
#define TESTS_EMULATE_CONTEXT_H

#include <stddef.h>

#ifdef __x86_64__
typedef struct {
    void **stack; /* its top while the context does not run */
} Context;
#else
#include <ucontext.h>
typedef struct {
    ucontext_t state;
} Context;
#endif

/* The stack's end is aligned to 16 bytes. */
void context_make(Context *c, void *stack, size_t size, void (*function)(void));
void context_switch(Context *from, Context *to);

#endif
