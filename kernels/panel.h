/* Panel: where the columns of a packed matrix (gemm.h) lie.  For *.isa.c files only. */
#ifndef KERNELS_PANEL_H
#define KERNELS_PANEL_H

#include "kernels/vector.h"

#include <stddef.h>

/* TILE_ROWS x TILE_VECTORS sums, the vectors of one step and a factor fill the registers. */
#if defined __AVX512F__
enum { TILE_ROWS = 8, TILE_VECTORS = 3 };
#else
enum { TILE_ROWS = 6, TILE_VECTORS = 2 };
#endif

static inline int panel_vectors(int n) { return (n + LANES - 1) / LANES; }

/* Vectors of the panel that holds vector `v` of n columns. */
static inline int panel_width(int n, int v) {
    int left = panel_vectors(n) - v / TILE_VECTORS * TILE_VECTORS;
    return left < TILE_VECTORS ? left : TILE_VECTORS;
}

/* Where vector `v` of row 0 begins; the next row is panel_width(n, v) * LANES numbers on. */
static inline size_t panel_place(int k, int v) {
    return (size_t)(v / TILE_VECTORS * TILE_VECTORS * LANES) * (size_t)k +
           (size_t)(v % TILE_VECTORS * LANES);
}

#endif
