#include "autograd/step.h"

#include "autograd/fuse.h"

#include <stdlib.h>
#include <string.h>

/* What is known of each tensor while the list is made; all indexed by tensor id. */
typedef struct {
    Graph *graph;
    const Backend *backend;
    const PlanOptions *options;
    Arena *arena;
    StepList list;
    Node *node;
    int nodes;
    bool *kept;         /* read after the run, so it must exist under its own name */
    bool *used;         /* loss or a kept value depends on it */
    bool *wants;        /* a gradient is wanted for it or for something it depends on */
    bool *written;      /* its gradient has a first writer */
    const Node **cheap; /* backward makes it again, with this node */
    bool *again;        /* and has done so */
    bool *half;         /* is stored as BF16, as is its gradient */
} Maker;

static bool *flags(const Maker *m, int count) {
    return arena_alloc(m->arena, (size_t)count * sizeof(bool) + 1);
}

static Step *step_add(Maker *m, Pass pass, const Node *node) {
    StepList *list = &m->list;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 1024;
        list->step = realloc(list->step, (size_t)list->capacity * sizeof *list->step);
        CHECK(list->step, "out of memory");
    }
    Step *s = &list->step[list->count++];
    *s = (Step){.pass = pass};
    if (node) s->node = *node, s->call.attr = node->attr;
    return s;
}

static Tensor described(const Maker *m, const Tensor *t, bool present) {
    Tensor copy = t ? *t : (Tensor){0};
    if (t && m->half[t->id]) copy.dtype = BF16;
    copy.data = t && present ? STEP_PRESENT : NULL;
    return copy;
}

static void mark_kept(Maker *m) {
    const PlanOptions *o = m->options;
    for (int i = 0; i < o->keeps; i++) m->kept[o->keep[i]->id] = true;
    for (int i = 0; i < o->records; i++) m->kept[o->record[i]->id] = true;
    if (o->loss) m->kept[o->loss->id] = true;
}

static void choose_nodes(Maker *m) {
    m->node = arena_alloc(m->arena, (size_t)graph_nodes(m->graph) * sizeof *m->node + 1);
    if (!m->options->plain) {
        m->nodes = fuse_nodes(m->graph, m->kept, m->arena, m->node);
        return;
    }
    m->nodes = graph_nodes(m->graph);
    for (int i = 0; i < m->nodes; i++) m->node[i] = *graph_node(m->graph, i);
}

static bool any_output(const Node *node, const bool *flag) {
    for (int i = 0; i < op_info(node->op)->n_out; i++)
        if (flag[node->out[i]->id]) return true;
    return false;
}

static void mark_used(Maker *m) {
    for (int t = 0; t < graph_tensors(m->graph); t++) m->used[t] = m->kept[t];
    for (int n = m->nodes - 1; n >= 0; n--) {
        if (!any_output(&m->node[n], m->used)) continue;
        for (int i = 0; i < OP_MAX_IN; i++)
            if (m->node[n].in[i]) m->used[m->node[n].in[i]->id] = true;
    }
}

static bool learns(const Maker *m, const Tensor *t) {
    if (graph_role(m->graph, t) != TENSOR_PARAM || m->options->fix_params) return false;
    const Param *p = params_at(graph_params(m->graph), graph_param_index(m->graph, t));
    return p->kind == PARAM_WEIGHT && !p->frozen;
}

static void mark_wants(Maker *m) {
    for (int i = 0; i < m->options->wrts; i++) m->wants[m->options->wrt[i]->id] = true;
    for (int t = 0; t < graph_tensors(m->graph); t++)
        if (learns(m, graph_tensor(m->graph, t))) m->wants[t] = true;
    for (int n = 0; n < m->nodes; n++) {
        const Node *node = &m->node[n];
        const OpInfo *info = op_info(node->op);
        for (int i = 0; i < info->n_in; i++)
            if (node->in[i] && (info->grads & IN(i)) && m->wants[node->in[i]->id])
                for (int k = 0; k < info->n_out; k++) m->wants[node->out[k]->id] = true;
    }
}

