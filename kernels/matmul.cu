/* matmul: a product of matrices for each of n*h pairs, by cuBLASLt; by own kernels where it has no
 * algorithm. */
#include "kernels/cuda.cuh"

extern "C" {
#include "kernels/cublas_gemm.h"
}

#include <stdlib.h>

/* --- own product: a block makes a square of c, TILE columns of a and rows of b at a time --- */

enum { TILE = 16 };

/* Entry (row, column) of a matrix of `columns`, or of its transpose; 0 outside. */
static __device__ REAL entry(const REAL *m, int row, int column, int rows, int columns,
                             bool transpose) {
    if (row >= rows || column >= columns) return 0;
    return m[transpose ? (size_t)column * rows + row : (size_t)row * columns + column];
}

static __global__ void own_product(CublasShape s, const REAL *__restrict__ a,
                                   const REAL *__restrict__ b, REAL *__restrict__ c) {
    SHARED(REAL, tile); /* [TILE,TILE] of a, then of b */
    int x = threadIdx.x % TILE, y = threadIdx.x / TILE;
    int row = blockIdx.x * TILE + y, column = blockIdx.y * TILE + x;
    for (int i = blockIdx.z; i < s.count; i += gridDim.z) {
        const REAL *ai = a + (size_t)i * s.m * s.k, *bi = b + (size_t)i * s.k * s.n;
        REAL sum = 0;
        for (int first = 0; first < s.k; first += TILE) {
            tile[y * TILE + x] = entry(ai, row, first + x, s.m, s.k, s.transpose_a);
            tile[(TILE + y) * TILE + x] = entry(bi, first + y, column, s.k, s.n, s.transpose_b);
            __syncthreads();
            for (int k = 0; k < TILE; k++) sum += tile[y * TILE + k] * tile[(TILE + k) * TILE + x];
            __syncthreads();
        }
        if (row < s.m && column < s.n)
            kernel_put(&c[((size_t)i * s.m + row) * s.n + column], sum, s.add);
    }
}

enum { COUNT_BLOCKS = 1024 };

static void run_own(const CublasShape *s, const REAL *a, const REAL *b, REAL *c) {
    if (!s->count || !s->m || !s->n) return;
    dim3 blocks((s->m + TILE - 1) / TILE, (s->n + TILE - 1) / TILE,
                s->count < COUNT_BLOCKS ? s->count : COUNT_BLOCKS);
    LAUNCH(own_product, blocks, TILE * TILE, 2 * TILE * TILE * sizeof(REAL), *s, a, b, c);
}

/* --- the three products of a call --- */

typedef struct {
    CublasShape shape;
    CublasGemm *gemm; /* NULL: own kernel */
} Product;

typedef struct {
    Product forward, da, db;
} State;

static Product find(CublasShape shape) {
    Product p = {shape, cublas_gemm_new(&shape)};
    return p;
}

static CublasShape shape_of(const Call *c, int m, int n, int k, bool transpose_a,
                            bool transpose_b) {
    Shape a = c->in[0].shape;
    CublasShape s = {};
    s.count = a.n * a.h, s.m = m, s.n = n, s.k = k;
    s.transpose_a = transpose_a, s.transpose_b = transpose_b;
    s.precision = c->precision;
    return s;
}

/* With A [m,k] and B [k,n] as multiplied: dA = dC B^T, dB = A^T dC; where an input is stored
 * transposed, so is its gradient: dA^T = B dC^T, dB^T = dC^T A. */
void CUDA(matmul_prepare)(Call *c, bool backward) {
    const MatmulAttr *t = (const MatmulAttr *)c->attr;
    Shape a = c->in[0].shape, b = c->in[1].shape;
    int m = t->transpose_a ? a.c : a.w, k = t->transpose_a ? a.w : a.c;
    int n = t->transpose_b ? b.w : b.c;
    bool ta = t->transpose_a, tb = t->transpose_b;
    State *s = (State *)calloc(1, sizeof *s);
    CHECK(s, "out of memory");
    if (!backward) s->forward = find(shape_of(c, m, n, k, ta, tb));
    if (shape_size(c->din[0].shape)) {
        CublasShape d = ta ? shape_of(c, k, m, n, tb, true) : shape_of(c, m, k, n, false, !tb);
        d.add = c->add[0];
        s->da = find(d);
    }
    if (shape_size(c->din[1].shape)) {
        CublasShape d = tb ? shape_of(c, n, k, m, true, ta) : shape_of(c, k, n, m, !ta, false);
        d.add = c->add[1];
        s->db = find(d);
    }
    c->state = s;
    if (s->forward.gemm || s->da.gemm || s->db.gemm)
        c->workspace_size = CUBLAS_WORKSPACE + CUDA_ALIGN;
}

void CUDA(matmul_drop)(Call *c) {
    State *s = (State *)c->state;
    if (!s) return;
    cublas_gemm_free(s->forward.gemm);
    cublas_gemm_free(s->da.gemm);
    cublas_gemm_free(s->db.gemm);
    free(s);
    c->state = NULL;
}

static void run(const Call *c, const Product *p, const REAL *a, const REAL *b, REAL *to) {
    if (p->gemm)
        cublas_gemm_run(p->gemm, a, b, to, NULL, cuda_workspace(c));
    else
        run_own(&p->shape, a, b, to);
}

void CUDA(matmul_forward)(const Call *c) {
    const State *s = (const State *)c->state;
    run(c, &s->forward, cuda_data(&c->in[0]), cuda_data(&c->in[1]), cuda_data(&c->out[0]));
}

void CUDA(matmul_backward)(const Call *c) {
    const State *s = (const State *)c->state;
    const MatmulAttr *t = (const MatmulAttr *)c->attr;
    const REAL *a = cuda_data(&c->in[0]), *b = cuda_data(&c->in[1]), *d = cuda_data(&c->dout[0]);
    REAL *da = cuda_data(&c->din[0]), *db = cuda_data(&c->din[1]);
    if (da) run(c, &s->da, t->transpose_a ? b : d, t->transpose_a ? d : b, da);
    if (db) run(c, &s->db, t->transpose_b ? d : a, t->transpose_b ? a : d, db);
}
