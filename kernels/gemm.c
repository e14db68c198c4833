#include "kernels/gemm.h"

int gemm_columns(int n) { return isa_pick(gemm_columns)(n); }

int gemm_panel(void) { return isa_pick(gemm_panel)(); }

int gemm_rows(void) { return isa_pick(gemm_rows)(); }

int gemm_height(int m) { return isa_pick(gemm_height)(m); }

size_t gemm_packed_size(int n, int k) { return (size_t)gemm_columns(n) * (size_t)k; }

void gemm_pack(int n, int k, const float *b, int ldb, bool transposed, float *packed) {
    isa_pick(gemm_pack)(n, k, b, ldb, transposed, packed);
}

void gemm_packed(int m, int n, int k, const float *a, int lda, const float *packed, float *c,
                 int ldc, bool add) {
    isa_pick(gemm_packed)(m, n, k, a, lda, packed, c, ldc, add);
}

void gemm_outer(int m, int n, int k, const float *a, int lda, const float *b, int ldb, float *c,
                int ldc, bool add) {
    isa_pick(gemm_outer)(m, n, k, a, lda, b, ldb, c, ldc, add);
}
