/* Known pixels of small scenes, and pictures of a crowd that stands on a plane. */
#include "crowdrec/font.h"
#include "crowdrec/meshes.h"
#include "crowdrec/raster.h"
#include "crowdrec/render.h"
#include "tensor/parallel.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static Image new_image(int width, int height, uint8_t grey) {
    Image image;
    assert_int_equal(image_new(width, height, &image), OK);
    memset(image.rgb, grey, (size_t)3 * width * height);
    return image;
}

static const uint8_t *pixel(const Image *image, int x, int y) {
    return image->rgb + 3 * ((size_t)y * image->width + x);
}

static void expect(const Image *image, int x, int y, int r, int g, int b) {
    const uint8_t *p = pixel(image, x, y);
    if (p[0] != r || p[1] != g || p[2] != b)
        fail_msg("pixel %d,%d is %d %d %d, expected %d %d %d", x, y, p[0], p[1], p[2], r, g, b);
}

static const int32_t one_face[] = {0, 1, 2};

static RasterMesh triangle(const RasterVertex *v, uint8_t r, uint8_t g, uint8_t b) {
    return (RasterMesh){.vertex = v, .vertices = 3, .face = one_face, .faces = 1, .rgb = {r, g, b}};
}

static void draw(Image *image, const RasterMesh *mesh, int count, double opacity) {
    assert_int_equal(raster_draw(image, mesh, count, opacity), OK);
}

/* The square's lower left half.  Its slanted edge cuts the pixels on the diagonal, of whose four
 * samples three lie on or below it. */
static void test_triangle(void **state) {
    (void)state;
    Image image = new_image(64, 80, 10);
    const RasterVertex v[] = {{7.5f, 7.5f, 1, 1}, {7.5f, 39.5f, 1, 1}, {39.5f, 39.5f, 1, 1}};
    draw(&image, &(RasterMesh[]){triangle(v, 200, 100, 50)}[0], 1, 1);
    for (int y = 0; y < 80; y++)
        for (int x = 0; x < 64; x++) {
            bool in_square = x >= 8 && x < 40 && y >= 8 && y < 40;
            if (!in_square || x > y)
                expect(&image, x, y, 10, 10, 10);
            else if (x < y)
                expect(&image, x, y, 200, 100, 50);
            else
                expect(&image, x, y, (600 + 10 + 2) / 4, (300 + 10 + 2) / 4, (150 + 10 + 2) / 4);
        }
    image_free(&image);
}

/* Shade and opacity scale; shade runs linearly between corners. */
static void test_shade_and_opacity(void **state) {
    (void)state;
    Image image = new_image(40, 40, 100);
    const RasterVertex v[] = {{-100, -100, 1, 0.5f}, {300, -100, 1, 0.5f}, {-100, 300, 1, 0.5f}};
    RasterMesh mesh = triangle(v, 80, 160, 240);
    draw(&image, &mesh, 1, 0.5);
    expect(&image, 3, 35, 70, 90, 110);
    const RasterVertex ramp[] = {{0, -1000, 1, 0}, {0, 1000, 1, 0}, {40, 0, 1, 1}};
    RasterMesh ramp_mesh = triangle(ramp, 200, 200, 200);
    draw(&image, &ramp_mesh, 1, 1);
    expect(&image, 10, 20, 50, 50, 50);
    expect(&image, 20, 20, 100, 100, 100);
    image_free(&image);
}

/* The nearer surface shows whatever the order; two that cross show each its nearer half. */
static void test_depth(void **state) {
    (void)state;
    const RasterVertex flat[] = {{-50, -50, 1, 1}, {150, -50, 1, 1}, {-50, 150, 1, 1}};
    const RasterVertex slope[] = {{-50, -50, 2, 1}, {150, -50, 0, 1}, {-50, 150, 2, 1}};
    const RasterMesh meshes[] = {triangle(flat, 255, 0, 0), triangle(slope, 0, 0, 255),
                                 triangle(flat, 0, 255, 0)};
    for (int order = 0; order < 2; order++) {
        Image image = new_image(90, 40, 0);
        const RasterMesh pair[] = {meshes[order], meshes[1 - order]};
        draw(&image, pair, 2, 1);
        expect(&image, 45, 20, 0, 0, 255);
        expect(&image, 55, 20, 255, 0, 0);
        image_free(&image);
    }
    Image image = new_image(90, 40, 0);
    const RasterMesh equal[] = {meshes[0], meshes[2]};
    draw(&image, equal, 2, 1);
    expect(&image, 20, 20, 255, 0, 0);
    image_free(&image);
}

