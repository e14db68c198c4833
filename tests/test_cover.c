/* What samples show: a sphere's and a box's silhouette against their formulas, which of two meshes
 * is in front, windows that agree to the sample, shadows that stay on their plane, light on a
 * surface, lumps of noise. */
#include "tests/support.h"

#include "crowdrec/cover.h"
#include "crowdrec/degrade.h"
#include "crowdrec/light.h"
#include "crowdrec/noise.h"
#include "crowdrec/things.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 320, HEIGHT = 240, ACROSS = 96, RINGS = 48 };
static const float FOCAL = 400;

static CoverPoint seen_at(float x, float y, float z) {
    return (CoverPoint){FOCAL * x / z + WIDTH / 2.0f, FOCAL * y / z + HEIGHT / 2.0f, 1 / z};
}

/* A closed mesh of its own points and faces. */
typedef struct {
    CoverMesh mesh;
    CoverPoint point[(RINGS + 1) * ACROSS];
    int32_t face[6 * RINGS * ACROSS];
} Solid;

static Solid *sphere(float x, float y, float z, float radius) {
    Solid *s = calloc(1, sizeof *s);
    int faces = 0;
    for (int i = 0; i < (RINGS + 1) * ACROSS; i++) {
        float polar = (float)M_PI * (float)(i / ACROSS) / RINGS;
        float angle = (float)(2 * M_PI) * (float)(i % ACROSS) / ACROSS;
        s->point[i] = seen_at(x + radius * sinf(polar) * cosf(angle), y - radius * cosf(polar),
                              z - radius * sinf(polar) * sinf(angle));
    }
    for (int i = 0; i < RINGS * ACROSS; i++) {
        int a = i, b = i / ACROSS * ACROSS + (i + 1) % ACROSS;
        int32_t two[6] = {a, b, b + ACROSS, a, b + ACROSS, a + ACROSS};
        memcpy(s->face + 3 * (size_t)faces, two, sizeof two);
        faces += 2;
    }
    s->mesh = (CoverMesh){s->point, s->face, (RINGS + 1) * ACROSS, faces, 0, 0, 0, 0};
    cover_bound(&s->mesh);
    return s;
}

/* A rectangle that faces the camera, between two corners in pixels. */
static Solid *card(float x0, float y0, float x1, float y1, float near) {
    Solid *s = calloc(1, sizeof *s);
    s->point[0] = (CoverPoint){x0, y0, near}, s->point[1] = (CoverPoint){x1, y0, near};
    s->point[2] = (CoverPoint){x1, y1, near}, s->point[3] = (CoverPoint){x0, y1, near};
    memcpy(s->face, (int32_t[]){0, 2, 1, 0, 3, 2}, 6 * sizeof *s->face);
    s->mesh = (CoverMesh){s->point, s->face, 4, 2, 0, 0, 0, 0};
    cover_bound(&s->mesh);
    return s;
}

static CoverBand band_of(int first, int last) {
    size_t samples = (size_t)(last - first) * WIDTH * COVER_SAMPLES;
    CoverBand b = {malloc(samples * sizeof *b.sample), malloc(samples), WIDTH, first, last};
    assert_true(b.sample && b.shadow);
    cover_clear(&b);
    return b;
}

static void drop_band(CoverBand *b) {
    free(b->sample);
    free(b->shadow);
}

static long count(const CoverBand *b, int mesh) {
    long sum = 0;
    size_t samples = (size_t)(b->last - b->first) * WIDTH * COVER_SAMPLES;
    for (size_t i = 0; i < samples; i++) sum += b->sample[i].mesh == mesh;
    return sum;
}

static long alone(const CoverMesh *m) {
    uint8_t *scratch = malloc(cover_scratch(m));
    long sum = cover_silhouette(m, scratch);
    free(scratch);
    return sum;
}

/* A sphere on the axis shows a disc of radius f r / sqrt(z^2 - r^2). */
static void test_sphere(void **state) {
    (void)state;
    Solid *s = sphere(0, 0, 5, 0.8f);
    CoverBand b = band_of(0, HEIGHT);
    cover_draw(&b, &s->mesh, 3);
    double radius = FOCAL * 0.8 / sqrt(25 - 0.64), area = M_PI * radius * radius;
    double got = (double)count(&b, 3) / COVER_SAMPLES;
    if (!(fabs(got - area) < 0.004 * area)) fail_msg("area %g, expected %g", got, area);
    float nearest = cover_at(&b, WIDTH / 2, HEIGHT / 2, 0)->near;
    if (!(fabsf(nearest - 1 / 4.2f) < 1e-3f)) fail_msg("nearness %g", (double)nearest);
    assert_int_equal(alone(&s->mesh), count(&b, 3));
    drop_band(&b);
    free(s);
}

