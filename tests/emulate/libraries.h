/* Stand-ins on the host for cuDNN and cuBLASLt: what conv.cu and matmul.cu do around the libraries
 * is run without a device.
 *
 *     libraries_offer(LIBRARIES_GEMM | LIBRARIES_PLAIN);      // from now on engines of these kinds
 * exist
 *
 * They stand behind kernels/cudnn_conv.h and kernels/cublas_gemm.h in place of cudnn.cu and
 * cublas.cu, make sums in double by plain loops, and write to both ends of the workspace that they
 * ask for. */
#ifndef TESTS_EMULATE_LIBRARIES_H
#define TESTS_EMULATE_LIBRARIES_H

/* Engines: products; convolutions with bias, residual and activation; without; that read bfloat16
 * and make floats; that make bfloat16. */
enum {
    LIBRARIES_GEMM = 1,
    LIBRARIES_FUSED = 2,
    LIBRARIES_PLAIN = 4,
    LIBRARIES_HALF = 8,
    LIBRARIES_HALF_OUT = 16
};

void libraries_offer(unsigned engines); /* none at the start */

#endif
