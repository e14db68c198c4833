/* gemm: one tile of TILE_ROWS x TILE_VECTORS sums that stay in registers while k runs. */
#include "kernels/gemm.h"

#include "kernels/panel.h"

int ISA_NAME(gemm_columns)(int n);
int ISA_NAME(gemm_panel)(void);
void ISA_NAME(gemm_pack)(int n, int k, const float *b, int ldb, bool transposed, float *packed);
void ISA_NAME(gemm_packed)(int m, int n, int k, const float *a, int lda, const float *packed,
                           float *c, int ldc, bool add);
void ISA_NAME(gemm_outer)(int m, int n, int k, const float *a, int lda, const float *b, int ldb,
                          float *c, int ldc, bool add);

int ISA_NAME(gemm_columns)(int n) { return panel_vectors(n) * LANES; }

int ISA_NAME(gemm_panel)(void) { return TILE_VECTORS * LANES; }

void ISA_NAME(gemm_pack)(int n, int k, const float *b, int ldb, bool transposed, float *packed) {
    for (int v = 0; v < panel_vectors(n); v++) {
        int count = vector_lanes(n - v * LANES), step = panel_width(n, v) * LANES;
        float *to = packed + panel_place(k, v);
        for (int i = 0; i < k; i++, to += step) {
            if (!transposed) {
                vector_store(to, vector_load(b + (size_t)i * ldb + v * LANES, count), LANES);
                continue;
            }
            for (int l = 0; l < LANES; l++)
                to[l] = l < count ? b[(size_t)(v * LANES + l) * ldb + i] : 0;
        }
    }
}

VECTOR_INLINE void put(int vectors, int rows, Vector sum[TILE_ROWS][TILE_VECTORS], float *c,
                       int ldc, bool add) {
    for (int r = 0; r < rows; r++, c += ldc)
        for (int v = 0; v < vectors; v++) {
            VectorPlace *to = (VectorPlace *)(c + v * LANES);
            Vector before = add ? (Vector)*to : (Vector){0};
            *to = before + sum[r][v];
        }
}

/* Rows of a tile that are not there are computed from the last one that is, and dropped. */
VECTOR_INLINE void short_tile(int vectors, int rows, int k, const float *a, int lda, const float *b,
                              float *c, int ldc, bool add) {
    Vector sum[TILE_ROWS][TILE_VECTORS] = {0};
    const float *row[TILE_ROWS];
    for (int r = 0; r < TILE_ROWS; r++) row[r] = a + (size_t)(r < rows ? r : rows - 1) * lda;
    for (int i = 0; i < k; i++, b += vectors * LANES)
        for (int r = 0; r < TILE_ROWS; r++)
            for (int v = 0; v < vectors; v++)
                sum[r][v] += row[r][i] * *(const VectorPlace *)(b + v * LANES);
    put(vectors, rows, sum, c, ldc, add);
}

VECTOR_INLINE void short_outer_tile(int vectors, int rows, int k, const float *a, int lda,
                                    const float *b, int ldb, float *c, int ldc, bool add) {
    Vector sum[TILE_ROWS][TILE_VECTORS] = {0};
    for (int i = 0; i < k; i++, a += lda, b += ldb)
        for (int r = 0; r < TILE_ROWS; r++)
            for (int v = 0; v < vectors; v++)
                sum[r][v] += a[r] * *(const VectorPlace *)(b + v * LANES);
    put(vectors, rows, sum, c, ldc, add);
}

/* A sum over k is one of sums over at most DEPTH: rounding grows with the root of the longest. */
enum { DEPTH = 96 };

static inline int depth(int left) { return left < DEPTH ? left : DEPTH; }

VECTOR_INLINE void tile(int vectors, int rows, int k, const float *a, int lda, const float *b,
                        float *c, int ldc, bool add) {
    for (int i = 0; i == 0 || i < k; i += DEPTH)
        short_tile(vectors, rows, depth(k - i), a + i, lda, b + (size_t)i * vectors * LANES, c, ldc,
                   add || i);
}

VECTOR_INLINE void outer_tile(int vectors, int rows, int k, const float *a, int lda, const float *b,
                              int ldb, float *c, int ldc, bool add) {
    for (int i = 0; i == 0 || i < k; i += DEPTH)
        short_outer_tile(vectors, rows, depth(k - i), a + (size_t)i * lda, lda, b + (size_t)i * ldb,
                         ldb, c, ldc, add || i);
}

/* Below, widths are constants, so that the sums of a tile become registers. */
void ISA_NAME(gemm_packed)(int m, int n, int k, const float *a, int lda, const float *packed,
                           float *c, int ldc, bool add) {
    for (int v = 0; v < panel_vectors(n); v += TILE_VECTORS) {
        int width = panel_width(n, v);
        const float *b = packed + panel_place(k, v);
        for (int i = 0; i < m; i += TILE_ROWS) {
            int rows = m - i < TILE_ROWS ? m - i : TILE_ROWS;
            const float *from = a + (size_t)i * lda;
            float *to = c + (size_t)i * ldc + v * LANES;
            if (width == TILE_VECTORS)
                tile(TILE_VECTORS, rows, k, from, lda, b, to, ldc, add);
            else if (width == 2)
                tile(2, rows, k, from, lda, b, to, ldc, add);
            else
                tile(1, rows, k, from, lda, b, to, ldc, add);
        }
    }
}

void ISA_NAME(gemm_outer)(int m, int n, int k, const float *a, int lda, const float *b, int ldb,
                          float *c, int ldc, bool add) {
    for (int v = 0; v < panel_vectors(n); v += TILE_VECTORS) {
        int width = panel_width(n, v);
        for (int i = 0; i < m; i += TILE_ROWS) {
            int rows = m - i < TILE_ROWS ? m - i : TILE_ROWS;
            const float *left = a + i, *right = b + v * LANES;
            float *to = c + (size_t)i * ldc + v * LANES;
            if (width == TILE_VECTORS)
                outer_tile(TILE_VECTORS, rows, k, left, lda, right, ldb, to, ldc, add);
            else if (width == 2)
                outer_tile(2, rows, k, left, lda, right, ldb, to, ldc, add);
            else
                outer_tile(1, rows, k, left, lda, right, ldb, to, ldc, add);
        }
    }
}
