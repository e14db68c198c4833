/* Params: what is learned.  Weights, gradients and moments are flat slabs with equal offsets.
 *
 *     Params *p = params_new(backend_find("cpu"));
 *     ... build a graph: conv(...) declares "conv1.weight" and so on ...
 *     TRY(params_alloc(p));
 *     TRY(params_load(p, &file, file_state_prefix(&file)));
 *     ... plans, runs ...
 *     params_free(p);                    // after the plans that use it
 *
 * Keys are PyTorch's state-dict keys and dims PyTorch's shapes; inside, conv weights [o,i,kh,kw]
 * lie as o,kh,kw,i.  Declaring a key twice gives the same parameter, so several graphs share one
 * Params. Buffers (running statistics, constants) lie behind the trainable parameters and never
 * learn.
 */
#ifndef AUTOGRAD_PARAMS_H
#define AUTOGRAD_PARAMS_H

#include "kernels/backend.h"

typedef enum { PARAM_WEIGHT, PARAM_BUFFER } ParamKind;

typedef struct {
    const char *key;
    ParamKind kind;
    bool frozen; /* takes part, does not learn */
    int dims;
    int dim[4];    /* PyTorch's shape */
    Shape shape;   /* the engine's */
    size_t offset; /* numbers from the slab's begin, a multiple of 16 */
} Param;

typedef struct Params Params;

Params *params_new(const Backend *backend);
void params_free(Params *p);
const Backend *params_backend(const Params *p);

/* Index of the parameter; declares it when new.  dims 0..4.  New keys are refused after
 * params_alloc (bad code).  A second declaration with another shape is bad code. */
int params_declare(Params *p, const char *key, ParamKind kind, int dims, const int *dim);
int params_count(const Params *p);
const Param *params_at(const Params *p, int i);
int params_find(const Params *p, const char *key); /* -1 if absent */
size_t params_learned(const Params *p); /* numbers that learn (not frozen, not buffers) */

/* Freezes (or thaws) every weight whose key begins with prefix; returns how many it found.  Plans
 * made before keep what they were made for. */
int params_freeze(Params *p, const char *prefix, bool frozen);

/* Takes the weight slab; ERR_MEMORY with numbers when there is not enough. */
Status params_alloc(Params *p);

/* Whether the file has an array named prefix + key in the right shape for every parameter; needs no
 * params_alloc, whose size a hostile file decides otherwise.  ERR_MODEL names the first that is
 * missing, and how many are, or the first with another shape; further arrays are ignored. */
Status params_check(const Params *p, const ArrayFile *file, const char *prefix);

/* Fills every parameter from those arrays; ERR_MODEL, and nothing changed, where params_check
 * fails or a number is not finite. */
Status params_load(Params *p, const ArrayFile *file, const char *prefix);

/* All parameters as arrays in PyTorch's layout, F32, for file_write_safetensors.  Free it. */
ArrayFile params_arrays(const Params *p);

/* One parameter in PyTorch's layout; gradient: from the gradient slab. */
void params_set(Params *p, int i, const double *values);
void params_get(const Params *p, int i, double *values);
void params_get_gradient(const Params *p, int i, double *values);

/* The optimiser's moment 0 or 1 of a weight in the same layout; 0 where none was taken yet. */
void params_get_moment(const Params *p, int which, int i, double *values);
Status params_set_moment(Params *p, int which, int i, const double *values); /* ERR_MEMORY */

/* Keeps a copy of all values (frozen ones and buffers too); reset brings it back and, with it,
 * clears the optimiser's moments.  ERR_MEMORY when there is no room for the copy. */
Status params_snapshot(Params *p);
void params_reset(Params *p);

/* Moves all values of `average`, buffers too, by that share towards those of `weights`, which have
 * the same declarations and backend.  ERR_MEMORY, the first time only. */
Status params_average(Params *average, const Params *weights, double share);

void params_zero_gradients(Params *p);

/* For the plan: addresses of the slabs; gradients and moments are taken (zeroed) when first asked
 * for, NULL when there is not enough memory. */
void *params_weights(const Params *p);
void *params_gradients(Params *p);
void *params_moment(Params *p, int which); /* 0: m, 1: v */
size_t params_slab(const Params *p);       /* numbers in the slab's trainable part */

#endif
