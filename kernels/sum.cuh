/* Sums over some axes of a shape: reduce, gradients of repeated operands, statistics of channels.
 *
 *     struct Total {                                   // what is summed, and where sums go
 *         typedef double Value;                        // double or SumPair
 *         const REAL *x;
 *         REAL *y;
 *         __device__ double term(unsigned at, unsigned) const { return x[at]; }
 *         __device__ void put(unsigned m, double sum) const { y[m] = (REAL)sum; }
 *     };
 *     Total job = {x, y};
 *     sum_launch(&w, 0, job);       // y has the shape of operand 0 of Broadcast w
 *
 * term is given the index into the full shape and that of the output.  A block makes `wide` outputs
 * at a time with `deep` threads each, so that neighbours read neighbours whether the last axis is
 * summed or kept; long sums are cut into parts that a second launch adds.  The order depends on
 * nothing but the shapes.
 */
#ifndef KERNELS_SUM_CUH
#define KERNELS_SUM_CUH

#include "kernels/broadcast.cuh"

enum { SUM_THREADS = 256 };

/* Outputs of a block when the last axis is kept: one row of cache lines. */
enum { SUM_WIDE = 32 };

/* As many parts as fill a large device, but no fewer terms for a thread. */
#ifdef CUDA_EMULATION
enum { SUM_BLOCKS = 16, SUM_TERMS = 8 };
#else
enum { SUM_BLOCKS = 512, SUM_TERMS = 8 };
#endif

struct SumPair {
    double a, b;
};
static inline __device__ void operator+=(SumPair &sum, SumPair more) {
    sum.a += more.a;
    sum.b += more.b;
}

/* Axes to walk, the fastest first, and their steps in the full shape. */
typedef struct {
    int axes;
    unsigned size[4], step[4];
} SumWalk;

typedef struct {
    SumWalk kept, summed;
    unsigned outputs, rows; /* rows: terms of an output */
    unsigned wide, deep, parts;
    bool inner; /* neighbouring rows lie together, not neighbouring outputs */
} Sum;

/* Index into the full shape of number i of the walk. */
static inline __device__ unsigned sum_walk(const SumWalk &w, unsigned i) {
    unsigned at = 0;
    for (int k = 0; k < 4; k++) {
        if (k + 1 == w.axes) return at + i * w.step[k];
        at += i % w.size[k] * w.step[k];
        i /= w.size[k];
    }
    return at;
}

static inline void sum_walk_add(SumWalk *w, unsigned size, unsigned step) {
    w->size[w->axes] = size;
    w->step[w->axes++] = step;
}

/* Least power of two that is not below `value`, up to `most`. */
static inline unsigned sum_power(unsigned value, unsigned most) {
    unsigned power = 1;
    while (power < value && power < most) power *= 2;
    return power;
}

static inline void sum_arrange(Sum *s) {
    s->deep = SUM_THREADS / sum_power(s->outputs, SUM_WIDE);
    if (s->inner || s->rows < s->deep) s->deep = sum_power(s->rows, SUM_THREADS);
    s->wide = SUM_THREADS / s->deep;
    unsigned blocks = (s->outputs + s->wide - 1) / s->wide;
    unsigned parts = blocks ? SUM_BLOCKS / blocks : 1, most = s->rows / (s->deep * SUM_TERMS);
    s->parts = parts < most ? parts : most;
    if (s->parts < 1) s->parts = 1;
}

/* The sums that make operand k of b. */
static inline Sum sum_make(const Broadcast *b, int k) {
    Sum s = {};
    unsigned step = 1;
    s.outputs = s.rows = 1;
    for (int axis = 3; axis >= 0; axis--) {
        unsigned size = (unsigned)b->size[axis];
        bool kept = b->step[k][axis] > 0;
        if (size == 1) continue;
        if (step == 1) s.inner = !kept;
        sum_walk_add(kept ? &s.kept : &s.summed, size, step);
        *(kept ? &s.outputs : &s.rows) *= size;
        step *= size;
    }
    if (!s.kept.axes) sum_walk_add(&s.kept, 1, 0);
    if (!s.summed.axes) sum_walk_add(&s.summed, 1, 0);
    sum_arrange(&s);
    return s;
}

