/* Posed bodies: values and gradients of the graph on both backends, the contracted joints, and the
 * host's own double computation, against the reference and against each other. */
#include "tests/support.h"

#include "autograd/plan.h"
#include "smpl/contract.h"
#include "tensor/rng.h"
#include "tests/smallbody.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char EXPECTED[] = "fixtures_body/smpl/smpl_expected.npz";
static const char REGRESSOR[] = "fixtures_body/smpl/J_regressor_halpe.npy";

/* The reference's own limits: metres, and a share of the largest gradient. */
typedef struct {
    const Backend *backend;
    double value, gradient;
} Tolerances;
static const Tolerances REF = {&backend_ref, 1e-7, 1e-6}, CPU = {&backend_cpu, 1e-5, 1e-4};

static Body *fixture_body(void) {
    Body *body;
    if (body_load(support_fixture("fixtures_body/smpl/body_stored.npz"), support_fixture(REGRESSOR),
                  &body))
        fail_msg("%s", error_reason());
    return body;
}

/* n people in one graph; loss = sum of every output times its weight. */
typedef struct {
    Graph *graph;
    Plan *plan;
    Tensor *pose, *betas, *translation; /* axis-angle, or matrices when matrices is set */
    Tensor *vertices, *chain, *halpe;
    Tensor *vertex_weight, *chain_weight, *halpe_weight;
} Crowd;

static Tensor *weighted(const Scope *m, Tensor *x, const char *name, Tensor **weight) {
    *weight = graph_input(m->graph, name, F32, x->shape);
    return sum(m, mul(m, x, *weight), AXES_ALL);
}

static Crowd crowd_new(const Body *body, int n, bool matrices, const Backend *backend) {
    Crowd c = {.graph = graph_new()};
    Scope m = {.graph = c.graph};
    c.pose = graph_input(c.graph, "pose", F32, (Shape){n, 1, BODY_JOINTS, matrices ? 9 : 3});
    c.betas = graph_input(c.graph, "betas", F32, (Shape){n, 1, 1, BODY_BETAS});
    c.translation = graph_input(c.graph, "translation", F32, (Shape){n, 1, 1, 3});
    Tensor *r = matrices ? c.pose : rodrigues(&m, c.pose);
    Tensor *vertices = body_vertices(&m, body, r, c.betas);
    c.vertices = add(&m, vertices, c.translation);
    c.chain = add(&m, graph_output(c.graph, vertices, 1), c.translation);
    c.halpe = add(&m, body_halpe(&m, body, r, c.betas), c.translation);
    Tensor *loss = weighted(&m, c.vertices, "vertex_weight", &c.vertex_weight);
    loss = add(&m, loss, weighted(&m, c.chain, "chain_weight", &c.chain_weight));
    loss = add(&m, loss, weighted(&m, c.halpe, "halpe_weight", &c.halpe_weight));
    PlanOptions o = {.loss = loss,
                     .keep = (Tensor *[]){c.vertices, c.chain, c.halpe},
                     .keeps = 3,
                     .wrt = (Tensor *[]){c.pose, c.betas, c.translation},
                     .wrts = 3};
    if (plan_new(c.graph, backend, &o, &c.plan)) fail_msg("%s", error_reason());
    return c;
}

static void crowd_free_all(Crowd *c) {
    plan_free(c->plan);
    graph_free(c->graph);
}

static size_t size(const Tensor *t) { return shape_size(t->shape); }

static void write_array(const Crowd *c, const Tensor *t, const ArrayFile *f, const char *name) {
    double *values = support_doubles(f, name);
    assert_int_equal(array_size(support_array(f, name)), size(t));
    plan_write(c->plan, t, F64, values);
    free(values);
}

