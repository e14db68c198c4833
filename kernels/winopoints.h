/* Winopoints: the one-dimensional transforms of winograd.h, and tiles of maps.  For *.isa.c files
 * only.
 *
 * Both forms interpolate at +-a, +-b and infinity, a = 1/sqrt(2), b = sqrt(2): F(4,2) at these
 * alone, F(4,3) at 0 too.  Lagrange's polynomials through the points give B', their denominators
 * and the powers of the points G, the powers of the points alone A.  Results come as the two
 * numbers of a pair of points, plus and minus, or one by one: so a tile can be transformed a row or
 * two at a time, in registers.  What differs between the two forms stands in their own files.
 */
#ifndef KERNELS_WINOPOINTS_H
#define KERNELS_WINOPOINTS_H

#include "kernels/panel.h"
#include "kernels/winotile.h"

enum { SIDE = WINOTILE_SIDE };

static const float A = 0x1.6a09e6p-1f, B = 0x1.6a09e6p0f;

/* --- one dimension --- */

/* B' d at 0 (F(4,3), whose infinity has d one further on) or infinity (F(4,2)). */
VECTOR_INLINE Vector input_end(const Vector *d) { return d[0] - 2.5f * d[2] + d[4]; }

/* At +-a (pair 0) or +-b, from four numbers: those of F(4,3) begin with its second. */
VECTOR_INLINE void input_pair(const Vector d[4], int pair, Vector *plus, Vector *minus) {
    float a = pair ? B : A, b = pair ? A : B;
    Vector even = d[3] - (pair ? 0.5f : 2) * d[1], odd = a * d[2] - b * d[0];
    *plus = even + odd, *minus = even - odd;
}

/* A y. */
VECTOR_INLINE void gradient_pair(const Vector y[SIDE], int pair, Vector *plus, Vector *minus) {
    float a = pair ? B : A, b = pair ? 2 : 0.5f;
    Vector even = y[0] + b * y[2], odd = a * y[1] + a * b * y[3];
    *plus = even + odd, *minus = even - odd;
}

/* What the four numbers of both pairs give to A' m: to its numbers 0 and 2, or 1 and 3. */
VECTOR_INLINE void output_pairs(const Vector m[4], int odd, Vector *first, Vector *second) {
    Vector one = odd ? m[0] - m[1] : m[0] + m[1], two = odd ? m[2] - m[3] : m[2] + m[3];
    *first = odd ? A * one + B * two : one + two;
    *second = odd ? A * 0.5f * one + B * 2 * two : 0.5f * one + 2 * two;
}

/* A' m in two steps: what the pair at +-a gives to it, then that at +-b. */
VECTOR_INLINE void output_begin(const Vector m[2], Vector y[SIDE]) {
    Vector sum = m[0] + m[1], difference = m[0] - m[1];
    y[0] = sum, y[1] = A * difference;
    y[2] = 0.5f * sum, y[3] = A * 0.5f * difference;
}

VECTOR_INLINE void output_end(const Vector m[2], Vector y[SIDE]) {
    Vector sum = m[0] + m[1], difference = m[0] - m[1];
    y[0] += sum, y[1] += B * difference;
    y[2] += 2 * sum, y[3] += B * 2 * difference;
}

/* --- where tiles lie --- */

/* Tile `tile` of s: its map and its place among the map's tiles, in outputs. */
typedef struct {
    int image, i, j;
} Corner;

static inline Corner corner(const Winograd *s, int tile) {
    int image = tile / (s->rows * s->columns), at = tile % (s->rows * s->columns);
    return (Corner){image, at / s->columns * SIDE, at % s->columns * SIDE};
}

/* side x side pixels of a map from (i0, j0) on, as places of their first channels; those outside
 * are rows of zeros. */
static inline void pixels(const WinoMaps *m, int image, int i0, int j0, int side,
                          const float **place) {
    for (int i = i0; i < i0 + side; i++)
        for (int j = j0; j < j0 + side; j++) {
            bool inside = i >= 0 && i < m->h && j >= 0 && j < m->w;
            size_t pixel = ((size_t)image * m->h + (inside ? i : 0)) * m->w + (inside ? j : 0);
            *place++ = inside ? m->x + pixel * m->c : m->zeros;
        }
}

/* The pixels' last numbers as whole vectors, with zeros behind them. */
enum { MOST_PIXELS = WINOTILE_TAPS };
typedef struct {
    float number[MOST_PIXELS][LANES];
    const float *place[MOST_PIXELS];
} Rest;

static inline void fill_rest(Rest *r, const float *const *place, int count, int c, int lanes) {
    memset(r->number, 0, (size_t)count * sizeof r->number[0]);
    for (int i = 0; i < count; i++) {
        memcpy(r->number[i], place[i] + c, (size_t)lanes * sizeof(float));
        r->place[i] = r->number[i];
    }
}

/* --- gradients of outputs, for that of weights --- */

/* Transforms y and puts it where row `row` of a transformed tile is. */
typedef void PutGradient(const Vector y[SIDE], int row, float *to, size_t plane);

