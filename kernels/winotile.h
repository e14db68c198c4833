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
enum { WINOTILE_STEP = 24 };       /* tiles of a block, at least, before threads make it smaller */

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

/* Sums to be transformed back: y = end(A' m A) for the tiles first .. first+count-1 and the
 * channels k0 .. k0+channels-1 of y, whose maps have s->k; row 0 of the planes is tile `first`,
 * column 0 channel k0. */
typedef struct {
    const Winograd *s;
    Planes m;
    int first, count, k0, channels;
    WinogradEnd end;
    float *y;
} WinoSums;

/* A part of weights w [k,3,3,c] as packed matrices (gemm.h) [rows][lanes]: `lanes` outputs from
 * `first` on and `rows` inputs from row0 on, or, turned, for the gradient of x, lanes of inputs and
 * rows of outputs, and the taps turned round. */
typedef struct {
    const float *w;
    int c;
    bool turned;
    int first, lanes, row0, rows;
} WinoWeights;

/* The transforms of one stride. */
typedef struct {
    int taps; /* planes */

    /* v[xi][t] = B' x B of tiles first .. first+count-1, row 0 is tile `first`: of x, with stride 2
     * of each of its phases, c channels a phase, and behind the last one is room for a vector; of
     * dz for the gradient of x. */
    void (*input)(const WinoMaps *m, int first, int count, const Planes *v);
    void (*turned_input)(const WinoMaps *m, int first, int count, const Planes *v);

    /* v[xi][t] = A dz A' of the 4x4 outputs, and sum [c] = dz summed over all pixels of these
     * tiles; there is room for gemm_columns(c) numbers. */
    void (*gradient)(const WinoMaps *m, int first, int count, const Planes *v, float *sum);

    /* y from the sums, and dx: with stride 2 from those of each phase, gemm_columns(channels)
     * columns a phase, without an activation. */
    void (*output)(const WinoSums *s);
    void (*turned_output)(const WinoSums *s);

    /* u[xi] = G w G', from `begin` numbers for each phase of the plane on.  With stride 2 a row is
     * one of a phase of inputs, or, turned, a phase has gemm_columns(lanes) columns. */
    void (*weights)(const WinoWeights *w, float *u, size_t plane, size_t begin);

    /* dw [k,3,3,c] = or += G' m G for the outputs k0 .. k1-1; row o of a plane is output o. */
    void (*weight_gradient)(int c, const Planes *m, int k0, int k1, float *dw, bool add);
} WinoTransforms;

/* Of stride 1 and of stride 2. */
ISA_DECLARE(const WinoTransforms *, winotile_transforms, (void));
ISA_DECLARE(const WinoTransforms *, winostride_transforms, (void));

/* Pieces of at most `size` that n is cut into. */
static inline int winotile_parts(int n, int size) { return (n + size - 1) / size; }

/* Phases in plane xi with stride 2. */
static inline int winostride_phases(int xi) {
    int last = WINOTILE_SIDE; /* infinity */
    return (xi / (last + 1) < last ? 2 : 1) * (xi % (last + 1) < last ? 2 : 1);
}

#endif