/* rule(key), the fixtures' deterministic values in [-1, 1). */
static void write_rule(const Crowd *c, const Tensor *t, const char *key) {
    uint64_t stream = rng_stream(key, 1);
    double *values = malloc((size(t) + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < size(t); i++) values[i] = (double)rng_signed(stream, i);
    plan_write(c->plan, t, F64, values);
    free(values);
}

static void write_zero(const Crowd *c, const Tensor *t) {
    double *values = calloc(size(t) + 1, sizeof *values);
    assert_non_null(values);
    plan_write(c->plan, t, F64, values);
    free(values);
}

static void check_value(const Crowd *c, const Tensor *t, const ArrayFile *f, const char *name,
                        double tolerance) {
    double *want = support_doubles(f, name), *got = malloc((size(t) + 1) * sizeof *got);
    assert_non_null(got);
    plan_read(c->plan, t, F64, got);
    support_close64(name, got, want, size(t), tolerance);
    free(want), free(got);
}

/* Regressed joints.  The reference translates the vertices, so its joints move by the sum of their
 * regressor's row, which is 1 only to a float's precision; here they move by exactly 1. */
static void check_regressed(const Crowd *c, const Tensor *t, const ArrayFile *f, const char *name,
                            const char *translation, const double *row_sum, double tolerance) {
    double *want = support_doubles(f, name), *shift = support_doubles(f, translation);
    double *got = malloc((size(t) + 1) * sizeof *got);
    size_t rows = (size_t)t->shape.w;
    assert_non_null(got);
    plan_read(c->plan, t, F64, got);
    for (size_t i = 0; i < size(t); i++)
        want[i] -= shift[i / (3 * rows) * 3 + i % 3] * (row_sum[i / 3 % rows] - 1);
    support_close64(name, got, want, size(t), tolerance);
    free(want), free(got), free(shift);
}

static void check_halpe(const Crowd *c, const ArrayFile *f, const char *name,
                        const char *translation, double tolerance) {
    double sums[HALPE26_COUNT] = {0};
    ArrayFile file = support_arrays(REGRESSOR);
    const Array *a = &file.array[0];
    for (size_t i = 0; i < array_size(a); i++) sums[i / (size_t)a->dim[1]] += array_get(a, i);
    array_file_free(&file);
    check_regressed(c, c->halpe, f, name, translation, sums, tolerance);
}

/* Within a share of each person's largest entry. */
static void check_gradient(const Crowd *c, const Tensor *t, const ArrayFile *f, const char *name,
                           double tolerance) {
    double *want = support_doubles(f, name), *got = malloc((size(t) + 1) * sizeof *got);
    assert_non_null(got);
    plan_read_gradient(c->plan, t, F64, got);
    size_t each = size(t) / (size_t)t->shape.n;
    for (size_t i = 0; i < size(t); i += each) {
        double largest = 0;
        for (size_t k = 0; k < each; k++) largest = fmax(largest, fabs(want[i + k]));
        support_close64(name, got + i, want + i, each, tolerance * largest);
    }
    free(want), free(got);
}

static void run_expected(const Tolerances *p, bool matrices) {
    ArrayFile f = support_arrays(EXPECTED);
    Body *body = fixture_body();
    Crowd c = crowd_new(body, (int)support_array(&f, "pose")->dim[0], matrices, p->backend);
    write_array(&c, c.pose, &f, matrices ? "rotmat" : "pose");
    write_array(&c, c.betas, &f, "betas");
    write_array(&c, c.translation, &f, "trans");
    write_rule(&c, c.vertex_weight, "smpl.w_verts");
    write_array(&c, c.chain_weight, &f, "w_joints");
    write_array(&c, c.halpe_weight, &f, "w_halpe");
    plan_run(c.plan);
    check_value(&c, c.vertices, &f, "verts", p->value);
    check_value(&c, c.chain, &f, "joints_chain", p->value);
    check_halpe(&c, &f, "halpe", "trans", p->value);
    check_gradient(&c, c.pose, &f, matrices ? "grad_rotmat" : "grad_pose", p->gradient);
    check_gradient(&c, c.betas, &f, "grad_betas", p->gradient);
    check_gradient(&c, c.translation, &f, "grad_trans", p->gradient);
    crowd_free_all(&c);
    body_free(body);
    array_file_free(&f);
}

static void reference_in_double(void **state) {
    (void)state;
    run_expected(&REF, false);
    run_expected(&REF, true);
}

static void reference_in_float(void **state) {
    (void)state;
    run_expected(&CPU, false);
    run_expected(&CPU, true);
}

/* Zero, huge betas, half turns, angles beyond pi, angles near zero.  The stored vertices are
 * float32, up to 30 m away. */
static void run_edges(const Tolerances *p) {
    const double stored = 2e-6;
    ArrayFile f = support_arrays(EXPECTED);
    Body *body = fixture_body();
    Crowd c = crowd_new(body, (int)support_array(&f, "edge_pose")->dim[0], false, p->backend);
    write_array(&c, c.pose, &f, "edge_pose");
    write_array(&c, c.betas, &f, "edge_betas");
    write_array(&c, c.translation, &f, "edge_trans");
    write_rule(&c, c.vertex_weight, "smpl.edge_w");
    write_array(&c, c.chain_weight, &f, "edge_w_joints");
    write_zero(&c, c.halpe_weight);
    plan_run(c.plan);
    check_value(&c, c.vertices, &f, "edge_verts", p->value + stored);
    check_value(&c, c.chain, &f, "edge_joints_chain", p->value);
    check_halpe(&c, &f, "edge_halpe", "edge_trans", p->value);
    check_gradient(&c, c.pose, &f, "edge_grad_pose", p->gradient);
    check_gradient(&c, c.betas, &f, "edge_grad_betas", p->gradient);
    crowd_free_all(&c);
    body_free(body);
    array_file_free(&f);
}

static void edges_in_double(void **state) {
    (void)state;
    run_edges(&REF);
}

static void edges_in_float(void **state) {
    (void)state;
    run_edges(&CPU);
}

/* ---- the host ---- */

static void check_host(const Body *body, const ArrayFile *f, const char *prefix, double tolerance) {
    static const char *const OUTPUTS[] = {"verts", "joints_chain", "halpe"};
    static const char *const INPUTS[] = {"pose", "betas", "trans"};
    float *in[3], *want[3];
    char name[64];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", prefix, INPUTS[i]);
        in[i] = support_floats(f, name);
        snprintf(name, sizeof name, "%s%s", prefix, OUTPUTS[i]);
        want[i] = support_floats(f, name);
    }
    snprintf(name, sizeof name, "%spose", prefix);
    size_t people = (size_t)support_array(f, name)->dim[0], v = 3 * (size_t)body->vertices;
    float *got = malloc(v * sizeof *got), joints[BODY_ROWS], halpe[3 * HALPE26_COUNT];
    assert_non_null(got);
    for (size_t i = 0; i < people; i++) {
        body_pose(body, in[0] + i * BODY_ROWS, in[1] + i * BODY_BETAS, in[2] + 3 * i, got, joints,
                  halpe);
        support_close("vertices", got, want[0] + i * v, v, tolerance);
        support_close("joints", joints, want[1] + i * BODY_ROWS, BODY_ROWS, tolerance);
        support_close("halpe", halpe, want[2] + i * 3 * HALPE26_COUNT, 3 * HALPE26_COUNT,
                      tolerance);
    }
    for (int i = 0; i < 3; i++) free(in[i]), free(want[i]);
    free(got);
}

