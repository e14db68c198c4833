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

/* ahead: numbers from a pixel to that of the next tile, which memory is asked for. */
VECTOR_INLINE void input_pair_rows(const float *const *place, int c, int pair, int ahead, float *to,
                                   size_t plane) {
    Vector d[WIDE], plus[WIDE], minus[WIDE];
    for (int j = 0; j < WIDE; j++) {
        for (int i = 1; i < WIDE - 1; i++) d[i] = *(const VectorPlace *)(place[i * WIDE + j] + c);
        for (int i = 2; i < WIDE && j > 1 && pair; i++)
            __builtin_prefetch(place[i * WIDE + j] + c + ahead);
        input_pair(d + 1, pair, &plus[j], &minus[j]);
    }
    put_input(plus, 1 + 2 * pair, to, plane);
    put_input(minus, 2 + 2 * pair, to, plane);
}

static void input_vector(const float *const *place, int c, int ahead, float *to, size_t plane) {
    input_end_row(place, c, 0, to, plane);
    input_pair_rows(place, c, 0, ahead, to, plane);
    input_pair_rows(place, c, 1, ahead, to, plane);
    input_end_row(place, c, 1, to, plane);
}

static void input(const WinoMaps *m, int first, int count, const Planes *v) {
    const float *place[TAPS];
    Rest rest;
    for (int t = 0; t < count; t++) {
        float *to = v->data + (size_t)t * v->ld;
        Corner at = corner(m->s, first + t);
        int c = 0;
        pixels(m, at.image, at.i - 1, at.j - 1, WIDE, place);
        for (; c + LANES <= m->c; c += LANES) input_vector(place, c, SIDE * m->c, to + c, v->plane);
        if (c == m->c) continue;
        fill_rest(&rest, place, TAPS, c, m->c - c);
        input_vector(rest.place, 0, 0, to + c, v->plane);
    }
}

VECTOR_INLINE void put_gradient(const Vector y[SIDE], int row, float *to, size_t plane) {
    Vector v[WIDE];
    gradient_transform(y, v);
    put_row(v, row, to, plane);
}

static void gradient(const WinoMaps *m, int first, int count, const Planes *v, float *sum) {
    gradient_tiles(m, first, count, true, put_gradient, v, sum);
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

VECTOR_INLINE void output_rows(const Sums *s, const Patch *p, int odd, const WinogradEnd *end,
                               Act act, float *y) {
    Vector first[3], second[3], upper[SIDE], lower[SIDE];
    output_columns(s->from, s->plane, odd, first, second);
    output_begin(first + 1, upper), output_begin(second + 1, lower);
    upper[0] += first[0], lower[0] += second[0];
    output_columns(s->from + 3 * s->plane, s->plane, odd, first, second);
    output_end(first, upper), output_end(second, lower);
    upper[3] += first[2], lower[3] += second[2];
    put_output(upper, odd, p, end, act, y);
    put_output(lower, 2 + odd, p, end, act, y);
}

static void output(const WinoSums *s) { output_maps(s, output_rows); }

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

static void weights(const WinoWeights *w, float *u, size_t plane, size_t begin) {
    Kernels held;
    for (int v = 0; v < panel_vectors(w->lanes); v++) {
        float *to = u + begin + panel_place(w->rows, v);
        for (int row = 0; row < w->rows; row++, to += panel_width(w->lanes, v) * LANES) {
            Vector g[9];
            read_kernels(w, v * LANES, row, held, g);
            put_weights(g, to, plane);
        }
    }
}

static void weight_gradient(int c, const Planes *m, int k0, int k1, float *dw, bool add) {
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

const WinoTransforms *ISA_NAME(winotile_transforms)(void) {
    static const WinoTransforms transforms = {.taps = TAPS,
                                              .input = input,
                                              .turned_input = input,
                                              .gradient = gradient,
                                              .output = output,
                                              .turned_output = output,
                                              .weights = weights,
                                              .weight_gradient = weight_gradient};
    return &transforms;
}
