#include "autograd/plan.h"

#include "autograd/chain.h"
#include "autograd/order.h"
#include "autograd/profile.h"
#include "autograd/run.h"
#include "autograd/slots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct Plan {
    Arena *arena;
    Graph *graph;
    const Backend *backend;
    PlanOptions options;
    StepList list;
    OrderStep *order; /* of backends that run steps side by side; else NULL */
    size_t workspace; /* bytes of one */
    Slots slots;
    char *memory;
    void *captured;
    int runs;
    bool timing;
    UpdateAttr update;
};

static void *address(const Plan *plan, const Slot *s) {
    return s->outside ? s->outside : plan->memory + s->offset;
}

enum { LANES = 4 }; /* of order.h */

static bool runs_beside(const Plan *plan) {
    return plan->backend->capture_wait && !plan->options.plain;
}

/* One op asks for workspace and state.  Only the largest workspace counts. */
static void prepare_steps(Plan *plan) {
    for (int i = 0; i < plan->list.count; i++) {
        Step *s = &plan->list.step[i];
        if (s->pass == PASS_FORWARD || s->pass == PASS_BACKWARD)
            run_prepare(plan->backend, s, plan->arena, &plan->workspace);
    }
}

/* Steps that step_list put together run as one. */
static void link_steps(Plan *plan) {
    for (int i = 0; i + 1 < plan->list.count; i++) {
        Step *s = &plan->list.step[i], *next = s + 1;
        if (s->together && next->together && s->pass == next->pass) s->call.next = &next->call;
    }
}

static UpdateRange *learned_ranges(Plan *plan, int *count) {
    Params *p = graph_params(plan->graph);
    UpdateRange *range = arena_alloc(plan->arena, (size_t)params_count(p) * sizeof *range + 1);
    *count = 0;
    for (int i = 0; i < params_count(p); i++) {
        const Param *a = params_at(p, i);
        if (!plan->list.learned[i]) continue;
        size_t size = (shape_size(a->shape) + 15) / 16 * 16; /* with the slab's padding */
        UpdateRange *last = *count ? &range[*count - 1] : NULL;
        if (last && last->offset + last->size == a->offset)
            last->size += size;
        else
            range[(*count)++] = (UpdateRange){a->offset, size};
    }
    return range;
}

/* Everything but the memory. */
static Plan *plan_make(Graph *g, const Backend *backend, const PlanOptions *options) {
    Plan *plan = calloc(1, sizeof *plan);
    CHECK(plan, "out of memory");
    plan->arena = arena_new();
    plan->graph = g;
    plan->backend = backend;
    plan->options = *options;
    CHECK(!options->update || graph_params(g), "an update without parameters");
    CHECK(!graph_params(g) || params_backend(graph_params(g)) == backend,
          "plan and parameters are on different backends");
    plan->list = step_list(g, backend, &plan->options, plan->arena);
    if (backend->on_host && !options->plain)
        chain_find(g, &plan->list, options->chain_bytes, plan->arena);
    prepare_steps(plan);
    link_steps(plan);
    bool beside = runs_beside(plan);
    SlotsNeed need = {g, backend, options, beside, plan->workspace * (size_t)(beside ? LANES : 1)};
    plan->slots = slots_place(&need, &plan->list, plan->arena);
    return plan;
}

static Status no_memory(const Plan *plan, size_t limit) {
    return fail(ERR_MEMORY,
                "the plan needs %.1f MiB, %s has %.1f MiB; use a smaller batch or input, or fewer "
                "people at a time",
                (double)plan->slots.bytes / 0x1p20, plan->backend->name, (double)limit / 0x1p20);
}

/* What an update's slabs are: weights, gradients and the moments that its rule has. */
static Status update_slabs(const Plan *plan, void *slab[4]) {
    const UpdateAttr *u = plan->options.update;
    Params *p = graph_params(plan->graph);
    bool adam = u->kind == UPDATE_ADAMW || u->kind == UPDATE_ADAM;
    bool momentum = u->kind == UPDATE_SGD && u->momentum > 0;
    slab[0] = params_weights(p), slab[1] = params_gradients(p);
    slab[2] = adam || momentum ? params_moment(p, 0) : NULL;
    slab[3] = adam ? params_moment(p, 1) : NULL;
    if (slab[0] && slab[1] && (slab[2] || !(adam || momentum)) && (slab[3] || !adam)) return OK;
    return fail(ERR_MEMORY,
                "no memory for gradients and moments of %zu weights; use a smaller network",
                params_slab(p));
}

