/* Dataset: what is read of each kind of file, what is refused, and the cache of decoded photos. */
#include "crowdrec/crop.h"
#include "crowdrec/dataset.h"
#include "crowdrec/image.h"
#include "crowdrec/photocache.h"
#include "smpl/joints.h"
#include "tests/support.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static Dataset *open_set(const char *path) {
    Dataset *d;
    if (dataset_open(&(DatasetChoice){.path = path}, &d)) fail_msg("%s", error_reason());
    return d;
}

static void refused(const char *path, const char *reason) {
    Dataset *d;
    assert_int_equal(dataset_open(&(DatasetChoice){.path = path}, &d), ERR_INPUT);
    assert_null(d);
    if (!strstr(error_reason(), reason)) fail_msg("'%s' has no '%s'", error_reason(), reason);
    assert_null(strchr(error_reason(), '\n'));
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

/* ---- COCO ---- */

static void test_coco_sample(void **state) {
    (void)state;
    Dataset *d = open_set(support_fixture("fixtures_body/formats/person_keypoints_sample.json"));
    assert_int_equal(d->photos, 2);
    assert_int_equal(d->people, 4);
    assert_int_equal(d->photo[0].count, 3);
    assert_int_equal(d->photo[1].first, 3);
    assert_int_equal(d->photo[0].width, 640);
    assert_true(fabsf(d->photo[0].focal - 800) < 1e-3f);
    assert_true(ends_with(d->photo[0].path, "/COCO_train2014_000000044474.jpg"));
    const DatasetPerson *p = &d->person[0];
    assert_int_equal(p->has, DATASET_KEYPOINTS);
    assert_false(p->ignore);
    const float box[4] = {100.5f, 90.25f, 300.25f, 310.75f};
    support_close("box", p->box, box, 4, 1e-4);
    assert_true(p->keypoints[HALPE26_NOSE][0] == 184 && p->keypoints[HALPE26_NOSE][2] == 2);
    assert_true(p->keypoints[HALPE26_R_WRIST][2] == 1);
    assert_true(p->keypoints[HALPE26_R_HIP][2] == 0 && p->keypoints[HALPE26_L_HEEL][2] == 0);
    assert_true(p->visible == 1);
    assert_true(d->person[2].ignore && !d->person[2].has);
    dataset_close(d);
}

#define IMAGES "\"images\": [{\"id\": 7, \"file_name\": \"b/a.png\", \"width\": 8, \"height\": 6}]"
#define FILE_OF(annotations) "{" IMAGES ", \"annotations\": [" annotations "]}"
#define ONE_OF(more) \
    FILE_OF("{\"image_id\": 7, \"category_id\": 1, \"bbox\": [1, 2, 3, 4]" more "}")

static void test_coco_fields(void **state) {
    (void)state;
    char text[2000] = "", list[600] = "";
    for (int i = 0; i < CROWD_KEYPOINTS; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%d, %d, %d", i ? ", " : "", i,
                 2 * i, i % 3);
    snprintf(text, sizeof text,
             FILE_OF("{\"image_id\": 7, \"bbox\": [1, 2, 0, 4]},"
                     "{\"image_id\": 7, \"category_id\": 2, \"bbox\": [1, 2, 3, 4]},"
                     "{\"image_id\": 7, \"bbox\": [-5, 2, 30, 4], \"keypoints\": [], "
                     "\"halpe_keypoints\": [%s], \"visible\": 0.25}"),
             list);
    Dataset *d = open_set(support_write_text("fields.json", text));
    assert_int_equal(d->people, 1);
    const DatasetPerson *p = d->person;
    assert_true(p->box[0] == -5 && p->visible == 0.25f && p->has == DATASET_KEYPOINTS);
    assert_true(p->keypoints[25][0] == 25 && p->keypoints[25][1] == 50 && p->keypoints[25][2] == 1);
    assert_true(p->keypoints[24][0] == 0 && p->keypoints[24][2] == 0);
    dataset_close(d);
}

static void test_coco_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"{", "no JSON"},
        {"[]", "no COCO annotations"},
        {"{" IMAGES "}", "no COCO annotations"},
        {FILE_OF(""), "nobody"},
        {FILE_OF("3"), "annotations[0]: expected an object"},
        {FILE_OF("{\"image_id\": 8, \"bbox\": [1, 2, 3, 4]}"), "no image has this id"},
        {FILE_OF("{\"image_id\": 7, \"bbox\": [1, 2, 3]}"), "annotations[0]: bbox"},
        {FILE_OF("{\"image_id\": 7, \"bbox\": [1, 2, -3, 4]}"), "annotations[0]: bbox"},
        {FILE_OF("{\"image_id\": 7, \"bbox\": [1, 2, 3, 1e9]}"), "annotations[0]: bbox"},
        {ONE_OF(", \"keypoints\": [1, 2, 2]"), "3 values, expected 51 or 78"},
        {ONE_OF(", \"visible\": 1.5"), "visible"},
        {ONE_OF(", \"visible\": \"yes\""), "visible"},
        {"{\"images\": [{\"id\": 1, \"file_name\": \"../a.png\"}], \"annotations\": []}",
         "images[0]: photo '../a.png'"},
        {"{\"images\": [{\"id\": 1, \"file_name\": \"/a.png\"}], \"annotations\": []}", "below"},
        {"{\"images\": [{\"id\": 1, \"file_name\": \"a/..\"}], \"annotations\": []}", "below"},
        {"{\"images\": [{\"id\": 1}], \"annotations\": []}", "no file_name"},
        {"{\"images\": [{\"id\": 1, \"file_name\": \"a\"}, {\"id\": 1, \"file_name\": \"b\"}], "
         "\"annotations\": []}",
         "used twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(support_write_text("bad.json", cases[i].text), cases[i].reason);
    refused(support_in_folder("absent.json"), "cannot open");
    assert_int_equal(file_make_folder(support_in_folder("empty")), OK);
    refused(support_in_folder("empty"), "people.npz");
}