/* Whether another node of the same op reads the tensor: both would write its gradient. */
static bool is_shared(const Maker *m, const Node *node, const Tensor *t) {
    for (int n = 0; n < m->nodes; n++)
        for (int i = 0; i < op_info(node->op)->n_in && m->node[n].op == node->op; i++)
            if (&m->node[n] != node && m->node[n].in[i] == t) return true;
    return false;
}

/* Whether such nodes run together, apart from the others. */
static bool goes_together(const Maker *m, const Node *node) {
    bool alone = m->backend->folds_together && node->op == OP_fold && !m->options->plain;
    for (int i = 0; i < op_info(node->op)->n_in && alone; i++) {
        const Tensor *t = node->in[i];
        alone = !t || (graph_role(m->graph, t) == TENSOR_PARAM && !is_shared(m, node, t));
    }
    return alone;
}

static Step *emit_forward_of(Maker *m, const Node *node) {
    Step *s = step_add(m, PASS_FORWARD, node);
    s->together = goes_together(m, node);
    for (int i = 0; i < OP_MAX_IN; i++) s->call.in[i] = described(m, node->in[i], true);
    for (int i = 0; i < op_info(node->op)->n_out; i++)
        s->call.out[i] = described(m, node->out[i], true);
    return s;
}

static void emit_forward(Maker *m) {
    for (int rest = 0; rest < 2; rest++)
        for (int n = 0; n < m->nodes; n++)
            if (any_output(&m->node[n], m->used) && goes_together(m, &m->node[n]) == !rest)
                emit_forward_of(m, &m->node[n]);
}

/* --- what is stored as BF16 --- */

/* Whether an op makes and reads maps in either form. */
static bool takes_halves(const Node *node) {
    switch (node->op) {
    case OP_conv:
    case OP_resize:
    case OP_maxpool:
    case OP_unary:
    case OP_concat: return true;
    case OP_binary:
        CHECK(node->in[0] && node->in[1], "binary without operands at %s", node->where);
        return ((const BinaryAttr *)node->attr)->kind == BINARY_ADD &&
               shape_equal(node->in[0]->shape, node->in[1]->shape);
    default: return false;
    }
}

static bool is_map(const Tensor *t) { return t && (size_t)t->shape.h * (size_t)t->shape.w > 1; }

/* Folded weights stay what they are where a reader is not a conv of maps, maps where a reader takes
 * them as anything else than maps. */
static bool reads_half(const Node *reader, int i) {
    if (reader->op != OP_conv) return takes_halves(reader);
    return i == 0 || i == 3 || (i == 1 && is_map(reader->in[0]));
}

enum { HALF_CHANNELS = 8 };

static bool may_be_half(const Maker *m, const Node *maker, const Tensor *t) {
    if (m->kept[t->id]) return false;
    for (int i = 0; i < m->options->wrts; i++)
        if (m->options->wrt[i] == t) return false;
    if (maker->op == OP_fold) return t == maker->out[0];
    return takes_halves(maker) && is_map(t) && t->shape.c % HALF_CHANNELS == 0;
}

static void mark_half(Maker *m) {
    if (!m->backend->stores_half || m->options->plain) return;
    for (int n = 0; n < m->nodes; n++)
        for (int i = 0; i < op_info(m->node[n].op)->n_out; i++)
            m->half[m->node[n].out[i]->id] = may_be_half(m, &m->node[n], m->node[n].out[i]);
    for (int n = 0; n < m->nodes; n++)
        for (int i = 0; i < OP_MAX_IN; i++)
            if (m->node[n].in[i] && !reads_half(&m->node[n], i))
                m->half[m->node[n].in[i]->id] = false;
}

/* A step that fills one gradient: the loss's with one, an unused output's with zero. */
static void emit_fill(Maker *m, Pass pass, Tensor *t) {
    Node node = {.op = OP_COUNT, .out = {t}, .where = ""};
    step_add(m, pass, &node)->call.dout[0] = described(m, t, true);
    m->written[t->id] = true;
}

static bool wants_input(const Maker *m, const Node *node, int i) {
    return node->in[i] && (op_info(node->op)->grads & IN(i)) && m->wants[node->in[i]->id];
}

/* What backward makes again instead of keeping it: folded weights, which are as large as the
 * weights, and outputs of convs with few products per number whose inputs are kept anyway. */
enum { CHEAP_PRODUCTS = 128 };