/* The slabs of an update come first, so that what is free afterwards is for the arena. */
static Status take_memory(Plan *plan) {
    void *slab[4];
    if (plan->options.update) TRY(update_slabs(plan, slab));
    size_t limit = plan->options.max_bytes ? plan->options.max_bytes : plan->backend->free_memory();
    if (limit && plan->slots.bytes > limit) return no_memory(plan, limit);
    plan->memory = plan->backend->alloc(plan->slots.bytes ? plan->slots.bytes : 64);
    if (!plan->memory) return no_memory(plan, plan->backend->free_memory());
    plan->backend->fill(plan->memory, 0xff, plan->slots.bytes); /* NaN: what nobody wrote is seen */
    return OK;
}

/* Addresses of the parameters that this plan touches, in the slabs. */
static Status bind_params(Plan *plan) {
    Params *p = graph_params(plan->graph);
    if (!p) return OK;
    CHECK(params_weights(p), "params_alloc comes before plan_new");
    for (int i = 0; i < plan->slots.count; i++) {
        Slot *slot = &plan->slots.slot[i];
        bool gradient = false;
        const Tensor *t = slot->bytes ? slots_param(plan->graph, &plan->slots, i, &gradient) : NULL;
        if (!t) continue;
        char *slab = gradient ? params_gradients(p) : params_weights(p);
        if (!slab) return fail(ERR_MEMORY, "no memory for the gradients of the weights");
        const Param *param = params_at(p, graph_param_index(plan->graph, t));
        slot->outside = slab + param->offset * plan->backend->real_size;
    }
    return OK;
}

/* Numbers of the plan's own. */
static Tensor own_tensor(const Plan *plan, int which, Shape shape) {
    Tensor t = {.dtype = F32, .shape = shape};
    t.data = address(plan, slots_own(&plan->slots, which));
    return t;
}

static void bind_record(const Plan *plan, Call *c) {
    int values = plan->options.records;
    c->in[0] = own_tensor(plan, SLOT_CURSOR, (Shape){1, 1, 1, 1});
    if (values)
        c->in[1] =
            own_tensor(plan, SLOT_HISTORY, (Shape){slots_rows(&plan->options), 1, 1, values});
}

static Status bind_update(Plan *plan, Call *c) {
    Params *p = graph_params(plan->graph);
    plan->update = *plan->options.update;
    plan->update.range = learned_ranges(plan, &plan->update.ranges);
    c->attr = &plan->update;
    Shape slab = {1, 1, 1, (int)params_slab(p)};
    void *data[4];
    TRY(update_slabs(plan, data));
    for (int i = 0; i < 4; i++)
        if (data[i]) c->in[i] = (Tensor){.dtype = F32, .shape = slab, .data = data[i]};
    c->in[4] =
        own_tensor(plan, SLOT_HYPER, (Shape){slots_rows(&plan->options), 1, 1, UPDATE_HYPER});
    c->in[5] = own_tensor(plan, SLOT_CURSOR, (Shape){1, 1, 1, 1});
    return OK;
}

static Status bind_steps(Plan *plan) {
    for (int i = 0; i < plan->list.count; i++) {
        Step *s = &plan->list.step[i];
        Place place[STEP_PLACES];
        int count = step_places(plan->graph, s, place);
        for (int k = 0; k < count; k++) {
            const Slot *slot = &plan->slots.slot[place[k].slot];
            place[k].tensor->data = address(plan, slot);
            if (s->chain && slot->within) s->within |= chain_mask(&s->call, place[k].tensor);
        }
        if (s->pass == PASS_UPDATE) TRY(bind_update(plan, &s->call));
        if (s->pass == PASS_RECORD) bind_record(plan, &s->call);
    }
    return OK;
}