/* ---- npz ---- */

static void test_single_person_sets(void **state) {
    (void)state;
    const char *path = "fixtures_body/formats/coco2014part_cliffGT.npz";
    ArrayFile f = support_arrays(path);
    const Array *center = support_array(&f, "center"), *scale = support_array(&f, "scale");
    const Array *part = support_array(&f, "part"), *s = support_array(&f, "S");
    const Array *trans = support_array(&f, "global_t"), *focal = support_array(&f, "focal_l");
    Dataset *d = open_set(support_fixture(path));
    assert_int_equal(d->people, (int)center->dim[0]);
    int found = 0;
    for (int i = 0; i < d->people; i++) {
        const DatasetPerson *p = &d->person[i];
        const char *photo = d->photo[p->photo].path;
        size_t k = 0; /* the entry that this is: places tell them apart */
        double middle = ((double)p->box[0] + p->box[2]) / 2;
        while (k < (size_t)d->people && !(fabs(array_get(center, 2 * k) - middle) < 1e-3)) k++;
        if (k == (size_t)d->people || !ends_with(photo, file_text(&f, "imgname", k))) continue;
        found++;
        float height = 200 * (float)array_get(scale, k) / 1.1f;
        assert_true(fabsf(p->box[3] - p->box[1] - height) <= 1e-3f);
        assert_true(p->has & DATASET_SMPL && p->has & DATASET_TRANS);
        assert_true(p->trans[2] == (float)array_get(trans, 3 * k + 2));
        assert_true(d->photo[p->photo].focal == (float)array_get(focal, k));
        /* right ankle: 0 of 24, 16 of Halpe-26 */
        bool known = array_get(part, 72 * k + 2) > 0;
        assert_true(p->keypoints[HALPE26_R_ANKLE][2] == (known ? 2 : 0));
        if (known) assert_true(p->keypoints[HALPE26_R_ANKLE][0] == (float)array_get(part, 72 * k));
        if (p->joints[HALPE26_R_ANKLE][3] > 0)
            assert_true(p->joints[HALPE26_R_ANKLE][2] == (float)array_get(s, 96 * k + 2));
        assert_true(p->keypoints[HALPE26_L_HEEL][2] == 0);
    }
    assert_int_equal(found, d->people);
    dataset_close(d);
    array_file_free(&f);
    static const struct {
        const char *path;
        unsigned has; /* of the first person */
    } sets[] = {{"fixtures_body/formats/mpii_train.npz", DATASET_KEYPOINTS},
                {"fixtures_body/formats/coco_2014_train.npz", DATASET_KEYPOINTS},
                {"fixtures_body/formats/h36m_train.npz",
                 DATASET_KEYPOINTS | DATASET_JOINTS | DATASET_SMPL}};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        d = open_set(support_fixture(sets[i].path));
        if (d->person[0].has != sets[i].has) fail_msg("%s: %u", sets[i].path, d->person[0].has);
        dataset_close(d);
    }
}

