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

/* One dimension of B' d, 6 -> 6. */
static inline void input_transform(const Vector d[WIDE], Vector v[WIDE]) {
    Vector even = d[4] - 2 * d[2], odd = A * d[3] - B * d[1];
    Vector even2 = d[4] - 0.5f * d[2], odd2 = B * d[3] - A * d[1];
    v[0] = d[0] - 2.5f * d[2] + d[4];
    v[1] = even + odd, v[2] = even - odd;
    v[3] = even2 + odd2, v[4] = even2 - odd2;
    v[5] = d[1] - 2.5f * d[3] + d[5];
}

/* A y, 4 -> 6. */
static inline void gradient_transform(const Vector y[SIDE], Vector v[WIDE]) {
    Vector even = y[0] + 0.5f * y[2], odd = A * y[1] + A * 0.5f * y[3];
    Vector even2 = y[0] + 2 * y[2], odd2 = B * y[1] + B * 2 * y[3];
    v[0] = y[0];
    v[1] = even + odd, v[2] = even - odd;
    v[3] = even2 + odd2, v[4] = even2 - odd2;
    v[5] = y[3];
}

/* A' m, 6 -> 4. */
static inline void output_transform(const Vector m[WIDE], Vector y[SIDE]) {
    Vector sum = m[1] + m[2], difference = m[1] - m[2];
    Vector sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    y[0] = m[0] + sum + sum2;
    y[1] = A * difference + B * difference2;
    y[2] = 0.5f * sum + 2 * sum2;
    y[3] = A * 0.5f * difference + B * 2 * difference2 + m[5];
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

/* The side x side pixels from (i, j) on of a map, as places of their first channels; those outside
 * are rows of zeros. */
static void pixels(const WinoMaps *m, int tile, int side, int before, const float **place) {
    const Winograd *s = m->s;
    int image = tile / (s->rows * s->columns), at = tile % (s->rows * s->columns);
    int i0 = at / s->columns * SIDE - before, j0 = at % s->columns * SIDE - before;
    for (int i = i0; i < i0 + side; i++)
        for (int j = j0; j < j0 + side; j++) {
            bool inside = i >= 0 && i < s->h && j >= 0 && j < s->w;
            size_t pixel = ((size_t)image * s->h + (inside ? i : 0)) * s->w + (inside ? j : 0);
            *place++ = inside ? m->x + pixel * m->c : m->zeros;
        }
}

void ISA_NAME(winotile_input)(const WinoMaps *m, int first, int count, const Planes *v) {
    const float *place[TAPS];
    for (int t = 0; t < count; t++) {
        pixels(m, first + t, WIDE, 1, place);
        for (int c = 0; c < m->c; c += LANES) {
            int lanes = vector_lanes(m->c - c);
            Vector half[WIDE][WIDE]; /* [column][row] */
            float *to = v->data + (size_t)t * v->ld + c;
            for (int j = 0; j < WIDE; j++) {
                Vector d[WIDE];
                for (int i = 0; i < WIDE; i++) d[i] = vector_load(place[i * WIDE + j] + c, lanes);
                input_transform(d, half[j]);
            }
            for (int i = 0; i < WIDE; i++) {
                Vector d[WIDE], row[WIDE];
                for (int j = 0; j < WIDE; j++) d[j] = half[j][i];
                input_transform(d, row);
                for (int j = 0; j < WIDE; j++, to += v->plane) *(VectorPlace *)to = row[j];
            }
        }
    }
}

void ISA_NAME(winotile_gradient)(const WinoMaps *m, int first, int count, const Planes *v,
                                 float *sum) {
    const float *place[SIDE * SIDE];
    memset(sum, 0, (size_t)panel_vectors(m->c) * sizeof(Vector));
    for (int t = 0; t < count; t++) {
        pixels(m, first + t, SIDE, 0, place);
        for (int c = 0; c < m->c; c += LANES) {
            int lanes = vector_lanes(m->c - c);
            Vector half[SIDE][WIDE], total = {0}; /* half: [column][row] */
            float *to = v->data + (size_t)t * v->ld + c;
            for (int j = 0; j < SIDE; j++) {
                Vector d[SIDE];
                for (int i = 0; i < SIDE; i++) d[i] = vector_load(place[i * SIDE + j] + c, lanes);
                gradient_transform(d, half[j]);
                total += (d[0] + d[1]) + (d[2] + d[3]);
            }
            *(VectorPlace *)(sum + c) += total;
            for (int i = 0; i < WIDE; i++) {
                Vector d[SIDE], row[WIDE];
                for (int j = 0; j < SIDE; j++) d[j] = half[j][i];
                gradient_transform(d, row);
                for (int j = 0; j < WIDE; j++, to += v->plane) *(VectorPlace *)to = row[j];
            }
        }
    }
}

static inline Vector activate(Vector z, Act act, float slope) {
    switch (act) {
    case ACT_RELU: return vector_select(z > 0, z, (Vector){0});
    case ACT_LEAKY: return vector_select(z > 0, z, slope * z);
    case ACT_SILU: return vector_silu(z);
    case ACT_NONE: break;
    }
    return z;
}

/* The 4x4 outputs of one tile for `lanes` channels, of which those inside the map are written. */
static inline void finish(const Winograd *s, int tile, int k, int lanes, const WinogradEnd *end,
                          Vector out[SIDE][SIDE], float *y) {
    int image = tile / (s->rows * s->columns), at = tile % (s->rows * s->columns);
    int i0 = at / s->columns * SIDE, j0 = at % s->columns * SIDE;
    Vector b = end->b ? vector_load(end->b + k, lanes) : (Vector){0};
    for (int i = 0; i < SIDE && i0 + i < s->h; i++)
        for (int j = 0; j < SIDE && j0 + j < s->w; j++) {
            size_t place = (((size_t)image * s->h + i0 + i) * s->w + j0 + j) * s->k + k;
            Vector z = out[i][j] + b;
            if (end->r) z += vector_load(end->r + place, lanes);
            vector_store(y + place, activate(z, end->act, end->slope), lanes);
        }
}

void ISA_NAME(winotile_output)(const Winograd *s, const Planes *m, int first, int count, int k0,
                               int channels, const WinogradEnd *end, float *y) {
    for (int t = 0; t < count; t++)
        for (int c = 0; c < channels; c += LANES) {
            Vector half[WIDE][SIDE], out[SIDE][SIDE]; /* half: [row][column] */
            const float *from = m->data + (size_t)t * m->ld + c;
            for (int i = 0; i < WIDE; i++) {
                Vector row[WIDE];
                for (int j = 0; j < WIDE; j++, from += m->plane)
                    row[j] = *(const VectorPlace *)from;
                output_transform(row, half[i]);
            }
            for (int j = 0; j < SIDE; j++) {
                Vector column[WIDE], done[SIDE];
                for (int i = 0; i < WIDE; i++) column[i] = half[i][j];
                output_transform(column, done);
                for (int i = 0; i < SIDE; i++) out[i][j] = done[i];
            }
            finish(s, first + t, k0 + c, vector_lanes(channels - c), end, out, y);
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
static void forward_weights(int c, const float *w, int lanes, float *u, int step, size_t plane) {
    enum { BLOCK = 16 };
    float turned[BLOCK][9][LANES];
    memset(turned, 0, sizeof turned);
    for (int c0 = 0; c0 < c; c0 += BLOCK) {
        int inputs = c - c0 < BLOCK ? c - c0 : BLOCK;
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

void ISA_NAME(winotile_weights)(int k, int c, const float *w, bool turned, int first, int lanes,
                                float *u, size_t plane) {
    int rows = turned ? k : c;
    for (int v = 0; v < panel_vectors(lanes); v++) {
        int at = first + v * LANES, count = vector_lanes(lanes - v * LANES);
        int step = panel_width(lanes, v) * LANES;
        float *to = u + panel_place(rows, v);
        if (!turned) {
            forward_weights(c, w + (size_t)at * 9 * c, count, to, step, plane);
            continue;
        }
        for (int o = 0; o < k; o++, to += step) {
            Vector g[9];
            for (int tap = 0; tap < 9; tap++)
                g[8 - tap] = vector_load(w + ((size_t)o * 9 + tap) * c + at, count);
            put_weights(g, to, plane);
        }
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
