#include "tests/emulate/context.h"

#ifdef __x86_64__

/* Keeps on the stack what a function must preserve (System V ABI), and takes it from the other. */
void context_exchange(void ***from, void **to);
__asm__(".pushsection .text\n"
        ".hidden context_exchange\n"
        ".globl context_exchange\n"
        ".type context_exchange, @function\n"
        "context_exchange:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size context_exchange, . - context_exchange\n"
        ".popsection\n");

enum { KEPT = 6 };

/* From the top down: a return address that is not used, the function, the registers. */
void context_make(Context *c, void *stack, size_t size, void (*function)(void)) {
    void **top = (void **)((char *)stack + size);
    for (int i = 1; i <= KEPT + 2; i++) top[-i] = NULL;
    top[-2] = (void *)function;
    c->stack = top - KEPT - 2;
}

void context_switch(Context *from, Context *to) { context_exchange(&from->stack, to->stack); }

#else

void context_make(Context *c, void *stack, size_t size, void (*function)(void)) {
    getcontext(&c->state);
    c->state.uc_stack.ss_sp = stack;
    c->state.uc_stack.ss_size = size;
    makecontext(&c->state, function, 0);
}

void context_switch(Context *from, Context *to) { swapcontext(&from->state, &to->state); }

#endif
