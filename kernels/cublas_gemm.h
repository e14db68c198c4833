/* cuBLASLt: products of matrices of backend `cuda`.
 *
 *     CublasShape s = {.count = 1, .m = m, .n = n, .k = k, .transpose_b = true};
 *     CublasGemm *g = cublas_gemm_new(&s);
 *     if (g) cublas_gemm_run(g, a, b, c, NULL, workspace);
 *     cublas_gemm_free(g);
 *
 * c [m,n] = or += a b, row-major; a is [m,k], or [k,m] when transpose_a; b is [k,n], or [n,k] when
 * transpose_b; `count` products lie behind each other.  NULL for shapes without an algorithm: the
 * caller then runs own kernels.
 */
#ifndef KERNELS_CUBLAS_GEMM_H
#define KERNELS_CUBLAS_GEMM_H

#include "kernels/op.h"

typedef struct {
    int count, m, n, k;
    bool transpose_a, transpose_b, add;
    bool bias, relu; /* c = relu(a b + bias), bias [n] */
    Precision precision;
} CublasShape;

/* What any product may use of its workspace. */
enum { CUBLAS_WORKSPACE = 8 << 20 };

typedef struct CublasGemm CublasGemm;

CublasGemm *cublas_gemm_new(const CublasShape *shape);
void cublas_gemm_free(CublasGemm *gemm); /* NULL is allowed */

/* Device addresses, 16-byte aligned; bias may be NULL when the shape has none. */
void cublas_gemm_run(const CublasGemm *gemm, const float *a, const float *b, float *c,
                     const float *bias, void *workspace);

/* Makes the library ready on the present device; why it cannot be used, NULL if it can. */
const char *cublas_gemm_open(void);

#endif
