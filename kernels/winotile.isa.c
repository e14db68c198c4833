/* winotile: F(4x4,3x3).  A two-dimensional transform is the one-dimensional one along both axes; a
 * transformed number's place is that of its point in 0, a, -a, b, -b, infinity.
 */
#include "kernels/winopoints.h"

enum { WIDE = 6, TAPS = WINOTILE_TAPS };

/* B' d, 6 -> 6. */
VECTOR_INLINE void input_transform(const Vector d[WIDE], Vector v[WIDE]) {
    v[0] = input_end(d), v[5] = input_end(d + 1);
    input_pair(d + 1, 0, &v[1], &v[2]);
    input_pair(d + 1, 1, &v[3], &v[4]);
}

/* A y, 4 -> 6, of which numbers 0 and 5 are y[0] and y[3]. */
VECTOR_INLINE void gradient_transform(const Vector y[SIDE], Vector v[WIDE]) {
    v[0] = y[0], v[5] = y[3];
    gradient_pair(y, 0, &v[1], &v[2]);
    gradient_pair(y, 1, &v[3], &v[4]);
}

/* G g, 3 -> 6. */
static inline void weight_transform(const Vector g[3], Vector u[WIDE]) {
    Vector even = (-2.f / 3) * g[0] - (1.f / 3) * g[2], odd = (-2.f / 3 * A) * g[1];
    Vector even2 = (1.f / 6) * g[0] + (1.f / 3) * g[2], odd2 = (B / 6) * g[1];
    u[0] = g[0];
    u[1] = even + odd, u[2] = even - odd;
    u[3] = even2 + odd2, u[4] = even2 - odd2;
    u[5] = g[2];
}

/* G' m, 6 -> 3. */
static inline void weight_gradient_transform(const Vector m[WIDE], Vector g[3]) {
    Vector sum = m[1] + m[2], difference = m[1] - m[2];
    Vector sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    g[0] = m[0] - (2.f / 3) * sum + (1.f / 6) * sum2;
    g[1] = (B / 6) * difference2 - (2.f / 3 * A) * difference;
    g[2] = (1.f / 3) * (sum2 - sum) + m[5];
}

/* Row `row` of a transformed tile, from what the columns' transform gave. */
VECTOR_INLINE void put_row(const Vector v[WIDE], int row, float *to, size_t plane) {
    to += (size_t)(row * WIDE) * plane;
    for (int j = 0; j < WIDE; j++, to += plane) *(VectorPlace *)to = v[j];
}

VECTOR_INLINE void put_input(const Vector d[WIDE], int row, float *to, size_t plane) {
    Vector v[WIDE];
    input_transform(d, v);
    put_row(v, row, to, plane);
}

/* Rows 0 or 5 from the pixels' vectors at c. */
VECTOR_INLINE void input_end_row(const float *const *place, int c, int last, float *to,
                                 size_t plane) {
    Vector d[WIDE], v[WIDE];
    for (int j = 0; j < WIDE; j++) {
        for (int i = 0; i < WIDE; i += 2)
            d[i] = *(const VectorPlace *)(place[(i + last) * WIDE + j] + c);
        v[j] = input_end(d);
    }
    put_input(v, last * (WIDE - 1), to, plane);
}

VECTOR_INLINE void input_pair_rows(const float *const *place, int c, int pair, float *to,
                                   size_t plane) {
    Vector d[WIDE], plus[WIDE], minus[WIDE];
    for (int j = 0; j < WIDE; j++) {
        for (int i = 1; i < WIDE - 1; i++) d[i] = *(const VectorPlace *)(place[i * WIDE + j] + c);
        input_pair(d + 1, pair, &plus[j], &minus[j]);
    }
    put_input(plus, 1 + 2 * pair, to, plane);
    put_input(minus, 2 + 2 * pair, to, plane);
}

static void input_vector(const float *const *place, int c, float *to, size_t plane) {
    input_end_row(place, c, 0, to, plane);
    input_pair_rows(place, c, 0, to, plane);
    input_pair_rows(place, c, 1, to, plane);
    input_end_row(place, c, 1, to, plane);
}

