#include "autograd/chain.h"

#include "tensor/parallel.h"

#include <stdlib.h>

enum { DEFAULT_LIMIT = 3 << 19, WEIGHTS = 4 };

static size_t bytes(const Tensor *t) { return shape_size(t->shape) * sizeof(float); }

static int largest_divisor(int n, size_t most) {
    int divisor = most < (size_t)n ? (int)most : n;
    while (divisor > 1 && n % divisor) divisor--;
    return divisor < 1 ? 1 : divisor;
}

static bool is_conv(const Step *s) {
    bool pass = s->pass == PASS_FORWARD || s->pass == PASS_BACKWARD;
    return pass && s->node.op == OP_conv && shape_size(s->call.out[0].shape);
}

static size_t image_bytes(const Call *c) {
    return (bytes(&c->in[0]) + bytes(&c->out[0])) / (size_t)c->in[0].shape.n;
}

/* Not worth it where all images are few enough, or where weights, which are read again for each
 * block, are many. */
static bool gains(const Call *c, int images) {
    return images < c->in[0].shape.n &&
           (size_t)images * image_bytes(c) >= WEIGHTS * bytes(&c->in[1]);
}

/* A fold of parameters: it depends on no step, and nothing before the update on its gradient. */
static bool is_fold(const Graph *g, const Step *s) {
    if (s->node.op != OP_fold) return false;
    for (int i = 0; i < OP_MAX_IN; i++)
        if (s->node.in[i] && graph_role(g, s->node.in[i]) == TENSOR_MADE) return false;
    return true;
}

/* Steps first .. end-1: convolutions of `images` images, the last one at end-1, and the folds
 * before and between them. */
typedef struct {
    int first, end, convs, images;
} Run;

/* The run with one more convolution, which may make the blocks smaller. */
static bool extend(Run *r, const StepList *list, int at, size_t limit) {
    const Call *c = &list->step[at].call;
    int images = largest_divisor(c->in[0].shape.n, limit / image_bytes(c));
    if (r->convs && list->step[r->end - 1].call.in[0].shape.n != c->in[0].shape.n) return false;
    if (r->convs && r->images < images) images = r->images;
    for (int i = r->first; images < r->images && i < r->end; i++)
        if (is_conv(&list->step[i]) && !gains(&list->step[i].call, images)) return false;
    if (!gains(c, images)) return false;
    *r = (Run){r->first, at + 1, r->convs + 1, images};
    return true;
}

/* Whether the weight or bias is also read by a fold whose backward is in the run: it would move
 * behind the convolution, but the first of the two overwrites their gradient. */
static bool folded_before(const Run *r, const StepList *list, int at) {
    Tensor *const *own = list->step[at].node.in + 1;
    for (int i = r->first; i < at; i++) {
        const Step *s = &list->step[i];
        if (s->node.op != OP_fold || s->pass != PASS_BACKWARD) continue;
        for (int k = 0; k < OP_MAX_IN; k++)
            if (s->node.in[k] && (s->node.in[k] == own[0] || s->node.in[k] == own[1])) return true;
    }
    return false;
}

static Run run_from(const Graph *g, const StepList *list, int first, size_t limit) {
    Run r = {.first = first, .end = first};
    for (int i = first; i < list->count; i++) {
        const Step *s = &list->step[i];
        if (is_fold(g, s)) continue;
        if (!is_conv(s) || folded_before(&r, list, i) || !extend(&r, list, i, limit)) break;
    }
    return r;
}

static void put(StepList *to, const Step *s) { to->step[to->count++] = *s; }

static void put_folds(StepList *to, const StepList *from, const Run *r, Pass pass) {
    for (int i = r->first; i < r->end; i++) {
        const Step *s = &from->step[i];
        if (s->node.op == OP_fold && s->pass == pass) put(to, s);
    }
}

static void narrow(Step *s, Chain *chain) {
    s->chain = chain;
    for (int i = 0; i < CHAIN_TENSORS; i++) {
        Tensor *t = chain_tensor(&s->call, i);
        if (shape_size(t->shape)) t->shape.n = chain->images;
    }
}

/* Threads that take blocks of their own; one lane, in which all threads share each block, where the
 * last blocks would keep some for more than a quarter longer. */
static int lanes_of(int blocks) {
    int threads = parallel_threads(), rounds = (blocks + threads - 1) / threads;
    if (4 * rounds * threads > 5 * blocks) return 1;
    return threads < blocks ? threads : blocks;
}

static void put_chain(StepList *to, StepList *from, const Run *r, Arena *arena) {
    Chain *chain = arena_alloc(arena, sizeof *chain);
    put_folds(to, from, r, PASS_FORWARD);
    *chain = (Chain){.first = to->count, .last = to->count + r->convs - 1, .images = r->images};
    for (int i = r->first; i < r->end; i++) {
        Step *s = &from->step[i];
        if (s->node.op != OP_conv) continue;
        chain->blocks = s->call.in[0].shape.n / chain->images;
        narrow(s, chain);
        put(to, s);
    }
    chain->lanes = lanes_of(chain->blocks);
    put_folds(to, from, r, PASS_BACKWARD);
}

void chain_find(const Graph *g, StepList *list, size_t limit, Arena *arena) {
    StepList to = *list;
    to.capacity = list->count;
    to.step = malloc(((size_t)to.capacity + 1) * sizeof *to.step), to.count = 0;
    CHECK(to.step, "out of memory");
    for (int i = 0; i < list->count;) {
        Run r = run_from(g, list, i, limit ? limit : DEFAULT_LIMIT);
        if (r.convs > 1) {
            put_chain(&to, list, &r, arena);
            i = r.end;
        } else
            put(&to, &list->step[i++]);
    }
    free(list->step);
    *list = to;
}
