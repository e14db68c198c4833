/* winotile: F(4x4,3x3) with the points 0, +-a, +-b and infinity, a = 1/sqrt(2), b = sqrt(2).
 *
 * Lagrange's polynomials through the points give B' (x^5 - 2.5 x^3 + x, which is zero at all of
 * them, and its quotients), their denominators and the powers of the points G, the powers of the
 * points alone A.  A two-dimensional transform is the one-dimensional one along both axes.
 */
#include "kernels/winotile.h"

#include "kernels/panel.h"

enum { SIDE = WINOTILE_SIDE, WIDE = 6, TAPS = WINOTILE_TAPS };

static const float A = 0x1.6a09e6p-1f, B = 0x1.6a09e6p0f;

/* The transforms of one dimension.  Their results come one by one or as the two numbers of a pair
 * of points, plus and minus: so a tile can be transformed a row or two at a time, in registers. */

/* B' d, 6 -> 6: number 0 from d, number 5 from d + 1. */
VECTOR_INLINE Vector input_end(const Vector *d) { return d[0] - 2.5f * d[2] + d[4]; }

/* Numbers 1 and 2, or 3 and 4. */
VECTOR_INLINE void input_pair(const Vector d[WIDE], int pair, Vector *plus, Vector *minus) {
    float a = pair ? B : A, b = pair ? A : B;
    Vector even = d[4] - (pair ? 0.5f : 2) * d[2], odd = a * d[3] - b * d[1];
    *plus = even + odd, *minus = even - odd;
}

VECTOR_INLINE void input_transform(const Vector d[WIDE], Vector v[WIDE]) {
    v[0] = input_end(d), v[5] = input_end(d + 1);
    input_pair(d, 0, &v[1], &v[2]);
    input_pair(d, 1, &v[3], &v[4]);
}

/* A y, 4 -> 6, of which numbers 0 and 5 are y[0] and y[3]. */
VECTOR_INLINE void gradient_pair(const Vector y[SIDE], int pair, Vector *plus, Vector *minus) {
    float a = pair ? B : A, b = pair ? 2 : 0.5f;
    Vector even = y[0] + b * y[2], odd = a * y[1] + a * b * y[3];
    *plus = even + odd, *minus = even - odd;
}

VECTOR_INLINE void gradient_transform(const Vector y[SIDE], Vector v[WIDE]) {
    v[0] = y[0], v[5] = y[3];
    gradient_pair(y, 0, &v[1], &v[2]);
    gradient_pair(y, 1, &v[3], &v[4]);
}

/* A' m, 6 -> 4: numbers 0 and 2, or 1 and 3. */
VECTOR_INLINE void output_pair(const Vector m[WIDE], int odd, Vector *first, Vector *second) {
    if (odd) {
        Vector difference = m[1] - m[2], difference2 = m[3] - m[4];
        *first = A * difference + B * difference2;
        *second = A * 0.5f * difference + B * 2 * difference2 + m[5];
    } else {
        Vector sum = m[1] + m[2], sum2 = m[3] + m[4];
        *first = m[0] + sum + sum2;
        *second = 0.5f * sum + 2 * sum2;
    }
}

/* All four, in two steps: from numbers 0 to 2 of m, then with 3 to 5. */
VECTOR_INLINE void output_begin(const Vector m[3], Vector y[SIDE]) {
    Vector sum = m[1] + m[2], difference = m[1] - m[2];
    y[0] = m[0] + sum, y[1] = A * difference;
    y[2] = 0.5f * sum, y[3] = A * 0.5f * difference;
}