/* A set of two people, as `crowdrec synth` writes it, with one array of choice replaced. */
static float numbers[2 * 104];
static const int64_t people = 2;

static Array array_of(const char *name, int64_t columns, float *data) {
    return (Array){name, F32, 2, {people, columns}, data};
}

static void write_synth(const char *name, const Array *instead) {
    char imgname[2][16] = {"images/b.png", "images/a.png"};
    float box[2][4] = {{1, 2, 3, 5}, {4, 5, 6, 8}}, visible[2] = {0.5f, 1}, focal[2] = {90, 91};
    float keypoints[2][26][3] = {{{5, 6, 1}, {7, 8, 2}}}, joints[2][26][4] = {{{1, 2, 3, 1}}};
    float pose[2][72] = {{0.25f}}, shape[2][10] = {{1}}, has[2] = {1, 0}, trans[2][3] = {{0, 0, 4}};
    Array arrays[] = {{"imgname", U8, 2, {people, 16}, imgname},
                      array_of("bbox", 4, &box[0][0]),
                      {"visible", F32, 1, {people}, visible},
                      {"focal_l", F32, 1, {people}, focal},
                      array_of("halpe_2d", 78, &keypoints[0][0][0]),
                      array_of("halpe_3d", 104, &joints[0][0][0]),
                      array_of("pose", 72, &pose[0][0]),
                      array_of("shape", 10, &shape[0][0]),
                      {"has_smpl", F32, 1, {people}, has},
                      array_of("global_t", 3, &trans[0][0])};
    int count = sizeof arrays / sizeof *arrays;
    for (int i = 0; instead && i < count; i++)
        if (!strcmp(arrays[i].name, instead->name)) arrays[i] = *instead;
    assert_int_equal(file_write_npz(support_in_folder(name), arrays, count), OK);
}

static void test_synth(void **state) {
    (void)state;
    assert_int_equal(file_make_folder(support_in_folder("world/images")), OK);
    write_synth("world/people.npz", NULL);
    Image photo;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(image_new(8, 6, &photo), OK);
        photo.rgb[0] = (uint8_t)(10 + i);
        assert_int_equal(
            image_write_png(support_in_folder(i ? "world/images/b.png" : "world/images/a.png"),
                            &photo),
            OK);
        image_free(&photo);
    }
    Dataset *d = open_set(support_in_folder("world"));
    assert_int_equal(d->photos, 2);
    assert_true(ends_with(d->photo[0].path, "world/images/a.png"));
    const DatasetPerson *p = &d->person[d->photo[1].first]; /* the file's first */
    assert_true(p->box[3] == 5 && p->visible == 0.5f);
    assert_int_equal(p->has, DATASET_KEYPOINTS | DATASET_JOINTS | DATASET_SMPL | DATASET_TRANS);
    assert_true(p->keypoints[0][2] == 1 && p->keypoints[1][0] == 7 && p->joints[0][2] == 3);
    assert_true(p->pose[0] == 0.25f && p->betas[0] == 1 && p->trans[2] == 4);
    assert_int_equal(d->person[d->photo[0].first].has, 0);
    assert_int_equal(d->photo[0].width, 0);
    assert_int_equal(dataset_photo(d, 0, &photo), OK);
    assert_true(photo.rgb[0] == 10 && d->photo[0].width == 8 && d->photo[0].focal == 91);
    dataset_release(d, 0);
    dataset_close(d);
}

