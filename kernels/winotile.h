/* Winotile: the transforms of winograd.h on a run of tiles, one thread, in each instruction set.
 *
 * A transformed tile is 6x6 = 36 numbers a channel.  They lie in 36 planes, each a matrix with a
 * row per tile (or per channel, for weights), `plane` numbers apart.
 *
 * Winostride: the same for stride 2, 5x5 = 25 planes.  The maps of every other row and column of x
 * are its phases: 0 both odd, 1 odd rows, 2 odd columns, 3 neither (odd: what the kernel's outer
 * taps meet, even: its middle one).  A phase that the middle tap alone meets along a side has
 * nothing at that side's infinity, so a row of a plane holds the channels of 4, 2 or 1 phases, one
 * after the other, phase 2 in the place of phase 1 where that has nothing.
 */
#ifndef KERNELS_WINOTILE_H
#define KERNELS_WINOTILE_H

#include "kernels/isa.h"
#include "kernels/winograd.h"

enum { WINOTILE_SIDE = 4, WINOTILE_TAPS = 36, WINOSTRIDE_TAPS = 25 };
enum { WINOSTRIDE_PRODUCTS = 81 }; /* of a tile: phases of all planes */

/* Planes of matrices with `ld` numbers a row. */
typedef struct {
    float *data;
    size_t plane;
    int ld;
} Planes;

/* Maps [h,w,c] of x or of dz, cut into the tiles of s; `zeros` is a row of them, c numbers. */
typedef struct {
    const Winograd *s;
    const float *x;
    int h, w, c;
    const float *zeros;
} WinoMaps;

/* v[xi][t] = B' x B of the 6x6 inputs of tiles first .. first+count-1; row 0 is tile `first`. */
ISA_DECLARE(void, winotile_input, (const WinoMaps *m, int first, int count, const Planes *v));

/* v[xi][t] = A dz A' of the 4x4 outputs, and sum [c] = dz summed over all pixels of these tiles;
 * there is room for gemm_columns(c) numbers. */
ISA_DECLARE(void, winotile_gradient,
            (const WinoMaps *m, int first, int count, const Planes *v, float *sum));

/* y = end(A' m A) for channels k0 .. k0+channels-1 of y, whose maps have s->k; column 0 of the
 * planes is channel k0. */
ISA_DECLARE(void, winotile_output,
            (const Winograd *s, const Planes *m, int first, int count, int k0, int channels,
             const WinogradEnd *end, float *y));

/* u[xi] = G w G' as packed matrices (gemm.h) [rows][lanes] for the `lanes` channels from first on
 * of weights [k,3,3,c] and `rows` ones from row0 on: outputs as lanes and inputs as rows, or, for
 * the gradient of x with taps turned round, the other way. */
ISA_DECLARE(void, winotile_weights,
            (int c, const float *w, bool turned, int first, int lanes, int row0, int rows, float *u,
             size_t plane));

/* dw [k,3,3,c] = or += G' m G for the outputs k0 .. k1-1; row o of a plane is output o. */
ISA_DECLARE(void, winotile_weight_gradient,
            (int c, const Planes *m, int k0, int k1, float *dw, bool add));

/* Phases in plane xi. */
static inline int winostride_phases(int xi) {
    int last = WINOTILE_SIDE; /* infinity */
    return (xi / (last + 1) < last ? 2 : 1) * (xi % (last + 1) < last ? 2 : 1);
}

/* v[xi][t] = B' x B of each phase of x, c channels a phase; behind the last one is room for a
 * vector. */
ISA_DECLARE(void, winostride_input, (const WinoMaps *m, int first, int count, const Planes *v));

/* v[xi][t] = B' dz B of the 5x5 gradients from each tile's first on. */
ISA_DECLARE(void, winostride_window, (const WinoMaps *m, int first, int count, const Planes *v));

ISA_DECLARE(void, winostride_gradient,
            (const WinoMaps *m, int first, int count, const Planes *v, float *sum));

ISA_DECLARE(void, winostride_output,
            (const Winograd *s, const Planes *m, int first, int count, int k0, int channels,
             const WinogradEnd *end, float *y));

/* dx = end(A' m A) of each phase, for channels k0 .. k0+channels-1 of s->k; a phase has
 * gemm_columns(channels) columns. */
ISA_DECLARE(void, winostride_input_gradient,
            (const Winograd *s, const Planes *m, int first, int count, int k0, int channels,
             const WinogradEnd *end, float *dx));

/* As winotile_weights; a row is one of a phase of inputs, or, turned, a phase has
 * gemm_columns(lanes) columns.  Plane xi of u begins first * rows numbers for each of its phases
 * further on. */
ISA_DECLARE(void, winostride_weights,
            (int c, const float *w, bool turned, int first, int lanes, int rows, float *u,
             size_t plane));

ISA_DECLARE(void, winostride_weight_gradient,
            (int c, const Planes *m, int k0, int k1, float *dw, bool add));

#endif
