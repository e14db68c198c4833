/* matmul: a product of matrices for each of n*h pairs; large ones in float by oneDNN. */
#include "kernels/kernel.h"
#include "kernels/onednn.h"

typedef struct {
    const REAL *data;
    int ld; /* numbers between rows */
    bool transpose;
} Matrix;

/* Below this many multiplications a product is not worth oneDNN's packing. */
enum { SMALL = 1 << 13 };

/* Row i of c = or += row i of a times b; a is [m,k], b [k,n] after their transposition. */
static void product_row(int i, int n, int k, Matrix a, Matrix b, REAL *restrict c, bool add) {
    if (!add) memset(c, 0, n * sizeof *c);
    for (int j = 0; j < k; j++) {
        REAL v = a.transpose ? a.data[(size_t)j * a.ld + i] : a.data[(size_t)i * a.ld + j];
        if (b.transpose)
            for (int l = 0; l < n; l++) c[l] += v * b.data[(size_t)l * b.ld + j];
        else
            for (int l = 0; l < n; l++) c[l] += v * b.data[(size_t)j * b.ld + l];
    }
}

/* `count` products of matrices that lie behind each other. */
static void products(int count, int m, int n, int k, Matrix a, Matrix b, REAL *c, bool add) {
    size_t size_a = (size_t)m * k, size_b = (size_t)k * n, size_c = (size_t)m * n;
    if (onednn_usable(sizeof(REAL)) && (double)m * n * k > SMALL) {
        for (int i = 0; i < count; i++)
            onednn_gemm(m, n, k, (OnednnMatrix){a.data + i * size_a, a.ld, a.transpose},
                        (OnednnMatrix){b.data + i * size_b, b.ld, b.transpose}, c + i * size_c, n,
                        add);
        return;
    }
    PARALLEL_FOR
    for (int row = 0; row < count * m; row++) {
        size_t i = row / m;
        Matrix ai = {a.data + i * size_a, a.ld, a.transpose};
        Matrix bi = {b.data + i * size_b, b.ld, b.transpose};
        product_row(row % m, n, k, ai, bi, c + (size_t)row * n, add);
    }
}

void KERNEL(matmul_prepare)(Call *c, bool backward) { (void)c, (void)backward; }

void KERNEL(matmul_drop)(Call *c) { (void)c; }

void KERNEL(matmul_forward)(const Call *c) {
    const MatmulAttr *t = c->attr;
    Shape sa = c->in[0].shape, sb = c->in[1].shape, y = c->out[0].shape;
    Matrix a = {c->in[0].data, sa.c, t->transpose_a}, b = {c->in[1].data, sb.c, t->transpose_b};
    products(y.n * y.h, y.w, y.c, t->transpose_a ? sa.w : sa.c, a, b, c->out[0].data, false);
}

/* With A and B as multiplied: dA = dC B^T, dB = A^T dC; where an input is stored transposed, so is
 * its gradient: dA^T = B dC^T, dB^T = dC^T A. */
void KERNEL(matmul_backward)(const Call *c) {
    const MatmulAttr *t = c->attr;
    Shape sa = c->in[0].shape, sb = c->in[1].shape, y = c->dout[0].shape;
    int count = y.n * y.h, m = y.w, n = y.c, k = t->transpose_a ? sa.w : sa.c;
    Matrix a = {c->in[0].data, sa.c, t->transpose_a}, b = {c->in[1].data, sb.c, t->transpose_b};
    Matrix at = {a.data, a.ld, !a.transpose}, bt = {b.data, b.ld, !b.transpose};
    Matrix d = {c->dout[0].data, n, false}, dt = {d.data, n, true};
    if (c->din[0].data && t->transpose_a)
        products(count, k, m, n, b, dt, c->din[0].data, c->add[0]);
    else if (c->din[0].data)
        products(count, m, k, n, d, bt, c->din[0].data, c->add[0]);
    if (c->din[1].data && t->transpose_b)
        products(count, n, k, m, dt, a, c->din[1].data, c->add[1]);
    else if (c->din[1].data)
        products(count, k, n, m, at, d, c->din[1].data, c->add[1]);
}
