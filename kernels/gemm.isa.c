/* gemm: one tile of TILE_ROWS x TILE_VECTORS sums that stay in registers while k runs. */
#include "kernels/gemm.h"

#include "kernels/panel.h"

int ISA_NAME(gemm_columns)(int n) { return panel_vectors(n) * LANES; }

int ISA_NAME(gemm_panel)(void) { return TILE_VECTORS * LANES; }

int ISA_NAME(gemm_rows)(void) { return TILE_ROWS; }

/* How many rows are computed where at most TILE_ROWS are left.  Of two vectors fewer than 4 rows
 * would take no less time: each sum waits for its last product. */
VECTOR_INLINE int tile_height(int rows) {
    if (rows > 4) return TILE_ROWS;
    return rows > 2 || (rows && TILE_VECTORS < 3) ? 4 : rows;
}

int ISA_NAME(gemm_height)(int m) { return m / TILE_ROWS * TILE_ROWS + tile_height(m % TILE_ROWS); }

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

/* c [height, vectors] = or += the sums. */
VECTOR_INLINE void put(int height, int vectors, Vector sum[TILE_ROWS][TILE_VECTORS], float *c,
                       int ldc, bool add) {
    for (int r = 0; r < height; r++, c += ldc)
        for (int v = 0; v < vectors; v++) {
            VectorPlace *to = (VectorPlace *)(c + v * LANES);
            *to = add ? (Vector)*to + sum[r][v] : sum[r][v];
        }
}

/* Numbers of a cache line, and how long before their use, in numbers, memory is asked for them. */
enum { LINE = 16, PACKED_AHEAD = 256, OUTER_AHEAD = 4608 };

/* next: the rows behind these, of which each step asks for half a cache line. */
VECTOR_INLINE void sums(int height, int vectors, int k, const float *const row[TILE_ROWS],
                        const float *next, int lda, const float *b, float *c, int ldc, bool add) {
    Vector sum[TILE_ROWS][TILE_VECTORS] = {0};
    for (int i = 0; i < k; i++, b += vectors * LANES) {
        for (int ahead = 0; ahead < vectors * LANES; ahead += LINE)
            __builtin_prefetch(b + PACKED_AHEAD + ahead);
        __builtin_prefetch(next + (size_t)(i % 8) * lda + i / 8 * (LINE / 2));
        for (int r = 0; r < height; r++)
            for (int v = 0; v < vectors; v++)
                sum[r][v] += row[r][i] * *(const VectorPlace *)(b + v * LANES);
    }
    put(height, vectors, sum, c, ldc, add);
}

VECTOR_INLINE void outer_sums(int vectors, int k, const float *a, int lda, const float *b, int ldb,
                              float *c, int ldc, bool add) {
    Vector sum[TILE_ROWS][TILE_VECTORS] = {0};
    for (int i = 0; i < k; i++, a += lda, b += ldb) {
        __builtin_prefetch(a + OUTER_AHEAD);
        __builtin_prefetch(b + OUTER_AHEAD);
        for (int r = 0; r < TILE_ROWS; r++)
            for (int v = 0; v < vectors; v++)
                sum[r][v] += a[r] * *(const VectorPlace *)(b + v * LANES);
    }
    put(TILE_ROWS, vectors, sum, c, ldc, add);
}

/* Where a tile of fewer rows is computed, so that its rest overwrites nothing. */
typedef struct {
    float *c; /* of the result, or `spare` */
    int ld;
    float spare[TILE_ROWS * TILE_VECTORS * LANES];
} Place;

VECTOR_INLINE void begin_tile(Place *p, int height, int vectors, int rows, float *c, int ldc,
                              bool add) {
    bool whole = rows == height;
    p->c = whole ? c : p->spare, p->ld = whole ? ldc : vectors * LANES;
    if (whole || !add) return;
    memset(p->spare, 0, sizeof p->spare);
    for (int r = 0; r < rows; r++)
        memcpy(p->spare + r * p->ld, c + (size_t)r * ldc, (size_t)p->ld * sizeof *c);
}

VECTOR_INLINE void end_tile(const Place *p, int height, int rows, float *c, int ldc) {
    if (rows == height) return;
    for (int r = 0; r < rows; r++)
        memcpy(c + (size_t)r * ldc, p->spare + r * p->ld, (size_t)p->ld * sizeof *c);
}