/* The box then is the one whose crop has the centre and the scale. */
static void test_crop_without_box(void **state) {
    (void)state;
    char imgname[2][16] = {"images/b.png", "images/a.png"};
    float center[2][2] = {{300, 200}, {50.5f, 70}}, scale[2] = {1.5f, 0.4f};
    Array arrays[] = {{"imgname", U8, 2, {people, 16}, imgname},
                      array_of("center", 2, &center[0][0]),
                      {"scale", F32, 1, {people}, scale}};
    assert_int_equal(file_write_npz(support_in_folder("crops.npz"), arrays, 3), OK);
    Dataset *d = open_set(support_in_folder("crops.npz"));
    for (int i = 0; i < 2; i++) {
        const DatasetPerson *p = &d->person[d->photo[1 - i].first];
        float middle[2], size;
        crop_cliff_box(p->box, middle, &size);
        support_close("centre", middle, center[i], 2, 1e-4);
        support_close("scale", &size, &scale[i], 1, 1e-5);
        float shape = (p->box[2] - p->box[0]) / (p->box[3] - p->box[1]), want = 0.75f;
        support_close("shape", &shape, &want, 1, 1e-5);
    }
    dataset_close(d);
}

static void test_npz_refused(void **state) {
    (void)state;
    char away[2][16] = {"images/a.png", "../../b.png"}, endless[2][4];
    memset(endless, 'a', sizeof endless);
    const struct {
        Array instead;
        int at;
        float value;
        const char *reason;
    } cases[] = {
        {array_of("bbox", 5, numbers), 0, 0, "bbox: shape [2,5], expected 4 numbers"},
        {{"bbox", F32, 2, {1, 4}, numbers}, 0, 0, "bbox: shape [1,4]"},
        {array_of("bbox", 4, numbers), 0, 0, "entry 0: bbox: a box without area"},
        {array_of("pose", 72, numbers), 5, NAN, "entry 0: pose: number 5 is"},
        {array_of("halpe_2d", 78, numbers), 80, 3, "entry 1: halpe_2d: visibility 3 of joint 0"},
        {array_of("global_t", 3, numbers), 0, 1e9f, "entry 0: global_t"},
        {{"visible", F32, 1, {people}, numbers}, 1, 2, "entry 1: visible: 2"},
        {{"focal_l", F32, 1, {people}, numbers}, 0, -1, "focal_l: -1 is negative"},
        {{"imgname", U8, 2, {people, 16}, away}, 0, 0, "below the photos' folder"},
        {{"imgname", U8, 2, {people, 4}, endless}, 0, 0, "imgname"},
        {{"imgname", F32, 1, {people}, numbers}, 0, 0, "imgname"},
        {array_of("imgfile", 4, numbers), 0, 0, NULL},
    };
    for (size_t i = 0; cases[i].reason; i++) {
        memset(numbers, 0, sizeof numbers);
        numbers[cases[i].at] = cases[i].value;
        write_synth("bad.npz", &cases[i].instead);
        refused(support_in_folder("bad.npz"), cases[i].reason);
    }
    refused(support_write_text("text.npz", "no zip at all"), "text.npz");
}

static void test_wrong_size(void **state) {
    (void)state;
    Image photo;
    assert_int_equal(file_make_folder(support_in_folder("b")), OK);
    assert_int_equal(image_new(8, 7, &photo), OK);
    assert_int_equal(image_write_png(support_in_folder("b/a.png"), &photo), OK);
    image_free(&photo);
    Dataset *d = open_set(support_write_text("size.json", ONE_OF("")));
    assert_int_equal(dataset_photo(d, 0, &photo), ERR_INPUT);
    assert_non_null(strstr(error_reason(), "8x7, 8x6 in the annotations"));
    dataset_close(d);
}

/* ---- cache ---- */

enum { PHOTOS = 6, SIZE = 16, THREADS = 4, TURNS = 200 };
static const size_t one = 3 * SIZE * SIZE;

static const char *photo_path(int i) {
    char name[32];
    snprintf(name, sizeof name, "cache%d.png", i);
    return support_in_folder(name);
}

