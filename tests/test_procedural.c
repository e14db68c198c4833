/* The made-up body: a closed and symmetric skin, weights, regressors that hold for every betas,
 * human sizes, joints that keep their flesh when bent, the same bytes every time. */
#include "tests/support.h"

#include "smpl/body.h"
#include "smpl/figure.h"
#include "smpl/procedural.h"
#include "smpl/solid.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float NOWHERE[3];
static Body *body;
static ArrayFile file;

static int make_body(void **state) {
    (void)state;
    ProceduralSize size;
    const char *path = support_in_folder("body.npz");
    if (procedural_write(path, 0, &size) || body_load(path, NULL, &body) || file_load(path, &file))
        fail_msg("%s", error_reason());
    printf("body: %d vertices, %d triangles\n", size.vertices, size.faces);
    assert_int_equal(size.vertices, body->vertices);
    assert_int_equal(size.faces, body->faces);
    return 0;
}

static int drop_body(void **state) {
    (void)state;
    body_free(body);
    array_file_free(&file);
    return 0;
}

static void draw_betas(uint64_t seed, float betas[BODY_BETAS]) {
    uint64_t stream = rng_stream("betas", seed);
    for (uint64_t b = 0; b < BODY_BETAS; b++)
        betas[b] = (float)fmax(-3, fmin(3, rng_normal(stream, b)));
}

static double coordinate(int v, int k, const float betas[BODY_BETAS]) {
    size_t i = 3 * (size_t)v + (size_t)k;
    double x = (double)body->v_template[i];
    for (size_t b = 0; b < BODY_BETAS; b++)
        x += (double)(body->shapedirs[i * BODY_BETAS + b] * betas[b]);
    return x;
}

/* ---- skin ---- */

static int compare_edges(const void *a, const void *b) { return memcmp(a, b, 2 * sizeof(int32_t)); }

/* Every edge is passed once each way, so that the surface is closed and all triangles look to the
 * same side. */
static void skin_is_closed(void **state) {
    (void)state;
    int edges = 3 * body->faces;
    int32_t(*edge)[2] = malloc((size_t)edges * sizeof *edge);
    assert_non_null(edge);
    for (int i = 0; i < edges; i++) {
        edge[i][0] = body->face[i];
        edge[i][1] = body->face[i % 3 == 2 ? i - 2 : i + 1];
        assert_int_not_equal(edge[i][0], edge[i][1]);
    }
    qsort(edge, (size_t)edges, sizeof *edge, compare_edges);
    for (int i = 0; i < edges; i++) {
        int32_t back[2] = {edge[i][1], edge[i][0]};
        if (i) assert_int_not_equal(compare_edges(edge[i - 1], edge[i]), 0);
        assert_non_null(bsearch(back, edge, (size_t)edges, sizeof *edge, compare_edges));
    }
    assert_int_equal(body->vertices - edges / 2 + body->faces, 2);
    assert_in_range(body->vertices, 6500, 7300);
    free(edge);
}

/* The triangles around a vertex are one fan, and all vertices hang together. */
static void skin_is_a_manifold(void **state) {
    (void)state;
    size_t vertices = (size_t)body->vertices;
    int *count = calloc(vertices, sizeof *count), *group = calloc(vertices, sizeof *group);
    int32_t(*fan)[32][2] = calloc(vertices, sizeof *fan);
    assert_non_null(count);
    assert_non_null(group);
    assert_non_null(fan);
    for (int i = 0; i < 3 * body->faces; i++) {
        int32_t v = body->face[i], first = i - i % 3;
        assert_true(count[v] < 32);
        fan[v][count[v]][0] = body->face[first + (i + 1) % 3];
        fan[v][count[v]++][1] = body->face[first + (i + 2) % 3];
    }
    for (size_t v = 0; v < vertices; v++) {
        int32_t at = fan[v][0][1];
        int steps = 1;
        for (; at != fan[v][0][0] && steps <= count[v]; steps++)
            for (int i = 0; i < count[v]; i++)
                if (fan[v][i][0] == at) {
                    at = fan[v][i][1];
                    break;
                }
        assert_int_equal(steps, count[v]);
        assert_true(count[v] >= 3);
    }
    int reached = 1;
    group[0] = 1;
    for (bool grown = true; grown;) {
        grown = false;
        for (size_t v = 0; v < vertices; v++)
            for (int i = 0; group[v] && i < count[v]; i++)
                if (!group[fan[v][i][0]]) grown = true, reached++, group[fan[v][i][0]] = 1;
    }
    assert_int_equal(reached, body->vertices);
    free(count);
    free(group);
    free(fan);
}

