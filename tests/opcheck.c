#include "tests/opcheck.h"

#include "tests/opblock.h"

#include "tensor/arena.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

#include <math.h>
#include <string.h>

enum { SEED = 1, SAMPLES = 200 };

/* The data of a tensor that will get an address after prepare. */
#define UNPLACED ((void *)(uintptr_t)64)

static const double DIFFERENCE_STEP = 1e-3, DIFFERENCE_TOLERANCE = 1e-6, REF_TOLERANCE = 1e-12;

/* Sizes, inputs, weights of the outputs (their gradients) and what `add` finds in place. */
typedef struct {
    Arena *arena;
    const OpCase *c;
    const OpInfo *info;
    Shape in_shape[OP_MAX_IN], out_shape[OP_MAX_OUT];
    Dtype out_dtype[OP_MAX_OUT];
    double *in[OP_MAX_IN], *prior[OP_MAX_IN], *weight[OP_MAX_OUT], *zero[OP_MAX_OUT];
    unsigned grads; /* inputs with a gradient */
    unsigned
        half; /* inputs and outputs (masks of op.h) that the backend under test stores as BF16 */
    unsigned used; /* outputs with a gradient, bit 0 is output 0 */
} Problem;

/* Numbers of one run, as double; NULL where there are none. */
typedef struct {
    double *out[OP_MAX_OUT], *in[OP_MAX_IN]; /* in: what inputs hold afterwards */
} Forward;
typedef struct {
    double *din[OP_MAX_IN];
} Backward;

static Status failed(const Problem *p, const char *what, int i, size_t at, double got, double want,
                     double tolerance) {
    return fail(
        ERR_INPUT,
        "%s '%s' (seed %d): %s %d, entry %zu: got %.9g, want %.9g, |difference| %.3g > %.3g",
        p->info->name, p->c->name, SEED, what, i, at, got, want, fabs(got - want), tolerance);
}

static double largest(const double *values, size_t n) {
    double most = 0;
    CHECK(values || !n, "%zu numbers that are not there", n);
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(values[i]));
    return most;
}

static Status compare(const Problem *p, const char *what, int i, const double *got,
                      const double *want, size_t n, double tolerance) {
    size_t worst = 0;
    double most = -1;
    for (size_t k = 0; k < n; k++) {
        double difference = fabs(got[k] - want[k]);
        if (difference <= most) continue;
        most = difference, worst = k;
        if (isnan(difference)) break;
    }
    if (n && !(most <= tolerance))
        return failed(p, what, i, worst, got[worst], want[worst], tolerance);
    return OK;
}

static Status compare_relative(const Problem *p, const char *what, int i, const double *got,
                               const double *want, size_t n, double tolerance) {
    return compare(p, what, i, got, want, n, tolerance * (largest(want, n) + 0.01));
}

static uint64_t stream_of(const Problem *p, const char *what, int i) {
    return rng_stream(arena_printf(p->arena, "%s.%s.%s%d", p->info->name, p->c->name, what, i),
                      SEED);
}

static size_t shuffled(size_t i, size_t n) {
    size_t factor = n / 2 + 1;
    while (n % factor == 0 || (factor % 2 == 0 && n % 2 == 0) || (factor % 3 == 0 && n % 3 == 0))
        factor++;
    return i * factor % n;
}

static double input_value(const OpInput *in, uint64_t stream, size_t i, size_t n) {
    double u = (double)rng_uniform(stream, i);
    switch (in->fill) {
    case OPCHECK_UNIFORM: return in->low + (in->high - in->low) * u;
    case OPCHECK_GAP: return u < 0.5 ? -0.1 - 1.8 * u : 0.1 + 1.8 * (u - 0.5);
    case OPCHECK_RANKS: return n < 2 ? 0 : 2 * (double)shuffled(i, n) / (double)(n - 1) - 1;
    case OPCHECK_WHOLE: return floor(in->high * u);
    case OPCHECK_MADE: return in->make(stream, i);
    case OPCHECK_ABSENT: break;
    }
    CHECK(false, "fill %d", in->fill);
}

/* Rounded so that it is the same number in either form. */
static double representable(double value, bool half) {
    return (double)(half ? bfloat_to_float(bfloat_from_float((float)value)) : (float)value);
}