static void host_is_the_reference(void **state) {
    (void)state;
    ArrayFile f = support_arrays(EXPECTED);
    Body *body = fixture_body();
    check_host(body, &f, "", CPU.value); /* inputs and outputs are float */
    check_host(body, &f, "edge_", CPU.value);
    body_free(body);
    array_file_free(&f);
}

/* ---- contraction, on a made-up body ---- */

enum { VERTICES = 100, ROWS = 5, PEOPLE = 3 };

static Body *small_body(bool posedirs) {
    const char *path = support_in_folder("small.npz");
    Body *body;
    SmallBody *s = smallbody_new(VERTICES, 10);
    if (!posedirs) smallbody_remove(s, "posedirs");
    smallbody_write(s, path);
    smallbody_free(s);
    if (body_load(path, NULL, &body)) fail_msg("%s", error_reason());
    return body;
}

/* Joints made from vertices or from tables, with loss = sum of joints * weight. */
typedef struct {
    double joints[PEOPLE][ROWS][3];
    double rotations[PEOPLE * BODY_JOINTS * 9], betas[PEOPLE * BODY_BETAS]; /* gradients */
} Outcome;

static Tensor *from_vertices(const Scope *m, const Body *body, const float *regressor,
                             Tensor *rotations, Tensor *betas) {
    Tensor *v = body_vertices(m, body, rotations, betas), *parts[ROWS];
    for (int k = 0; k < ROWS; k++) {
        Tensor *row = graph_constant(m->graph, "row", F32, (Shape){1, 1, VERTICES, 1},
                                     regressor + k * VERTICES);
        parts[k] = sum(m, mul(m, v, row), 1 << AXIS_W);
    }
    return concat(m, AXIS_W, parts[0], parts[1], parts[2], parts[3], parts[4]);
}

