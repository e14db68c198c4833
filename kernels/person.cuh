/* One person of a body for all threads of a block: what the kernels of skin and joints begin and
 * end with.
 *
 *     __shared__ PersonChain chain;
 *     person_chain(&b, person, &chain);
 *     person_put(&b, person, &chain, numbers);     // [b.size], see person.h
 *     __syncthreads();
 *     ... numbers -> points, gradients of points -> gradients of numbers ...
 *     __syncthreads();
 *     person_back(&b, person, &chain, &result);
 *
 * Every thread of the block calls these.  Joints of one depth of the tree are computed side by
 * side, and a parent gathers from its children in a fixed order.
 */
#ifndef KERNELS_PERSON_CUH
#define KERNELS_PERSON_CUH

#include "kernels/cuda.cuh"
#include "kernels/person.h"

/* A person's rotations, joints at rest, chain, and the gradients of all. */
typedef struct {
    int depth[SKIN_JOINTS];
    REAL R[9 * SKIN_JOINTS], J[3 * SKIN_JOINTS], A[9 * SKIN_JOINTS], t[3 * SKIN_JOINTS];
    REAL dR[9 * SKIN_JOINTS], dJ[3 * SKIN_JOINTS], dA[9 * SKIN_JOINTS], dt[3 * SKIN_JOINTS];
} PersonChain;

/* Gradients of the numbers, of the posed joints [j,3] (NULL: none); where those of rotations and
 * betas go (NULL: nowhere), and whether they are added. */
typedef struct {
    const REAL *numbers, *joints;
    REAL *dR, *dbeta;
    bool add_R, add_beta;
} PersonBack;

/* `count` things, dealt out to the threads of the block. */
#define BLOCK_EACH(i, count) for (int i = (int)threadIdx.x; i < (count); i += (int)blockDim.x)

static __device__ inline int person_depth(const SkinAttr *tree, int j) {
    int depth = 0;
    for (int p = tree->parent[j]; p >= 0; p = tree->parent[p]) depth++;
    return depth;
}

static __device__ inline void person_chain(const Body *b, int person, PersonChain *c) {
    const REAL *beta = b->shape + (size_t)person * (size_t)b->betas;
    const REAL *R = b->rotation + (size_t)person * 9 * (size_t)b->joints;
    BLOCK_EACH(i, 9 * b->joints) c->R[i] = R[i];
    BLOCK_EACH(i, 3 * b->joints) c->J[i] = person_rest(b, beta, i);
    BLOCK_EACH(j, b->joints) c->depth[j] = person_depth(&b->tree, j);
    __syncthreads();
    for (int depth = 0; depth < b->joints; depth++) {
        BLOCK_EACH(j, b->joints) {
            if (c->depth[j] != depth) continue;
            geom_chain_joint(j, b->tree.parent[j], c->R, c->J, c->A, c->t);
        }
        __syncthreads();
    }
}

static __device__ inline void person_put(const Body *b, int person, const PersonChain *c,
                                         REAL *numbers) {
    const REAL *beta = b->shape + (size_t)person * (size_t)b->betas;
    BLOCK_EACH(k, b->betas) numbers[k] = beta[k];
    BLOCK_EACH(k, b->features) numbers[b->betas + k] = person_feature(c->R, k);
    BLOCK_EACH(j, b->joints) {
        person_matrix(c->A + 9 * j, c->J + 3 * j, c->t + 3 * j, numbers + b->matrices + 12 * j);
    }
}

/* From dA, dJ and dt of every joint to dR and dJ. */
static __device__ inline void person_chain_back(const Body *b, PersonChain *c) {
    for (int depth = b->joints - 1; depth >= 0; depth--) {
        BLOCK_EACH(p, b->joints) {
            if (c->depth[p] != depth) continue;
            for (int j = b->joints - 1; j > p; j--)
                if (b->tree.parent[j] == p)
                    geom_chain_joint_backward(j, p, c->R, c->J, c->A, c->dA, c->dt, c->dR, c->dJ);
            if (depth == 0)
                geom_chain_joint_backward(p, -1, c->R, c->J, c->A, c->dA, c->dt, c->dR, c->dJ);
        }
        __syncthreads();
    }
}

/* c holds the person's chain. */
static __device__ inline void person_back(const Body *b, int person, PersonChain *c,
                                          const PersonBack *g) {
    BLOCK_EACH(j, b->joints) {
        person_matrix_backward(c->A + 9 * j, c->J + 3 * j, g->numbers + b->matrices + 12 * j,
                               c->dA + 9 * j, c->dJ + 3 * j, c->dt + 3 * j);
        size_t joint = (size_t)person * (size_t)b->joints + (size_t)j;
        for (int i = 0; g->joints && i < 3; i++)
            c->dt[3 * j + i] += g->joints[3 * joint + (size_t)i];
    }
    __syncthreads();
    person_chain_back(b, c);
    BLOCK_EACH(i, g->dR ? 9 * b->joints : 0) {
        bool feature = i >= 9 && i < 9 + b->features;
        REAL value = c->dR[i] + (feature ? g->numbers[b->betas + i - 9] : 0);
        kernel_put(g->dR + (size_t)person * 9 * (size_t)b->joints + i, value, g->add_R);
    }
    BLOCK_EACH(k, g->dbeta ? b->betas : 0) {
        REAL value = person_beta_backward(b, k, g->numbers[k], c->dJ);
        kernel_put(g->dbeta + (size_t)person * (size_t)b->betas + k, value, g->add_beta);
    }
}

#endif
