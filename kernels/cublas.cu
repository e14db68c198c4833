/* Products of matrices through cuBLASLt; the only file that sees cuBLAS. */
#include "kernels/cuda.cuh"

extern "C" {
#include "kernels/cublas_gemm.h"
}

#include <cublasLt.h>
#include <stdlib.h>

enum { ALIGN = 16 }; /* of every address, bytes */

/* cuBLAS has columns together where we have rows, so it sees every matrix transposed, and computes
 * c^T = b^T a^T: its A is our b, its m our n. */
struct CublasGemm {
    cublasLtMatmulDesc_t what;
    cublasLtMatrixLayout_t a, b, c; /* of our a, b, c */
    cublasLtMatmulAlgo_t algorithm;
    float beta;
    bool bias;
};

static cublasLtHandle_t the_handle;

const char *cublas_gemm_open(void) {
    cublasStatus_t status = cublasLtCreate(&the_handle);
    return status ? cublasLtGetStatusString(status) : NULL;
}

static cublasComputeType_t compute_type(Precision precision) {
    switch (precision) {
    case PRECISION_FP32: return CUBLAS_COMPUTE_32F;
    case PRECISION_BF16: return CUBLAS_COMPUTE_32F_FAST_16BF;
    default: return CUBLAS_COMPUTE_32F_FAST_TF32;
    }
}

static cublasStatus_t set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t name, int value) {
    int32_t number = value;
    return cublasLtMatmulDescSetAttribute(d, name, &number, sizeof number);
}

static cublasStatus_t describe(const CublasShape *s, cublasLtMatmulDesc_t *out) {
    cublasStatus_t status = cublasLtMatmulDescCreate(out, compute_type(s->precision), CUDA_R_32F);
    if (!status && s->transpose_b) status = set(*out, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (!status && s->transpose_a) status = set(*out, CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_T);
    if (!status && (s->bias || s->relu))
        status = set(*out, CUBLASLT_MATMUL_DESC_EPILOGUE,
                     s->bias && s->relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                     : s->bias          ? CUBLASLT_EPILOGUE_BIAS
                                        : CUBLASLT_EPILOGUE_RELU);
    return status;
}

/* `count` row-major matrices of rows x columns behind each other. */
static cublasStatus_t layout(int rows, int columns, int count, cublasLtMatrixLayout_t *out) {
    int64_t step = (int64_t)rows * columns;
    int32_t number = count;
    cublasStatus_t status =
        cublasLtMatrixLayoutCreate(out, CUDA_R_32F, (uint64_t)columns, (uint64_t)rows, columns);
    if (!status)
        status = cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &number,
                                                  sizeof number);
    if (!status)
        status = cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                  &step, sizeof step);
    return status;
}

static cublasStatus_t describe_all(const CublasShape *s, CublasGemm *g) {
    cublasStatus_t status = describe(s, &g->what);
    if (!status)
        status =
            layout(s->transpose_a ? s->k : s->m, s->transpose_a ? s->m : s->k, s->count, &g->a);
    if (!status)
        status =
            layout(s->transpose_b ? s->n : s->k, s->transpose_b ? s->k : s->n, s->count, &g->b);
    if (!status) status = layout(s->m, s->n, s->count, &g->c);
    return status;
}

static cublasStatus_t limit(cublasLtMatmulPreference_t p) {
    static const cublasLtMatmulPreferenceAttributes_t address[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint64_t workspace = CUBLAS_WORKSPACE;
    uint32_t align = ALIGN;
    cublasStatus_t status = cublasLtMatmulPreferenceSetAttribute(
        p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
    for (int i = 0; i < 4 && !status; i++)
        status = cublasLtMatmulPreferenceSetAttribute(p, address[i], &align, sizeof align);
    return status;
}

static cublasStatus_t choose(CublasGemm *g) {
    cublasLtMatmulPreference_t wish;
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&wish);
    if (status) return status;
    status = limit(wish);
    if (!status)
        status = cublasLtMatmulAlgoGetHeuristic(the_handle, g->what, g->b, g->a, g->c, g->c, wish,
                                                1, &best, &found);
    cublasLtMatmulPreferenceDestroy(wish);
    if (!status && !found) status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (!status) g->algorithm = best.algo;
    return status;
}

CublasGemm *cublas_gemm_new(const CublasShape *shape) {
    if (shape->count < 1 || shape->m < 1 || shape->n < 1 || shape->k < 1) return NULL;
    CublasGemm *g = (CublasGemm *)calloc(1, sizeof *g);
    CHECK(g, "out of memory");
    g->beta = shape->add ? 1 : 0;
    g->bias = shape->bias;
    cublasStatus_t status = describe_all(shape, g);
    if (!status) status = choose(g);
    if (!status) return g;
    cublas_gemm_free(g);
    return NULL;
}

void cublas_gemm_free(CublasGemm *g) {
    if (!g) return;
    if (g->what) cublasLtMatmulDescDestroy(g->what);
    if (g->a) cublasLtMatrixLayoutDestroy(g->a);
    if (g->b) cublasLtMatrixLayoutDestroy(g->b);
    if (g->c) cublasLtMatrixLayoutDestroy(g->c);
    free(g);
}

void cublas_gemm_run(const CublasGemm *g, const float *a, const float *b, float *c,
                     const float *bias, void *workspace) {
    const float one = 1;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (g->bias)
        status = cublasLtMatmulDescSetAttribute(g->what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
                                                sizeof bias);
    if (!status)
        status = cublasLtMatmul(the_handle, g->what, &one, b, g->b, a, g->a, &g->beta, c, g->c, c,
                                g->c, &g->algorithm, workspace, CUBLAS_WORKSPACE, cuda_stream());
    if (status) cuda_broken("cublas", cublasLtGetStatusString(status));
}
