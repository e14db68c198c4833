#include "autograd/fuse.h"

#include <stdlib.h>

typedef struct {
    Node *node;   /* a copy of the graph's nodes; in[0] NULL marks one that was moved away */
    int *maker;   /* by tensor id: index of the node, or -1 */
    int *readers; /* by tensor id */
    const bool *kept;
    Arena *arena;
} Fuser;

/* The op that makes t for one reader only; or NULL. */
static Node *lone(const Fuser *f, OpKind op, const Tensor *t) {
    int i = f->maker[t->id];
    if (i < 0 || f->node[i].op != op || f->readers[t->id] != 1 || f->kept[t->id]) return NULL;
    return &f->node[i];
}

/* A conv of that kind, still without an activation. */
static Node *lone_conv(const Fuser *f, const Tensor *t) {
    Node *conv = lone(f, OP_conv, t);
    return conv && ((const ConvAttr *)conv->attr)->act == ACT_NONE ? conv : NULL;
}

static void drop(Node *node) { node->in[0] = NULL; }

/* The node becomes one that adds `rest`, its input `residual`, in place of sum i. */
static bool move_to_sum(Fuser *f, int i, Node *node, int residual, Tensor *rest) {
    Node *sum = &f->node[i];
    if (!node || node->in[residual] || node->in[0] == rest) return false;
    if (!shape_equal(node->out[0]->shape, rest->shape)) return false;
    Node moved = *node;
    moved.in[residual] = rest;
    moved.out[0] = sum->out[0];
    drop(node);
    *sum = moved;
    f->maker[moved.out[0]->id] = i;
    return true;
}

/* y = conv(x) + r or resize(x) + r: the first of them moves to the add's place, where r is known.
 */
static void fuse_add(Fuser *f, int i) {
    Tensor *a = f->node[i].in[0], *b = f->node[i].in[1];
    if (move_to_sum(f, i, lone_conv(f, a), 3, b)) return;
    if (move_to_sum(f, i, lone_conv(f, b), 3, a)) return;
    if (move_to_sum(f, i, lone(f, OP_resize, a), 1, b)) return;
    move_to_sum(f, i, lone(f, OP_resize, b), 1, a);
}

static void fuse_activation(Fuser *f, int i) {
    static const Act act[UNARY_COUNT] = {
        [UNARY_RELU] = ACT_RELU, [UNARY_SILU] = ACT_SILU, [UNARY_LEAKY] = ACT_LEAKY};
    Node *unary = &f->node[i];
    const UnaryAttr *a = unary->attr;
    Node *conv = lone_conv(f, unary->in[0]);
    if (!conv || !act[a->kind]) return;
    ConvAttr *attr = arena_alloc(f->arena, sizeof *attr);
    *attr = *(const ConvAttr *)conv->attr;
    attr->act = act[a->kind];
    attr->slope = a->p;
    conv->attr = attr;
    conv->out[0] = unary->out[0];
    f->maker[conv->out[0]->id] = (int)(conv - f->node);
    drop(unary);
}

static Fuser fuser_new(const Graph *g, const bool *kept, Arena *arena, Node *nodes) {
    int tensors = graph_tensors(g);
    Fuser f = {.node = nodes, .kept = kept, .arena = arena};
    f.maker = malloc((size_t)(tensors + 1) * sizeof *f.maker);
    f.readers = calloc((size_t)(tensors + 1), sizeof *f.readers);
    CHECK(f.maker && f.readers, "out of memory");
    for (int t = 0; t < tensors; t++) f.maker[t] = -1;
    for (int i = 0; i < graph_nodes(g); i++) {
        nodes[i] = *graph_node(g, i);
        for (int k = 0; k < OP_MAX_IN; k++)
            if (nodes[i].in[k]) f.readers[nodes[i].in[k]->id]++;
        for (int k = 0; k < op_info(nodes[i].op)->n_out; k++) f.maker[nodes[i].out[k]->id] = i;
    }
    return f;
}

int fuse_nodes(const Graph *g, const bool *kept, Arena *arena, Node *out) {
    Fuser f = fuser_new(g, kept, arena, out);
    for (int i = 0; i < graph_nodes(g); i++) {
        if (out[i].op == OP_binary && ((const BinaryAttr *)out[i].attr)->kind == BINARY_ADD)
            fuse_add(&f, i);
        else if (out[i].op == OP_unary)
            fuse_activation(&f, i);
    }
    free(f.maker);
    free(f.readers);
    int count = 0;
    for (int i = 0; i < graph_nodes(g); i++)
        if (out[i].in[0]) out[count++] = out[i];
    return count;
}