void ISA_NAME(winotile_input)(const WinoMaps *m, int first, int count, const Planes *v) {
    const float *place[TAPS];
    Rest rest;
    for (int t = 0; t < count; t++) {
        float *to = v->data + (size_t)t * v->ld;
        Corner at = corner(m->s, first + t);
        int c = 0;
        pixels(m, at.image, at.i - 1, at.j - 1, WIDE, place);
        for (; c + LANES <= m->c; c += LANES) input_vector(place, c, to + c, v->plane);
        if (c == m->c) continue;
        fill_rest(&rest, place, TAPS, c, m->c - c);
        input_vector(rest.place, 0, to + c, v->plane);
    }
}

VECTOR_INLINE void put_gradient(const Vector y[SIDE], int row, float *to, size_t plane) {
    Vector v[WIDE];
    gradient_transform(y, v);
    put_row(v, row, to, plane);
}

void ISA_NAME(winotile_gradient)(const WinoMaps *m, int first, int count, const Planes *v,
                                 float *sum) {
    gradient_tiles(m, first, count, true, put_gradient, v, sum);
}

static Patch patch_of(const Winograd *s, int tile) {
    Corner at = corner(s, tile);
    return (Patch){.place = (((size_t)at.image * s->h + at.i) * s->w + at.j) * s->k,
                   .row = (size_t)s->w * s->k,
                   .pixel = (size_t)s->k,
                   .rows = s->h - at.i,
                   .columns = s->w - at.j};
}

/* The columns' transform of three columns: numbers 0 and 2, or 1 and 3. */
VECTOR_INLINE void output_columns(const float *from, size_t plane, int odd, Vector first[3],
                                  Vector second[3]) {
    for (int j = 0; j < 3; j++, from += plane) {
        Vector m[WIDE];
        const float *at = from + (odd ? WIDE * plane : 0);
        for (int i = odd; i < WIDE - 1 + odd; i++, at += WIDE * plane)
            m[i] = *(const VectorPlace *)at;
        output_pairs(m + 1, odd, &first[j], &second[j]);
        if (odd)
            second[j] += m[5];
        else
            first[j] += m[0];
    }
}

/* Rows 0 and 2, or 1 and 3. */
VECTOR_INLINE void output_rows(const float *from, size_t plane, const Patch *p, int odd,
                               const WinogradEnd *end, Act act, float *y) {
    Vector first[3], second[3], upper[SIDE], lower[SIDE];
    output_columns(from, plane, odd, first, second);
    output_begin(first + 1, upper), output_begin(second + 1, lower);
    upper[0] += first[0], lower[0] += second[0];
    output_columns(from + 3 * plane, plane, odd, first, second);
    output_end(first, upper), output_end(second, lower);
    upper[3] += first[2], lower[3] += second[2];
    put_output(upper, odd, p, end, act, y);
    put_output(lower, 2 + odd, p, end, act, y);
}

/* The first vector of outputs: y, end->b and end->r begin at its channels. */
VECTOR_INLINE void output_vector(const float *from, size_t plane, const Patch *p,
                                 const WinogradEnd *end, Act act, float *y) {
    output_rows(from, plane, p, 0, end, act, y);
    output_rows(from, plane, p, 1, end, act, y);
}

/* The same where some pixels are outside of the map or some lanes behind its channels. */
static void output_edge(const float *from, size_t plane, const Patch *p, int lanes,
                        const WinogradEnd *end, float *y) {
    TileSums sums;
    output_vector(from, plane, &SUMS_PATCH, &(WinogradEnd){0}, ACT_NONE, sums[0][0]);
    put_edge(sums, p, lanes, end, y);
}

VECTOR_INLINE void output_tiles(const Winograd *s, const Planes *m, int first, int count, int k0,
                                int channels, const WinogradEnd *end, Act act, float *y) {
    for (int t = 0; t < count; t++) {
        Patch p = patch_of(s, first + t);
        bool whole = p.rows >= SIDE && p.columns >= SIDE;
        const float *from = m->data + (size_t)t * m->ld;
        for (int c = 0; c < channels; c += LANES) {
            int lanes = vector_lanes(channels - c), k = k0 + c;
            WinogradEnd here = {end->b ? end->b + k : NULL, end->r ? end->r + k : NULL, act,
                                end->slope};
            if (whole && lanes == LANES)
                output_vector(from + c, m->plane, &p, &here, act, y + k);
            else
                output_edge(from + c, m->plane, &p, lanes, &here, y + k);
        }
    }
}