static double *random_values(const Problem *p, const char *what, int i, Shape shape, bool half) {
    size_t n = shape_size(shape);
    double *values = arena_alloc(p->arena, (n + 1) * sizeof *values);
    uint64_t stream = stream_of(p, what, i);
    for (size_t k = 0; k < n; k++) values[k] = representable((double)rng_signed(stream, k), half);
    return values;
}

/* What a plan may store as BF16 (autograd/step.h). */
static unsigned halves_of(const OpCase *c) {
    switch (c->op) {
    case OP_conv: return IN(0) | IN(1) | IN(3) | OUT(0);
    case OP_fold: return OUT(0);
    case OP_resize: return IN(0) | IN(1) | OUT(0);
    case OP_maxpool:
    case OP_unary: return IN(0) | OUT(0);
    case OP_concat: return ALL_IN | OUT(0);
    case OP_binary: {
        bool sums = ((const BinaryAttr *)c->attr)->kind == BINARY_ADD;
        bool maps = shape_equal(c->in[0].shape, c->in[1].shape);
        return sums && maps ? IN(0) | IN(1) | OUT(0) : 0;
    }
    default: return 0;
    }
}

static void problem_inputs(Problem *p, Tensor *in) {
    for (int i = 0; i < p->info->n_in; i++) {
        const OpInput *input = &p->c->in[i];
        if (input->fill == OPCHECK_ABSENT) continue;
        size_t n = shape_size(input->shape);
        p->in_shape[i] = input->shape;
        p->in[i] = arena_alloc(p->arena, (n + 1) * sizeof *p->in[i]);
        bool half = p->half & IN(i);
        p->prior[i] = random_values(p, "prior", i, input->shape, half);
        uint64_t stream = stream_of(p, "input", i);
        for (size_t k = 0; k < n; k++)
            p->in[i][k] = representable(input_value(input, stream, k, n), half);
        in[i] = (Tensor){.shape = input->shape, .dtype = input->dtype, .data = p->in[i]};
    }
}

static Problem problem_make(Arena *arena, const OpCase *c, bool half) {
    Problem p = {.arena = arena, .c = c, .info = op_info(c->op)};
    if (half) p.half = halves_of(c);
    Tensor in[OP_MAX_IN] = {0}, out[OP_MAX_OUT] = {0};
    problem_inputs(&p, in);
    op_shape(c->op, c->attr, in, out, c->name);
    for (int i = 0; i < p.info->n_in; i++)
        if (p.in[i]) p.grads |= p.info->grads & ~c->flags & IN(i);
    for (int i = 0; i < p.info->n_out; i++) {
        p.out_shape[i] = out[i].shape;
        p.out_dtype[i] = out[i].dtype;
        p.weight[i] = random_values(&p, "weight", i, out[i].shape, p.half & OUT(i));
        p.zero[i] = arena_alloc(arena, (shape_size(out[i].shape) + 1) * sizeof *p.zero[i]);
    }
    /* The batch's statistics are by-products. */
    p.used = c->op == OP_batchnorm ? 1 : (1u << p.info->n_out) - 1;
    return p;
}

/* Inputs that an op changes in place. */
static unsigned changed(OpKind op) {
    return op == OP_batchnorm ? IN(3) | IN(4)
           : op == OP_update  ? IN(0) | IN(2) | IN(3) | IN(4)
           : op == OP_record  ? IN(0) | IN(1)
                              : 0;
}

/* A Call and the memory behind it. */
typedef struct {
    const Problem *p;
    const Backend *b;
    Call call;
    OpBlock in[OP_MAX_IN], out[OP_MAX_OUT], din[OP_MAX_IN], dout[OP_MAX_OUT], workspace;
} Run;

static OpBlock place(Run *r, Tensor *t, const double *values) {
    OpBlock block = opblock_make(r->p->arena, r->b, t->dtype, shape_size(t->shape));
    if (values) opblock_write(&block, values);
    t->data = opblock_data(&block);
    return block;
}

static Run run_make(const Problem *p, const Backend *b) {
    unsigned half = b->stores_half ? p->half : 0;
    Run r = {
        .p = p,
        .b = b,
        .call = {
            .attr = p->c->attr, .precision = b->precision, .exact = b->exact, .tune = b->tune}};
    for (int i = 0; i < p->info->n_in; i++)
        if (p->in[i])
            r.call.in[i] = (Tensor){.shape = p->in_shape[i],
                                    .dtype = half & IN(i) ? BF16 : p->c->in[i].dtype,
                                    .data = UNPLACED};
    for (int i = 0; i < p->info->n_out; i++)
        r.call.out[i] = (Tensor){.shape = p->out_shape[i],
                                 .dtype = half & OUT(i) ? BF16 : p->out_dtype[i],
                                 .data = UNPLACED};
    return r;
}

