/* Made-up crowds: the same photo for the same seed and any number of threads, truth that fits the
 * photo and the body, people on their planes and beside each other, files that the readers take. */
#include "tests/support.h"

#include "crowdrec/coco.h"
#include "crowdrec/jpeg.h"
#include "crowdrec/jsonfile.h"
#include "crowdrec/paint.h"
#include "crowdrec/synth.h"
#include "smpl/procedural.h"
#include "tensor/parallel.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static Body *body;
static Poser *poser;
static Synth *synth;

static const SceneWish WISH = {.width = 480, .height = 320, .people = {12, 30}, .tall = {20, 250}};

static int open_world(void **state) {
    (void)state;
    const char *path = support_in_folder("body.npz");
    if (procedural_write(path, 0, NULL) || body_load(path, NULL, &body) ||
        synth_open(&(SynthChoice){WISH, 5, path}, &synth))
        fail_msg("%s", error_reason());
    poser = poser_new(body);
    return 0;
}

static int close_world(void **state) {
    (void)state;
    synth_close(synth);
    poser_free(poser);
    body_free(body);
    return 0;
}

static SynthPhoto photo(int number) {
    SynthPhoto p;
    if (synth_photo(synth, number, &p)) fail_msg("%s", error_reason());
    return p;
}

static float *vertices_of(const ScenePerson *p) {
    float *v = malloc(3 * (size_t)body->vertices * sizeof *v);
    body_pose(body, p->pose, p->betas, p->trans, v, NULL, NULL);
    return v;
}

/* ---- posing ---- */

static void test_poser(void **state) {
    (void)state;
    size_t size = 3 * (size_t)body->vertices;
    float *want = malloc(size * sizeof *want), *got = malloc(size * sizeof *got);
    for (int i = 0; i < 4; i++) {
        Dice dice = dice_new("poser", (uint64_t)i);
        float pose[CROWD_POSE], betas[CROWD_BETAS], trans[3], joints[2][3 * BODY_JOINTS];
        for (int k = 0; k < CROWD_POSE; k++) pose[k] = (float)dice_normal(&dice, 0.5);
        for (int k = 0; k < CROWD_BETAS; k++) betas[k] = (float)dice_normal(&dice, 1);
        for (int k = 0; k < 3; k++) trans[k] = (float)dice_normal(&dice, 5);
        body_pose(body, pose, betas, trans, want, joints[0], NULL);
        poser_run(poser, pose, betas, trans, got, joints[1]);
        support_close("vertices", got, want, size, 1e-5);
        support_close("joints", joints[1], joints[0], 3 * BODY_JOINTS, 1e-5);
    }
    free(want);
    free(got);
}

/* No joint turns farther than people's do, all numbers are finite, kinds differ. */
static void test_postures(void **state) {
    (void)state;
    for (int kind = 0; kind < POSTURES; kind++)
        for (int i = 0; i < 50; i++) {
            Dice dice = dice_new("posture", (uint64_t)(100 * kind + i));
            float pose[CROWD_POSE];
            posture_make((Posture)kind, &dice, pose);
            for (int j = 0; j < BODY_JOINTS; j++) {
                const float *r = pose + 3 * j;
                double angle = sqrt((double)(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]));
                if (!(angle < 2.7)) fail_msg("posture %d: joint %d turns by %g", kind, j, angle);
            }
            float knee = pose[3 * SMPL24_L_KNEE];
            if (!(knee > 0)) fail_msg("posture %d: the knee bends to %g", kind, (double)knee);
        }
}

/* ---- photos ---- */

static void test_same(void **state) {
    (void)state;
    int threads = parallel_threads();
    parallel_set_threads(1);
    SynthPhoto one = photo(3), other = photo(4);
    parallel_set_threads(3);
    SynthPhoto again = photo(3);
    parallel_set_threads(threads);
    size_t bytes = 3 * (size_t)WISH.width * (size_t)WISH.height;
    assert_memory_equal(one.photo.rgb, again.photo.rgb, bytes);
    assert_int_equal(one.scene.people, again.scene.people);
    assert_memory_equal(one.scene.person, again.scene.person,
                        (size_t)one.scene.people * sizeof *one.scene.person);
    assert_memory_not_equal(one.photo.rgb, other.photo.rgb, bytes);
    synth_photo_free(&one);
    synth_photo_free(&other);
    synth_photo_free(&again);
}

