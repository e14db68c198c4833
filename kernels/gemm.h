/* Gemm: products of float matrices on one thread, in the instruction set that isa.h chooses.
 *
 *     float *packed = ...;                            // gemm_packed_size(n, k) numbers
 *     gemm_pack(n, k, w, ldw, true, packed);          // w [n,k]; false: w [k,n]
 *     gemm_packed(m, n, k, x, ldx, packed, y, ldy, false);      // y [m,n] = x [m,k] w'
 *     gemm_outer(m, n, k, a, lda, b, ldb, c, ldc, true);        // c [m,n] += a' b
 *
 * Matrices are row-major, ld is the distance between rows; nothing needs alignment.  The rows of y
 * and c have room for gemm_columns(n) numbers, n rounded up to whole vectors: what stands behind n
 * is overwritten with numbers that mean nothing.  The rows of b are readable that far too, and
 * GEMM_SLACK numbers are readable behind the last row of a and of b.  Each number of the result is
 * a sum over k in rising order whatever m is, so threads may share out the rows.
 *
 * The packed matrix is a row of panels of gemm_panel() columns (the last one may be narrower), each
 * [k][columns]; panel_place (panel.h) says where a vector of columns begins.
 */
#ifndef KERNELS_GEMM_H
#define KERNELS_GEMM_H

#include "kernels/isa.h"

#include <stdbool.h>
#include <stddef.h>

enum { GEMM_SLACK = 16 };

int gemm_columns(int n);               /* n rounded up to whole vectors */
int gemm_panel(void);                  /* columns of a panel */
int gemm_rows(void);                   /* rows of a that are multiplied at a time */
int gemm_height(int m);                /* rows that are computed for m of them */
size_t gemm_packed_size(int n, int k); /* numbers that gemm_pack writes */

/* b [k,n], or transposed [n,k] -> packed. */
void gemm_pack(int n, int k, const float *b, int ldb, bool transposed, float *packed);

/* c [m,n] = or += a [m,k] times the packed matrix. */
void gemm_packed(int m, int n, int k, const float *a, int lda, const float *packed, float *c,
                 int ldc, bool add);

/* c [m,n] = or += a' b with a [k,m] and b [k,n]. */
void gemm_outer(int m, int n, int k, const float *a, int lda, const float *b, int ldb, float *c,
                int ldc, bool add);

ISA_DECLARE(int, gemm_columns, (int n));
ISA_DECLARE(int, gemm_panel, (void));
ISA_DECLARE(int, gemm_rows, (void));
ISA_DECLARE(int, gemm_height, (int m));
ISA_DECLARE(void, gemm_pack,
            (int n, int k, const float *b, int ldb, bool transposed, float *packed));
ISA_DECLARE(void, gemm_packed,
            (int m, int n, int k, const float *a, int lda, const float *packed, float *c, int ldc,
             bool add));
ISA_DECLARE(void, gemm_outer,
            (int m, int n, int k, const float *a, int lda, const float *b, int ldb, float *c,
             int ldc, bool add));

#endif
