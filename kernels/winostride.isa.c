/* winostride: stride 2 as F(4x4,2x2) over the phases of x, whose sums go back together.  A
 * transformed number's place is that of its point in a, -a, b, -b, infinity.
 */
#include "kernels/winopoints.h"

enum { WIDE = 5, TAPS = WINOSTRIDE_TAPS, PHASES = 4, ODD = 0, EVEN = 1 };

/* --- inputs --- */

/* Numbers of one phase from `first` on, `down` and `right` to the next row and column; rows and
 * columns that are EVEN have four instead of five. */
typedef struct {
    const float *first;
    size_t down, right;
    int row, column;
} Phase;

VECTOR_INLINE Vector pixel(const Phase *p, int i, int j) {
    return *(const VectorPlace *)(p->first + (size_t)i * p->down + (size_t)j * p->right);
}

/* Asks memory for the same number of the next tile. */
VECTOR_INLINE void ask_ahead(const Phase *p, int i, int j) {
    __builtin_prefetch(p->first + (size_t)i * p->down + (size_t)(j + SIDE) * p->right);
}

/* Row `row` of a transformed tile from what the columns' transform gave; `end` is where numbers at
 * infinity go. */
VECTOR_INLINE void put_input(const Phase *p, const Vector d[WIDE], int row, float *to, float *end,
                             size_t plane) {
    Vector v[SIDE];
    input_pair(d, 0, &v[0], &v[1]);
    input_pair(d, 1, &v[2], &v[3]);
    to += (size_t)(row * WIDE) * plane;
    for (int j = 0; j < SIDE; j++, to += plane) *(VectorPlace *)to = v[j];
    if (p->column == ODD)
        *(VectorPlace *)(end + (size_t)(row * WIDE + SIDE) * plane) = input_end(d);
}

VECTOR_INLINE void input_pair_rows(const Phase *p, int pair, float *to, float *end, size_t plane) {
    Vector d[SIDE], plus[WIDE], minus[WIDE];
    for (int j = 0; j < WIDE - p->column; j++) {
        for (int i = 0; i < SIDE; i++) d[i] = pixel(p, i, j);
        for (int i = 0; i < SIDE && pair; i++) ask_ahead(p, i, j);
        input_pair(d, pair, &plus[j], &minus[j]);
    }
    put_input(p, plus, 2 * pair, to, end, plane);
    put_input(p, minus, 2 * pair + 1, to, end, plane);
}

VECTOR_INLINE void input_vector(const Phase *p, float *to, float *end, size_t plane) {
    input_pair_rows(p, 0, to, end, plane);
    input_pair_rows(p, 1, to, end, plane);
    if (p->row == EVEN) return;
    Vector d[WIDE], last[WIDE];
    for (int j = 0; j < WIDE - p->column; j++) {
        for (int i = 0; i < WIDE; i += 2) d[i] = pixel(p, i, j);
        last[j] = input_end(d);
    }
    put_input(p, last, SIDE, to, end, plane);
}

/* The pixels of a map from (i, j) on that are `step` apart. */
typedef struct {
    const WinoMaps *m;
    int image, i, j, step;
} View;

/* Channels c .. c+lanes-1 of a view's pixels, zeros outside of the map and behind them. */
static void copy_pixels(const View *v, int c, int lanes, float to[WIDE][WIDE][LANES]) {
    const WinoMaps *m = v->m;
    for (int a = 0; a < WIDE; a++)
        for (int b = 0; b < WIDE; b++) {
            int i = v->i + a * v->step, j = v->j + b * v->step;
            bool inside = i >= 0 && i < m->h && j >= 0 && j < m->w;
            const float *from = m->zeros;
            if (inside) from = m->x + (((size_t)v->image * m->h + i) * m->w + j) * m->c + c;
            *(VectorPlace *)to[a][b] = vector_load(from, lanes);
        }
}

/* A phase, in the planes from `to` on and at infinity from `end` on; the last vector may reach into
 * the channels of the next phase, which comes later. */