static void check_person(const Scene *s, const ScenePerson *p) {
    float *v = vertices_of(p), box[4] = {INFINITY, INFINITY, -INFINITY, -INFINITY}, halpe[26][3];
    double low = INFINITY;
    const ScenePlane *plane = &s->plane[p->plane];
    for (int i = 0; i < body->vertices; i++) {
        const float *at = v + 3 * (size_t)i;
        float x = (float)(s->focal * (double)(at[0] / at[2]) + s->cx);
        float y = (float)(s->focal * (double)(at[1] / at[2]) + s->cy);
        box[0] = fminf(box[0], x), box[1] = fminf(box[1], y);
        box[2] = fmaxf(box[2], x), box[3] = fmaxf(box[3], y);
        double up = 0;
        for (int k = 0; k < 3; k++) up += (double)(plane->normal[k] * at[k]);
        low = fmin(low, up - (double)plane->offset);
    }
    support_close("box", p->box, box, 4, 0.02);
    if (!(fabs(low) < 0.02)) fail_msg("the lowest vertex is %g m over its plane", low);
    body_pose(body, p->pose, p->betas, p->trans, NULL, NULL, halpe[0]);
    support_close("joints", p->joints[0], halpe[0], 3 * CROWD_KEYPOINTS, 1e-6);
    for (int i = 0; i < CROWD_KEYPOINTS; i++) {
        double x = s->focal * (double)(halpe[i][0] / halpe[i][2]) + s->cx;
        double y = s->focal * (double)(halpe[i][1] / halpe[i][2]) + s->cy;
        if (!(fabs(x - (double)p->keypoints[i][0]) < 0.02 &&
              fabs(y - (double)p->keypoints[i][1]) < 0.02))
            fail_msg("keypoint %d is not where the body puts it", i);
        bool inside = rint(x) >= 0 && rint(x) < s->width && rint(y) >= 0 && rint(y) < s->height;
        assert_int_equal(p->keypoints[i][2] > 0, inside);
    }
    free(v);
}

static void test_truth(void **state) {
    (void)state;
    int people = 0, seen = 0, hidden = 0, treads = 0;
    for (int i = 0; i < 8; i++) {
        SynthPhoto p = photo(i);
        const Scene *s = &p.scene;
        if (!(fabs(s->focal - hypot(WISH.width, WISH.height)) < 1e-9))
            fail_msg("focal %g", s->focal);
        for (int k = 0; k < s->people; k++) {
            const ScenePerson *q = &s->person[k];
            if (!(q->visible >= 0.02f && q->visible <= 1))
                fail_msg("visible %g", (double)q->visible);
            for (int j = 0; j < CROWD_KEYPOINTS; j++)
                seen += q->keypoints[j][2] == 2, hidden += q->keypoints[j][2] == 1;
            treads += q->plane > 0;
            check_person(s, q);
        }
        people += s->people;
        synth_photo_free(&p);
    }
    printf("people %d, on treads %d, keypoints seen %d, hidden %d\n", people, treads, seen, hidden);
    assert_true(people > 40 && treads > 0 && seen > people && hidden > people);
}

/* Roots of people in a photo keep their distance. */
static void test_apart(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        SynthPhoto p = photo(i);
        for (int a = 0; a < p.scene.people; a++)
            for (int b = 0; b < a; b++) {
                double sum = 0;
                for (int k = 0; k < 3; k++)
                    sum += pow((double)(p.scene.person[a].joints[HALPE26_HIP][k] -
                                        p.scene.person[b].joints[HALPE26_HIP][k]),
                               2);
                if (!(sqrt(sum) > 0.25)) fail_msg("photo %d: two hips %g m apart", i, sqrt(sum));
            }
        synth_photo_free(&p);
    }
}

/* A scene of one's own: one person who faces the camera at this depth, in a T and above ground. */
static void lone_scene(double depth, Scene *s) {
    SceneWish wish = WISH;
    Dice dice = dice_new("lone", 1);
    double at[3];
    wish.people[0] = wish.people[1] = 0;
    scene_make(&wish, 1, poser, s);
    s->things = 0, s->planes = 1, s->people = 1;
    ScenePerson *p = s->person = arena_alloc(s->arena, sizeof *s->person);
    p->outfit = outfit_make(&dice);
    p->pose[0] = (float)M_PI;
    scene_place(s, &s->plane[0], 0, depth, at);
    for (int k = 0; k < 3; k++) p->trans[k] = (float)(at[k] + 1.2 * (double)s->frame.up[k]);
}

static void paint(Scene *s) {
    Image image;
    if (paint_scene(s, poser, &image)) fail_msg("%s", error_reason());
    image_free(&image);
}