static void run_prepare(Run *r, bool backward) {
    const OpKernels *op = &r->b->op[r->p->c->op];
    if (op->prepare) op->prepare(&r->call, backward);
    r->workspace = opblock_make(r->p->arena, r->b, U8, r->call.workspace_size);
    r->call.workspace = opblock_data(&r->workspace);
}

static void run_drop(Run *r) {
    const OpKernels *op = &r->b->op[r->p->c->op];
    if (op->drop) op->drop(&r->call);
    for (int i = 0; i < OP_MAX_IN; i++) {
        opblock_drop(&r->in[i]);
        opblock_drop(&r->din[i]);
    }
    for (int i = 0; i < OP_MAX_OUT; i++) {
        opblock_drop(&r->out[i]);
        opblock_drop(&r->dout[i]);
    }
    opblock_drop(&r->workspace);
}

static Status read_block(const Problem *p, const OpBlock *block, const char *what, int i,
                         double **values) {
    Status status = opblock_read(block, p->arena, values);
    if (status == OK) return OK;
    return error_prefix(status, "%s '%s' (seed %d): %s %d", p->info->name, p->c->name, SEED, what,
                        i);
}

/* Inputs and outputs after a run: guards intact; inputs as they were unless the op changes them. */
static Status run_read(Run *r, Forward *f) {
    const Problem *p = r->p;
    TRY(read_block(p, &r->workspace, "workspace", 0, NULL));
    for (int i = 0; i < p->info->n_out; i++)
        TRY(read_block(p, &r->out[i], "output", i, &f->out[i]));
    for (int i = 0; i < p->info->n_in; i++) TRY(read_block(p, &r->in[i], "input", i, &f->in[i]));
    return OK;
}

static Status check_inputs_kept(const Problem *p, const Forward *f) {
    for (int i = 0; i < p->info->n_in; i++) {
        size_t bytes = shape_size(p->in_shape[i]) * sizeof(double);
        if (p->in[i] && !(changed(p->c->op) & IN(i)) && memcmp(f->in[i], p->in[i], bytes))
            return fail(ERR_INPUT, "%s '%s': forward changed input %d", p->info->name, p->c->name,
                        i);
    }
    return OK;
}

static Status forward(const Problem *p, const Backend *b, Forward *f) {
    *f = (Forward){0};
    Run r = run_make(p, b);
    run_prepare(&r, false);
    for (int i = 0; i < p->info->n_in; i++)
        if (p->in[i]) r.in[i] = place(&r, &r.call.in[i], p->in[i]);
    for (int i = 0; i < p->info->n_out; i++) r.out[i] = place(&r, &r.call.out[i], NULL);
    b->op[p->c->op].forward(&r.call);
    b->sync();
    Status status = run_read(&r, f);
    run_drop(&r);
    TRY(status);
    return check_inputs_kept(p, f);
}

/* Which gradients a backward run makes, from which outputs' gradients; the others' are 0. */
typedef struct {
    unsigned want, used;
    bool add;
} Ask;

static void describe_backward(Run *r, Ask ask) {
    Call *c = &r->call;
    unsigned reads = op_reads(r->p->c->op, c->attr);
    for (int i = 0; i < r->p->info->n_in; i++) {
        if (ask.want & IN(i))
            c->din[i] =
                (Tensor){.shape = c->in[i].shape, .dtype = c->in[i].dtype, .data = UNPLACED};
        c->add[i] = ask.add && (ask.want & IN(i));
        if (!(reads & IN(i))) c->in[i].data = NULL;
    }
    for (int i = 0; i < r->p->info->n_out; i++) {
        c->dout[i] = c->out[i];
        if (!(reads & OUT(i))) c->out[i].data = NULL;
    }
}

static void place_backward(Run *r, Ask ask, const Forward *f) {
    const Problem *p = r->p;
    Call *c = &r->call;
    for (int i = 0; i < p->info->n_in; i++) {
        if (c->in[i].data) r->in[i] = place(r, &c->in[i], f->in[i]);
        if (c->din[i].data) r->din[i] = place(r, &c->din[i], ask.add ? p->prior[i] : NULL);
    }
    for (int i = 0; i < p->info->n_out; i++) {
        const double *weight = ask.used & 1u << i ? p->weight[i] : p->zero[i];
        if (c->out[i].data) r->out[i] = place(r, &c->out[i], f->out[i]);
        r->dout[i] = place(r, &c->dout[i], weight);
    }
}