VECTOR_INLINE void input_phase(const View *v, int row, int column, float *to, float *end,
                               size_t plane) {
    const WinoMaps *m = v->m;
    const size_t right = (size_t)v->step * m->c, down = right * m->w;
    bool inside = v->i >= 0 && v->i + (WIDE - 1 - row) * v->step < m->h && v->j >= 0 &&
                  v->j + (WIDE - 1 - column) * v->step < m->w;
    size_t first = inside ? (((size_t)v->image * m->h + v->i) * m->w + v->j) * m->c : 0;
    for (int c = 0; c < m->c; c += LANES) {
        Phase all = {m->x + first + c, down, right, row, column};
        if (inside && c + LANES <= m->c) {
            input_vector(&all, to + c, end + c, plane);
            continue;
        }
        float part[WIDE][WIDE][LANES];
        copy_pixels(v, c, vector_lanes(m->c - c), part);
        Phase copy = {part[0][0], WIDE * LANES, LANES, row, column};
        input_vector(&copy, to + c, end + c, plane);
    }
}

static void input(const WinoMaps *m, int first, int count, const Planes *v) {
    for (int t = 0; t < count; t++) {
        Corner at = corner(m->s, first + t);
        float *to = v->data + (size_t)t * v->ld;
        int c = m->c, i = 2 * at.i, j = 2 * at.j;
        const View both = {m, at.image, i - 1, j - 1, 2}, rows = {m, at.image, i - 1, j, 2},
                   columns = {m, at.image, i, j - 1, 2}, neither = {m, at.image, i, j, 2};
        input_phase(&both, ODD, ODD, to, to, v->plane);
        input_phase(&rows, ODD, EVEN, to + c, to, v->plane);
        input_phase(&columns, EVEN, ODD, to + 2 * c, to + c, v->plane);
        input_phase(&neither, EVEN, EVEN, to + 3 * c, to, v->plane);
    }
}

/* The 5x5 gradients from each tile's first on. */
static void turned_input(const WinoMaps *m, int first, int count, const Planes *v) {
    for (int t = 0; t < count; t++) {
        Corner at = corner(m->s, first + t);
        float *to = v->data + (size_t)t * v->ld;
        const View all = {m, at.image, at.i, at.j, 1};
        input_phase(&all, ODD, ODD, to, to, v->plane);
    }
}

/* --- gradients of outputs, for that of weights --- */

VECTOR_INLINE void put_gradient(const Vector y[SIDE], int row, float *to, size_t plane) {
    Vector v[WIDE];
    gradient_pair(y, 0, &v[0], &v[1]);
    gradient_pair(y, 1, &v[2], &v[3]);
    v[4] = y[3];
    to += (size_t)(row * WIDE) * plane;
    for (int j = 0; j < WIDE; j++, to += plane) *(VectorPlace *)to = v[j];
}

static void gradient(const WinoMaps *m, int first, int count, const Planes *v, float *sum) {
    gradient_tiles(m, first, count, false, put_gradient, v, sum);
}

/* --- outputs --- */

/* The columns' transform of the column at `from`: numbers 0 and 2, or 1 and 3. */
VECTOR_INLINE void output_column(const Sums *s, const float *from, int odd, Vector *one,
                                 Vector *two) {
    Vector m[WIDE];
    for (int i = 0; i < SIDE; i++)
        m[i] = *(const VectorPlace *)(from + (size_t)(i * WIDE) * s->plane);
    output_pairs(m, odd, one, two);
    if (odd && s->row == ODD)
        *two += *(const VectorPlace *)(from + (size_t)(SIDE * WIDE) * s->plane);
}

VECTOR_INLINE void output_rows(const Sums *s, const Patch *p, int odd, const WinogradEnd *end,
                               Act act, float *y) {
    Vector first[2], second[2], upper[SIDE], lower[SIDE];
    for (int j = 0; j < 2; j++)
        output_column(s, s->from + (size_t)j * s->plane, odd, &first[j], &second[j]);
    output_begin(first, upper), output_begin(second, lower);
    for (int j = 0; j < 2; j++)
        output_column(s, s->from + (size_t)(2 + j) * s->plane, odd, &first[j], &second[j]);
    output_end(first, upper), output_end(second, lower);
    if (s->column == ODD) {
        output_column(s, s->end + SIDE * s->plane, odd, &first[0], &second[0]);
        upper[3] += first[0], lower[3] += second[0];
    }
    put_output(upper, odd, p, end, act, y);
    put_output(lower, 2 + odd, p, end, act, y);
}

