#include "autograd/slots.h"

#include "autograd/place.h"
#include "tensor/error.h"

#include <stdlib.h>

typedef struct {
    const SlotsNeed *need;
    StepList *list;
    Slots slots;
} Work;

size_t slots_bytes(const Backend *backend, const Tensor *t) {
    size_t each = t->dtype == F32 ? backend->real_size : dtype_size(t->dtype);
    return shape_size(t->shape) * each;
}

int slots_rows(const PlanOptions *options) { return options->rows ? options->rows : 1; }

const Tensor *slots_param(const Graph *g, const Slots *s, int i, bool *gradient) {
    if (i >= s->count - OWN_SLOTS) return NULL;
    const Tensor *t = graph_tensor(g, i % graph_tensors(g));
    *gradient = i / graph_tensors(g) == 1;
    return graph_role(g, t) == TENSOR_PARAM ? t : NULL;
}

static Tensor *slot_tensor(const Work *w, int slot) {
    return graph_tensor(w->need->graph, slot % graph_tensors(w->need->graph));
}

static void touch(Work *w, const Place *place, int step) {
    Slot *s = &w->slots.slot[place->slot];
    const Chain *chain = w->list->step[step].chain;
    if (!s->bytes) {
        Tensor whole = *slot_tensor(w, place->slot); /* a chain's step has a block of it */
        whole.dtype = place->tensor->dtype;
        s->bytes = slots_bytes(w->need->backend, &whole);
        s->first = step;
        s->within = chain;
    }
    if (s->within != chain) s->within = NULL;
    if (step > s->last) s->last = step;
}

/* Lives as long as the plan: what the host writes before or reads after a run. */
static void keep_forever(Work *w, int slot, bool from_start) {
    Slot *s = &w->slots.slot[slot];
    if (!s->bytes) return;
    if (from_start) s->first = 0;
    s->last = SLOT_FOREVER;
    s->within = NULL;
}

/* What a chain shares with other steps lives while any of its blocks runs; what its steps alone
 * touch needs room for one block in a lane, from the first to the last of them. */
static void suit_chain(Work *w, int slot, bool of_images, const Chain *chain) {
    Slot *s = &w->slots.slot[slot];
    if (!of_images) s->within = NULL;
    if (s->within) {
        s->bytes = slots_bytes(w->need->backend, slot_tensor(w, slot)) / (size_t)chain->blocks;
        return;
    }
    if (s->first > chain->first) s->first = chain->first;
    if (s->last < chain->last) s->last = chain->last;
}

static void suit_chains(Work *w) {
    for (int i = 0; i < w->list->count; i++) {
        Step *s = &w->list->step[i];
        Place place[STEP_PLACES];
        int count = s->chain ? step_places(w->need->graph, s, place) : 0;
        for (int k = 0; k < count; k++)
            suit_chain(w, place[k].slot, chain_mask(&s->call, place[k].tensor), s->chain);
    }
}

static void find_lifetimes(Work *w) {
    const Graph *g = w->need->graph;
    int tensors = graph_tensors(g);
    for (int i = 0; i < w->list->count; i++) {
        Place place[STEP_PLACES];
        int count = step_places(g, &w->list->step[i], place);
        int last = step_last_together(w->list, i);
        for (int k = 0; k < count; k++) {
            touch(w, &place[k], i);
            touch(w, &place[k], last);
        }
    }
    for (int t = 0; t < tensors; t++)
        if (graph_role(g, graph_tensor(g, t)) != TENSOR_MADE) keep_forever(w, t, true);
    const PlanOptions *o = w->need->options;
    for (int i = 0; i < o->keeps; i++) keep_forever(w, o->keep[i]->id, false);
    for (int i = 0; i < o->wrts; i++) keep_forever(w, o->wrt[i]->id + tensors, false);
    if (o->loss) keep_forever(w, o->loss->id, false);
    suit_chains(w);
}

static void add_own(Work *w) {
    const SlotsNeed *need = w->need;
    size_t rows = (size_t)slots_rows(need->options), real = need->backend->real_size;
    const size_t bytes[OWN_SLOTS] = {
        [SLOT_WORKSPACE] = need->workspace,
        [SLOT_HYPER] = UPDATE_HYPER * rows * real,
        [SLOT_HISTORY] = (size_t)need->options->records * rows * real,
        [SLOT_CURSOR] = real,
    };
    for (int i = 0; i < OWN_SLOTS; i++)
        *slots_own(&w->slots, i) = (Slot){.bytes = bytes[i], .last = SLOT_FOREVER};
}

/* Of steps that run side by side the next one does not take what a value leaves: values stay where
 * they are for REST steps longer.  On HRNet-W48 that halves the longest chain of steps that wait
 * for each other, for 10 % more memory; more brings nothing. */
enum { REST = 40 };

static Block block_of(const Work *w, const Slot *s) {
    if (w->need->options->plain) return (Block){s->bytes, 0, SLOT_FOREVER, 0};
    int rest = w->need->beside && s->last < SLOT_FOREVER ? REST : 0;
    return (Block){s->bytes, s->first, s->last + rest, 0};
}

/* The chain that begins at a step, or NULL. */
static Chain *chain_from(const Work *w, int step) {
    Chain *c = w->list->step[step].chain;
    return c && c->first == step ? c : NULL;
}

/* Places the slots within a chain in a lane's memory, the others and the chains' memory (chain
 * NULL) in the arena; the bytes that it takes. */
static size_t place_those(Work *w, const Chain *chain) {
    size_t room = (size_t)(w->slots.count + w->list->count);
    Block *block = calloc(room, sizeof *block);
    size_t **offset = malloc(room * sizeof *offset);
    int count = 0;
    CHECK(block && offset, "out of memory");
    for (int i = 0; i < w->slots.count; i++) {
        Slot *s = &w->slots.slot[i];
        bool gradient;
        if (!s->bytes || s->within != chain || slots_param(w->need->graph, &w->slots, i, &gradient))
            continue;
        block[count] = block_of(w, s);
        offset[count++] = &s->offset;
    }
    for (int i = 0; !chain && i < w->list->count; i++) {
        Chain *c = chain_from(w, i);
        if (!c) continue;
        block[count] = (Block){chain_bytes(c) * (size_t)c->lanes, c->first, c->last, 0};
        offset[count++] = &c->offset;
    }
    size_t bytes = place_blocks(block, count);
    for (int i = 0; i < count; i++) *offset[i] = block[i].offset;
    free(block);
    free(offset);
    return bytes;
}

static void place_all(Work *w) {
    for (int i = 0; i < w->list->count; i++) {
        Chain *c = chain_from(w, i);
        if (c) c->values = place_those(w, c);
    }
    w->slots.bytes = place_those(w, NULL);
    for (int i = 0; i < w->slots.count; i++) {
        Slot *s = &w->slots.slot[i];
        if (s->within) s->offset += s->within->offset;
    }
}

Slots slots_place(const SlotsNeed *need, StepList *list, Arena *arena) {
    Work w = {.need = need, .list = list};
    w.slots.count = 3 * graph_tensors(need->graph) + OWN_SLOTS;
    w.slots.slot = arena_alloc(arena, (size_t)w.slots.count * sizeof *w.slots.slot);
    find_lifetimes(&w);
    add_own(&w);
    place_all(&w);
    return w.slots;
}