static Status backward_read(Run *r, Backward *g) {
    Forward after = {0};
    TRY(run_read(r, &after));
    for (int i = 0; i < OP_MAX_IN; i++)
        TRY(read_block(r->p, &r->din[i], "gradient of input", i, &g->din[i]));
    for (int i = 0; i < OP_MAX_OUT; i++)
        TRY(read_block(r->p, &r->dout[i], "gradient of output", i, NULL));
    return OK;
}

/* f holds what forward left on the same backend. */
static Status backward(const Problem *p, const Backend *b, Ask ask, const Forward *f, Backward *g) {
    *g = (Backward){0};
    Run r = run_make(p, b);
    describe_backward(&r, ask);
    run_prepare(&r, true);
    place_backward(&r, ask, f);
    b->op[p->c->op].backward(&r.call);
    b->sync();
    Status status = backward_read(&r, g);
    run_drop(&r);
    return status;
}

/* weight * (outputs at entry k of input i + step, minus outputs at entry k - step). */
static Status difference(Problem *p, const Backend *b, int i, size_t k, double step,
                         double *result) {
    double middle = p->in[i][k];
    Forward high, low;
    p->in[i][k] = middle + step;
    Status status = forward(p, b, &high);
    p->in[i][k] = middle - step;
    if (status == OK) status = forward(p, b, &low);
    p->in[i][k] = middle;
    TRY(status);
    *result = 0;
    for (int o = 0; o < p->info->n_out; o++) {
        if (!(p->used & 1u << o)) continue;
        for (size_t n = 0; n < shape_size(p->out_shape[o]); n++)
            *result += p->weight[o][n] * (high.out[o][n] - low.out[o][n]);
    }
    return OK;
}

/* Fourth-order central difference. */
static Status derivative(Problem *p, const Backend *b, int i, size_t k, double *result) {
    double near, far, h = DIFFERENCE_STEP;
    TRY(difference(p, b, i, k, h, &near));
    TRY(difference(p, b, i, k, 2 * h, &far));
    *result = (8 * near - far) / (12 * h);
    return OK;
}

static Status check_derivatives(Problem *p, const Backend *ref, const Backward *g) {
    Arena *whole = p->arena;
    for (int i = 0; i < p->info->n_in; i++) {
        if (!(p->grads & IN(i))) continue;
        CHECK(g->din[i], "no gradient of input %d", i);
        size_t n = shape_size(p->in_shape[i]), stride = n / SAMPLES + 1;
        double tolerance = DIFFERENCE_TOLERANCE * fmax(largest(g->din[i], n), 1e-3);
        for (size_t k = 0; k < n; k += stride) {
            double want = 0;
            p->arena = arena_new();
            Status status = derivative(p, ref, i, k, &want);
            arena_free(p->arena);
            p->arena = whole;
            TRY(status);
            if (!(fabs(g->din[i][k] - want) <= tolerance))
                return failed(p, "ref gradient against differences, input", i, k, g->din[i][k],
                              want, tolerance);
        }
    }
    return OK;
}

static Status compare_forward(const Problem *p, const char *what, const Forward *got,
                              const Forward *want, double tolerance) {
    for (int i = 0; i < p->info->n_out; i++)
        TRY(compare_relative(p, what, i, got->out[i], want->out[i], shape_size(p->out_shape[i]),
                             tolerance));
    for (int i = 0; i < p->info->n_in; i++)
        if (changed(p->c->op) & IN(i) && p->in[i])
            TRY(compare_relative(p, "input changed in place,", i, got->in[i], want->in[i],
                                 shape_size(p->in_shape[i]), tolerance));
    return OK;
}

static Status compare_backward(const Problem *p, const char *what, unsigned inputs,
                               const Backward *got, const Backward *want, double tolerance) {
    for (int i = 0; i < p->info->n_in; i++)
        if (inputs & IN(i))
            TRY(compare_relative(p, what, i, got->din[i], want->din[i], shape_size(p->in_shape[i]),
                                 tolerance));
    return OK;
}