static void test_visible(void **state) {
    (void)state;
    Scene s;
    lone_scene(14, &s);
    paint(&s);
    assert_float_equal(s.person[0].visible, 1, 0);
    assert_int_equal(s.person[0].keypoints[HALPE26_NOSE][2], 2);
    assert_int_equal(s.person[0].keypoints[HALPE26_L_KNEE][2], 2);
    scene_free(&s);
    lone_scene(14, &s);
    double at[3];
    const float size[3] = {8, 6, 0.3f}, grey[3] = {0.5f, 0.5f, 0.5f};
    Thing wall = thing_box(THING_SEAT, size, grey, s.arena);
    scene_place(&s, &s.plane[0], 0, 11, at);
    scene_add(&s, &wall, at, 0, 0);
    paint(&s);
    assert_float_equal(s.person[0].visible, 0, 0);
    assert_int_equal(s.person[0].keypoints[HALPE26_NOSE][2], 1);
    scene_free(&s);
}

/* From behind the nose is hidden by the head. */
static void test_turned(void **state) {
    (void)state;
    Scene s;
    lone_scene(14, &s);
    s.person[0].pose[0] = 0, s.person[0].pose[2] = (float)M_PI;
    paint(&s);
    assert_int_equal(s.person[0].keypoints[HALPE26_NOSE][2], 1);
    assert_int_equal(s.person[0].keypoints[HALPE26_L_HEEL][2], 2);
    scene_free(&s);
}

/* ---- files ---- */

static CrowdrecStatus write_world(const char *folder, const char *photos) {
    CrowdrecSynth o = {.output = folder,
                       .scenes = 3,
                       .people = {5, 15},
                       .width = 320,
                       .height = 200,
                       .seed = 9,
                       .photos = photos};
    return crowdrec_synth(&o, NULL);
}

static void check_json(const char *folder, const char *name, int *people) {
    char path[4400];
    Coco *coco;
    Crowd crowd = {.photo = strdup(name), .width = 320, .height = 200};
    snprintf(path, sizeof path, "%s/person_keypoints.json", folder);
    if (coco_open(path, COCO_KEYPOINTS, &coco) || coco_people(coco, false, &crowd))
        fail_msg("%s", error_reason());
    *people += crowd.count;
    crowd_free(&crowd);
    coco_close(coco);
}

static void check_npz(const char *folder, int people) {
    char path[4400];
    ArrayFile f;
    snprintf(path, sizeof path, "%s/people.npz", folder);
    if (file_load(path, &f)) fail_msg("%s", error_reason());
    const Array *pose = support_array(&f, "pose"), *joints = support_array(&f, "halpe_3d");
    assert_int_equal(pose->dim[0], people);
    assert_int_equal(pose->dim[1], 72);
    assert_int_equal(joints->dim[2], 4);
    const char *name = file_text(&f, "imgname", 0);
    assert_non_null(name);
    if (strncmp(name, "images/scene_00000", 18)) fail_msg("imgname %s", name);
    float *s = support_floats(&f, "S"), *part = support_floats(&f, "part");
    for (int k = 0; k < 3; k++) assert_float_equal(s[4 * TRAINING24_PELVIS + k], 0, 0);
    assert_float_equal(s[4 * TRAINING24_PELVIS + 3], 1, 0);
    assert_float_equal(part[3 * TRAINING24_SPINE + 2], 0, 0);
    free(s);
    free(part);
    array_file_free(&f);
}

static void test_files(void **state) {
    (void)state;
    const char *folder = support_in_folder("world");
    int people = 0;
    char path[4400];
    if (write_world(folder, NULL)) fail_msg("%s", crowdrec_error());
    for (int i = 0; i < 3; i++) {
        char name[32];
        Image image;
        snprintf(name, sizeof name, "scene_%06d.png", i);
        snprintf(path, sizeof path, "%s/images/%s", folder, name);
        if (image_read(path, &image)) fail_msg("%s", error_reason());
        assert_int_equal(image.width, 320);
        image_free(&image);
        check_json(folder, name, &people);
    }
    check_npz(folder, people);
    json_t *truth = support_read_json(support_in_folder("world/truth.json"));
    const json_t *first = json_object_get(truth, "scene_000000.png");
    const json_t *person = json_array_get(json_object_get(first, "person_list"), 0);
    double trans[3], pose[72];
    assert_true(jsonfile_numbers(json_object_get(person, "trans_cam"), 3, 1e4, trans));
    assert_true(jsonfile_numbers(json_object_get(person, "pose"), 72, 10, pose));
    assert_true(json_array_size(json_object_get(first, "planes")) >= 1);
    json_decref(truth);
}

/* Makes a locale whose numbers have a comma; false where there is nothing to make it of. */
static bool set_comma(void) {
    char command[4400];
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 '%s' >/dev/null 2>&1",
             support_in_folder("comma.UTF-8"));
    return system(command) == 0 && !setenv("LOCPATH", support_folder(), 1) &&
           setlocale(LC_NUMERIC, "comma.UTF-8");
}