static bool is_cheap(const Maker *m, const Node *node) {
    if (node->op == OP_fold) return !goes_together(m, node);
    if (node->op != OP_conv || m->cheap[node->in[0]->id]) return false;
    if (node->in[3] && m->cheap[node->in[3]->id]) return false;
    Shape w = node->in[1]->shape;
    return w.h * w.w * w.c <= CHEAP_PRODUCTS && !m->kept[node->out[0]->id];
}

static void mark_cheap(Maker *m) {
    for (int n = 0; n < m->nodes && !m->options->plain; n++)
        for (int i = 0; is_cheap(m, &m->node[n]) && i < op_info(m->node[n].op)->n_out; i++)
            m->cheap[m->node[n].out[i]->id] = &m->node[n];
    /* A pool finds the maximum by its bits, which a conv over fewer images may make differently. */
    for (int n = 0; n < m->nodes; n++)
        if (m->node[n].op == OP_maxpool) m->cheap[m->node[n].in[0]->id] = NULL;
}

static unsigned emit_again(Maker *m, const Node *node, unsigned values);

static bool made_again(Maker *m, const Tensor *t) {
    const Node *maker = t ? m->cheap[t->id] : NULL;
    if (!maker || m->again[t->id]) return maker;
    unsigned inputs = emit_again(m, maker, ALL_IN);
    emit_forward_of(m, maker)->again = inputs | ~ALL_IN;
    for (int i = 0; i < op_info(maker->op)->n_out; i++) m->again[maker->out[i]->id] = true;
    return true;
}

/* Makes those of the node's values (masks of op.h) again that were not kept; returns which. */
static unsigned emit_again(Maker *m, const Node *node, unsigned values) {
    unsigned again = 0;
    for (int i = 0; i < OP_MAX_IN; i++)
        if ((values & IN(i)) && made_again(m, node->in[i])) again |= IN(i);
    for (int i = 0; i < OP_MAX_OUT; i++)
        if ((values & OUT(i)) && made_again(m, node->out[i])) again |= OUT(i);
    return again;
}

/* A conv's gradient of the weights becomes a step of its own, for nothing in the network waits for
 * it; dout is behind the activation by then. */
static void emit_weights_of(Maker *m, Step *whole) {
    Step first = *whole, *s; /* a copy: step_add may move the list */
    ConvAttr *attr = arena_alloc(m->arena, sizeof *attr);
    *attr = *(const ConvAttr *)first.node.attr;
    attr->act = ACT_NONE;
    whole->call.din[1] = (Tensor){0};
    s = step_add(m, PASS_BACKWARD, &first.node);
    s->node.attr = s->call.attr = attr;
    s->again = first.again & IN(0);
    s->call.in[0] = first.call.in[0];
    s->call.in[1] = first.call.in[1], s->call.in[1].data = NULL;
    s->call.dout[0] = first.call.dout[0];
    s->call.din[1] = first.call.din[1];
    s->call.add[1] = first.call.add[1];
}

static void emit_backward_of(Maker *m, const Node *node) {
    const OpInfo *info = op_info(node->op);
    for (int i = 0; i < info->n_out; i++)
        if (!m->written[node->out[i]->id]) emit_fill(m, PASS_ZERO, node->out[i]);
    unsigned reads = op_reads(node->op, node->attr), again = emit_again(m, node, reads);
    Step *s = step_add(m, PASS_BACKWARD, node);
    Call *c = &s->call;
    s->again = again;
    s->together = goes_together(m, node);
    for (int i = 0; i < info->n_out; i++) {
        c->out[i] = described(m, node->out[i], reads & OUT(i));
        c->dout[i] = described(m, node->out[i], true);
    }
    for (int i = 0; i < OP_MAX_IN; i++) {
        c->in[i] = described(m, node->in[i], reads & IN(i));
        if (!wants_input(m, node, i)) continue;
        c->din[i] = described(m, node->in[i], true);
        c->add[i] = m->written[node->in[i]->id];
        m->written[node->in[i]->id] = true;
    }
    if (m->backend->leaves_dz && node->op == OP_conv && c->din[0].data && c->din[1].data)
        emit_weights_of(m, s);
}

