/* Graph: what is computed.  Nodes in the order of the calls that made them; nothing runs here.
 *
 *     Graph *g = graph_new();
 *     Tensor *x = graph_input(g, "input", F32, (Shape){8, 256, 192, 3});
 *     ... build.h: conv(m, ...), relu(m, ...) ...
 *     graph_free(g);                       // after its plans
 *
 * A tensor may carry several names (a module's output is also its last child's output).
 */
#ifndef AUTOGRAD_GRAPH_H
#define AUTOGRAD_GRAPH_H

#include "autograd/params.h"

typedef struct {
    OpKind op;
    const void *attr;
    Tensor *in[OP_MAX_IN];   /* NULL: absent */
    Tensor *out[OP_MAX_OUT]; /* the first op_info()->n_out */
    const char *where;       /* "hrnet.c:42" */
} Node;

typedef enum { TENSOR_MADE, TENSOR_INPUT, TENSOR_CONSTANT, TENSOR_PARAM } TensorRole;

typedef struct Graph Graph;

Graph *graph_new(void);
void graph_free(Graph *g);
Arena *graph_arena(Graph *g); /* for attributes that hold pointers */

/* A value written before each run, with plan_write. */
Tensor *graph_input(Graph *g, const char *name, Dtype dtype, Shape shape);

/* A value known now: values are copied (F32 from float, I32 from int32_t) and written by plan_new.
 */
Tensor *graph_constant(Graph *g, const char *name, Dtype dtype, Shape shape, const void *values);

/* Parameter i of p as a tensor; the same tensor each time.  A graph uses one Params. */
Tensor *graph_param(Graph *g, Params *p, int i);

/* Adds a node; attr is copied; returns its first output.  Inputs may be NULL where absent. */
Tensor *graph_add(Graph *g, OpKind op, const void *attr, Tensor *const *in, int n_in,
                  const char *where);
Tensor *graph_output(Graph *g, const Tensor *first, int i); /* further outputs of the same node */

void graph_name(Graph *g, const Tensor *t, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
Tensor *graph_find(const Graph *g, const char *name); /* NULL if absent; the latest of that name */

/* What plan, fuse and reports read. */
int graph_nodes(const Graph *g);
const Node *graph_node(const Graph *g, int i);
int graph_tensors(const Graph *g);
Tensor *graph_tensor(const Graph *g, int id);
TensorRole graph_role(const Graph *g, const Tensor *t);
int graph_param_index(const Graph *g, const Tensor *t); /* of a TENSOR_PARAM */
const void *graph_constant_values(const Graph *g, const Tensor *t);
Params *graph_params(const Graph *g); /* NULL when it uses none */
int graph_names(const Graph *g);
const char *graph_name_at(const Graph *g, int i, const Tensor **t);

#endif