/* Six times the volume of the cone from a point over the triangle. */
static double cone(const float *vertices, const int32_t *face, const float *tip) {
    double e[3][3];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) e[i][k] = (double)vertices[3 * face[i] + k] - (double)tip[k];
    return e[0][0] * (e[1][1] * e[2][2] - e[1][2] * e[2][1]) -
           e[0][1] * (e[1][0] * e[2][2] - e[1][2] * e[2][0]) +
           e[0][2] * (e[1][0] * e[2][1] - e[1][1] * e[2][0]);
}

static double edge_length(const int32_t *face, int i) {
    double sum = 0;
    for (int k = 0; k < 3; k++)
        sum += pow((double)(body->v_template[3 * face[i] + k] -
                            body->v_template[3 * face[(i + 1) % 3] + k]),
                   2);
    return sqrt(sum);
}

/* Outside is outside, a person of 1.70 m has 60 to 80 litres, and triangles are no needles. */
static void skin_has_a_human_volume(void **state) {
    (void)state;
    double volume = 0, worst = 1;
    for (int f = 0; f < body->faces; f++) {
        const int32_t *face = body->face + 3 * f;
        volume += cone(body->v_template, face, NOWHERE) / 6;
        double a = edge_length(face, 0), b = edge_length(face, 1), c = edge_length(face, 2);
        double s = (a + b + c) / 2, area = sqrt(fmax(0, s * (s - a) * (s - b) * (s - c)));
        /* Twice the inscribed circle's radius by the circumscribed one's: 1 for equal sides. */
        worst = fmin(worst, 8 * area * area / (s * a * b * c));
    }
    printf("body: %.1f litres, worst triangle %.3f of an equilateral one\n", 1e3 * volume, worst);
    assert_true(volume > 0.060 && volume < 0.080);
    assert_true(worst > 0.1);
}

/* ---- symmetry ---- */

static int compare_places(const void *a, const void *b) {
    const float *p = body->v_template + 3 * *(const int *)a;
    const float *q = body->v_template + 3 * *(const int *)b;
    for (int k = 0; k < 3; k++)
        if (p[k] != q[k]) return p[k] < q[k] ? -1 : 1;
    return 0;
}

