/* Every own kernel of backend `cuda` on the host (emulate/emulate.h): the rows of cases_nn.def and
 * cases_math.def, proven by opcheck.h, without a complaint of the emulator.  What cuDNN and cuBLAS
 * do needs a device: conv and matmul run the own kernels they have for shapes without an engine,
 * and then around stand-ins of the libraries (emulate/libraries.h). */
#include "tests/emulate/backend.h"
#include "tests/emulate/emulate.h"
#include "tests/emulate/libraries.h"
#include "tests/opcases.h"
#include "tests/support.h"

/* What the libraries offer, one after the other; bf16 has its own tolerance. */
static const struct {
    unsigned engines;
    Precision precision;
    double tolerance; /* 0: the row's */
} OFFER[] = {
    {0, PRECISION_FP32, 0},
    {LIBRARIES_GEMM | LIBRARIES_FUSED, PRECISION_FP32, 0},
    {LIBRARIES_PLAIN, PRECISION_FP32, 0},
    {LIBRARIES_FUSED | LIBRARIES_PLAIN | LIBRARIES_HALF, PRECISION_BF16, 2e-2},
    {LIBRARIES_HALF_OUT, PRECISION_BF16, 2e-2},
};
enum { OFFERS = sizeof OFFER / sizeof *OFFER };

static void prove(const OpCase *row, int offer) {
    Backend b = backend_emulated;
    OpCase c = *row;
    libraries_offer(OFFER[offer].engines);
    b.precision = OFFER[offer].precision;
    if (OFFER[offer].tolerance > 0) c.tolerance = OFFER[offer].tolerance;
    Status status = opcheck_run(&c, &backend_ref, &b);
    const char *complaint = emulate_complaint();
    if (complaint) fail_msg("offer %d: %s", offer, complaint);
    if (status != OK) fail_msg("offer %d: %s", offer, error_reason());
}

static void op_is_proven(void **state) {
    const OpCase *c = *state;
    bool uses_libraries = c->op == OP_conv || c->op == OP_matmul;
    for (int i = 0; i < (uses_libraries ? OFFERS : 1); i++) prove(c, i);
}

static void kernels_were_launched(void **state) {
    (void)state;
    print_message("%ld launches were emulated, each in two orders of threads\n",
                  emulate_launches());
    assert_true(emulate_launches() > 0);
}

int main(void) { return opcases_run("emulated", op_is_proven, kernels_were_launched); }
