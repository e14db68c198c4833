#include "kernels/depthwise.h"
#include "kernels/vector.h"

/* Outputs at a time: one vector of sums each. */
enum { BLOCK = 8 };

static int floor_divide(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* The outputs begin <= k < end whose column k*step + offset is inside. */
typedef struct {
    int begin, end;
} Reach;

static Reach reach(int offset, int step, int width, int outputs) {
    int begin = offset >= 0 ? 0 : (-offset + step - 1) / step;
    int end = floor_divide(width - 1 - offset, step) + 1;
    begin = begin < outputs ? begin : outputs;
    end = end < outputs ? end : outputs;
    return (Reach){begin, end > begin ? end : begin};
}

static Reach both(Reach a, Reach b) {
    Reach r = {a.begin > b.begin ? a.begin : b.begin, a.end < b.end ? a.end : b.end};
    if (r.end < r.begin) r.end = r.begin;
    return r;
}

/* What the sums of a row pass on their way into y: a copy, or stores to y would make the compiler
 * read it again each time. */
typedef struct {
    const float *b, *r;
    float *y;
    size_t y_step;
    Act act;
    float slope;
    bool add;
} End;

/* sum[q] of outputs k .. k+count-1, channels first .. first+lanes-1. */
VECTOR_INLINE void finish(End end, Vector *sum, int k, int count, int first, int lanes) {
    size_t at = (size_t)k * end.y_step + (size_t)first;
    if (end.b) {
        Vector b = vector_load(end.b + first, lanes);
        for (int q = 0; q < count; q++) sum[q] += b;
    }
    if (end.r)
        for (int q = 0; q < count; q++)
            sum[q] += vector_load(end.r + at + (size_t)q * end.y_step, lanes);
    for (int q = 0; q < count; q++) sum[q] = vector_activate(sum[q], end.act, end.slope);
    if (end.add)
        for (int q = 0; q < count; q++)
            sum[q] += vector_load(end.y + at + (size_t)q * end.y_step, lanes);
    for (int q = 0; q < count; q++)
        vector_store(end.y + at + (size_t)q * end.y_step, sum[q], lanes);
}

/* The taps that reach output k: where they read for it, and their weights. */
typedef struct {
    const float *x[DEPTHWISE_TAPS], *w[DEPTHWISE_TAPS];
    int count, k;
} Taps;

static void find_taps(const DepthwiseRow *row, int k, Taps *taps) {
    taps->count = 0;
    taps->k = k;
    for (int t = 0; t < row->taps; t++) {
        int column = k * row->step + row->tap[t].offset;
        if (column < 0 || column >= row->width) continue;
        taps->x[taps->count] = row->tap[t].x + (size_t)column * (size_t)row->c;
        taps->w[taps->count++] = row->tap[t].w;
    }
}

/* sum[q] = sum over the taps of w * x at `first` plus q steps. */
VECTOR_INLINE void sum_taps(const Taps *taps, size_t at, size_t step, Vector *sum, int count,
                            int first, int lanes) {
    for (int q = 0; q < count; q++) sum[q] = vector_of(0);
    for (int t = 0; t < taps->count; t++) {
        const float *x = taps->x[t] + at + first;
        Vector w = vector_load(taps->w[t] + first, lanes);
        for (int q = 0; q < count; q++) sum[q] += w * vector_load(x + (size_t)q * step, lanes);
    }
}

/* All channels of outputs k .. k+count-1, in the order in which they lie in memory. */
VECTOR_INLINE void pixels(const DepthwiseRow *row, const Taps *taps, End end, int k, int count) {
    int c = row->c, first = 0;
    size_t step = (size_t)row->step * (size_t)c, at = (size_t)(k - taps->k) * step;
    bool plain = !end.b && !end.r && !end.act && !end.add;
    for (; first + LANES <= c; first += LANES) {
        Vector sum[BLOCK];
        sum_taps(taps, at, step, sum, count, first, LANES);
        float *y = end.y + (size_t)k * end.y_step + first;
        for (int q = 0; plain && q < count; q++, y += end.y_step) vector_store(y, sum[q], LANES);
        if (!plain) finish(end, sum, k, count, first, LANES);
    }
    if (first < c) {
        Vector sum[BLOCK];
        sum_taps(taps, at, step, sum, count, first, c - first);
        finish(end, sum, k, count, first, c - first);
    }
}

/* An output that some taps may not reach. */
static void border(const DepthwiseRow *row, End end, int k) {
    Taps taps;
    find_taps(row, k, &taps);
    pixels(row, &taps, end, k, 1);
}

void ISA_NAME(depthwise_row)(const DepthwiseRow *row) {
    Reach all = {0, row->outputs};
    for (int t = 0; t < row->taps; t++)
        all = both(all, reach(row->tap[t].offset, row->step, row->width, row->outputs));
    End end = {row->b, row->r, row->y, row->y_step, row->act, row->slope, row->add};
    int k = 0;
    for (; k < all.begin; k++) border(row, end, k);
    Taps taps;
    find_taps(row, k, &taps);
    for (; k + BLOCK <= all.end; k += BLOCK) pixels(row, &taps, end, k, BLOCK);
    for (; k + 3 <= all.end; k += 3) pixels(row, &taps, end, k, 3);
    for (; k < all.end; k++) pixels(row, &taps, end, k, 1);
    for (; k < row->outputs; k++) border(row, end, k);
}

/* Taps from `tap` on, `count` of them, all of which reach the columns `reach`; two sums each, so
 * that one need not wait for the other. */
VECTOR_INLINE void products(const DepthwiseWeights *row, Reach columns, int tap, int count,
                            int first, int lanes) {
    enum { MOST = 5 };
    Vector even[MOST] = {{0}}, odd[MOST] = {{0}};
    size_t c = (size_t)row->c, step = (size_t)row->step * c;
    const float *x[MOST];
    for (int q = 0; q < count; q++)
        x[q] = row->x + (size_t)(columns.begin * row->step + row->offset[tap + q]) * c + first;
    const float *dz = row->dz + (size_t)columns.begin * c + first;
    int j = columns.begin;
    for (; j + 2 <= columns.end; j += 2, dz += 2 * c) {
        Vector d = vector_load(dz, lanes), e = vector_load(dz + c, lanes);
        for (int q = 0; q < count; q++, x[q - 1] += 2 * step) {
            even[q] += d * vector_load(x[q], lanes);
            odd[q] += e * vector_load(x[q] + step, lanes);
        }
    }
    if (j < columns.end)
        for (int q = 0; q < count; q++)
            even[q] += vector_load(dz, lanes) * vector_load(x[q], lanes);
    for (int q = 0; q < count; q++) {
        float *sum = row->sum + (size_t)(tap + q) * c + first;
        vector_store(sum, vector_load(sum, lanes) + (even[q] + odd[q]), lanes);
    }
}

/* All channels of one group of taps, a few columns at a time. */
VECTOR_INLINE void group_columns(const DepthwiseWeights *row, Reach columns, int tap, int count) {
    enum { COLUMNS = 16 };
    for (Reach some = columns; some.begin < columns.end; some.begin = some.end) {
        some.end = some.begin + COLUMNS < columns.end ? some.begin + COLUMNS : columns.end;
        int first = 0;
        for (; first + LANES <= row->c; first += LANES)
            products(row, some, tap, count, first, LANES);
        if (first < row->c) products(row, some, tap, count, first, row->c - first);
    }
}

/* Columns that one tap reaches and not all of its group do. */
static void rest(const DepthwiseWeights *row, Reach all, int tap) {
    Reach own = reach(row->offset[tap], row->step, row->width, row->columns);
    if (all.begin >= all.end) {
        group_columns(row, own, tap, 1);
        return;
    }
    group_columns(row, (Reach){own.begin, all.begin}, tap, 1);
    group_columns(row, (Reach){all.end, own.end}, tap, 1);
}

VECTOR_INLINE void group(const DepthwiseWeights *row, int tap, int count) {
    Reach all = {0, row->columns};
    for (int q = 0; q < count; q++)
        all = both(all, reach(row->offset[tap + q], row->step, row->width, row->columns));
    group_columns(row, all, tap, count);
    for (int q = 0; q < count; q++) rest(row, all, tap + q);
}

void ISA_NAME(depthwise_weights)(const DepthwiseWeights *row) {
    int tap = 0;
    for (; tap + 5 <= row->taps; tap += 5) group(row, tap, 5);
    for (; tap + 3 <= row->taps; tap += 3) group(row, tap, 3);
    for (; tap < row->taps; tap++) group(row, tap, 1);
}