static void output(const WinoSums *s) { output_maps(s, output_rows); }

/* Phase i of tile t of dx, tile 0 is the first one. */
VECTOR_INLINE void output_phase(const WinoSums *o, int t, int i) {
    const int row = i / 2, column = i % 2, step = panel_vectors(o->channels) * LANES;
    const Winograd *s = o->s;
    Corner at = corner(s, o->first + t);
    int top = 2 * at.i + !row, left = 2 * at.j + !column;
    const Patch p = {(((size_t)at.image * s->h + top) * s->w + left) * s->k,
                     2 * (size_t)s->w * s->k, 2 * (size_t)s->k, (s->h - top + 1) / 2,
                     (s->w - left + 1) / 2};
    const float *from = o->m.data + (size_t)t * o->m.ld;
    for (int c = 0; c < o->channels; c += LANES) {
        const Sums sums = {from + i * step + c, from + (i == 2 ? step : 0) + c, o->m.plane, row,
                           column};
        output_vector(&sums, output_rows, &p, o->k0 + c, vector_lanes(o->channels - c), &o->end,
                      ACT_NONE, o->y);
    }
}

static void turned_output(const WinoSums *s) {
    for (int t = 0; t < s->count; t++) {
        output_phase(s, t, 0);
        output_phase(s, t, 1);
        output_phase(s, t, 2);
        output_phase(s, t, 3);
    }
}

/* --- weights --- */

/* G g of the outer taps. */
VECTOR_INLINE void weight_outer(Vector g0, Vector g1, Vector u[WIDE]) {
    Vector even = (-1.f / 3) * g1, odd = (-B / 3) * g0, odd2 = (A / 3) * g0;
    u[0] = even + odd, u[1] = even - odd;
    u[2] = odd2 - even, u[3] = -odd2 - even;
    u[4] = g1;
}

/* G g of the middle tap, which has nothing at infinity. */
VECTOR_INLINE void weight_middle(Vector g, Vector u[SIDE]) {
    u[0] = (-B / 3) * g, u[1] = (B / 3) * g;
    u[2] = (A / 3) * g, u[3] = (-A / 3) * g;
}

/* Where a vector of a channel's transformed weights goes: `begin` in a plane of one phase, `place`
 * in each phase of a plane, and `phase` from one phase to the next, by the plane's phases. */
typedef struct {
    float *u;
    size_t plane, begin;
    size_t place[PHASES + 1][PHASES];
} Slots;

VECTOR_INLINE void put_weight(const Slots *s, int row, int column, int phase, Vector value) {
    int xi = row * WIDE + column, phases = winostride_phases(xi);
    int slot = phase == 2 && column == SIDE ? 1 : phase;
    float *to = s->u + (size_t)xi * s->plane + (size_t)phases * s->begin + s->place[phases][slot];
    *(VectorPlace *)to = value;
}

/* The numbers of one 3x3 kernel a lane. */
static inline void put_weights(const Vector g[9], const Slots *s) {
    Vector outer[3][WIDE], middle[3][SIDE]; /* [column][row] */
    for (int j = 0; j < 3; j++) {
        weight_outer(g[j], g[6 + j], outer[j]);
        weight_middle(g[3 + j], middle[j]);
    }
    for (int i = 0; i < WIDE; i++) {
        Vector u[WIDE], v[SIDE];
        weight_outer(outer[0][i], outer[2][i], u);
        weight_middle(outer[1][i], v);
        for (int j = 0; j < WIDE; j++) put_weight(s, i, j, 0, u[j]);
        for (int j = 0; j < SIDE; j++) put_weight(s, i, j, 1, v[j]);
    }
    for (int i = 0; i < SIDE; i++) {
        Vector u[WIDE], v[SIDE];
        weight_outer(middle[0][i], middle[2][i], u);
        weight_middle(middle[1][i], v);
        for (int j = 0; j < WIDE; j++) put_weight(s, i, j, 2, u[j]);
        for (int j = 0; j < SIDE; j++) put_weight(s, i, j, 3, v[j]);
    }
}