static Status check_add(const Problem *p, const Backend *b, const Forward *f, const Backward *g,
                        double tolerance) {
    Backward added;
    TRY(backward(p, b, (Ask){p->grads, p->used, true}, f, &added));
    for (int i = 0; i < p->info->n_in; i++) {
        if (!(p->grads & IN(i))) continue;
        size_t n = shape_size(p->in_shape[i]);
        double *want = arena_alloc(p->arena, (n + 1) * sizeof *want);
        for (size_t k = 0; k < n; k++) want[k] = g->din[i][k] + p->prior[i][k];
        TRY(compare_relative(p, "added gradient of input", i, added.din[i], want, n, tolerance));
    }
    return OK;
}

static Status check_subsets(const Problem *p, const Backend *b, const Forward *f, const Backward *g,
                            double tolerance) {
    for (int i = 0; i < p->info->n_in; i++) {
        Backward one;
        if (!(p->grads & IN(i)) || p->grads == IN(i)) continue;
        TRY(backward(p, b, (Ask){IN(i), p->used, false}, f, &one));
        TRY(compare_backward(p, "gradient wanted alone, input", IN(i), &one, g, tolerance));
    }
    return OK;
}

/* Backward is linear: gradients made from one output at a time sum to the whole. */
static Status check_outputs(const Problem *p, const Backend *b, const Forward *f, const Backward *g,
                            double tolerance) {
    if (!(p->used & (p->used - 1))) return OK;
    Backward sum = {0};
    for (int o = 0; o < p->info->n_out; o++) {
        Backward part;
        if (!(p->used & 1u << o)) continue;
        TRY(backward(p, b, (Ask){p->grads, 1u << o, false}, f, &part));
        for (int i = 0; i < OP_MAX_IN; i++)
            for (size_t k = 0; sum.din[i] && k < shape_size(p->in_shape[i]); k++)
                part.din[i][k] += sum.din[i][k];
        sum = part;
    }
    return compare_backward(p, "gradient by one output at a time, input", p->grads, &sum, g,
                            tolerance);
}

/* Same bits, or nearly for libraries: `tolerance` is what f and g must keep. */
static Status check_threads(const Problem *p, const Backend *b, const Forward *f, const Backward *g,
                            double tolerance) {
    if (!(p->c->flags & LIBRARY)) tolerance = 0;
    for (int threads = 2; threads <= 3; threads++) {
        Forward again;
        Backward gradients;
        parallel_set_threads(threads);
        TRY(forward(p, b, &again));
        TRY(compare_forward(p, "more threads, output", &again, f, tolerance));
        if (!p->grads) continue;
        TRY(backward(p, b, (Ask){p->grads, p->used, false}, f, &gradients));
        TRY(compare_backward(p, "more threads, gradient of input", p->grads, &gradients, g,
                             tolerance));
    }
    parallel_set_threads(1);
    return OK;
}

/* Everything that concerns one backend. */
static Status check_backend(const Problem *p, const Backend *b, double tolerance, Forward *f,
                            Backward *g) {
    TRY(forward(p, b, f));
    if (p->grads) {
        TRY(backward(p, b, (Ask){p->grads, p->used, false}, f, g));
        TRY(check_add(p, b, f, g, tolerance));
        TRY(check_subsets(p, b, f, g, tolerance));
        TRY(check_outputs(p, b, f, g, tolerance));
    }
    return check_threads(p, b, f, g, tolerance);
}

static Status check(Problem *p, const Backend *ref, const Backend *cpu) {
    Forward f_ref = {0}, f_cpu = {0};
    Backward g_ref = {0}, g_cpu = {0};
    TRY(check_backend(p, ref, REF_TOLERANCE, &f_ref, &g_ref));
    TRY(check_backend(p, cpu, p->c->tolerance, &f_cpu, &g_cpu));
    TRY(compare_forward(p, "cpu against ref, output", &f_cpu, &f_ref, p->c->tolerance));
    TRY(compare_backward(p, "cpu against ref, gradient of input", p->grads, &g_cpu, &g_ref,
                         p->c->tolerance));
    /* Rounding can make the ranks of a maximum equal. */
    return p->grads && !p->half ? check_derivatives(p, ref, &g_ref) : OK;
}

Status opcheck_run(const OpCase *c, const Backend *ref, const Backend *cpu) {
    int threads = parallel_threads();
    Arena *arena = arena_new();
    Problem p = problem_make(arena, c, cpu->stores_half);
    if (!ref->op[c->op].backward) p.grads = 0;
    parallel_set_threads(1);
    Status status = check(&p, ref, cpu);
    parallel_set_threads(threads);
    arena_free(arena);
    return status;
}