static void write_photos(void) {
    for (int i = 0; i < PHOTOS; i++) {
        Image photo;
        assert_int_equal(image_new(SIZE, SIZE, &photo), OK);
        memset(photo.rgb, i + 1, one);
        assert_int_equal(image_write_png(photo_path(i), &photo), OK);
        image_free(&photo);
    }
}

static Image borrow(PhotoCache *cache, int i) {
    Image photo;
    if (photocache_borrow(cache, i, photo_path(i), &photo)) fail_msg("%s", error_reason());
    assert_int_equal(photo.rgb[0], i + 1);
    return photo;
}

static void test_cache_drops_oldest(void **state) {
    (void)state;
    write_photos();
    PhotoCache *cache;
    assert_int_equal(photocache_new(PHOTOS, 2 * one, &cache), OK);
    const uint8_t *first = borrow(cache, 0).rgb;
    borrow(cache, 1), borrow(cache, 2);
    assert_int_equal(photocache_bytes(cache), 3 * one); /* borrowed ones stay */
    photocache_release(cache, 1);
    assert_int_equal(photocache_bytes(cache), 2 * one);
    photocache_release(cache, 0), photocache_release(cache, 2);
    assert_ptr_equal(borrow(cache, 0).rgb, first); /* now 2 is the oldest */
    photocache_release(cache, 0);
    borrow(cache, 3), photocache_release(cache, 3);
    assert_ptr_equal(borrow(cache, 0).rgb, first);
    photocache_release(cache, 0);
    assert_int_equal(photocache_bytes(cache), 2 * one);
    photocache_free(cache);
}

static void test_cache_failure(void **state) {
    (void)state;
    PhotoCache *cache;
    Image photo;
    assert_int_equal(photocache_new(1, one, &cache), OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(photocache_borrow(cache, 0, support_in_folder("gone.png"), &photo),
                         ERR_INPUT);
        assert_non_null(strstr(error_reason(), "gone.png"));
        assert_null(photo.rgb);
    }
    photocache_free(cache);
}

/* Each thread's own way through the photos; *bad counts wrong pixels. */
typedef struct {
    PhotoCache *cache;
    char path[PHOTOS][4200];
    unsigned seed;
    int bad;
} Walker;

static void *walk(void *context) {
    Walker *w = context;
    for (int turn = 0; turn < TURNS; turn++) {
        w->seed = w->seed * 1103515245 + 12345;
        int i = (int)(w->seed >> 16) % PHOTOS;
        Image photo;
        if (photocache_borrow(w->cache, i, w->path[i], &photo)) {
            w->bad++;
            continue;
        }
        for (size_t k = 0; k < one; k++) w->bad += photo.rgb[k] != i + 1;
        photocache_release(w->cache, i);
    }
    return NULL;
}

static void test_cache_threads(void **state) {
    (void)state;
    write_photos();
    PhotoCache *cache;
    assert_int_equal(photocache_new(PHOTOS, 2 * one, &cache), OK);
    static Walker walker[THREADS];
    pthread_t thread[THREADS];
    for (int t = 0; t < THREADS; t++) {
        walker[t] = (Walker){.cache = cache, .seed = (unsigned)t};
        for (int i = 0; i < PHOTOS; i++)
            snprintf(walker[t].path[i], sizeof walker[t].path[i], "%s", photo_path(i));
        assert_int_equal(pthread_create(&thread[t], NULL, walk, &walker[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(thread[t], NULL);
        assert_int_equal(walker[t].bad, 0);
    }
    assert_true(photocache_bytes(cache) <= 2 * one);
    photocache_free(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coco_sample),
        cmocka_unit_test(test_coco_fields),
        cmocka_unit_test(test_coco_refused),
        cmocka_unit_test(test_single_person_sets),
        cmocka_unit_test(test_synth),
        cmocka_unit_test(test_crop_without_box),
        cmocka_unit_test(test_npz_refused),
        cmocka_unit_test(test_wrong_size),
        cmocka_unit_test(test_cache_drops_oldest),
        cmocka_unit_test(test_cache_failure),
        cmocka_unit_test(test_cache_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