/* Of 0 or infinity: the tile's first or last row. */
VECTOR_INLINE void gradient_end_row(const float *const *place, int c, int from, PutGradient *put,
                                    int row, float *to, size_t plane) {
    Vector y[SIDE];
    for (int j = 0; j < SIDE; j++) y[j] = *(const VectorPlace *)(place[from * SIDE + j] + c);
    put(y, row, to, plane);
}

/* The sum of the 16 numbers of each lane. */
VECTOR_INLINE Vector gradient_pair_rows(const float *const *place, int c, int pair,
                                        PutGradient *put, int row, float *to, size_t plane) {
    Vector y[SIDE], plus[SIDE], minus[SIDE], total = {0};
    for (int j = 0; j < SIDE; j++) {
        for (int i = 0; i < SIDE; i++) y[i] = *(const VectorPlace *)(place[i * SIDE + j] + c);
        gradient_pair(y, pair, &plus[j], &minus[j]);
        total += (y[0] + y[1]) + (y[2] + y[3]);
    }
    put(plus, row, to, plane);
    put(minus, row + 1, to, plane);
    return total;
}

/* Adds what it transforms to sum; zero: 0 is a point, and comes first. */
VECTOR_INLINE void gradient_vector(const float *const *place, int c, bool zero, PutGradient *put,
                                   float *to, size_t plane, float *sum) {
    if (zero) gradient_end_row(place, c, 0, put, 0, to, plane);
    *(VectorPlace *)sum += gradient_pair_rows(place, c, 0, put, zero, to, plane);
    gradient_pair_rows(place, c, 1, put, zero + 2, to, plane);
    gradient_end_row(place, c, SIDE - 1, put, zero + 4, to, plane);
}

VECTOR_INLINE void gradient_tiles(const WinoMaps *m, int first, int count, bool zero,
                                  PutGradient *put, const Planes *v, float *sum) {
    const float *place[SIDE * SIDE];
    Rest rest;
    memset(sum, 0, (size_t)panel_vectors(m->c) * sizeof(Vector));
    for (int t = 0; t < count; t++) {
        float *to = v->data + (size_t)t * v->ld;
        Corner at = corner(m->s, first + t);
        int c = 0;
        pixels(m, at.image, at.i, at.j, SIDE, place);
        for (; c + LANES <= m->c; c += LANES)
            gradient_vector(place, c, zero, put, to + c, v->plane, sum + c);
        if (c == m->c) continue;
        fill_rest(&rest, place, SIDE * SIDE, c, m->c - c);
        gradient_vector(rest.place, 0, zero, put, to + c, v->plane, sum + c);
    }
}

/* --- outputs --- */

/* Where the outputs of a tile lie: its first pixel, and how far it is to the next row and pixel. */
typedef struct {
    size_t place, row, pixel;
    int rows, columns; /* of the map, from there on */
} Patch;

/* Row i of a whole tile; y, end->b and end->r begin at its channels. */
VECTOR_INLINE void put_output(const Vector z[SIDE], int i, const Patch *p, const WinogradEnd *end,
                              Act act, float *y) {
    Vector b = end->b ? vector_load(end->b, LANES) : (Vector){0};
    size_t place = p->place + (size_t)i * p->row;
    for (int j = 0; j < SIDE; j++, place += p->pixel) {
        Vector sum = z[j] + b;
        if (end->r) sum += *(const VectorPlace *)(end->r + place);
        *(VectorPlace *)(y + place) = vector_activate(sum, act, end->slope);
    }
}

/* A tile of sums [4][4][LANES], of which some pixels are outside of the map or some lanes behind
 * its channels. */
typedef float TileSums[SIDE][SIDE][LANES];

static inline void put_edge(TileSums sums, const Patch *p, int lanes, const WinogradEnd *end,
                            float *y) {
    Vector b = end->b ? vector_load(end->b, lanes) : (Vector){0};
    for (int i = 0; i < SIDE && i < p->rows; i++)
        for (int j = 0; j < SIDE && j < p->columns; j++) {
            size_t place = p->place + (size_t)i * p->row + (size_t)j * p->pixel;
            Vector z = *(const VectorPlace *)sums[i][j] + b;
            if (end->r) z += vector_load(end->r + place, lanes);
            vector_store(y + place, vector_activate(z, end->act, end->slope), lanes);
        }
}

/* Where put_output puts such sums. */
static const Patch SUMS_PATCH = {.row = SIDE * LANES, .pixel = LANES};

/* What to transform back: planes from `from` on.  With stride 2 of one phase: those at the columns'
 * infinity begin at `end`, and row and column say whether it has an infinity. */
typedef struct {
    const float *from, *end;
    size_t plane;
    int row, column;
} Sums;

/* Puts rows 0 and 2 of a tile's outputs, or, odd, 1 and 3; y, end->b and end->r begin at its
 * channels. */
typedef void OutputRows(const Sums *s, const Patch *p, int odd, const WinogradEnd *end, Act act,
                        float *y);