static void test_hostile_vertices(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    Image image = new_image(33, 65, 7);
    for (int i = 0; i < 3; i++) {
        const RasterVertex v[] = {{bad[i], 0, 1, 1}, {30, bad[i], 1, 1}, {0, 60, 1, 1}};
        const RasterVertex line[] = {{0, 0, 1, 1}, {30, 30, 1, 1}, {15, 15, 1, 1}};
        const RasterMesh meshes[] = {triangle(v, 255, 0, 0), triangle(line, 255, 0, 0)};
        draw(&image, meshes, 2, 1);
    }
    for (int i = 0; i < 3 * 33 * 65; i++) assert_int_equal(image.rgb[i], 7);
    const RasterVertex huge[] = {{-1e15f, -1e15f, 1, 1}, {1e15f, -1e15f, 1, 1}, {0, 1e15f, 1, 1}};
    RasterMesh mesh = triangle(huge, 1, 2, 3);
    draw(&image, &mesh, 1, 1);
    expect(&image, 0, 0, 1, 2, 3);
    expect(&image, 32, 64, 1, 2, 3);
    image_free(&image);
}

static void test_font(void **state) {
    (void)state;
    Image image = new_image(20, 9, 255);
    font_write(&image, 1, 1, 1, (uint8_t[]){0, 0, 0}, "t1~");
    assert_int_equal(font_width(1, "t1"), 11);
    static const char *const want[] = {"#####...#..", "..#....##..", "..#.....#..", "..#.....#..",
                                       "..#.....#..", "..#.....#..", "..#....###."};
    for (int y = 0; y < 7; y++)
        for (int x = 0; x < 11; x++)
            assert_int_equal(pixel(&image, x + 1, y + 1)[0], want[y][x] == '#' ? 0 : 255);
    font_write(&image, -3, -3, 5, (uint8_t[]){9, 9, 9}, "WWWWWW");
    image_free(&image);
}

static void test_colors(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        uint8_t a[3], b[3];
        render_color(i, a);
        for (int k = i + 1; k < i + 8; k++) {
            render_color(k, b);
            assert_true(abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2]) >= 24);
        }
        for (int k = 0; k < 3; k++) assert_in_range(a[k], 60, 235);
    }
}

enum { PEOPLE = 12, PHOTO_WIDTH = 640, PHOTO_HEIGHT = 400 };
static const double tilt = 0.12; /* of the camera towards the ground, radians */

static Body *load_body(void) {
    Body *body;
    if (body_load(support_fixture("fixtures_body/smpl/body_stored.npz"),
                  support_fixture("fixtures_body/smpl/J_regressor_halpe.npy"), &body) != OK)
        fail_msg("%s", error_reason());
    return body;
}

/* People upright in rows on a plane 1.6 m below a camera that looks down a little. */
static Crowd make_crowd(const Body *body, double unevenness) {
    Crowd crowd = {.width = PHOTO_WIDTH,
                   .height = PHOTO_HEIGHT,
                   .camera = {.focal = 600, .cx = PHOTO_WIDTH / 2.0, .cy = PHOTO_HEIGHT / 2.0}};
    for (int i = 0; i < PEOPLE; i++) {
        Person *p = crowd_add(&crowd);
        double ahead = 5 + i / 4 * 2.5, aside = (i % 4 - 1.5) * 1.8;
        double below = 0.6 + unevenness * ((i * 7) % 5 - 2);
        p->flags = PERSON_HAS_BODY;
        p->pose[0] = (float)(M_PI + tilt);
        p->trans[0] = (float)aside;
        p->trans[1] = (float)(below * cos(tilt) - ahead * sin(tilt));
        p->trans[2] = (float)(ahead * cos(tilt) + below * sin(tilt));
        body_pose(body, p->pose, p->betas, p->trans, NULL, NULL, p->joints[0]);
    }
    crowd_ground(&crowd);
    return crowd;
}

/* Keeps a picture for the eye when $CROWDREC_PICTURES names a folder. */
static void keep(const char *name, const Image *image) {
    const char *folder = getenv("CROWDREC_PICTURES");
    char path[4200];
    if (!folder) return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(image_write_png(path, image), OK);
}

