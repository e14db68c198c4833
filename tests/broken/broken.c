/* Kernels broken on purpose, to see that the operator tests notice.  The linker's --wrap puts each
 * of these in place of the kernel of that name; $CROWDREC_BREAK chooses the one that misbehaves,
 * and only that op's tests run.  The Makefile reads the names off the rows below: one line each. */
#include "tests/broken/choose.h"
#include "tensor/parallel.h"

#include <math.h>
#include <string.h>

static float *last_output(const Call *c) {
    return (float *)c->out[0].data + shape_size(c->out[0].shape) - 1;
}

static void nan_at_the_end(Kernel *real, const Call *c) {
    real(c);
    *last_output(c) = NAN;
}

static void one_in_a_thousand_off(Kernel *real, const Call *c) {
    real(c);
    *last_output(c) += 1e-3f * (1 + fabsf(*last_output(c)));
}

static void one_behind_the_end(Kernel *real, const Call *c) {
    real(c);
    last_output(c)[1] = 0;
}

static void threads_show(Kernel *real, const Call *c) {
    real(c);
    if (parallel_threads() > 1) *last_output(c) = nextafterf(*last_output(c), 2);
}

static void input_changed(Kernel *real, const Call *c) {
    real(c);
    *(float *)c->in[0].data += 1;
}

static void overwrites_instead_of_adding(Kernel *real, const Call *c) {
    Call forgetful = *c;
    memset(forgetful.add, 0, sizeof forgetful.add);
    real(&forgetful);
}

/* In the double kernels, where only finite differences can tell. */
static void gradient_slightly_off(Kernel *real, const Call *c) {
    real(c);
    for (int i = 0; i < OP_MAX_IN; i++) {
        double *gradient = c->din[i].data;
        for (size_t k = 0; gradient && k < shape_size(c->din[i].shape); k++)
            gradient[k] *= 1 + 1e-5;
    }
}

static void gradient_forgotten(Kernel *real, const Call *c) {
    real(c);
    if (c->din[1].data) memset(c->din[1].data, 0, shape_size(c->din[1].shape) * sizeof(float));
}

// clang-format off
BREAK(conv_forward_cpu, one_in_a_thousand_off)
BREAK(conv_backward_cpu, gradient_forgotten)
BREAK(conv_backward_ref, gradient_slightly_off)
BREAK(matmul_forward_cpu, nan_at_the_end)
BREAK(concat_forward_cpu, one_behind_the_end)
BREAK(binary_backward_cpu, overwrites_instead_of_adding)
BREAK(softmax_forward_cpu, threads_show)
BREAK(softmax_backward_ref, gradient_slightly_off)
BREAK(resize_forward_cpu, input_changed)
BREAK(rot6d_backward_ref, gradient_slightly_off)