/* Where row `row` of vector v is in one of a plane's phases: forward a phase has rows of its own,
 * turned it has columns of its own. */
static inline size_t slot_place(const WinoWeights *w, int v, int row, int phases, int slot) {
    int vectors = panel_vectors(w->lanes), columns = w->lanes, rows = phases * w->rows;
    if (w->turned)
        columns = phases * vectors * LANES, v += slot * vectors, rows = w->rows;
    else
        row += slot * w->rows;
    return panel_place(rows, v) + (size_t)row * panel_width(columns, v) * LANES;
}

static void weights(const WinoWeights *w, float *u, size_t plane, size_t begin) {
    Slots s = {u, plane, begin, {{0}}};
    Kernels held;
    for (int v = 0; v < panel_vectors(w->lanes); v++)
        for (int row = 0; row < w->rows; row++) {
            Vector g[9];
            read_kernels(w, v * LANES, row, held, g);
            for (int phases = 1; phases <= PHASES; phases *= 2)
                for (int slot = 0; slot < phases; slot++)
                    s.place[phases][slot] = slot_place(w, v, row, phases, slot);
            put_weights(g, &s);
        }
}

/* G' m for the outer taps, and for the middle one. */
VECTOR_INLINE void gradient_outer(const Vector m[WIDE], Vector *g0, Vector *g1) {
    *g0 = (A / 3) * (m[2] - m[3]) - (B / 3) * (m[0] - m[1]);
    *g1 = (1.f / 3) * ((m[2] + m[3]) - (m[0] + m[1])) + m[4];
}

VECTOR_INLINE Vector gradient_middle(const Vector m[SIDE]) {
    return (A / 3) * (m[2] - m[3]) - (B / 3) * (m[0] - m[1]);
}

/* Adds a phase's taps to those of the kernel, which are the lanes of g. */
VECTOR_INLINE void weight_phase(const Planes *p, const float *at, int i, int channels,
                                Vector g[9]) {
    const int row = i / 2, column = i % 2;
    const float *end = at + (i == 2 ? channels : 0);
    Vector half[WIDE][2]; /* [row][column] */
    at += i * channels;
    for (int r = 0; r < WIDE - row; r++) {
        Vector m[WIDE];
        for (int j = 0; j < SIDE; j++)
            m[j] = *(const VectorPlace *)(at + (size_t)(r * WIDE + j) * p->plane);
        if (column == ODD) {
            m[4] = *(const VectorPlace *)(end + (size_t)(r * WIDE + SIDE) * p->plane);
            gradient_outer(m, &half[r][0], &half[r][1]);
        } else
            half[r][0] = gradient_middle(m);
    }
    for (int k = 0; k < 2 - column; k++) {
        Vector m[WIDE];
        int j = column == ODD ? 2 * k : 1;
        for (int r = 0; r < SIDE; r++) m[r] = half[r][k];
        if (row == EVEN) {
            g[3 + j] = gradient_middle(m);
            continue;
        }
        m[SIDE] = half[SIDE][k];
        gradient_outer(m, &g[j], &g[6 + j]);
    }
}

static void weight_gradient(int c, const Planes *m, int k0, int k1, float *dw, bool add) {
    for (int k = k0; k < k1; k++)
        for (int c0 = 0; c0 < c; c0 += LANES) {
            int lanes = vector_lanes(c - c0);
            const float *from = m->data + (size_t)k * m->ld + c0;
            Vector g[9];
            weight_phase(m, from, 0, c, g);
            weight_phase(m, from, 1, c, g);
            weight_phase(m, from, 2, c, g);
            weight_phase(m, from, 3, c, g);
            for (int tap = 0; tap < 9; tap++) {
                float *to = dw + ((size_t)k * 9 + tap) * c + c0;
                if (add) g[tap] += vector_load(to, lanes);
                vector_store(to, g[tap], lanes);
            }
        }
}

const WinoTransforms *ISA_NAME(winostride_transforms)(void) {
    static const WinoTransforms transforms = {.taps = TAPS,
                                              .input = input,
                                              .turned_input = turned_input,
                                              .gradient = gradient,
                                              .output = output,
                                              .turned_output = turned_output,
                                              .weights = weights,
                                              .weight_gradient = weight_gradient};
    return &transforms;
}
