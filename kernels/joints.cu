/* joints: regressed joints without the mesh, joint_k = sum_j A_j P_kj + c_kj s_j.  One block does a
 * person from the chain to the joints, or back. */
#include "kernels/person.cuh"

/* The gradients of betas and feature are summed over this many parts of the joints. */
enum { PARTS = 4, WARP = 32, THREADS = 1024, PART_THREADS = THREADS / PARTS };

void CUDA(joints_prepare)(Call *c, bool backward) {
    (void)backward;
    c->workspace_size = 0;
}

void CUDA(joints_drop)(Call *c) { (void)c; }

/* The sum over the warp, in all of its threads. */
static __device__ REAL warp_sum(REAL x) {
    for (int by = WARP / 2; by > 0; by /= 2) x += __shfl_xor_sync(~0u, x, by);
    return x;
}

/* What the threads of a warp together contribute to rows [3][n] times x. */
static __device__ void add_rows(const REAL *__restrict__ rows, int n, const REAL *x, REAL *y) {
    for (int k = (int)threadIdx.x % WARP; k < n; k += WARP)
        for (int i = 0; i < 3; i++) y[i] += rows[(size_t)(i * n + k)] * x[k];
}

/* Point p, the same in all threads of the warp. */
static __device__ void warp_point(const Body *b, size_t p, const REAL *numbers, REAL *y) {
    const BodyPoints *points = &b->points;
    for (int i = 0; i < 3; i++) y[i] = 0;
    add_rows(points->shape + 3 * points->betas * p, b->betas, numbers, y);
    if (b->features)
        add_rows(points->pose + 3 * points->features * p, b->features, numbers + b->betas, y);
    for (int i = 0; i < 3; i++)
        y[i] = warp_sum(y[i]) + points->base[points->stride * p + (size_t)i];
}

/* c_kj of point p. */
static __device__ REAL constant(const Body *b, size_t p) {
    return b->points.base[b->points.stride * p + 3];
}

/* Block: person.  Joints are dealt out to warps. */
static __global__ void __launch_bounds__(THREADS)
    joints_regress(Body b, int count, REAL *__restrict__ out) {
    SHARED(REAL, numbers);
    __shared__ PersonChain chain;
    int person = (int)blockIdx.x;
    person_chain(&b, person, &chain);
    person_put(&b, person, &chain, numbers);
    __syncthreads();
    for (int k = (int)threadIdx.x / WARP; k < count; k += THREADS / WARP) {
        REAL sum[3] = {0, 0, 0};
        for (int j = 0; j < b.joints; j++) {
            const REAL *matrix = numbers + b.matrices + 12 * j;
            size_t point = (size_t)k * (size_t)b.joints + (size_t)j;
            if (!person_uses(&b.points, point)) continue;
            REAL p[3], moved[3];
            warp_point(&b, point, numbers, p);
            geom_apply(matrix, p, moved);
            for (int i = 0; i < 3; i++) sum[i] += moved[i] + constant(&b, point) * matrix[9 + i];
        }
        REAL *place = out + 3 * ((size_t)person * (size_t)count + (size_t)k);
        if (threadIdx.x % WARP == 0)
            for (int i = 0; i < 3; i++) place[i] = sum[i];
    }
}

/* dmatrices [j][12] = sum_k [d_k P_kj^T | c_kj d_k]; d [k][3].  Matrices are dealt out to warps,
 * the numbers of one to the first twelve threads. */
static __device__ void matrices_back(const Body *b, int count, const REAL *numbers, const REAL *d,
                                     REAL *dmatrices) {
    int lane = (int)threadIdx.x % WARP, row = lane < 9 ? lane / 3 : lane % 3;
    for (int j = (int)threadIdx.x / WARP; j < b->joints; j += THREADS / WARP) {
        REAL sum = 0;
        for (int k = 0; k < count; k++) {
            size_t point = (size_t)k * (size_t)b->joints + (size_t)j;
            if (!person_uses(&b->points, point)) continue;
            REAL p[3], x;
            warp_point(b, point, numbers, p);
            x = lane >= 9 ? constant(b, point) : lane % 3 == 0 ? p[0] : lane % 3 == 1 ? p[1] : p[2];
            sum += d[3 * k + row] * x;
        }
        if (lane < 12) dmatrices[12 * j + lane] = sum;
    }
}

/* The gradient of one number x of [betas, feature] from joints first .. end-1. */
static __device__ REAL number_back(const Body *b, int x, int first, int end, const REAL *matrices,
                                   const REAL *d) {
    bool shape = x < b->betas;
    size_t n = shape ? b->points.betas : b->points.features;
    const REAL *column = shape ? b->points.shape + x : b->points.pose + (x - b->betas);
    REAL sum = 0;
    for (int k = first; k < end; k++)
        for (int j = 0; j < b->joints; j++) {
            size_t point = (size_t)k * (size_t)b->joints + (size_t)j;
            if (!person_uses(&b->points, point)) continue;
            const REAL *rows = column + 3 * n * point;
            REAL dp[3];
            geom_apply_transposed(matrices + 12 * j, d + 3 * k, dp);
            sum += rows[0] * dp[0] + rows[n] * dp[1] + rows[2 * n] * dp[2];
        }
    return sum;
}

/* Block: person.  d and result.numbers are set here. */
static __global__ void __launch_bounds__(THREADS)
    joints_regress_back(Body b, int count, const REAL *__restrict__ dout, PersonBack result) {
    SHARED(REAL, numbers);
    __shared__ PersonChain chain;
    REAL *gradients = numbers + b.size, *parts = gradients + b.size;
    int person = (int)blockIdx.x, part = (int)threadIdx.x / PART_THREADS;
    const REAL *d = dout + 3 * (size_t)person * (size_t)count;
    person_chain(&b, person, &chain);
    person_put(&b, person, &chain, numbers);
    __syncthreads();
    matrices_back(&b, count, numbers, d, gradients + b.matrices);
    for (int x = (int)threadIdx.x % PART_THREADS; x < b.matrices; x += PART_THREADS)
        parts[part * b.matrices + x] = number_back(
            &b, x, count * part / PARTS, count * (part + 1) / PARTS, numbers + b.matrices, d);
    __syncthreads();
    BLOCK_EACH(x, b.matrices) {
        gradients[x] = 0;
        for (int i = 0; i < PARTS; i++) gradients[x] += parts[i * b.matrices + x];
    }
    __syncthreads();
    result.numbers = gradients;
    person_back(&b, person, &chain, &result);
}

void CUDA(joints_forward)(const Call *c) {
    Body b = person_of_joints(c);
    if (b.people)
        LAUNCH(joints_regress, (unsigned)b.people, THREADS, (size_t)b.size * sizeof(REAL), b,
               c->in[4].shape.h, cuda_data(&c->out[0]));
}

void CUDA(joints_backward)(const Call *c) {
    Body b = person_of_joints(c);
    PersonBack result = {NULL,      NULL,     cuda_data(&c->din[0]), cuda_data(&c->din[1]),
                         c->add[0], c->add[1]};
    size_t shared = (size_t)(2 * b.size + PARTS * b.matrices) * sizeof(REAL);
    if (b.people)
        LAUNCH(joints_regress_back, (unsigned)b.people, THREADS, shared, b, c->in[4].shape.h,
               cuda_data(&c->dout[0]), result);
}