/* The nearer one hides the other, in whichever order they are drawn; edges fall on samples. */
static void test_order(void **state) {
    (void)state;
    Solid *far = card(9.9f, 9.9f, 59.9f, 39.9f, 0.1f),
          *near = card(39.9f, 19.9f, 99.9f, 59.9f, 0.2f);
    for (int swap = 0; swap < 2; swap++) {
        CoverBand b = band_of(0, HEIGHT);
        cover_draw(&b, swap ? &near->mesh : &far->mesh, swap);
        cover_draw(&b, swap ? &far->mesh : &near->mesh, !swap);
        assert_int_equal(count(&b, 1), 60 * 40 * COVER_SAMPLES);
        assert_int_equal(count(&b, 0), (50 * 30 - 20 * 20) * COVER_SAMPLES);
        assert_int_equal(cover_at(&b, 45, 30, 2)->mesh, 1);
        assert_int_equal(cover_at(&b, 200, 200, 0)->mesh, COVER_NONE);
        drop_band(&b);
    }
    assert_int_equal(alone(&far->mesh), 50 * 30 * COVER_SAMPLES);
    free(far);
    free(near);
}

/* Two triangles that share an edge leave no gap; the back of a mesh does not show. */
static void test_back(void **state) {
    (void)state;
    Solid *s = card(20.3f, 20.7f, 80.1f, 66.2f, 0.5f);
    long front = alone(&s->mesh);
    int32_t swap = s->face[1];
    s->face[1] = s->face[2], s->face[2] = swap;
    swap = s->face[4], s->face[4] = s->face[5], s->face[5] = swap;
    assert_int_equal(alone(&s->mesh), 0);
    double area = (80.1 - 20.3) * (66.2 - 20.7) * COVER_SAMPLES;
    if (!(fabs((double)front - area) < 0.02 * area))
        fail_msg("%ld samples, expected %g", front, area);
    free(s);
}

/* Bands together show what one band shows, also for a sphere across borders and edges. */
static void test_bands(void **state) {
    (void)state;
    static const float place[3][3] = {{0, 0, 4}, {-1.6f, 0.9f, 4}, {1.2f, -1.3f, 4.5f}};
    for (int i = 0; i < 3; i++) {
        Solid *s = sphere(place[i][0], place[i][1], place[i][2], 0.7f);
        CoverBand whole = band_of(0, HEIGHT);
        long sum = 0;
        cover_draw(&whole, &s->mesh, 0);
        for (int first = 0; first < HEIGHT; first += 37) {
            CoverBand b = band_of(first, first + 37 < HEIGHT ? first + 37 : HEIGHT);
            cover_draw(&b, &s->mesh, 0);
            sum += count(&b, 0);
            drop_band(&b);
        }
        assert_true(sum > 0);
        assert_int_equal(sum, count(&whole, 0));
        assert_true(count(&whole, 0) <= alone(&s->mesh));
        drop_band(&whole);
        free(s);
    }
}

/* A shadow darkens what lies in its plane, not what stands before it. */
static void test_shadow(void **state) {
    (void)state;
    Solid *floor = card(-0.4f, -0.4f, 199.6f, 99.6f, 0.2f),
          *box = card(49.6f, -0.4f, 99.6f, 99.6f, 0.4f);
    Solid *dark = card(19.6f, 9.6f, 149.6f, 59.6f, 0.2f);
    CoverBand b = band_of(0, HEIGHT);
    cover_draw(&b, &floor->mesh, 0);
    cover_draw(&b, &box->mesh, 1);
    cover_shadow(&b, &dark->mesh, &(CoverPlane){0, 0, 0.2}, false);
    long sum = 0;
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT * COVER_SAMPLES; i++) {
        sum += b.shadow[i];
        if (b.shadow[i]) assert_int_equal(b.sample[i].mesh, 0);
    }
    assert_int_equal(sum, (130 - 50) * 50 * COVER_SAMPLES);
    drop_band(&b);
    free(floor);
    free(box);
    free(dark);
}

/* Lambert's cosine and a sky that halves on upright walls. */
static void test_light(void **state) {
    (void)state;
    const Light l = {.to_sun = {0, -0.6f, -0.8f},
                     .up = {0, -1, 0},
                     .sun = {1, 1, 1},
                     .sky = {0.5f, 0.5f, 0.5f},
                     .earth = {0.1f, 0.1f, 0.1f}};
    static const struct {
        float normal[3], lit, want;
    } at[] = {{{0, -1, 0}, 1, 0.6f + 0.5f}, {{0, -1, 0}, 0, 0.5f}, {{0, 0, -1}, 1, 0.8f + 0.3f},
              {{0, 0, 1}, 1, 0.3f},         {{0, 1, 0}, 1, 0.1f},  {{1, 0, 0}, 1, 0.3f}};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        float rgb[3] = {1, 0.5f, 0};
        light_fall(&l, at[i].normal, at[i].lit, 1, rgb);
        support_close("light", rgb, (float[]){at[i].want, at[i].want / 2, 0}, 3, 1e-6);
    }
}