/* Rows that are not there are computed from the last one that is. */
VECTOR_INLINE void tile(int height, int vectors, int rows, int k, const float *a, int lda,
                        const float *b, float *c, int ldc, bool add) {
    const float *row[TILE_ROWS];
    Place to;
    for (int r = 0; r < height; r++) row[r] = a + (size_t)(r < rows ? r : rows - 1) * lda;
    begin_tile(&to, height, vectors, rows, c, ldc, add);
    sums(height, vectors, k, row, a + (size_t)height * lda, lda, b, to.c, to.ld, add);
    end_tile(&to, height, rows, c, ldc);
}

/* Of the fewest rows that hold these. */
VECTOR_INLINE void lowest_tile(int vectors, int rows, int k, const float *a, int lda,
                               const float *b, float *c, int ldc, bool add) {
    switch (tile_height(rows)) {
    case 1: tile(1, vectors, rows, k, a, lda, b, c, ldc, add); break;
    case 2: tile(2, vectors, rows, k, a, lda, b, c, ldc, add); break;
    case 4: tile(4, vectors, rows, k, a, lda, b, c, ldc, add); break;
    default: tile(TILE_ROWS, vectors, rows, k, a, lda, b, c, ldc, add);
    }
}

VECTOR_INLINE void outer_tile(int vectors, int rows, int k, const float *a, int lda, const float *b,
                              int ldb, float *c, int ldc, bool add) {
    Place to;
    begin_tile(&to, TILE_ROWS, vectors, rows, c, ldc, add);
    outer_sums(vectors, k, a, lda, b, ldb, to.c, to.ld, add);
    end_tile(&to, TILE_ROWS, rows, c, ldc);
}

/* Below, widths are constants, so that the sums of a tile become registers. */

static void columns(int vectors, int m, int k, const float *a, int lda, const float *b, float *c,
                    int ldc, bool add) {
    for (int i = 0; i < m; i += TILE_ROWS) {
        int rows = m - i < TILE_ROWS ? m - i : TILE_ROWS;
        const float *from = a + (size_t)i * lda;
        float *to = c + (size_t)i * ldc;
        if (vectors == TILE_VECTORS)
            lowest_tile(TILE_VECTORS, rows, k, from, lda, b, to, ldc, add);
        else if (vectors == 2)
            lowest_tile(2, rows, k, from, lda, b, to, ldc, add);
        else
            lowest_tile(1, rows, k, from, lda, b, to, ldc, add);
    }
}

static void outer_columns(int vectors, int m, int k, const float *a, int lda, const float *b,
                          int ldb, float *c, int ldc, bool add) {
    for (int i = 0; i < m; i += TILE_ROWS) {
        int rows = m - i < TILE_ROWS ? m - i : TILE_ROWS;
        float *to = c + (size_t)i * ldc;
        if (vectors == TILE_VECTORS)
            outer_tile(TILE_VECTORS, rows, k, a + i, lda, b, ldb, to, ldc, add);
        else if (vectors == 2)
            outer_tile(2, rows, k, a + i, lda, b, ldb, to, ldc, add);
        else
            outer_tile(1, rows, k, a + i, lda, b, ldb, to, ldc, add);
    }
}

/* A sum over k is one of sums over at most DEPTH: rounding grows with the root of the longest, and
 * what is multiplied at a time stays in the nearest cache. */
enum { DEPTH = 96 };

static inline int depth(int left) { return left < DEPTH ? left : DEPTH; }

void ISA_NAME(gemm_packed)(int m, int n, int k, const float *a, int lda, const float *packed,
                           float *c, int ldc, bool add) {
    for (int i = 0; i == 0 || i < k; i += DEPTH)
        for (int v = 0; v < panel_vectors(n); v += TILE_VECTORS) {
            int width = panel_width(n, v);
            const float *b = packed + panel_place(k, v) + (size_t)i * width * LANES;
            columns(width, m, depth(k - i), a + i, lda, b, c + v * LANES, ldc, add || i);
        }
}

void ISA_NAME(gemm_outer)(int m, int n, int k, const float *a, int lda, const float *b, int ldb,
                          float *c, int ldc, bool add) {
    for (int i = 0; i == 0 || i < k; i += DEPTH)
        for (int v = 0; v < panel_vectors(n); v += TILE_VECTORS)
            outer_columns(panel_width(n, v), m, depth(k - i), a + (size_t)i * lda, lda,
                          b + (size_t)i * ldb + v * LANES, ldb, c + v * LANES, ldc, add || i);
}