/* A vector of outputs of a tile, channels k .. k+lanes-1. */
VECTOR_INLINE void output_vector(const Sums *s, OutputRows *rows, const Patch *p, int k, int lanes,
                                 const WinogradEnd *end, Act act, float *y) {
    WinogradEnd here = {end->b ? end->b + k : NULL, end->r ? end->r + k : NULL, end->act,
                        end->slope};
    if (p->rows >= SIDE && p->columns >= SIDE && lanes == LANES) {
        rows(s, p, 0, &here, act, y + k);
        rows(s, p, 1, &here, act, y + k);
        return;
    }
    TileSums sums;
    const WinogradEnd none = {0};
    rows(s, &SUMS_PATCH, 0, &none, ACT_NONE, sums[0][0]);
    rows(s, &SUMS_PATCH, 1, &none, ACT_NONE, sums[0][0]);
    put_edge(sums, p, lanes, &here, y + k);
}

VECTOR_INLINE void output_tiles(const WinoSums *o, OutputRows *rows, Act act) {
    const Winograd *s = o->s;
    for (int t = 0; t < o->count; t++) {
        Corner at = corner(s, o->first + t);
        size_t row = (size_t)s->out_w * s->k;
        const Patch p = {((size_t)at.image * s->out_h + at.i) * row + (size_t)at.j * s->k, row,
                         (size_t)s->k, s->out_h - at.i, s->out_w - at.j};
        for (int c = 0; c < o->channels; c += LANES) {
            const float *from = o->m.data + (size_t)t * o->m.ld + c;
            const Sums sums = {from, from, o->m.plane, 0, 0};
            output_vector(&sums, rows, &p, o->k0 + c, vector_lanes(o->channels - c), &o->end, act,
                          o->y);
        }
    }
}

/* Each activation has loops of its own. */
VECTOR_INLINE void output_maps(const WinoSums *o, OutputRows *rows) {
    switch (o->end.act) {
    case ACT_NONE: output_tiles(o, rows, ACT_NONE); break;
    case ACT_RELU: output_tiles(o, rows, ACT_RELU); break;
    case ACT_LEAKY: output_tiles(o, rows, ACT_LEAKY); break;
    case ACT_SILU: output_tiles(o, rows, ACT_SILU); break;
    }
}

/* --- weights --- */

/* Outputs' lanes of KERNEL_ROWS inputs, as numbers that are read along the inputs; turned, memory
 * is asked for rows that come ROWS_AHEAD later. */
enum { KERNEL_ROWS = 16, ROWS_AHEAD = 4 };
typedef float Kernels[KERNEL_ROWS][9][LANES];

/* to[i][..][l] of one tap = from[l][i] for l below lanes and i below rows; the rows of `from` are
 * `step` apart.  Asks memory for what comes behind them. */
static inline void gather_tap(const float *from, size_t step, int lanes, int rows, float *to) {
    const size_t next = sizeof(Kernels) / KERNEL_ROWS / sizeof *to;
    for (int l = 0; l < lanes; l++) __builtin_prefetch(from + (size_t)l * step + KERNEL_ROWS);
    int whole = lanes / QUAD * QUAD, quads = rows / QUAD * QUAD;
    for (int l = 0; l < whole; l += QUAD)
        for (int i = 0; i < quads; i += QUAD)
            vector_transpose_quad(from + (size_t)l * step + i, step, to + (size_t)i * next + l,
                                  next);
    for (int l = 0; l < lanes; l++)
        for (int i = l < whole ? quads : 0; i < rows; i++)
            to[(size_t)i * next + l] = from[(size_t)l * step + i];
}

static inline void gather_kernels(const WinoWeights *w, int lane, int row, Kernels to) {
    int rows = w->rows - row < KERNEL_ROWS ? w->rows - row : KERNEL_ROWS;
    int lanes = vector_lanes(w->lanes - lane);
    const float *from = w->w + (size_t)(w->first + lane) * 9 * w->c + w->row0 + row;
    if (lanes < LANES) memset(to, 0, sizeof(Kernels));
    for (int tap = 0; tap < 9; tap++, from += w->c)
        gather_tap(from, (size_t)9 * w->c, lanes, rows, to[0][tap]);
}

/* One 3x3 kernel a lane, the lanes from `lane` on in row `row`; rows come in order, and `held` has
 * what the last one left there. */
static inline void read_kernels(const WinoWeights *w, int lane, int row, Kernels held,
                                Vector g[9]) {
    if (!w->turned && row % KERNEL_ROWS == 0) gather_kernels(w, lane, row, held);
    const float *from = w->w + (size_t)(w->row0 + row) * 9 * w->c + w->first + lane;
    for (int tap = 0; tap < 9; tap++) {
        if (w->turned) {
            __builtin_prefetch(from + (size_t)(tap + 9 * ROWS_AHEAD) * w->c);
            g[8 - tap] = vector_load(from + (size_t)tap * w->c, vector_lanes(w->lanes - lane));
        } else
            g[tap] = *(const VectorPlace *)held[row % KERNEL_ROWS][tap];
    }
}

#endif