/* Smooth, and within its range on both sides of zero. */
static void test_noise(void **state) {
    (void)state;
    float low = 1, high = -1;
    for (int i = -3000; i < 3000; i++) {
        float x = 0.013f * (float)i, a = noise_at2(7, x, 2.5f), b = noise_at2(7, x + 1e-3f, 2.5f);
        if (!(fabsf(a - b) < 0.01f))
            fail_msg("at %g: %g, then %g", (double)x, (double)a, (double)b);
        low = fminf(low, a), high = fmaxf(high, a);
    }
    assert_true(low >= -1 && low < -0.5f && high <= 1 && high > 0.5f);
    assert_int_equal(noise_floor(-0.5f), -1);
    assert_int_equal(noise_floor(-2), -2);
    assert_int_equal(noise_floor(2.75f), 2);
}

/* Twice the volume by which the faces surround the origin is positive when they look outward. */
static double volume(const Thing *t) {
    double sum = 0;
    for (int f = 0; f < t->faces; f++) {
        const float *p[3];
        for (int k = 0; k < 3; k++) p[k] = t->point[t->face[3 * f + k]].at;
        for (int k = 0; k < 3; k++) {
            int i = (k + 1) % 3, j = (k + 2) % 3;
            sum += (double)(p[0][k] * (p[1][i] * p[2][j] - p[1][j] * p[2][i])) / 6;
        }
    }
    return sum;
}

static void test_things(void **state) {
    (void)state;
    Arena *arena = arena_new();
    const float size[3] = {0.5f, 2, 3}, rgb[3] = {1, 1, 1};
    Thing box = thing_box(THING_SEAT, size, rgb, arena);
    if (!(fabs(volume(&box) - 3) < 1e-5)) fail_msg("a box of 3 m3 has %g", volume(&box));
    for (int kind = 0; kind < THINGS; kind++) {
        Dice dice = dice_new("thing", (uint64_t)kind);
        Thing t = thing_make((ThingKind)kind, &dice, arena);
        assert_true(t.points > 0 && t.faces > 0 && t.radius > 0);
        if (!(volume(&t) > 1e-3)) fail_msg("thing %d: volume %g", kind, volume(&t));
        for (int i = 0; i < t.points; i++) {
            const float *n = t.point[i].normal;
            double length = sqrt((double)(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]));
            if (!(fabs(length - 1) < 1e-4)) fail_msg("thing %d: normal of length %g", kind, length);
        }
        for (int i = 0; i < 3 * t.faces; i++) assert_in_range(t.face[i], 0, t.points - 1);
    }
    arena_free(arena);
}

static Image gradient(void) {
    Image image;
    assert_int_equal(image_new(96, 64, &image), OK);
    for (int i = 0; i < 96 * 64 * 3; i++) image.rgb[i] = (uint8_t)(40 + i / 3 % 96 + i / 288);
    return image;
}

/* Nothing asked, nothing done; noise has the deviation asked for; blocks keep the mean. */
static void test_degrade(void **state) {
    (void)state;
    Image clean = gradient(), image = gradient();
    degrade_apply(&(Degrade){0}, 1, &image);
    assert_memory_equal(clean.rgb, image.rgb, 96 * 64 * 3);
    degrade_apply(&(Degrade){.dark = 4}, 1, &image);
    double square = 0, mean = 0;
    for (int i = 0; i < 96 * 64 * 3; i++) {
        double off = (double)image.rgb[i] - clean.rgb[i];
        square += off * off / (96 * 64 * 3), mean += off / (96 * 64 * 3);
    }
    if (!(fabs(mean) < 0.3 && fabs(sqrt(square) - 4) < 0.5))
        fail_msg("noise of mean %g and deviation %g, expected 0 and 4", mean, sqrt(square));
    degrade_apply(&(Degrade){.blur = 0.2f, .coarse = 10}, 1, &image);
    double before = 0, after = 0;
    for (int i = 0; i < 96 * 64 * 3; i++) before += clean.rgb[i], after += image.rgb[i];
    if (!(fabs(before - after) < 0.02 * before))
        fail_msg("levels sum up to %g, then %g", before, after);
    image_free(&clean);
    image_free(&image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sphere),  cmocka_unit_test(test_order),
        cmocka_unit_test(test_back),    cmocka_unit_test(test_bands),
        cmocka_unit_test(test_shadow),  cmocka_unit_test(test_light),
        cmocka_unit_test(test_noise),   cmocka_unit_test(test_things),
        cmocka_unit_test(test_degrade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
