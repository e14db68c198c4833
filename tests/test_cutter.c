/* Crops that a device cuts for itself, from the whole photo or from tiles of it, against those of
 * the host: the same bits.  The device is the cpu under another name. */
#include "crowdrec/cutter.h"
#include "tensor/rng.h"
#include "tests/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_H = 24, OUT_W = 18, CROPS = 6, NUMBERS = CROPS * OUT_H * OUT_W * 3 };

static size_t largest_alloc, refuse_above; /* bytes; 0: nothing is refused */

static void *alloc(size_t bytes) {
    if (refuse_above && bytes > refuse_above) return NULL;
    if (bytes > largest_alloc) largest_alloc = bytes;
    return backend_cpu.alloc(bytes);
}

static Backend device(void) {
    Backend b = backend_cpu;
    b.on_host = false;
    b.alloc = alloc;
    return b;
}

static Image noise(int width, int height) {
    Image photo;
    uint64_t stream = rng_stream("photo", 1);
    assert_int_equal(image_new(width, height, &photo), OK);
    for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++)
        photo.rgb[i] = (uint8_t)(256 * (double)rng_uniform(stream, i));
    return photo;
}

/* All of the photo, a person, one at the edge, one turned, one outside, one without numbers. */
static void fill_crops(const Image *photo, Crop crop[CROPS]) {
    const double w = photo->width, h = photo->height;
    const float center[2] = {(float)(w / 2), (float)(h / 2)};
    crop[0] = crop_letterbox(photo->height, photo->width, OUT_H, OUT_W).crop;
    crop[1] = crop_cliff(center, h / 500, OUT_H, OUT_W);
    crop[2] = crop_around(&(CropBox){w - 3, 5, 12, 16}, OUT_H, OUT_W);
    crop[3] = crop_mirrored(&crop[2], OUT_W);
    crop[3].map[1] = 0.7, crop[3].map[3] = -0.4;
    crop[4] = crop_around(&(CropBox){-9 * w, 3 * h, 12, 16}, OUT_H, OUT_W);
    crop[5] = crop[2];
    crop[5].map[2] = NAN;
}

typedef struct {
    Graph *graph;
    Tensor *input;
    Plan *plan;
} Network;

static Network network(const Backend *b) {
    Network n = {.graph = graph_new()};
    n.input = graph_input(n.graph, "input", F32, (Shape){CROPS, OUT_H, OUT_W, 3});
    Tensor *out = graph_add(n.graph, OP_unary, &(UnaryAttr){UNARY_SCALE, 1}, &n.input, 1, "here");
    PlanOptions o = {.keep = &out, .keeps = 1};
    if (plan_new(n.graph, b, &o, &n.plan) != OK) fail_msg("%s", error_reason());
    return n;
}

static void check(const Image *photo, const Backend *b, size_t budget, bool on_device) {
    static float want[NUMBERS], got[NUMBERS];
    Crop crop[CROPS];
    Cutter *cutter;
    Network n = network(b);
    AffineAttr pixels = crop_pixels(CROP_YOLOX_BGR, OUT_H, OUT_W);
    pixels.valid_h = OUT_H - 2;
    fill_crops(photo, crop);
    crop_run(photo, crop, CROPS, &pixels, want);
    largest_alloc = 0;
    assert_int_equal(cutter_new(photo, b, budget, &cutter), OK);
    assert_int_equal(cutter_on_device(cutter), on_device);
    for (int again = 0; again < 2; again++) {
        memset(got, 0xff, sizeof got);
        cutter_feed(cutter, crop, &pixels, n.plan, n.input);
        plan_read(n.plan, n.input, F32, got);
        assert_memory_equal(got, want, sizeof want);
    }
    size_t bytes = (size_t)photo->width * (size_t)photo->height * 3;
    if (budget && budget < bytes && budget > 4096) assert_int_equal(largest_alloc, budget);
    cutter_free(cutter);
    plan_free(n.plan);
    graph_free(n.graph);
}

static void the_host_cuts_in_place(void **state) {
    (void)state;
    Image photo = noise(97, 61);
    check(&photo, &backend_cpu, 0, false);
    assert_int_equal(largest_alloc, 0);
    image_free(&photo);
}

static void a_device_cuts_from_its_copy(void **state) {
    (void)state;
    Backend b = device();
    Image photo = noise(97, 61);
    check(&photo, &b, 0, true);
    image_free(&photo);
}

/* From a photo that is hardly too large down to rows that are, each on its own. */
static void tiles_give_the_same(void **state) {
    (void)state;
    static const size_t budgets[] = {17000, 9000, 5000, 1500, 300, 12};
    Backend b = device();
    Image photo = noise(97, 61);
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++)
        check(&photo, &b, budgets[i], true);
    image_free(&photo);
}

static void a_full_device_leaves_it_to_the_host(void **state) {
    (void)state;
    Backend b = device();
    Image photo = noise(97, 61);
    Network n = network(&b);
    refuse_above = 1000;
    Cutter *cutter;
    assert_int_equal(cutter_new(&photo, &b, 0, &cutter), OK);
    assert_false(cutter_on_device(cutter));
    static float want[NUMBERS], got[NUMBERS];
    Crop crop[CROPS];
    AffineAttr pixels = crop_pixels(CROP_CLIFF, OUT_H, OUT_W);
    fill_crops(&photo, crop);
    crop_run(&photo, crop, CROPS, &pixels, want);
    cutter_feed(cutter, crop, &pixels, n.plan, n.input);
    plan_read(n.plan, n.input, F32, got);
    assert_memory_equal(got, want, sizeof want);
    refuse_above = 0;
    cutter_free(cutter);
    plan_free(n.plan);
    graph_free(n.graph);
    image_free(&photo);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_cuts_in_place),
        cmocka_unit_test(a_device_cuts_from_its_copy),
        cmocka_unit_test(tiles_give_the_same),
        cmocka_unit_test(a_full_device_leaves_it_to_the_host),
    };
    return cmocka_run_group_tests_name("cutter", tests, NULL, NULL);
}