VECTOR_INLINE void output_end(const Vector m[3], Vector y[SIDE]) {
    Vector sum = m[0] + m[1], difference = m[0] - m[1];
    y[0] += sum, y[1] += B * difference;
    y[2] += 2 * sum, y[3] += B * 2 * difference, y[3] += m[2];
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

/* Where the outputs of a tile begin. */
typedef struct {
    int image, i, j;
} Corner;

static Corner corner(const Winograd *s, int tile) {
    int image = tile / (s->rows * s->columns), at = tile % (s->rows * s->columns);
    return (Corner){image, at / s->columns * SIDE, at % s->columns * SIDE};
}

/* The side x side pixels of a map, the first `before` above and left of a tile's, as places of
 * their first channels; those outside are rows of zeros. */
static void pixels(const WinoMaps *m, int tile, int side, int before, const float **place) {
    const Winograd *s = m->s;
    Corner at = corner(s, tile);
    int i0 = at.i - before, j0 = at.j - before;
    for (int i = i0; i < i0 + side; i++)
        for (int j = j0; j < j0 + side; j++) {
            bool inside = i >= 0 && i < s->h && j >= 0 && j < s->w;
            size_t pixel = ((size_t)at.image * s->h + (inside ? i : 0)) * s->w + (inside ? j : 0);
            *place++ = inside ? m->x + pixel * m->c : m->zeros;
        }
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
        input_pair(d, pair, &plus[j], &minus[j]);
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

/* The pixels' last numbers as whole vectors, with zeros behind them. */
typedef struct {
    float number[TAPS][LANES];
    const float *place[TAPS];
} Rest;

static void fill_rest(Rest *r, const float *const *place, int pixels, int c, int lanes) {
    memset(r->number, 0, sizeof r->number);
    for (int i = 0; i < pixels; i++) {
        memcpy(r->number[i], place[i] + c, (size_t)lanes * sizeof(float));
        r->place[i] = r->number[i];
    }
}

void ISA_NAME(winotile_input)(const WinoMaps *m, int first, int count, const Planes *v) {
    const float *place[TAPS];
    Rest rest;
    for (int t = 0; t < count; t++) {
        float *to = v->data + (size_t)t * v->ld;
        int c = 0;
        pixels(m, first + t, WIDE, 1, place);
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

VECTOR_INLINE void gradient_end_row(const float *const *place, int c, int last, float *to,
                                    size_t plane) {
    Vector y[SIDE];
    for (int j = 0; j < SIDE; j++)
        y[j] = *(const VectorPlace *)(place[last * (SIDE - 1) * SIDE + j] + c);
    put_gradient(y, last * (WIDE - 1), to, plane);
}

/* The sum of the 16 numbers of each lane. */
VECTOR_INLINE Vector gradient_pair_rows(const float *const *place, int c, int pair, float *to,
                                        size_t plane) {
    Vector y[SIDE], plus[SIDE], minus[SIDE], total = {0};
    for (int j = 0; j < SIDE; j++) {
        for (int i = 0; i < SIDE; i++) y[i] = *(const VectorPlace *)(place[i * SIDE + j] + c);
        gradient_pair(y, pair, &plus[j], &minus[j]);
        total += (y[0] + y[1]) + (y[2] + y[3]);
    }
    put_gradient(plus, 1 + 2 * pair, to, plane);
    put_gradient(minus, 2 + 2 * pair, to, plane);
    return total;
}

/* Adds what it transforms to sum. */
static void gradient_vector(const float *const *place, int c, float *to, size_t plane, float *sum) {
    gradient_end_row(place, c, 0, to, plane);
    *(VectorPlace *)sum += gradient_pair_rows(place, c, 0, to, plane);
    gradient_pair_rows(place, c, 1, to, plane);
    gradient_end_row(place, c, 1, to, plane);
}

void ISA_NAME(winotile_gradient)(const WinoMaps *m, int first, int count, const Planes *v,
                                 float *sum) {
    const float *place[SIDE * SIDE];
    Rest rest;
    memset(sum, 0, (size_t)panel_vectors(m->c) * sizeof(Vector));
    for (int t = 0; t < count; t++) {
        float *to = v->data + (size_t)t * v->ld;
        int c = 0;
        pixels(m, first + t, SIDE, 0, place);
        for (; c + LANES <= m->c; c += LANES) gradient_vector(place, c, to + c, v->plane, sum + c);
        if (c == m->c) continue;
        fill_rest(&rest, place, SIDE * SIDE, c, m->c - c);
        gradient_vector(rest.place, 0, to + c, v->plane, sum + c);
    }
}

VECTOR_INLINE Vector activate(Vector z, Act act, float slope) {
    switch (act) {
    case ACT_RELU: return vector_select(z > 0, z, (Vector){0});
    case ACT_LEAKY: return vector_select(z > 0, z, slope * z);
    case ACT_SILU: return vector_silu(z);
    case ACT_NONE: break;
    }
    return z;
}

/* Where the outputs of a tile lie: its first pixel, and how far it is to the next row and pixel. */
typedef struct {
    size_t place, row, pixel;
    int rows, columns; /* of the map, from there on */
} Patch;

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
        output_pair(m, odd, &first[j], &second[j]);
    }
}

/* Row i of a whole tile. */
VECTOR_INLINE void put_output(const Vector z[SIDE], int i, const Patch *p, const WinogradEnd *end,
                              Act act, float *y) {
    Vector b = end->b ? vector_load(end->b, LANES) : (Vector){0};
    size_t place = p->place + (size_t)i * p->row;
    for (int j = 0; j < SIDE; j++, place += p->pixel) {
        Vector sum = z[j] + b;
        if (end->r) sum += *(const VectorPlace *)(end->r + place);
        *(VectorPlace *)(y + place) = activate(sum, act, end->slope);
    }
}

/* Rows 0 and 2, or 1 and 3. */
VECTOR_INLINE void output_rows(const float *from, size_t plane, const Patch *p, int odd,
                               const WinogradEnd *end, Act act, float *y) {
    Vector first[3], second[3], upper[SIDE], lower[SIDE];
    output_columns(from, plane, odd, first, second);
    output_begin(first, upper), output_begin(second, lower);
    output_columns(from + 3 * plane, plane, odd, first, second);
    output_end(first, upper), output_end(second, lower);
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
    float sums[SIDE][SIDE][LANES];
    const Patch all = {.row = SIDE * LANES, .pixel = LANES};
    Vector b = end->b ? vector_load(end->b, lanes) : (Vector){0};
    output_vector(from, plane, &all, &(WinogradEnd){0}, ACT_NONE, sums[0][0]);
    for (int i = 0; i < SIDE && i < p->rows; i++)
        for (int j = 0; j < SIDE && j < p->columns; j++) {
            size_t place = p->place + (size_t)i * p->row + (size_t)j * p->pixel;
            Vector z = *(const VectorPlace *)sums[i][j] + b;
            if (end->r) z += vector_load(end->r + place, lanes);
            vector_store(y + place, activate(z, end->act, end->slope), lanes);
        }
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