static void emit_backward(Maker *m) {
    Tensor *loss = m->options->loss;
    CHECK(shape_size(loss->shape) == 1, "a loss is one number, not %s", shape_text(loss->shape));
    CHECK(m->wants[loss->id], "nothing that the loss depends on wants a gradient");
    emit_fill(m, PASS_SEED, loss);
    for (int together = 0; together < 2; together++)
        for (int n = m->nodes - 1; n >= 0; n--) {
            const Node *node = &m->node[n];
            bool wanted = false;
            for (int i = 0; i < OP_MAX_IN; i++) wanted = wanted || wants_input(m, node, i);
            if (wanted && any_output(node, m->written) && goes_together(m, node) == together)
                emit_backward_of(m, node);
        }
}

/* The parameters that this list gives a gradient; without a loss, all that learn. */
static void mark_learned(Maker *m) {
    Params *p = graph_params(m->graph);
    if (!p) return;
    m->list.learned = flags(m, params_count(p));
    for (int t = 0; t < graph_tensors(m->graph); t++) {
        Tensor *tensor = graph_tensor(m->graph, t);
        if (learns(m, tensor) && (m->written[t] || !m->options->loss))
            m->list.learned[graph_param_index(m->graph, tensor)] = true;
    }
}

/* What ends a run.  The plan gives cursor and history their places. */
static void emit_record(Maker *m) {
    const PlanOptions *o = m->options;
    if (!o->update && !o->records) return;
    CHECK(o->records <= RECORD_MAX, "%d numbers to record", o->records);
    Node node = {.op = OP_record, .where = ""};
    for (int i = 0; i < o->records; i++) node.in[RECORD_FIRST + i] = o->record[i];
    Step *s = step_add(m, PASS_RECORD, &node);
    for (int i = RECORD_FIRST; i < OP_MAX_IN; i++) s->call.in[i] = described(m, node.in[i], true);
}

static void start_gradients(Maker *m) {
    if (!m->options->add_gradients) return;
    for (int t = 0; t < graph_tensors(m->graph); t++)
        m->written[t] = learns(m, graph_tensor(m->graph, t));
}

StepList step_list(Graph *g, const Backend *backend, const PlanOptions *options, Arena *arena) {
    Maker m = {.graph = g, .backend = backend, .options = options, .arena = arena};
    int tensors = graph_tensors(g);
    m.kept = flags(&m, tensors), m.used = flags(&m, tensors);
    m.wants = flags(&m, tensors), m.written = flags(&m, tensors);
    mark_kept(&m);
    choose_nodes(&m);
    m.again = flags(&m, tensors), m.half = flags(&m, tensors);
    mark_half(&m);
    m.cheap = arena_alloc(arena, (size_t)tensors * sizeof *m.cheap + 1);
    mark_cheap(&m);
    mark_used(&m);
    mark_wants(&m);
    start_gradients(&m);
    emit_forward(&m);
    if (options->loss && (options->wrts || !options->fix_params)) emit_backward(&m);
    mark_learned(&m);
    if (options->update) {
        Node update = {.op = OP_update, .attr = options->update, .where = ""};
        step_add(&m, PASS_UPDATE, &update);
    }
    emit_record(&m);
    return m.list;
}

int step_last_together(const StepList *list, int i) {
    while (list->step[i].call.next) i++;
    return i;
}

int step_places(const Graph *g, Step *step, Place *out) {
    int count = 0, gradients = graph_tensors(g);
    Call *c = &step->call;
    for (int i = 0; i < OP_MAX_IN; i++) {
        if (!step->node.in[i]) continue;
        int id = step->node.in[i]->id, again = step->again & IN(i) ? 2 * gradients : 0;
        if (c->in[i].data) out[count++] = (Place){&c->in[i], id + again};
        if (c->din[i].data) out[count++] = (Place){&c->din[i], id + gradients};
    }
    for (int i = 0; i < OP_MAX_OUT; i++) {
        if (!step->node.out[i]) continue;
        int id = step->node.out[i]->id, again = step->again & OUT(i) ? 2 * gradients : 0;
        if (c->out[i].data) out[count++] = (Place){&c->out[i], id + again};
        if (c->dout[i].data) out[count++] = (Place){&c->dout[i], id + gradients};
    }
    return count;
}
