#include "autograd/order.h"

#include <stdlib.h>
#include <string.h>

/* Memory that a step touches. */
typedef struct {
    const char *begin, *end;
    bool writes;
} Range;

typedef struct {
    Range *range;
    int ranges;
    OpKind keeps; /* an op that keeps numbers between launches, OP_COUNT: none does */
    bool barrier; /* touches what no call names: the slabs */
} Touched;

typedef struct {
    const StepList *list;
    size_t real_size;
    Touched *touched;
    uint64_t
        *before; /* [step][words]: bits of all steps that it waits for, whether directly or not */
    int words;
    int *latest; /* of each lane: the last step that took it, -1: nobody */
    int lanes;
    Arena *arena;
    OrderStep *out;
} Finder;

/* --- what a step touches --- */

static void add_range(const Finder *f, Touched *t, const Tensor *tensor, bool writes) {
    size_t each = tensor->dtype == F32 ? f->real_size : dtype_size(tensor->dtype);
    size_t bytes = shape_size(tensor->shape) * each;
    if (tensor->data && bytes)
        t->range[t->ranges++] = (Range){tensor->data, (const char *)tensor->data + bytes, writes};
}

static void add_call(const Finder *f, Touched *t, const Step *s) {
    const Call *c = &s->call;
    bool forward = s->pass == PASS_FORWARD;
    for (int i = 0; i < OP_MAX_IN; i++) {
        add_range(f, t, &c->in[i], forward && op_changes(s->node.op) & IN(i));
        add_range(f, t, &c->din[i], true);
    }
    for (int i = 0; i < OP_MAX_OUT; i++) {
        add_range(f, t, &c->out[i], forward);
        add_range(f, t, &c->dout[i], true); /* scratch for backward */
    }
}

static void find_touched(const Finder *f, int i) {
    const Step *s = &f->list->step[i];
    int last = step_last_together(f->list, i), most = 2 * (OP_MAX_IN + OP_MAX_OUT) * (last - i + 1);
    Touched *t = &f->touched[i];
    t->range = arena_alloc(f->arena, (size_t)most * sizeof *t->range);
    t->keeps = op_keeps_numbers(s->node.op) ? s->node.op : OP_COUNT;
    t->barrier = s->pass == PASS_UPDATE || s->pass == PASS_RECORD;
    for (int k = i; k <= last; k++) add_call(f, t, &f->list->step[k]);
}

static bool disturbs(const Touched *a, const Touched *b) {
    if (a->barrier || b->barrier || (a->keeps != OP_COUNT && a->keeps == b->keeps)) return true;
    for (int i = 0; i < a->ranges; i++)
        for (int k = 0; k < b->ranges; k++) {
            const Range *x = &a->range[i], *y = &b->range[k];
            if ((x->writes || y->writes) && x->begin < y->end && y->begin < x->end) return true;
        }
    return false;
}

/* --- whom it waits for --- */

static uint64_t *before(const Finder *f, int i) { return f->before + (size_t)i * (size_t)f->words; }

static bool waits_for(const Finder *f, int i, int earlier) {
    return before(f, i)[earlier / 64] >> earlier % 64 & 1;
}

static void add_wait(const Finder *f, int i, int earlier, int *wait) {
    OrderStep *o = &f->out[i];
    for (int w = 0; w < f->words; w++) before(f, i)[w] |= before(f, earlier)[w];
    before(f, i)[earlier / 64] |= (uint64_t)1 << earlier % 64;
    wait[o->waits++] = earlier;
}

/* The lane of the latest step that this one waits for; else one that nobody took; else the one that
 * was taken longest ago. */
static int choose_lane(const Finder *f, int i) {
    int known = -1, oldest = 0;
    for (int lane = 0; lane < f->lanes; lane++) {
        int user = f->latest[lane];
        if (user >= 0 && waits_for(f, i, user) && (known < 0 || user > f->latest[known]))
            known = lane;
        if (user < f->latest[oldest]) oldest = lane;
    }
    return known >= 0 ? known : oldest;
}

static void take_lane(const Finder *f, int i, int *wait) {
    int lane = choose_lane(f, i), user = f->latest[lane];
    if (user >= 0 && !waits_for(f, i, user)) add_wait(f, i, user, wait);
    f->out[i].lane = lane;
    f->latest[lane] = i;
}

static void find_waits(const Finder *f, int i, int *wait) {
    OrderStep *o = &f->out[i];
    for (int k = i - 1; k >= 0; k--)
        if (!waits_for(f, i, k) && f->touched[k].range && disturbs(&f->touched[i], &f->touched[k]))
            add_wait(f, i, k, wait);
    if (f->list->step[i].call.state || f->list->step[i].call.workspace_size) take_lane(f, i, wait);
    int *kept = arena_alloc(f->arena, (size_t)(o->waits + 1) * sizeof *kept);
    memcpy(kept, wait, (size_t)o->waits * sizeof *kept);
    o->wait = kept;
}

OrderStep *order_find(const StepList *list, size_t real_size, int lanes, Arena *arena) {
    Finder f = {.list = list, .real_size = real_size, .lanes = lanes, .arena = arena};
    size_t steps = (size_t)list->count;
    f.words = (list->count + 63) / 64;
    f.touched = arena_alloc(arena, (steps + 1) * sizeof *f.touched);
    f.out = arena_alloc(arena, (steps + 1) * sizeof *f.out);
    f.before = calloc(steps * (size_t)f.words + 1, sizeof *f.before);
    int *latest = malloc((size_t)lanes * sizeof *latest);
    int *wait = malloc((steps + 1) * sizeof *wait);
    CHECK(f.before && latest && wait, "out of memory");
    for (int lane = 0; lane < lanes; lane++) latest[lane] = -1;
    f.latest = latest;
    for (int i = 0; i < list->count; i = step_last_together(list, i) + 1) {
        find_touched(&f, i);
        find_waits(&f, i, wait);
    }
    free(f.before);
    free(latest);
    free(wait);
    return f.out;
}