/* A program that has set its user's locale gets the same files; what failed before is not told. */
static void test_comma(void **state) {
    (void)state;
    assert_int_equal(crowdrec_synth(&(CrowdrecSynth){.scenes = 1}, NULL), CROWDREC_BAD_USAGE);
    assert_string_not_equal(crowdrec_error(), "");
    bool comma = set_comma();
    char text[8];
    assert_int_equal(write_world(support_in_folder("comma"), NULL), CROWDREC_OK);
    assert_string_equal(crowdrec_error(), "");
    snprintf(text, sizeof text, "%.1f", 0.5);
    setlocale(LC_NUMERIC, "C");
    unsetenv("LOCPATH");
    if (!comma) skip();
    assert_string_equal(text, "0,5");
    int people = 0;
    check_json(support_in_folder("comma"), "scene_000000.png", &people);
}

static void test_jpeg(void **state) {
    (void)state;
    if (!jpeg_writes()) skip();
    Image image;
    if (write_world(support_in_folder("jpeg"), "jpg")) fail_msg("%s", crowdrec_error());
    if (image_read(support_in_folder("jpeg/images/scene_000002.jpg"), &image))
        fail_msg("%s", error_reason());
    assert_int_equal(image.height, 200);
    image_free(&image);
}

static void test_refused(void **state) {
    (void)state;
    static const SceneWish bad[] = {
        {.width = 10, .height = 100, .people = {1, 2}},
        {.width = 100, .height = 40000, .people = {1, 2}},
        {.width = 100, .height = 100, .people = {3, 2}},
        {.width = 100, .height = 100, .people = {0, 100000}},
        {.width = 100, .height = 100, .people = {1, 2}, .tall = {50, 30}},
        {.width = 100, .height = 100, .people = {1, 2}, .focal = NAN},
        {.width = 100, .height = 100, .people = {1, 2}, .focal = 3},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(scene_check(&bad[i]), ERR_USAGE);
    Synth *none;
    assert_int_equal(synth_open(&(SynthChoice){WISH, 1, support_in_folder("absent.npz")}, &none),
                     ERR_MODEL);
    assert_int_equal(crowdrec_synth(&(CrowdrecSynth){.scenes = 1}, NULL), CROWDREC_BAD_USAGE);
    assert_int_equal(write_world(support_in_folder("world"), "gif"), CROWDREC_BAD_USAGE);
}

/* Stopped before the first photo, a world that is there keeps its truth. */
static void test_interrupted(void **state) {
    (void)state;
    volatile int stop = 0;
    Bytes before, after;
    CrowdrecSynth o = {.output = support_in_folder("stopped"),
                       .scenes = 1,
                       .width = 64,
                       .height = 64,
                       .interrupted = &stop};
    assert_int_equal(crowdrec_synth(&o, NULL), CROWDREC_OK);
    assert_int_equal(file_read(support_in_folder("stopped/truth.json"), 1 << 24, &before), OK);
    stop = 1, o.seed = 5;
    assert_int_equal(crowdrec_synth(&o, NULL), CROWDREC_INTERRUPTED);
    assert_int_equal(file_read(support_in_folder("stopped/truth.json"), 1 << 24, &after), OK);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.data, before.data, before.size);
    file_release(&before);
    file_release(&after);
}

/* Photos of a world that does not become whole are not told about by the one before. */
static void test_failed(void **state) {
    (void)state;
    static const char *const told[] = {"failed/truth.json", "failed/people.npz",
                                       "failed/person_keypoints.json"};
    const char *folder = support_in_folder("failed");
    const char *last = support_in_folder("failed/images/scene_000002.png");
    Bytes bytes;
    if (write_world(folder, NULL)) fail_msg("%s", crowdrec_error());
    assert_int_equal(remove(last), 0);
    assert_int_equal(file_make_folder(last), OK); /* in the photo's place */
    assert_int_not_equal(write_world(folder, NULL), CROWDREC_OK);
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(file_read(support_in_folder(told[i]), 1 << 24, &bytes), OK);
}

/* 7680 x 4320 pixels: all samples at once would be a gigabyte. */
static void test_large(void **state) {
    (void)state;
    support_heavy();
    Scene s;
    struct rusage usage;
    SceneWish wish = {.width = 7680, .height = 4320, .people = {40, 40}};
    scene_make(&wish, 2, poser, &s);
    paint(&s);
    scene_free(&s);
    getrusage(RUSAGE_SELF, &usage);
    printf("largest so far: %ld MB\n", usage.ru_maxrss >> 10);
    assert_true(usage.ru_maxrss >> 10 < 600);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poser),   cmocka_unit_test(test_postures),
        cmocka_unit_test(test_same),    cmocka_unit_test(test_truth),
        cmocka_unit_test(test_apart),   cmocka_unit_test(test_visible),
        cmocka_unit_test(test_turned),  cmocka_unit_test(test_files),
        cmocka_unit_test(test_comma),   cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_failed),  cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