void ISA_NAME(winotile_output)(const Winograd *s, const Planes *m, int first, int count, int k0,
                               int channels, const WinogradEnd *end, float *y) {
    switch (end->act) {
    case ACT_NONE: output_tiles(s, m, first, count, k0, channels, end, ACT_NONE, y); break;
    case ACT_RELU: output_tiles(s, m, first, count, k0, channels, end, ACT_RELU, y); break;
    case ACT_LEAKY: output_tiles(s, m, first, count, k0, channels, end, ACT_LEAKY, y); break;
    case ACT_SILU: output_tiles(s, m, first, count, k0, channels, end, ACT_SILU, y); break;
    }
}

/* The 36 numbers of one 3x3 kernel a lane, in the planes from `to` on. */
static inline void put_weights(Vector g[9], float *to, size_t plane) {
    Vector half[3][WIDE]; /* [column][row] */
    for (int j = 0; j < 3; j++) {
        Vector column[3] = {g[j], g[3 + j], g[6 + j]};
        weight_transform(column, half[j]);
    }
    for (int i = 0; i < WIDE; i++) {
        Vector row[3] = {half[0][i], half[1][i], half[2][i]}, done[WIDE];
        weight_transform(row, done);
        for (int j = 0; j < WIDE; j++, to += plane) *(VectorPlace *)to = done[j];
    }
}

/* Outputs as lanes: a block of LANES outputs is turned round tap by tap. */
static void forward_weights(int c, const float *w, int lanes, int rows, float *u, int step,
                            size_t plane) {
    enum { BLOCK = 16 };
    float turned[BLOCK][9][LANES];
    memset(turned, 0, sizeof turned);
    for (int c0 = 0; c0 < rows; c0 += BLOCK) {
        int inputs = rows - c0 < BLOCK ? rows - c0 : BLOCK;
        for (int l = 0; l < lanes; l++)
            for (int tap = 0; tap < 9; tap++) {
                const float *from = w + ((size_t)l * 9 + tap) * c + c0;
                for (int i = 0; i < inputs; i++) turned[i][tap][l] = from[i];
            }
        for (int i = 0; i < inputs; i++) {
            Vector g[9];
            for (int tap = 0; tap < 9; tap++) g[tap] = *(const VectorPlace *)turned[i][tap];
            put_weights(g, u + (size_t)(c0 + i) * step, plane);
        }
    }
}

/* Inputs as lanes. */
static void turned_weights(int c, const float *w, int lanes, int rows, float *u, int step,
                           size_t plane) {
    for (int o = 0; o < rows; o++, u += step) {
        Vector g[9];
        for (int tap = 0; tap < 9; tap++)
            g[8 - tap] = vector_load(w + ((size_t)o * 9 + tap) * c, lanes);
        put_weights(g, u, plane);
    }
}

void ISA_NAME(winotile_weights)(int c, const float *w, bool turned, int first, int lanes, int row0,
                                int rows, float *u, size_t plane) {
    for (int v = 0; v < panel_vectors(lanes); v++) {
        int at = first + v * LANES, count = vector_lanes(lanes - v * LANES);
        int step = panel_width(lanes, v) * LANES;
        float *to = u + panel_place(rows, v);
        if (turned)
            turned_weights(c, w + (size_t)row0 * 9 * c + at, count, rows, to, step, plane);
        else
            forward_weights(c, w + (size_t)at * 9 * c + row0, count, rows, to, step, plane);
    }
}

void ISA_NAME(winotile_weight_gradient)(int c, const Planes *m, int k0, int k1, float *dw,
                                        bool add) {
    for (int k = k0; k < k1; k++)
        for (int c0 = 0; c0 < c; c0 += LANES) {
            int lanes = vector_lanes(c - c0);
            Vector half[WIDE][3]; /* [row][column] */
            const float *from = m->data + (size_t)k * m->ld + c0;
            for (int i = 0; i < WIDE; i++) {
                Vector row[WIDE];
                for (int j = 0; j < WIDE; j++, from += m->plane)
                    row[j] = *(const VectorPlace *)from;
                weight_gradient_transform(row, half[i]);
            }
            for (int j = 0; j < 3; j++) {
                Vector column[WIDE], done[3];
                for (int i = 0; i < WIDE; i++) column[i] = half[i][j];
                weight_gradient_transform(column, done);
                for (int i = 0; i < 3; i++) {
                    float *to = dw + ((size_t)k * 9 + i * 3 + j) * c + c0;
                    if (add) done[i] += vector_load(to, lanes);
                    vector_store(to, done[i], lanes);
                }
            }
        }
}
