#include "autograd/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    Tensor *tensor;
    TensorRole role;
    int param;            /* TENSOR_PARAM: index in the Params */
    const void *constant; /* TENSOR_CONSTANT */
    int node, output;     /* TENSOR_MADE */
} Record;

typedef struct {
    const char *name;
    const Tensor *tensor;
} Name;

struct Graph {
    Arena *arena;
    Node *node;
    Record *record; /* by tensor id */
    Name *name;
    int nodes, node_capacity, tensors, tensor_capacity, names, name_capacity;
    Params *params;
    Tensor **param_tensor; /* by parameter index */
    int param_tensors;
};

Graph *graph_new(void) {
    Graph *g = calloc(1, sizeof *g);
    CHECK(g, "out of memory");
    g->arena = arena_new();
    return g;
}

void graph_free(Graph *g) {
    if (!g) return;
    arena_free(g->arena);
    free(g->node);
    free(g->record);
    free(g->name);
    free(g->param_tensor);
    free(g);
}

Arena *graph_arena(Graph *g) { return g->arena; }

/* Room for one more element. */
static void *grown(void *list, int count, int *capacity, size_t size) {
    if (count < *capacity) return list;
    *capacity = *capacity ? 2 * *capacity : 256;
    list = realloc(list, (size_t)*capacity * size);
    CHECK(list, "out of memory");
    return list;
}

static Tensor *tensor_new(Graph *g, TensorRole role, Dtype dtype, Shape shape) {
    g->record = grown(g->record, g->tensors, &g->tensor_capacity, sizeof *g->record);
    Tensor *t = arena_alloc(g->arena, sizeof *t);
    *t = (Tensor){.name = "", .dtype = dtype, .shape = shape, .id = g->tensors};
    g->record[g->tensors++] = (Record){.tensor = t, .role = role};
    return t;
}

void graph_name(Graph *g, const Tensor *t, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    g->name = grown(g->name, g->names, &g->name_capacity, sizeof *g->name);
    const char *name = arena_strdup(g->arena, text);
    g->name[g->names++] = (Name){name, t};
    g->record[t->id].tensor->name = name;
}

Tensor *graph_find(const Graph *g, const char *name) {
    for (int i = g->names - 1; i >= 0; i--)
        if (!strcmp(g->name[i].name, name)) return g->record[g->name[i].tensor->id].tensor;
    return NULL;
}

Tensor *graph_input(Graph *g, const char *name, Dtype dtype, Shape shape) {
    Tensor *t = tensor_new(g, TENSOR_INPUT, dtype, shape);
    graph_name(g, t, "%s", name);
    return t;
}

Tensor *graph_constant(Graph *g, const char *name, Dtype dtype, Shape shape, const void *values) {
    Tensor *t = tensor_new(g, TENSOR_CONSTANT, dtype, shape);
    graph_name(g, t, "%s", name);
    size_t bytes = shape_size(shape) * dtype_size(dtype);
    g->record[t->id].constant = memcpy(arena_alloc(g->arena, bytes + 1), values, bytes);
    return t;
}

Tensor *graph_param(Graph *g, Params *p, int i) {
    CHECK(!g->params || g->params == p, "a graph uses one Params");
    g->params = p;
    if (i >= g->param_tensors) {
        int count = params_count(p);
        g->param_tensor = realloc(g->param_tensor, (size_t)count * sizeof *g->param_tensor);
        CHECK(g->param_tensor, "out of memory");
        while (g->param_tensors < count) g->param_tensor[g->param_tensors++] = NULL;
    }
    if (g->param_tensor[i]) return g->param_tensor[i];
    Tensor *t = tensor_new(g, TENSOR_PARAM, F32, params_at(p, i)->shape);
    g->record[t->id].param = i;
    graph_name(g, t, "%s", params_at(p, i)->key);
    return g->param_tensor[i] = t;
}

Tensor *graph_add(Graph *g, OpKind op, const void *attr, Tensor *const *in, int n_in,
                  const char *where) {
    const OpInfo *info = op_info(op);
    CHECK(n_in <= info->n_in, "%s: op %s has %d inputs, not %d", where, info->name, info->n_in,
          n_in);
    void *copy = arena_alloc(g->arena, info->attr_size);
    Node node = {.op = op, .attr = memcpy(copy, attr, info->attr_size), .where = where};
    Tensor shapes[OP_MAX_IN] = {0}, out[OP_MAX_OUT] = {0};
    for (int i = 0; i < n_in; i++) {
        if (!in[i]) continue;
        node.in[i] = in[i];
        shapes[i] = *in[i];
        for (int k = 0; k < i; k++)
            CHECK(in[k] != in[i] || op == OP_binary, "%s: op %s has the same input twice", where,
                  info->name);
    }
    op_shape(op, copy, shapes, out, where);
    g->node = grown(g->node, g->nodes, &g->node_capacity, sizeof *g->node);
    for (int i = 0; i < info->n_out; i++) {
        node.out[i] = tensor_new(g, TENSOR_MADE, out[i].dtype, out[i].shape);
        g->record[node.out[i]->id].node = g->nodes;
        g->record[node.out[i]->id].output = i;
    }
    g->node[g->nodes++] = node;
    return node.out[0];
}

Tensor *graph_output(Graph *g, const Tensor *first, int i) {
    const Record *r = &g->record[first->id];
    CHECK(r->role == TENSOR_MADE && i < op_info(g->node[r->node].op)->n_out, "no output %d", i);
    return g->node[r->node].out[i];
}

int graph_nodes(const Graph *g) { return g->nodes; }
const Node *graph_node(const Graph *g, int i) { return &g->node[i]; }
int graph_tensors(const Graph *g) { return g->tensors; }
Tensor *graph_tensor(const Graph *g, int id) { return g->record[id].tensor; }
TensorRole graph_role(const Graph *g, const Tensor *t) { return g->record[t->id].role; }
int graph_param_index(const Graph *g, const Tensor *t) { return g->record[t->id].param; }
Params *graph_params(const Graph *g) { return g->params; }
int graph_names(const Graph *g) { return g->names; }

const void *graph_constant_values(const Graph *g, const Tensor *t) {
    return g->record[t->id].constant;
}

const char *graph_name_at(const Graph *g, int i, const Tensor **t) {
    *t = g->name[i].tensor;
    return g->name[i].name;
}
