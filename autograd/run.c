#include "autograd/run.h"

#include "autograd/slots.h"
#include "tensor/parallel.h"
#include "tensor/seconds.h"

enum { ALIGN = 256 };

static size_t aligned(size_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

static bool in_lanes(const Step *s) { return s->chain && s->chain->lanes > 1; }

/* --- before and after --- */

static void prepare(const Backend *b, const Step *s, Call *c) {
    c->precision = b->precision;
    c->exact = b->exact;
    c->tune = b->tune;
    if (b->op[s->node.op].prepare) b->op[s->node.op].prepare(c, s->pass == PASS_BACKWARD);
}

/* A call for each lane, made for one thread. */
static void prepare_lanes(const Backend *b, Step *s, Arena *arena) {
    int others = s->chain->lanes - 1, threads = parallel_threads();
    s->beside = arena_alloc(arena, (size_t)others * sizeof *s->beside);
    s->gradients = s->chain->gradients;
    for (int i = 1; i <= 2; i++) s->chain->gradients += aligned(slots_bytes(b, &s->call.din[i]));
    parallel_set_threads(1);
    for (int i = 0; i < others; i++) {
        s->beside[i] = s->call;
        prepare(b, s, &s->beside[i]);
    }
    prepare(b, s, &s->call);
    parallel_set_threads(threads);
}

void run_prepare(const Backend *backend, Step *step, Arena *arena, size_t *workspace) {
    size_t *most = in_lanes(step) ? &step->chain->workspace : workspace;
    if (in_lanes(step))
        prepare_lanes(backend, step, arena);
    else
        prepare(backend, step, &step->call);
    size_t wanted = step->call.workspace_size;
    for (int i = 1; in_lanes(step) && i < step->chain->lanes; i++) /* tuning may choose otherwise */
        if (step->beside[i - 1].workspace_size > wanted)
            wanted = step->beside[i - 1].workspace_size;
    if (aligned(wanted) > *most) *most = aligned(wanted);
}

/* The first lane's call in the memory of another one, which lies `behind`. */
static void bind_lane(const Backend *b, const Step *s, size_t behind, Call *c) {
    void *state = c->state;
    *c = s->call;
    c->state = state;
    c->workspace = (char *)c->workspace + behind;
    for (int i = 0; i < CHAIN_TENSORS; i++) {
        Tensor *t = chain_tensor(c, i);
        if (s->within & 1u << i) t->data = (char *)t->data + behind;
    }
    char *gradient = (char *)c->workspace + s->chain->workspace + s->gradients;
    for (int i = 1; i <= 2; i++) {
        if (c->din[i].data) c->din[i].data = gradient;
        gradient += aligned(slots_bytes(b, &c->din[i]));
    }
}

void run_bind(const Backend *backend, Step *step, char *memory, void *workspace) {
    const Chain *chain = step->chain;
    if (!in_lanes(step)) {
        step->call.workspace = step->call.workspace_size ? workspace : NULL;
        return;
    }
    step->call.workspace = memory + chain->offset + chain->values;
    for (int lane = 1; lane < chain->lanes; lane++)
        bind_lane(backend, step, chain_bytes(chain) * (size_t)lane, &step->beside[lane - 1]);
}

static void drop(const Backend *b, const Step *s, Call *c) {
    if (s->node.op < OP_COUNT && b->op[s->node.op].drop && c->state) b->op[s->node.op].drop(c);
}

void run_drop(const Backend *backend, Step *step) {
    drop(backend, step, &step->call);
    for (int lane = 1; step->beside && lane < step->chain->lanes; lane++)
        drop(backend, step, &step->beside[lane - 1]);
}

/* --- one call --- */

static void run(const Backend *b, const Step *s, const Call *c) {
    const Tensor *filled = &c->dout[0];
    switch (s->pass) {
    case PASS_UPDATE:
    case PASS_RECORD:
    case PASS_FORWARD: b->op[s->node.op].forward(c); break;
    case PASS_BACKWARD: b->op[s->node.op].backward(c); break;
    case PASS_ZERO: b->fill(filled->data, 0, slots_bytes(b, filled)); break;
    case PASS_SEED: {
        static const double one = 1;
        static const float one_float = 1;
        bool is_double = b->real_size == sizeof one;
        b->write(filled->data, is_double ? (const void *)&one : &one_float, b->real_size);
    }
    }
}

static void run_or_time(const Backend *b, Step *s, const Call *c, bool timing) {
    double start = timing ? seconds_now() : 0;
    run(b, s, c);
    if (!timing) return;
    b->sync();
    s->seconds += seconds_now() - start;
}

/* --- a chain --- */

typedef struct {
    const Backend *backend;
    StepList *list;
    const Chain *chain;
    bool timing; /* of the last lane, which has as many blocks as any */
} Work;

/* All steps on one block of images.  Of gradients of weights the first block of the first lane does
 * what the step alone would do, those of the others overwrite theirs; all later blocks add. */
static void run_block(const Work *w, int block, int lane, bool first) {
    for (int i = w->chain->first; i <= w->chain->last; i++) {
        Step *s = &w->list->step[i];
        Call c = lane ? s->beside[lane - 1] : s->call;
        for (int k = 0; k < CHAIN_TENSORS; k++) {
            Tensor *t = chain_tensor(&c, k);
            if (t->data && !(s->within & 1u << k))
                t->data = (char *)t->data + slots_bytes(w->backend, t) * (size_t)block;
        }
        for (int k = 1; k <= 2; k++) c.add[k] = !first || (!lane && c.add[k]);
        run_or_time(w->backend, s, &c, w->timing && lane == w->chain->lanes - 1);
    }
}

static void run_lane(const Work *w, int lane) {
    int first = w->chain->blocks * lane / w->chain->lanes,
        end = w->chain->blocks * (lane + 1) / w->chain->lanes;
    for (int i = first; i < end; i++) run_block(w, i, lane, i == first);
}

static void add_numbers(size_t real_size, void *to, const void *from, size_t n) {
    PARALLEL_FOR
    for (size_t i = 0; i < n; i++)
        if (real_size == sizeof(double))
            ((double *)to)[i] += ((const double *)from)[i];
        else
            ((float *)to)[i] += ((const float *)from)[i];
}

/* Adds the other lanes' gradients of weights to the first one's, in their order. */
static void add_gradients(const Work *w) {
    for (int i = w->chain->first; i <= w->chain->last; i++) {
        const Step *s = &w->list->step[i];
        for (int k = 1; k <= 2; k++)
            for (int lane = 1; s->call.din[k].data && lane < w->chain->lanes; lane++)
                add_numbers(w->backend->real_size, s->call.din[k].data,
                            s->beside[lane - 1].din[k].data, shape_size(s->call.din[k].shape));
    }
}

static void run_chain(const Work *w) {
    if (w->chain->lanes == 1) {
        run_lane(w, 0);
        return;
    }
    PARALLEL_FOR
    for (int lane = 0; lane < w->chain->lanes; lane++) run_lane(w, lane);
    add_gradients(w);
}

int run_step(const Backend *backend, StepList *list, int i, bool timing) {
    Step *s = &list->step[i];
    if (s->chain) {
        run_chain(&(Work){backend, list, s->chain, timing});
        return s->chain->last;
    }
    run_or_time(backend, s, &s->call, timing);
    return i;
}