/* A thread's output and first row in its block. */
typedef struct {
    unsigned column, row;
} SumPlace;

static inline __device__ SumPlace sum_place(const Sum &s) {
    unsigned t = threadIdx.x;
    SumPlace p = {s.inner ? t / s.deep : t % s.wide, s.inner ? t % s.deep : t / s.wide};
    return p;
}

static inline __device__ double *sum_shared(void) {
    __shared__ double numbers[2 * SUM_THREADS];
    return numbers;
}

/* The sum of a column's values, in each of its `deep` threads; for all SUM_THREADS. */
template <class Value>
static inline __device__ Value sum_column(unsigned wide, unsigned deep, SumPlace p, Value value) {
    Value *all = (Value *)sum_shared(), *own = all + p.row * wide + p.column;
    *own = value;
    __syncthreads();
    for (unsigned half = deep / 2; half > 0; half /= 2) {
        if (p.row < half) *own += own[half * wide];
        __syncthreads();
    }
    return all[p.column];
}

/* The same over the whole block. */
template <class Value> static inline __device__ Value sum_block(Value value) {
    SumPlace p = {0, threadIdx.x};
    return sum_column(1, SUM_THREADS, p, value);
}

/* What a thread sums of rows first .. last-1 of output m. */
template <class Job>
static inline __device__ typename Job::Value sum_rows(const Sum &s, const Job &job, SumPlace p,
                                                      unsigned m, unsigned first, unsigned last) {
    typename Job::Value sum = {};
    if (m >= s.outputs) return sum;
    unsigned begin = sum_walk(s.kept, m);
    for (unsigned row = first + p.row; row < last; row += s.deep)
        sum += job.term(begin + sum_walk(s.summed, row), m);
    return sum;
}

/* [outputs][parts]; an output with several parts shares its block with fewer than SUM_WIDE others.
 */
SCRATCH(double, sum_scratch, 2 * SUM_BLOCKS * SUM_WIDE);

template <class Job> static __global__ void sum_parts(Sum s, Job job) {
    SumPlace p = sum_place(s);
    unsigned m = blockIdx.x * s.wide + p.column, part = blockIdx.y;
    unsigned first = (unsigned)((uint64_t)s.rows * part / s.parts);
    unsigned last = (unsigned)((uint64_t)s.rows * (part + 1) / s.parts);
    typename Job::Value sum = sum_column(s.wide, s.deep, p, sum_rows(s, job, p, m, first, last));
    if (p.row > 0 || m >= s.outputs) return;
    if (s.parts == 1)
        job.put(m, sum);
    else
        ((typename Job::Value *)sum_scratch)[m * s.parts + part] = sum;
}

/* The second level: rows are the parts of the first. */
template <class Job> struct SumOfParts {
    typedef typename Job::Value Value;
    Job job;

    __device__ Value term(unsigned at, unsigned) const { return ((const Value *)sum_scratch)[at]; }
    __device__ void put(unsigned m, Value sum) const { job.put(m, sum); }
};

static inline Sum sum_of_parts(const Sum *s) {
    Sum second = {
        {1, {s->outputs}, {s->parts}}, {1, {s->parts}, {1}}, s->outputs, s->parts, 0, 0, 0, true};
    sum_arrange(&second);
    second.parts = 1;
    return second;
}

static inline dim3 sum_grid(const Sum *s) {
    return dim3((s->outputs + s->wide - 1) / s->wide, s->parts);
}

template <class Job> static inline void sum_launch(const Broadcast *b, int k, Job job) {
    Sum s = sum_make(b, k);
    if (!s.outputs) return;
    LAUNCH(sum_parts<Job>, sum_grid(&s), SUM_THREADS, 0, s, job);
    if (s.parts == 1) return;
    Sum second = sum_of_parts(&s);
    SumOfParts<Job> all = {job};
    LAUNCH(sum_parts<SumOfParts<Job>>, sum_grid(&second), SUM_THREADS, 0, second, all);
}

#endif