/* Steps that run side by side have workspaces of their lanes' own (order.h). */
static void bind_lanes(Plan *plan) {
    if (runs_beside(plan))
        plan->order = order_find(&plan->list, plan->backend->real_size, LANES, plan->arena);
    char *first = address(plan, slots_own(&plan->slots, SLOT_WORKSPACE));
    for (int i = 0; i < plan->list.count; i++) {
        size_t lane = plan->order ? (size_t)plan->order[i].lane : 0;
        run_bind(plan->backend, &plan->list.step[i], plan->memory, first + plan->workspace * lane);
    }
}

static void write_constants(Plan *plan) {
    for (int t = 0; t < graph_tensors(plan->graph); t++) {
        const Tensor *tensor = graph_tensor(plan->graph, t);
        if (graph_role(plan->graph, tensor) == TENSOR_CONSTANT)
            plan_write(plan, tensor, tensor->dtype, graph_constant_values(plan->graph, tensor));
    }
}

Status plan_new(Graph *g, const Backend *backend, const PlanOptions *options, Plan **out) {
    Plan *plan = plan_make(g, backend, options);
    Status status = bind_params(plan);
    if (status == OK) status = take_memory(plan);
    if (status == OK) status = bind_steps(plan);
    if (status != OK) {
        plan_free(plan);
        return status;
    }
    bind_lanes(plan);
    write_constants(plan);
    *out = plan;
    return OK;
}

void plan_free(Plan *plan) {
    if (!plan) return;
    if (plan->captured) plan->backend->graph_drop(plan->captured);
    for (int i = 0; i < plan->list.count; i++) run_drop(plan->backend, &plan->list.step[i]);
    if (plan->memory) plan->backend->release(plan->memory);
    free(plan->list.step);
    arena_free(plan->arena);
    free(plan);
}

size_t plan_estimate(Graph *g, const Backend *backend, const PlanOptions *options) {
    Plan *plan = plan_make(g, backend, options);
    size_t bytes = plan->slots.bytes;
    plan_free(plan);
    return bytes;
}

static void run_steps(Plan *plan) {
    for (int i = 0; plan->timing && i < plan->list.count; i++) plan->list.step[i].seconds = 0;
    for (int i = 0; i < plan->list.count; i++) {
        i = run_step(plan->backend, &plan->list, i, plan->timing);
        i = step_last_together(&plan->list, i);
    }
}

/* Each step behind those that it must wait for, and no others. */
static void capture_steps(Plan *plan) {
    const Backend *b = plan->backend;
    size_t room = (size_t)plan->list.count + 1;
    int *mark = malloc(room * sizeof *mark), *wait = malloc(room * sizeof *wait);
    CHECK(mark && wait, "out of memory");
    for (int i = 0; i < plan->list.count; i = step_last_together(&plan->list, i) + 1) {
        const OrderStep *o = &plan->order[i];
        for (int k = 0; k < o->waits; k++) wait[k] = mark[o->wait[k]];
        b->capture_wait(wait, o->waits);
        run_step(b, &plan->list, i, false);
        mark[i] = b->capture_mark();
    }
    free(mark);
    free(wait);
}

static void capture(Plan *plan) {
    plan->backend->capture_begin();
    if (plan->order)
        capture_steps(plan);
    else
        run_steps(plan);
    plan->captured = plan->backend->capture_end();
}

void plan_run(Plan *plan) {
    const Backend *b = plan->backend;
    bool timing = plan->timing;
    if (!timing && !plan->captured && plan->runs++ == 1 && b->capture_begin) capture(plan);
    if (plan->captured && !timing)
        b->replay(plan->captured);
    else
        run_steps(plan);
}

void plan_time(Plan *plan, bool on) { plan->timing = on; }
size_t plan_bytes(const Plan *plan) { return plan->slots.bytes; }

