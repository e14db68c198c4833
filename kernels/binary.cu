/* binary: sum, difference, product, quotient with repeated axes. */
#include "kernels/broadcast.cuh"
#include "kernels/stored.cuh"
#include "kernels/sum.cuh"

static __device__ REAL value_of(BinaryKind kind, REAL p, REAL q) {
    switch (kind) {
    case BINARY_ADD: return p + q;
    case BINARY_SUB: return p - q;
    case BINARY_MUL: return p * q;
    case BINARY_DIV: return p / q;
    }
    return 0;
}

/* What operand k = 0 (p) or 1 (q) gets of the gradient d. */
static __device__ REAL slope_of(BinaryKind kind, int k, REAL p, REAL q, REAL d) {
    switch (kind) {
    case BINARY_ADD: return d;
    case BINARY_SUB: return k ? -d : d;
    case BINARY_MUL: return d * (k ? p : q);
    case BINARY_DIV: return k ? -d * p / (q * q) : d / q;
    }
    return 0;
}

template <int N>
static __global__ void binary_values(size_t count, BinaryKind kind, Broadcast w,
                                     const REAL *__restrict__ a, const REAL *__restrict__ b,
                                     REAL *__restrict__ y) {
    EACH(i, count) {
        Pack<N> p = broadcast_load<N>(w, 0, a, i), q = broadcast_load<N>(w, 1, b, i);
        for (int l = 0; l < N; l++) p.v[l] = value_of(kind, p.v[l], q.v[l]);
        pack_put<N>(y, i, p, false);
    }
}

/* The operands of one backward run; a and b are NULL where they are not read. */
typedef struct {
    BinaryKind kind;
    int k; /* whose gradient is made */
    Broadcast w;
    const REAL *a, *b, *dy;
    REAL *out;
    bool add;
} Gradient;

/* An operand of the full shape needs no sums. */
template <int N> static __global__ void binary_gradients(size_t count, Gradient g) {
    EACH(i, count) {
        Pack<N> p = broadcast_load<N>(g.w, 0, g.a, i), q = broadcast_load<N>(g.w, 1, g.b, i);
        Pack<N> d = pack_load<N>(g.dy, i);
        for (int l = 0; l < N; l++) d.v[l] = slope_of(g.kind, g.k, p.v[l], q.v[l], d.v[l]);
        pack_put<N>(g.out, i, d, g.add);
    }
}

/* The sum of an operand's terms. */
struct GradientSum {
    typedef double Value;
    Gradient g;

    __device__ double term(unsigned at, unsigned) const {
        REAL p = g.a ? g.a[broadcast_offset(g.w, 0, at)] : 0;
        REAL q = g.b ? g.b[broadcast_offset(g.w, 1, at)] : 0;
        return slope_of(g.kind, g.k, p, q, g.dy[at]);
    }
    __device__ void put(unsigned m, double sum) const { kernel_put(g.out + m, (REAL)sum, g.add); }
};

static Broadcast broadcast_of(const Call *c, Shape full) {
    const Shape shapes[] = {c->in[0].shape, c->in[1].shape};
    return broadcast_make(full, 2, shapes);
}

/* Sums of two maps, which may be stored as bfloat16. */
template <int N> static __global__ void map_sums(size_t count, Stored a, Stored b, Stored y) {
    EACH(i, count) {
        Pack<N> p = stored_load<N>(a, i), q = stored_load<N>(b, i);
        for (int l = 0; l < N; l++) p.v[l] += q.v[l];
        stored_put<N>(y, i, p, false);
    }
}

static bool sums_maps(const Call *c) {
    return ((const BinaryAttr *)c->attr)->kind == BINARY_ADD &&
           shape_equal(c->in[0].shape, c->in[1].shape);
}

static void forward_maps(const Call *c) {
    size_t size = shape_size(c->in[0].shape);
    Stored a = stored_of(&c->in[0]), b = stored_of(&c->in[1]), y = stored_of(&c->out[0]);
    LAUNCH_PACKS(stored_fours(size, a, b, y), map_sums, size, a, b, y);
}

static void backward_maps(const Call *c) {
    size_t size = shape_size(c->dout[0].shape);
    Stored dy = stored_of(&c->dout[0]);
    for (int i = 0; i < 2; i++) {
        Stored dx = stored_of(&c->din[i]);
        if (dx.data) stored_move(size, dy, dx, c->add[i]);
    }
}

void CUDA(binary_forward)(const Call *c) {
    if (sums_maps(c)) {
        forward_maps(c);
        return;
    }
    BinaryKind kind = ((const BinaryAttr *)c->attr)->kind;
    Broadcast w = broadcast_of(c, c->out[0].shape);
    const REAL *a = cuda_data(&c->in[0]), *b = cuda_data(&c->in[1]);
    REAL *y = cuda_data(&c->out[0]);
    unsigned size = cuda_small(shape_size(c->out[0].shape));
    LAUNCH_PACKS(cuda_fours((size_t)w.size[3], a, b, y), binary_values, size, kind, w, a, b, y);
}

void CUDA(binary_backward)(const Call *c) {
    if (sums_maps(c)) {
        backward_maps(c);
        return;
    }
    Gradient g = {};
    g.kind = ((const BinaryAttr *)c->attr)->kind;
    Shape full = c->dout[0].shape;
    unsigned size = cuda_small(shape_size(full));
    bool reads = g.kind == BINARY_MUL || g.kind == BINARY_DIV;
    g.w = broadcast_of(c, full);
    g.a = reads ? cuda_data(&c->in[0]) : NULL, g.b = reads ? cuda_data(&c->in[1]) : NULL;
    g.dy = cuda_data(&c->dout[0]);
    for (g.k = 0; g.k < 2; g.k++) {
        g.out = cuda_data(&c->din[g.k]), g.add = c->add[g.k];
        if (!g.out) continue;
        if (shape_equal(c->in[g.k].shape, full))
            LAUNCH_PACKS(cuda_fours((size_t)g.w.size[3], g.a, g.b, g.dy, g.out), binary_gradients,
                         size, g);
        else {
            GradientSum job = {g};
            sum_launch(&g.w, g.k, job);
        }
    }
}