/* Columns and rows x0, y0, x1, y1 in which a picture is not plain grey. */
static void touched(const Image *image, uint8_t grey, int bounds[4]) {
    bounds[0] = bounds[1] = 1 << 30, bounds[2] = bounds[3] = -1;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            const uint8_t *p = pixel(image, x, y);
            if (p[0] == grey && p[1] == grey && p[2] == grey) continue;
            bounds[0] = x < bounds[0] ? x : bounds[0], bounds[2] = x > bounds[2] ? x : bounds[2];
            bounds[1] = y < bounds[1] ? y : bounds[1], bounds[3] = y > bounds[3] ? y : bounds[3];
        }
}

/* The drawn silhouette lies where the projected vertices are. */
static void test_overlay(void **state) {
    (void)state;
    Body *body = load_body();
    Crowd crowd = make_crowd(body, 0);
    Image photo = new_image(PHOTO_WIDTH, PHOTO_HEIGHT, 40), out;
    float *v = malloc((size_t)body->vertices * 3 * sizeof *v);
    int whole = 0;
    assert_int_equal(render_overlay(&photo, &crowd, body, &out), OK);
    keep("overlay.png", &out);
    image_free(&out);
    for (int i = 0; i < PEOPLE; i++) {
        double low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};
        Crowd one = crowd;
        one.person = &crowd.person[i], one.count = 1;
        assert_true(meshes_vertices(one.person, body, v));
        for (int k = 0; k < body->vertices; k++)
            for (int a = 0; a < 2; a++) {
                double center = a ? crowd.camera.cy : crowd.camera.cx;
                double at = crowd.camera.focal * v[3 * k + a] / v[3 * k + 2] + center;
                low[a] = fmin(low[a], at), high[a] = fmax(high[a], at);
            }
        int bounds[4];
        assert_int_equal(render_overlay(&photo, &one, body, &out), OK);
        touched(&out, 40, bounds);
        bool inside = low[0] >= 0 && high[0] < PHOTO_WIDTH && low[1] >= 0 && high[1] < PHOTO_HEIGHT;
        for (int a = 0; a < 2 && inside; a++) {
            assert_true(fabs(bounds[a] - low[a]) <= 1);
            assert_true(fabs(bounds[2 + a] - high[a]) <= 1);
        }
        whole += inside;
        image_free(&out);
    }
    assert_true(whole >= PEOPLE / 2);
    free(v);
    image_free(&photo);
    crowd_free(&crowd);
    body_free(body);
}

static void test_overlay_skips(void **state) {
    (void)state;
    Body *body = load_body();
    Crowd crowd = make_crowd(body, 0);
    crowd.count = 6;
    crowd.person[0].flags = 0;
    crowd.person[1].flags |= PERSON_BEHIND_CAMERA;
    crowd.person[2].pose[7] = NAN;
    crowd.person[3].trans[2] = -5;
    crowd.person[4].trans[0] = 1e30f;
    crowd.person[5].trans[1] = INFINITY;
    Image photo = new_image(PHOTO_WIDTH, PHOTO_HEIGHT, 40), out;
    assert_int_equal(render_overlay(&photo, &crowd, body, &out), OK);
    assert_memory_equal(out.rgb, photo.rgb, (size_t)3 * PHOTO_WIDTH * PHOTO_HEIGHT);
    image_free(&out);
    assert_int_equal(render_side(NULL, &crowd, body, &out), OK);
    image_free(&out);
    image_free(&photo);
    crowd_free(&crowd);
    body_free(body);
}

/* A camera inside a body: what is in front of the near plane is drawn, and nothing else. */
static void test_near_plane(void **state) {
    (void)state;
    Body *body = load_body();
    Crowd crowd = make_crowd(body, 0);
    crowd.count = 1;
    MeshesView view = {
        .axes = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, .scale = 600, .perspective = true};
    for (int step = 0; step <= 8; step++) {
        Meshes meshes;
        Image out, photo = new_image(PHOTO_WIDTH, PHOTO_HEIGHT, 40);
        int bounds[4];
        memcpy(crowd.person[0].trans, (float[]){0, 0, -0.3f + 0.1f * step}, sizeof(float[3]));
        assert_int_equal(meshes_new(&crowd, body, &view, &meshes), OK);
        const RasterMesh *m = &meshes.mesh[0];
        for (int i = 0; i < 3 * m->faces; i++) {
            const RasterVertex *v = &m->vertex[m->face[i]];
            assert_true(v->nearness > 0 && v->nearness <= 1 / MESHES_NEAR * 1.0001);
            assert_true(isfinite(v->x) && isfinite(v->y) && v->shade > 0 && v->shade < 1.2);
        }
        assert_int_equal(render_overlay(&photo, &crowd, body, &out), OK);
        touched(&out, 40, bounds);
        if (step == 8) assert_true(bounds[2] > bounds[0]);
        if (step == 4) keep("near.png", &out);
        meshes_free(&meshes);
        image_free(&out);
        image_free(&photo);
    }
    crowd_free(&crowd);
    body_free(body);
}