static void regress(const Body *body, const float *regressor, bool tables, const Backend *backend,
                    Outcome *out) {
    Graph *g = graph_new();
    Arena *arena = arena_new();
    Scope m = {.graph = g};
    Tensor *rotations = graph_input(g, "rotations", F32, (Shape){PEOPLE, 1, BODY_JOINTS, 9});
    Tensor *betas = graph_input(g, "betas", F32, (Shape){PEOPLE, 1, 1, BODY_BETAS});
    Tensor *weight = graph_input(g, "weight", F32, (Shape){PEOPLE, 1, ROWS, 3}), *joints;
    if (tables) {
        BodyTables t = contract_regressor(body, arena, regressor, ROWS);
        joints = body_regressed(&m, body, &t, "rows", rotations, betas);
    } else {
        joints = from_vertices(&m, body, regressor, rotations, betas);
    }
    PlanOptions o = {.loss = sum(&m, mul(&m, joints, weight), AXES_ALL),
                     .keep = &joints,
                     .keeps = 1,
                     .wrt = (Tensor *[]){rotations, betas},
                     .wrts = 2};
    Crowd c = {.graph = g};
    if (plan_new(g, backend, &o, &c.plan)) fail_msg("%s", error_reason());
    write_rule(&c, rotations, "contract.rotations"); /* any matrices, not only rotations */
    write_rule(&c, betas, "contract.betas");
    write_rule(&c, weight, "contract.weight");
    plan_run(c.plan);
    plan_read(c.plan, joints, F64, out->joints);
    plan_read_gradient(c.plan, rotations, F64, out->rotations);
    plan_read_gradient(c.plan, betas, F64, out->betas);
    crowd_free_all(&c);
    arena_free(arena);
}

static void check_contraction(const Body *body, const float *regressor, const Tolerances *p) {
    enum { MATRICES = PEOPLE * BODY_JOINTS * 9, BETAS = PEOPLE * BODY_BETAS };
    static Outcome a, b;
    regress(body, regressor, false, p->backend, &a);
    regress(body, regressor, true, p->backend, &b);
    support_close64("joints", &b.joints[0][0][0], &a.joints[0][0][0], PEOPLE * ROWS * 3, p->value);
    double largest = 0;
    for (int i = 0; i < MATRICES; i++) largest = fmax(largest, fabs(a.rotations[i]));
    assert_true(largest > 0.01);
    support_close64("rotations", b.rotations, a.rotations, MATRICES, p->gradient * largest);
    support_close64("betas", b.betas, a.betas, BETAS, p->gradient * largest);
}

static void contracted_joints_are_regressed_joints(void **state) {
    (void)state;
    float dense[ROWS * VERTICES], sparse[ROWS * VERTICES] = {0};
    for (size_t i = 0; i < ROWS * VERTICES; i++) /* of any sum, with zeros and negative shares */
        dense[i] = i % 3 ? 0.1f * rng_signed(rng_stream("contract.row", 1), i) : 0;
    for (size_t k = 0; k < ROWS; k++) /* few vertices, and few joints that move them */
        for (size_t i = 0; i < 1 + k / 2; i++) sparse[k * VERTICES + (17 * k + i) % VERTICES] = 1;
    for (int posedirs = 0; posedirs < 2; posedirs++) {
        Body *body = small_body(posedirs);
        check_contraction(body, dense, &REF);
        check_contraction(body, dense, &CPU);
        check_contraction(body, sparse, &REF);
        check_contraction(body, sparse, &CPU);
        body_free(body);
    }
}