static double host_get(Dtype dtype, const void *values, size_t i) {
    return dtype == F64 ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

static void real_put(size_t real_size, void *to, size_t i, double value) {
    if (real_size == sizeof(double))
        ((double *)to)[i] = value;
    else
        ((float *)to)[i] = (float)value;
}

/* n host numbers of that dtype to the backend's real numbers at `to`. */
static void write_numbers(const Backend *b, void *to, Dtype host, const void *values, size_t n) {
    Dtype real = b->real_size == sizeof(double) ? F64 : F32;
    if (host == real) {
        b->write(to, values, n * b->real_size);
        return;
    }
    void *converted = malloc((n + 1) * b->real_size);
    CHECK(converted, "out of memory");
    for (size_t i = 0; i < n; i++) real_put(b->real_size, converted, i, host_get(host, values, i));
    b->write(to, converted, n * b->real_size);
    free(converted);
}

void plan_write(Plan *plan, const Tensor *input, Dtype host, const void *values) {
    const Slot *s = &plan->slots.slot[input->id];
    if (!s->bytes) return; /* nothing in this plan reads it */
    CHECK(graph_role(plan->graph, input) != TENSOR_MADE, "'%s' is not an input", input->name);
    CHECK(input->dtype == F32 ? host == F32 || host == F64 : host == input->dtype,
          "'%s' is %s, written as %s", input->name, dtype_name(input->dtype), dtype_name(host));
    if (input->dtype == F32)
        write_numbers(plan->backend, address(plan, s), host, values, shape_size(input->shape));
    else
        plan->backend->write(address(plan, s), values, s->bytes);
}

void *plan_input(const Plan *plan, const Tensor *input) {
    const Slot *s = &plan->slots.slot[input->id];
    CHECK(graph_role(plan->graph, input) == TENSOR_INPUT, "'%s' is not an input", input->name);
    return s->bytes ? address(plan, s) : NULL;
}

void plan_schedule(Plan *plan, const PlanHyper *hyper, int count) {
    CHECK(count > 0 && count <= slots_rows(&plan->options), "%d steps for %d rows", count,
          slots_rows(&plan->options));
    double *rows = malloc((size_t)count * UPDATE_HYPER * sizeof *rows);
    CHECK(rows, "out of memory");
    for (int i = 0; i < count; i++) {
        const double row[UPDATE_HYPER] = {hyper[i].learning_rate, hyper[i].weight_decay,
                                          hyper[i].step, 0};
        memcpy(rows + (size_t)i * UPDATE_HYPER, row, sizeof row);
    }
    const Backend *b = plan->backend;
    write_numbers(b, address(plan, slots_own(&plan->slots, SLOT_HYPER)), F64, rows,
                  (size_t)count * UPDATE_HYPER);
    b->fill(address(plan, slots_own(&plan->slots, SLOT_CURSOR)), 0, b->real_size);
    free(rows);
}

void plan_hyper(Plan *plan, double learning_rate, double weight_decay, int step) {
    PlanHyper *all = malloc((size_t)slots_rows(&plan->options) * sizeof *all);
    CHECK(all, "out of memory");
    for (int i = 0; i < slots_rows(&plan->options); i++)
        all[i] = (PlanHyper){learning_rate, weight_decay, step};
    plan_schedule(plan, all, slots_rows(&plan->options));
    free(all);
}

double plan_gradient_norm(const Plan *plan) {
    const Backend *b = plan->backend;
    CHECK(plan->options.update && plan->options.update->clip > 0, "the norm is not measured");
    CHECK(slots_rows(&plan->options) == 1, "the norm of one of several rows");
    double values[UPDATE_HYPER] = {0};
    b->sync();
    b->read(values, address(plan, slots_own(&plan->slots, SLOT_HYPER)),
            UPDATE_HYPER * b->real_size);
    return host_get(b->real_size == sizeof(double) ? F64 : F32, values, 3);
}

static void read_slot(const Plan *plan, const Slot *s, const Tensor *t, Dtype host, void *values) {
    const Backend *b = plan->backend;
    CHECK(s->bytes && (s->last == SLOT_FOREVER || s->outside), "'%s' was not kept", t->name);
    b->sync();
    if (t->dtype != F32) {
        CHECK(host == t->dtype, "'%s' read as %s", t->name, dtype_name(host));
        b->read(values, address(plan, s), s->bytes);
        return;
    }
    CHECK(host == F32 || host == F64, "'%s' read as %s", t->name, dtype_name(host));
    size_t n = shape_size(t->shape);
    char *raw = malloc(n * b->real_size + 1);
    CHECK(raw, "out of memory");
    b->read(raw, address(plan, s), n * b->real_size);
    Dtype real = b->real_size == sizeof(double) ? F64 : F32;
    for (size_t i = 0; i < n; i++) real_put(dtype_size(host), values, i, host_get(real, raw, i));
    free(raw);
}

void plan_read(const Plan *plan, const Tensor *t, Dtype host, void *values) {
    read_slot(plan, &plan->slots.slot[t->id], t, host, values);
}

void plan_read_gradient(const Plan *plan, const Tensor *wrt, Dtype host, void *values) {
    read_slot(plan, &plan->slots.slot[wrt->id + graph_tensors(plan->graph)], wrt, host, values);
}

void plan_history(const Plan *plan, int rows, double *values) {
    int records = plan->options.records;
    CHECK(records && rows > 0 && rows <= slots_rows(&plan->options), "%d rows of %d records", rows,
          records);
    Tensor part = {.name = "history", .dtype = F32, .shape = {rows, 1, 1, records}};
    read_slot(plan, slots_own(&plan->slots, SLOT_HISTORY), &part, F64, values);
}

/* A backward pass of conv or matmul is two products of the forward's size, less for those not
 * wanted. */
static double step_flops(const Step *s) {
    if (s->pass != PASS_FORWARD && s->pass != PASS_BACKWARD) return 0;
    double forward = op_flops(s->node.op, s->call.attr, s->call.in, s->call.out);
    if (s->chain) forward *= s->chain->blocks;
    if (s->pass == PASS_FORWARD) return forward;
    return forward * ((s->call.din[0].data != NULL) + (s->call.din[1].data != NULL));
}

double plan_flops(const Plan *plan) {
    double sum = 0;
    for (int i = 0; i < plan->list.count; i++) sum += step_flops(&plan->list.step[i]);
    return sum;
}

static const char *const PASS_NAME[] = {"forward", "backward", "seed", "zero", "update", "record"};

static const char *op_name(const Step *s) {
    return s->node.op < OP_COUNT ? op_info(s->node.op)->name : "fill";
}

/* Convolutions apart by kernel, for their speeds differ. */
static void profile_one(Profile *profile, const Step *s) {
    char name[48], kernel[32] = "";
    Shape w = s->call.in[1].shape;
    if (s->node.op == OP_conv)
        snprintf(kernel, sizeof kernel, " %dx%d%s", w.h, w.w,
                 w.c == 1 && s->call.in[0].shape.c > 1 ? " depthwise" : "");
    if (s->pass == PASS_UPDATE)
        snprintf(name, sizeof name, "update");
    else
        snprintf(name, sizeof name, "%s%s %s", op_name(s), kernel, PASS_NAME[s->pass]);
    profile_step(profile, name, s->seconds, step_flops(s));
}

void plan_profile(const Plan *plan, Profile *profile) {
    for (int i = 0; i < plan->list.count; i++) profile_one(profile, &plan->list.step[i]);
}

static void dump_step(const Plan *plan, const Step *s, int i, FILE *out) {
    const Tensor *made = s->pass == PASS_FORWARD ? &s->call.out[0] : &s->call.dout[0];
    fprintf(out, "%5d %-8s %-10s", i, PASS_NAME[s->pass], op_name(s));
    for (int k = 0; k < OP_MAX_IN; k++)
        if (shape_size(s->call.in[k].shape)) fprintf(out, " %s", shape_text(s->call.in[k].shape));
    if (made->data) fprintf(out, " -> %s", shape_text(made->shape));
    if (made->dtype != F32) fprintf(out, " %s", dtype_name(made->dtype));
    if (made->data && plan->memory) fprintf(out, " @%td", (char *)made->data - plan->memory);
    fprintf(out, " %.3f GFLOP", step_flops(s) * 1e-9);
    if (s->chain) fprintf(out, " x%d", s->chain->blocks);
    if (plan->timing) fprintf(out, " %.3f ms", s->seconds * 1e3);
    fprintf(out, " %s\n", s->node.where);
}

void plan_dump(const Plan *plan, FILE *out) {
    fprintf(out, "plan on %s: %d steps, %.1f MiB, %.3f GFLOP\n", plan->backend->name,
            plan->list.count, (double)plan->slots.bytes / 0x1p20, plan_flops(plan) * 1e-9);
    for (int i = 0; i < plan->list.count; i++) dump_step(plan, &plan->list.step[i], i, out);
}