/* The brown ground line's row, from the top `first`. */
static int ground_row(const Image *image, int first) {
    for (int y = first; y < image->height; y++) {
        const uint8_t *p = pixel(image, image->width - 60, y);
        if (p[0] > p[2] + 40) return y;
    }
    fail_msg("no ground line below row %d", first);
    return -1;
}

/* Whether anything coloured like a body lies in the rows y0 .. y1-1. */
static bool body_between(const Image *image, int y0, int y1) {
    for (int y = y0; y < y1; y++)
        for (int x = 120; x < image->width - 60; x++) {
            const uint8_t *p = pixel(image, x, y);
            int low = p[0] < p[1] ? p[0] : p[1], high = p[0] > p[1] ? p[0] : p[1];
            low = low < p[2] ? low : p[2], high = high > p[2] ? high : p[2];
            bool ground_line = p[0] == 150 && p[1] == 120 && p[2] == 90;
            if (high - low > 24 && !ground_line) return true;
        }
    return false;
}

/* Upright people on a plane stand on the ground line; uneven ones do not. */
static void test_side(void **state) {
    (void)state;
    Body *body = load_body();
    Crowd uneven = make_crowd(body, 0.35), even = make_crowd(body, 0);
    print_message("spread %.4f m on the plane, %.4f m off it\n", (double)even.ground_spread,
                  (double)uneven.ground_spread);
    assert_true(even.ground_spread < 0.06 && uneven.ground_spread > 0.3);
    Image out;
    assert_int_equal(render_side(&uneven, &even, body, &out), OK);
    keep("side.png", &out);
    int half = out.height / 2, before = ground_row(&out, 0), after = ground_row(&out, half);
    assert_int_equal(after - before, half);
    assert_true(body_between(&out, after - 20, after));
    assert_false(body_between(&out, after + 16, out.height));
    assert_true(body_between(&out, before + 16, before + 60));
    image_free(&out);
    Crowd empty = {0};
    assert_int_equal(render_side(NULL, &empty, body, &out), OK);
    assert_true(ground_row(&out, 0) > 0);
    image_free(&out);
    uneven.person[0].trans[2] = 90000;
    assert_int_equal(render_side(NULL, &uneven, body, &out), OK);
    keep("outlier.png", &out);
    image_free(&out);
    crowd_free(&uneven);
    crowd_free(&even);
    body_free(body);
}

static void test_threads(void **state) {
    (void)state;
    Body *body = load_body();
    Crowd crowd = make_crowd(body, 0.1);
    Image photo = new_image(PHOTO_WIDTH, PHOTO_HEIGHT, 40), one, three;
    int threads = parallel_threads();
    parallel_set_threads(1);
    assert_int_equal(render_overlay(&photo, &crowd, body, &one), OK);
    parallel_set_threads(3);
    assert_int_equal(render_overlay(&photo, &crowd, body, &three), OK);
    parallel_set_threads(threads);
    assert_memory_equal(one.rgb, three.rgb, (size_t)3 * PHOTO_WIDTH * PHOTO_HEIGHT);
    image_free(&one);
    image_free(&three);
    image_free(&photo);
    crowd_free(&crowd);
    body_free(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_triangle),   cmocka_unit_test(test_shade_and_opacity),
        cmocka_unit_test(test_depth),      cmocka_unit_test(test_hostile_vertices),
        cmocka_unit_test(test_font),       cmocka_unit_test(test_colors),
        cmocka_unit_test(test_overlay),    cmocka_unit_test(test_overlay_skips),
        cmocka_unit_test(test_near_plane), cmocka_unit_test(test_side),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