/* The vertex at the mirrored place, or -1. */
static int image_of(const int *order, int v) {
    const float *p = body->v_template + 3 * v;
    const float want[3] = {-p[0] + 0.0f, p[1], p[2]};
    int low = 0, high = body->vertices - 1;
    while (low <= high) {
        int middle = (low + high) / 2, at = 0;
        const float *q = body->v_template + 3 * order[middle];
        for (int k = 2; k >= 0; k--)
            if (q[k] != want[k]) at = q[k] < want[k] ? -1 : 1;
        if (!at) return order[middle];
        if (at < 0)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

static void halves_are_images(void **state) {
    (void)state;
    const Joint *tree = joints_order(JOINTS_SMPL24)->joint;
    const Joint *halpe = joints_order(JOINTS_HALPE26)->joint;
    const float *rows = support_array(&file, "J_regressor_halpe")->data;
    size_t size = (size_t)body->vertices;
    int *order = malloc(size * sizeof *order);
    assert_non_null(order);
    for (int v = 0; v < body->vertices; v++) order[v] = v;
    qsort(order, size, sizeof *order, compare_places);
    for (int i = 1; i < body->vertices; i++)
        assert_int_not_equal(compare_places(&order[i - 1], &order[i]), 0);
    for (size_t v = 0; v < size; v++) {
        int found = image_of(order, (int)v);
        assert_true(found >= 0);
        size_t w = (size_t)found;
        for (size_t i = 0; i < 3 * BODY_BETAS; i++) {
            float a = body->shapedirs[v * 3 * BODY_BETAS + i];
            float b = body->shapedirs[w * 3 * BODY_BETAS + i];
            assert_true(i < BODY_BETAS ? a == -b : a == b);
        }
        for (size_t j = 0; j < BODY_JOINTS; j++) {
            size_t other = (size_t)tree[j].flip;
            assert_true(fabsf(body->weights[v * BODY_JOINTS + j] -
                              body->weights[w * BODY_JOINTS + other]) < 1e-6f);
            assert_true(fabsf(body->joint_regressor[j * size + v] -
                              body->joint_regressor[other * size + w]) < 1e-6f);
        }
        for (size_t j = 0; j < HALPE26_COUNT; j++)
            assert_true(fabsf(rows[j * size + v] - rows[(size_t)halpe[j].flip * size + w]) < 1e-6f);
    }
    free(order);
}

/* ---- weights ---- */

static void weights_are_few_and_near(void **state) {
    (void)state;
    for (int v = 0; v < body->vertices; v++) {
        const float *w = body->weights + (size_t)v * BODY_JOINTS, *p = body->v_template + 3 * v;
        double sum = 0;
        int used = 0;
        for (int j = 0; j < BODY_JOINTS; j++) {
            assert_true(w[j] >= 0);
            used += w[j] > 0;
            sum += (double)w[j];
        }
        assert_true(fabs(sum - 1) < 1e-6);
        assert_in_range(used, 1, 4);
        float arm = w[SMPL24_L_SHOULDER] + w[SMPL24_L_ELBOW] + w[SMPL24_L_WRIST] + w[SMPL24_L_HAND];
        float leg = w[SMPL24_L_HIP] + w[SMPL24_L_KNEE] + w[SMPL24_L_ANKLE] + w[SMPL24_L_FOOT];
        if (p[0] < 0.06f || p[1] < 0.03f) assert_true(arm < 0.02f);
        if (p[0] > 0.28f) assert_true(arm > 0.99f);
        if (p[0] < -0.03f || p[1] > -0.08f) assert_true(leg == 0);
        if (p[1] < -0.45f && p[0] > 0.018f) assert_true(leg > 0.99f);
        if (p[1] > 0.44f) assert_true(w[SMPL24_HEAD] > 0.99f);
    }
}

/* ---- shape ---- */

static void regressor_meets_joints(void **state) {
    (void)state;
    double worst = 0;
    int most = 0;
    for (int j = 0; j < BODY_JOINTS; j++) {
        const float *row = body->joint_regressor + (size_t)j * (size_t)body->vertices;
        int used = 0;
        for (int v = 0; v < body->vertices; v++) used += row[v] != 0;
        most = used > most ? used : most;
    }
    for (uint64_t seed = 0; seed < 100; seed++) {
        float betas[BODY_BETAS];
        double exact[BODY_BETAS];
        draw_betas(seed, betas);
        for (int b = 0; b < BODY_BETAS; b++) exact[b] = (double)betas[b];
        Figure figure = figure_make(exact);
        for (int j = 0; j < BODY_JOINTS; j++)
            for (int k = 0; k < 3; k++) {
                const float *row = body->joint_regressor + (size_t)j * (size_t)body->vertices;
                double at = 0;
                for (int v = 0; v < body->vertices; v++)
                    if (row[v] != 0) at += (double)row[v] * coordinate(v, k, betas);
                assert_true(isfinite(at));
                worst = fmax(worst, fabs(at - figure.joint[j][k]));
            }
    }
    printf("J_regressor: %.4f mm off at most, at most %d vertices a row\n", 1e3 * worst, most);
    assert_true(worst <= 0.002);
    assert_true(most <= 320);
}

static double stature(const float betas[BODY_BETAS]) {
    double low = INFINITY, high = -INFINITY;
    for (int v = 0; v < body->vertices; v++) {
        double y = coordinate(v, 1, betas);
        low = fmin(low, y), high = fmax(high, y);
    }
    return high - low;
}

static void statures_are_human(void **state) {
    enum { PEOPLE = 1000 };
    (void)state;
    double sum = 0, square = 0, low = INFINITY, high = -INFINITY;
    for (uint64_t i = 0; i < PEOPLE; i++) {
        float betas[BODY_BETAS];
        draw_betas(1000 + i, betas);
        double h = stature(betas);
        sum += h, square += h * h;
        low = fmin(low, h), high = fmax(high, h);
    }
    double mean = sum / PEOPLE, spread = sqrt(square / PEOPLE - mean * mean);
    printf("stature of %d people: %.3f +- %.3f m, %.3f to %.3f\n", PEOPLE, mean, spread, low, high);
    for (int b = 0; b < BODY_BETAS; b++) {
        float up[BODY_BETAS] = {0}, down[BODY_BETAS] = {0};
        up[b] = 1, down[b] = -1;
        printf("beta %d: %+.1f cm a unit\n", b, 50 * (stature(up) - stature(down)));
    }
    assert_true(fabs(mean - 1.70) < 0.02);
    assert_true(spread > 0.07 && spread < 0.11);
    assert_true(low > 1.35 && high < 2.08);
}

/* Linear betas stay near the skins that they stand for, and every figure stays a body: no triangle
 * of one within two deviations turns over. */
static void shapes_follow_the_figure(void **state) {
    (void)state;
    double worst = 0;
    float *vertex = malloc(3 * (size_t)body->vertices * sizeof *vertex);
    assert_non_null(vertex);
    for (int i = 0; i < 2 * BODY_BETAS; i++) {
        float betas[BODY_BETAS] = {0};
        double exact[BODY_BETAS] = {0};
        exact[i / 2] = i % 2 ? 2 : -2;
        betas[i / 2] = (float)exact[i / 2];
        Figure figure = figure_make(exact);
        Solid *solid = solid_new(&figure);
        for (int v = 0; v < body->vertices; v++) {
            double p[3];
            for (int k = 0; k < 3; k++) {
                p[k] = coordinate(v, k, betas);
                vertex[3 * v + k] = (float)p[k];
            }
            double off = solid_distance(solid, p);
            assert_true(isfinite(off));
            worst = fmax(worst, fabs(off));
        }
        double volume = 0;
        for (int f = 0; f < body->faces; f++)
            volume += cone(vertex, body->face + 3 * f, NOWHERE) / 6;
        assert_true(volume > 0.035 && volume < 0.13);
        solid_free(solid);
    }
    printf("shapes at +-2: at most %.1f mm from their own skin\n", 1e3 * worst);
    assert_true(worst < 0.012);
    free(vertex);
}

/* ---- pose ---- */

typedef struct {
    const char *name;
    int joint, axis; /* of the bend */
    double reach;    /* of the flesh that is measured, metres from the joint */
} Bend;

/* The flesh around a joint as cones from it; caps far from it move rigidly around it and add
 * nothing that changes. */
static double flesh(const Bend *b, double degrees, bool corrected) {
    float pose[3 * BODY_JOINTS] = {0}, betas[BODY_BETAS] = {0}, joints[BODY_ROWS];
    float *vertex = malloc(3 * (size_t)body->vertices * sizeof *vertex);
    assert_non_null(vertex);
    Body plain = *body;
    if (!corrected) plain.posedirs = NULL;
    pose[3 * b->joint + b->axis] = (float)(degrees * M_PI / 180);
    body_pose(&plain, pose, betas, NOWHERE, vertex, joints, NULL);
    double sum = 0;
    for (int f = 0; f < body->faces; f++) {
        const int32_t *face = body->face + 3 * f;
        bool near = true;
        for (int i = 0; i < 3; i++) {
            double square = 0;
            for (int k = 0; k < 3; k++)
                square += pow((double)body->v_template[3 * face[i] + k] -
                                  body->joint_template[3 * b->joint + k],
                              2);
            near = near && square < b->reach * b->reach;
        }
        if (near) sum += cone(vertex, face, joints + 3 * b->joint) / 6;
    }
    free(vertex);
    return sum;
}

static void bends_keep_their_flesh(void **state) {
    static const Bend bend[] = {{"elbow", SMPL24_L_ELBOW, 1, 0.12},
                                {"right elbow", SMPL24_R_ELBOW, 1, 0.12},
                                {"knee", SMPL24_L_KNEE, 0, 0.15},
                                {"right knee", SMPL24_R_KNEE, 0, 0.15}};
    (void)state;
    for (size_t i = 0; i < sizeof bend / sizeof *bend; i++)
        for (int degrees = 90; degrees <= 120; degrees += 30) {
            int sign = bend[i].joint == SMPL24_L_ELBOW ? -1 : 1;
            double rest = flesh(&bend[i], 0, true);
            double kept = flesh(&bend[i], sign * degrees, true) / rest;
            double linear = flesh(&bend[i], sign * degrees, false) / rest;
            printf("%s at %d degrees: %.1f %% of the flesh, %.1f %% without posedirs\n",
                   bend[i].name, degrees, 100 * kept, 100 * linear);
            assert_true(kept >= 0.85 && kept <= 1.15);
            assert_true(kept > linear);
        }
}

static void halpe_joints_lie_on_the_body(void **state) {
    (void)state;
    float pose[3 * BODY_JOINTS] = {0}, betas[BODY_BETAS] = {0}, joints[BODY_JOINTS][3];
    float halpe[HALPE26_COUNT][3];
    assert_string_equal(body->halpe_source, "the body file");
    body_pose(body, pose, betas, NOWHERE, NULL, &joints[0][0], &halpe[0][0]);
    support_close("left knee", halpe[HALPE26_L_KNEE], joints[SMPL24_L_KNEE], 3, 1e-4);
    support_close("right wrist", halpe[HALPE26_R_WRIST], joints[SMPL24_R_WRIST], 3, 1e-4);
    assert_true(halpe[HALPE26_NOSE][2] > halpe[HALPE26_L_EYE][2] + 0.01f);
    assert_true(halpe[HALPE26_HEAD][1] > halpe[HALPE26_L_EYE][1] + 0.09f);
    assert_true(halpe[HALPE26_L_EAR][0] > halpe[HALPE26_L_EYE][0] + 0.03f);
    assert_true(halpe[HALPE26_L_BIG_TOE][2] > halpe[HALPE26_L_SMALL_TOE][2]);
    assert_true(halpe[HALPE26_L_SMALL_TOE][0] > halpe[HALPE26_L_BIG_TOE][0] + 0.04f);
    assert_true(halpe[HALPE26_L_HEEL][2] < joints[SMPL24_L_ANKLE][2] - 0.04f);
    /* Bent, what the skin tells stays near the joint. */
    pose[3 * SMPL24_L_ELBOW + 1] = (float)(-M_PI / 2);
    pose[3 * SMPL24_R_KNEE] = (float)(M_PI / 2);
    pose[3 * SMPL24_R_HIP] = (float)(-M_PI / 2);
    body_pose(body, pose, betas, NOWHERE, NULL, &joints[0][0], &halpe[0][0]);
    support_close("bent elbow", halpe[HALPE26_L_ELBOW], joints[SMPL24_L_ELBOW], 3, 0.03);
    support_close("bent knee", halpe[HALPE26_R_KNEE], joints[SMPL24_R_KNEE], 3, 0.03);
    support_close("bent hip", halpe[HALPE26_R_HIP], joints[SMPL24_R_HIP], 3, 0.03);
    support_close("other hip", halpe[HALPE26_L_HIP], joints[SMPL24_L_HIP], 3, 0.01);
}

/* ---- file ---- */

static void bytes_are_the_same(void **state) {
    (void)state;
    Bytes one, two;
    const char *first = support_in_folder("first.npz"), *second = support_in_folder("second.npz");
    int threads = parallel_threads();
    parallel_set_threads(3);
    assert_int_equal(procedural_write(first, 2500, NULL), OK);
    parallel_set_threads(1);
    assert_int_equal(procedural_write(second, 2500, NULL), OK);
    parallel_set_threads(threads);
    assert_int_equal(file_read(first, 1 << 26, &one), OK);
    assert_int_equal(file_read(second, 1 << 26, &two), OK);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.data, two.data, one.size);
    file_release(&one);
    file_release(&two);
}

static void impossible_wishes_are_refused(void **state) {
    (void)state;
    assert_int_equal(procedural_write(support_in_folder("few.npz"), 100, NULL), ERR_USAGE);
    assert_int_equal(procedural_write(support_in_folder("many.npz"), 1 << 20, NULL), ERR_USAGE);
    assert_int_equal(procedural_write(support_in_folder("no/such/folder.npz"), 2000, NULL),
                     ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skin_is_closed),           cmocka_unit_test(skin_is_a_manifold),
        cmocka_unit_test(skin_has_a_human_volume),  cmocka_unit_test(halves_are_images),
        cmocka_unit_test(weights_are_few_and_near), cmocka_unit_test(regressor_meets_joints),
        cmocka_unit_test(statures_are_human),       cmocka_unit_test(shapes_follow_the_figure),
        cmocka_unit_test(bends_keep_their_flesh),   cmocka_unit_test(halpe_joints_lie_on_the_body),
        cmocka_unit_test(bytes_are_the_same),       cmocka_unit_test(impossible_wishes_are_refused),
    };
    return cmocka_run_group_tests(tests, make_body, drop_body);
}