/* The difference of two vertices that lie in one place and follow one joint: only what betas and
 * pose do to them is left. */
static void shares_that_cancel_out_still_move(void **state) {
    (void)state;
    Body *body = small_body(true), twins = *body;
    float places[3 * VERTICES] = {0}, weights[VERTICES * BODY_JOINTS] = {0},
                     regressor[ROWS * VERTICES] = {0};
    for (size_t v = 0; v < VERTICES; v++) weights[v * BODY_JOINTS + v % 2] = 1;
    twins.v_template = places, twins.weights = weights;
    for (size_t k = 0; k < ROWS; k++)
        regressor[k * VERTICES + k] = 1, regressor[k * VERTICES + k + 2] = -1;
    check_contraction(&twins, regressor, &REF);
    check_contraction(&twins, regressor, &CPU);
    body_free(body);
}

/* The SMPL joints that the reference regresses from posed vertices. */
static void regressed_joints_of_the_reference(void **state) {
    (void)state;
    ArrayFile f = support_arrays(EXPECTED);
    Body *body = fixture_body();
    Crowd c = {.graph = graph_new()};
    Scope m = {.graph = c.graph};
    int n = (int)support_array(&f, "rotmat")->dim[0];
    Tensor *rotations = graph_input(c.graph, "rotations", F32, (Shape){n, 1, BODY_JOINTS, 9});
    Tensor *betas = graph_input(c.graph, "betas", F32, (Shape){n, 1, 1, BODY_BETAS});
    Tensor *translation = graph_input(c.graph, "translation", F32, (Shape){n, 1, 1, 3});
    BodyTables t = contract_regressor(body, body->arena, body->joint_regressor, BODY_JOINTS);
    Tensor *joints =
        add(&m, body_regressed(&m, body, &t, "regressed", rotations, betas), translation);
    PlanOptions o = {.keep = &joints, .keeps = 1};
    if (plan_new(c.graph, REF.backend, &o, &c.plan)) fail_msg("%s", error_reason());
    write_array(&c, rotations, &f, "rotmat");
    write_array(&c, betas, &f, "betas");
    write_array(&c, translation, &f, "trans");
    plan_run(c.plan);
    double sums[BODY_JOINTS] = {0};
    for (size_t j = 0; j < BODY_JOINTS; j++)
        for (size_t v = 0; v < (size_t)body->vertices; v++)
            sums[j] += (double)body->joint_regressor[j * (size_t)body->vertices + v];
    check_regressed(&c, joints, &f, "joints_regressed", "trans", sums, REF.value);
    crowd_free_all(&c);
    body_free(body);
    array_file_free(&f);
}

/* ---- the graph ---- */

/* A body's arrays are in a graph once, however often it is posed; another body has its own. */
static void constants_are_shared(void **state) {
    (void)state;
    Body *body = small_body(true), *other = small_body(true);
    ((float *)other->posedirs)[3] += 1;
    Graph *g = graph_new();
    Scope m = {.graph = g};
    Tensor *rotations = graph_input(g, "rotations", F32, (Shape){1, 1, BODY_JOINTS, 9});
    Tensor *betas = graph_input(g, "betas", F32, (Shape){1, 1, 1, BODY_BETAS});
    body_vertices(&m, body, rotations, betas);
    int before = graph_tensors(g);
    body_vertices(&m, body, rotations, betas);
    int made = 3; /* vertices, chain, the sum of the fine table's halves */
    assert_int_equal(graph_tensors(g), before + made);
    body_vertices(&m, other, rotations, betas);
    assert_int_equal(graph_tensors(g), before + 2 * made + 1); /* its posedirs */
    graph_free(g);
    body_free(body);
    body_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_in_double),
        cmocka_unit_test(reference_in_float),
        cmocka_unit_test(edges_in_double),
        cmocka_unit_test(edges_in_float),
        cmocka_unit_test(host_is_the_reference),
        cmocka_unit_test(contracted_joints_are_regressed_joints),
        cmocka_unit_test(shares_that_cancel_out_still_move),
        cmocka_unit_test(regressed_joints_of_the_reference),
        cmocka_unit_test(constants_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
