/* The program as a user runs it: help, every flag's bad input, exit codes, several photos with a
 * broken one among them, an interrupt, and the networks of the fixtures through `forward`. */
#include "crowdrec/crowd.h"
#include "crowdrec/image.h"
#include "tensor/rng.h"
#include "tests/process.h"
#include "tests/smallbody.h"
#include "tests/support.h"

#include <dirent.h>
#include <glob.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DETECTOR "rule:yolox_nano:1 --detector-size 64x64 --conf 0.001"
#define MESH "rule:cliff_res50:1"

static bool has(const char *folder, const char *name) {
    char path[8400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static json_t *read_json(const char *folder, const char *name) {
    char path[8400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return support_read_json(path);
}

static void write_photo(const char *name, int width, int height) {
    Image image;
    assert_int_equal(image_new(width, height, &image), OK);
    for (int i = 0; i < width * height * 3; i++) image.rgb[i] = (uint8_t)(i * 7 + i / 640 * 13);
    assert_int_equal(image_write_png(support_in_folder(name), &image), OK);
    image_free(&image);
}

/* What all tests use: a photo, a body, files with two people. */
static int prepare(void **state) {
    (void)state;
    SmallBody *body = smallbody_new(60, 40);
    char text[4096], *at = text;
    write_photo("photo.png", 320, 240);
    smallbody_write(body, support_in_folder("body.npz"));
    smallbody_free(body);
    support_write_text("boxes.json",
                       "[{\"image_id\": \"photo.png\", \"bbox\": [20, 30, 80, 160]},"
                       " {\"image_id\": \"photo.png\", \"bbox\": [150, 40, 70, 150]}]");
    at += sprintf(at, "[");
    for (int p = 0; p < 2; p++) {
        at += sprintf(at,
                      "%s{\"image_id\": \"photo.png\", \"bbox\": [%d, 30, 80, 160],"
                      " \"keypoints\": [",
                      p ? "," : "", 20 + 130 * p);
        for (int i = 0; i < 17; i++)
            at +=
                sprintf(at, "%s%d, %d, 0.9", i ? "," : "", 30 + 130 * p + 7 * (i % 3), 40 + 8 * i);
        at += sprintf(at, "]}");
    }
    strcpy(at, "]");
    support_write_text("keypoints.json", text);
    return 0;
}

/* ---- help ---- */

static void test_help(void **state) {
    (void)state;
    static const char *const command[] = {
        "run",     "detect", "pose",   "regress", "refine", "forward",        "inspect",
        "convert", "body",   "doctor", "synth",   "eval",   "eval --ablation"};
    const Process *p = process_run("--help");
    assert_int_equal(p->status, 0);
    assert_string_equal(p->err, "");
    for (size_t i = 0; i < sizeof command / sizeof *command; i++)
        if (!strstr(p->out, command[i])) fail_msg("--help does not name %s", command[i]);
    for (size_t i = 0; i < sizeof command / sizeof *command; i++) {
        p = process_run("%s --help", command[i]);
        assert_int_equal(p->status, 0);
        assert_string_equal(p->err, "");
        static const char *const sections[] = {"NAME",    "SYNOPSIS",    "DESCRIPTION",
                                               "OPTIONS", "EXIT STATUS", "--help"};
        for (size_t k = 0; k < sizeof sections / sizeof *sections; k++)
            if (!strstr(p->out, sections[k]))
                fail_msg("%s --help has no %s", command[i], sections[k]);
        for (const char *line = p->out, *end; (end = strchr(line, '\n')); line = end + 1)
            if (end - line > 80)
                fail_msg("%s --help has a line of %d", command[i], (int)(end - line));
    }
    /* What has a default is optional. */
    assert_non_null(
        strstr(process_run("pose --help")->out, "[--pose WEIGHTS] [--detector WEIGHTS |"));
    assert_non_null(strstr(process_run("detect --help")->out, "Default: detector.safetensors in"));
    assert_int_equal(process_run("--version")->status, 0);
    assert_int_equal(process_run("doctor")->status, 0);
}

/* ---- bad usage and bad files ---- */

typedef struct {
    int status;
    const char *words;  /* of the command line; @ stands for the test's folder */
    const char *reason; /* part of the line on stderr */
} Refused;

static void expand(const char *words, char *line, size_t size) {
    size_t used = 0;
    for (; *words && used + 4200 < size; words++) {
        if (*words == '@')
            used += (size_t)snprintf(line + used, size - used, "%s", support_folder());
        else
            line[used++] = *words;
    }
    line[used] = 0;
}

/* Exactly one line, from crowdrec; and no file where the output would be. */
static void check_refused(const Refused *r) {
    char line[16384];
    expand(r->words, line, sizeof line);
    const Process *p = process_run("%s", line);
    if (p->status != r->status)
        fail_msg("`%s`: exit code %d, expected %d; %s", line, p->status, r->status, p->err);
    size_t length = strlen(p->err);
    if (!strstr(p->err, r->reason) || strncmp(p->err, "crowdrec: ", 10) ||
        strchr(p->err, '\n') != p->err + length - 1)
        fail_msg("`%s`: wrote '%s', expected one line with '%s'", line, p->err, r->reason);
    if (*p->out) fail_msg("`%s`: wrote '%s' to stdout", line, p->out);
    if (has(support_folder(), "out/result.json") || has(support_folder(), "out.npz"))
        fail_msg("`%s`: left results", line);
}

#define PHOTO "@/photo.png -o @/out "
#define BODY "--body @/body.npz "
#define REGRESS "regress " PHOTO "--mesh " MESH " " BODY "--boxes @/boxes.json "
#define REFINE "refine " PHOTO "--mesh " MESH " " BODY "--keypoints @/keypoints.json "

static void test_bad_usage(void **state) {
    (void)state;
    static const Refused bad[] = {
        {2, "fly", "no command 'fly'"},
        {2, "run", "at least one photo"},
        {2, "run " PHOTO "--wings", "unknown option --wings"},
        {2, "run " PHOTO "--wings=3", "unknown option --wings"},
        {2, "run " PHOTO "--tap x", "--tap does not go with this command"},
        {2, "run " PHOTO "-x", "unknown option -x"},
        {2, "run " PHOTO "--conf", "--conf: nothing follows"},
        {2, "run " PHOTO "--conf 0.2 --conf 0.3", "--conf is given twice"},
        {2, "run " PHOTO "-o @/other", "--output is given twice"},
        {2, "run " PHOTO "--meshes=1", "--meshes takes no value"},
        {2, "run " PHOTO "--quiet --verbose", "--quiet and --verbose exclude each other"},
        {2, "run @/photo.png", "no --output given"},
        {2, "run @/photo.png -o=", "--output: empty"},
        {2, "run @/photo.png --output=", "--output: empty"},
        {2, "run " PHOTO, "no --detector given"},
        {2, "run " PHOTO "--detector x", "no --pose given"},
        {2, "run " PHOTO "--keypoints x", "no --mesh given"},
        {2, "run " PHOTO "--keypoints x --mesh y", "no --body given"},
        {2, "run " PHOTO "--keypoints x --boxes y", "--boxes and --keypoints: give one"},
        {2, "pose " PHOTO "--boxes x", "no --pose given"},
        {2, "refine " PHOTO, "expected --keypoints FILE"},
        {2, "train", "expected one task"},
        {2, "train fly -o @/t --data x", "expected one task"},
        {2, "train pose mesh -o @/t --data x", "expected one task"},
        {2, "train pose --data x", "--output is needed"},
        {2, "train pose -o @/t", "--data is needed"},
        {2, "train mesh -o @/t --data x", "--body is needed"},
        {2, "train pose -o @/t --data x:0", "--data: ratio 0 of x:0"},
        {2, "train pose -o @/t --data x --steps 3 --epochs 2",
         "--steps and --epochs exclude each other"},
        {2, "train pose -o @/t --data x --net cliff_hr48", "cliff_hr48 is no network of this task"},
        {2, "train pose -o @/t --data x --optimizer lion", "--optimizer: 'lion' is not one of"},
        {2, "train pose -o @/t --data x --weights rule:hrnet_pose_w32:1 --net y",
         "--weights and --net: the weights say that already"},
        {2, "train pose -o @/t --data x --weights rule:yolox_nano:1",
         "yolox_nano is no network of this task"},
        {2, "convert rule:yolox_nano:1 @/x.safetensors --input alphapose",
         "--input: yolox_nano takes bgr255 or imagenet"},
        {2, "train pose -o @/t --data x --clip 0", "--clip: '0' is no number from"},
        {2, "train pose -o @/t --data x --input-size 100x100",
         "--input-size: '100x100' is no HEIGHTxWIDTH"},
        {3, "train pose -o @/t --data @/nowhere", "nowhere: cannot open"},
        {2, "detect " PHOTO "--detector x --conf 0", "--conf: '0' is no number from"},
        {2, "detect " PHOTO "--detector x --conf 1.5", "--conf: '1.5' is no number from"},
        {2, "detect " PHOTO "--detector x --conf nan", "--conf: 'nan' is no number from"},
        {2, "detect " PHOTO "--detector x --conf 0.5x", "--conf: '0.5x' is no number from"},
        {2, "detect " PHOTO "--detector x --nms -1", "--nms: '-1' is no number from"},
        {2, "detect " PHOTO "--detector x --detector-size 63x64", "'63x64' is no HEIGHTxWIDTH"},
        {2, "detect " PHOTO "--detector x --detector-size 64", "'64' is no HEIGHTxWIDTH"},
        {2, "detect " PHOTO "--detector x --detector-size 64x64x", "'64x64x' is no HEIGHTxWIDTH"},
        {2, "detect " PHOTO "--detector x --detector-input rgb",
         "--detector-input: 'rgb' is not one of"},
        {2, "detect " PHOTO "--detector x --threads 0", "--threads: '0' is no whole number from"},
        {2, "detect " PHOTO "--detector x --threads 1.5",
         "--threads: '1.5' is no whole number from"},
        {2, "detect " PHOTO "--detector x --focal-px 0", "--focal-px: '0' is no number from"},
        {2, "detect " PHOTO "--detector x --fov 180", "--fov: '180' is no number from"},
        {2, "detect " PHOTO "--detector x --fov 60 --focal-px 900",
         "more than one of --focal-px, --fov"},
        {2, REFINE "--recipe mine", "--recipe: 'mine' is not one of"},
        {2, REFINE "--recipe pap", "--recipe: 'pap' is not one of"},
        {2, REFINE "--iterations 0", "--iterations: '0' is no whole number from"},
        {2, REFINE "--iterations 1e99", "--iterations: '1e99' is no whole number from"},
        {2, REFINE "--iterations 9 --max-iterations 8",
         "--max-iterations: 8 is less than --iterations 9"},
        {2, REFINE "--group some", "--group: 'some' is no whole number from"},
        {2, REFINE "--group 0", "--group: '0' is no whole number from"},
        {2, REFINE "--rate 0", "--rate: '0' is no number from"},
        {2, REFINE "--max-mem 6X", "--max-mem: '6X' is no size"},
        {2, REFINE "--max-mem 6", "--max-mem: '6' is no size"},
        {2, REFINE "--time-limit inf", "--time-limit: 'inf' is no number from"},
        {2, REFINE "--mean @/body.npz --mesh=x", "--mesh is given twice"},
        {2, "run " PHOTO "--no-refine --pose x", "no 2D poses are estimated with --no-refine"},
        {2, "pose " PHOTO "--flip twice", "--flip: 'twice' is not one of"},
        {2, "pose " PHOTO "--decode best", "--decode: 'best' is not one of"},
        {2, "run " PHOTO "--keypoints @/boxes.json --pose-conf 0.5",
         "no 2D poses are estimated with --keypoints"},
        {2, "run " PHOTO "--boxes @/boxes.json --detector x", "--detector and --boxes: give one"},
        {2, "pose " PHOTO "--boxes @/boxes.json --conf 0.3", "no boxes are detected with --boxes"},
        {2, REGRESS "--nms 0.5", "no boxes are detected with --boxes"},
        {2, REGRESS "--agnostic", "no boxes are detected with --boxes"},
        {2, REGRESS "--detector-size 64x64", "no boxes are detected with --boxes"},
        {2, "run " PHOTO "--keypoints @/boxes.json --detector-input imagenet",
         "no boxes are detected with --keypoints"},
        {2, "regress " PHOTO "--boxes @/boxes.json --mesh x --mean y " BODY,
         "--mean: x is a checkpoint, which brings its own"},
        {2, "detect @/photo.png -o @/photo.png --detector " DETECTOR,
         "photo.png: cannot make the folder"},
        {2, "detect @/photo.png -o /proc/nowhere --detector " DETECTOR,
         "/proc/nowhere: cannot make the folder"},
        {2, "detect @/photo.png @/photo.png -o @/out --detector " DETECTOR, "have the same name"},
        {2, "detect @/photo.png -o @/out --detector rule:yolo:1", "no network 'yolo'"},
        {2, "detect @/photo.png -o @/out --detector rule:yolox_nano:x", "seed 'x' is no number"},
        {2, "forward", "expected one network"},
        {2, "forward yolox_nano", "--input is missing"},
        {2, "forward yolo --rule 1 --input rule:1:1,3,64,64 -o @/out.npz", "no network 'yolo'"},
        {2, "forward yolox_nano --input rule:1:1,3,64,64 -o @/out.npz",
         "expected either --weights or --rule"},
        {2, "forward yolox_nano --rule x --input rule:1:1,3,64,64 -o @/out.npz",
         "seed 'x' is no number"},
        {2, "forward yolox_nano --rule 1:2:3 --input rule:1:1,3,64,64 -o @/out.npz",
         "--rule: '1:2:3', expected SEED"},
        {2, "forward yolox_nano --rule 1 --input rule:1:1,3,64 -o @/out.npz",
         "'rule:1:1,3,64', expected rule:SEED:N,C,H,W"},
        {2, "forward yolox_nano --rule 1 --input rule:-1:1,3,64,64 -o @/out.npz",
         "'rule:-1:1,3,64,64', expected rule:SEED:N,C,H,W"},
        {2, "forward yolox_nano --rule 1 --input rule:1:1,3,64,64 --tap backbone.x -o @/out.npz",
         "--tap: yolox_nano has no module 'backbone.x'"},
        {2,
         "forward yolox_nano --rule 1 --input rule:1:1,3,64,64 --tap backbone.backbone.dark3 "
         "--tap backbone.backbone.dark3 "
         "-o @/out.npz",
         "named twice"},
        {2, "forward yolox_nano --rule 1 --input rule:1:1,3,64,64 --backend gpu -o @/out.npz",
         "--backend: 'gpu' is not one of"},
        {5, "forward yolox_nano --rule 1 --input rule:1:1,3,64,64 --backend cuda:999 -o @/out.npz",
         "--backend: "},
        {2, "detect " PHOTO "--device gpu", "--device: 'gpu' is not one of"},
        {2, "detect " PHOTO "--device cuda:x", "--device: 'cuda:x' is not one of"},
        {2, "detect " PHOTO "--precision fp16", "--precision: 'fp16' is not one of"},
        {2,
         "forward yolox_nano --rule 1 --bbox-info @/two.npy --input rule:1:2,3,64,64 "
         "-o @/out.npz",
         "--bbox-info: yolox_nano has no such input"},
        {2, "inspect", "expected one file"},
        {2, "convert @/body.npz", "expected two files"},
        {2, "convert @/body.npz @/copy.npz --half", "a body, for which --half"},
        {2, "doctor x", "expected no file"},
        {2, "body", "expected -o FILE.npz"},
        {2, "eval @/a.json", "expected PREDICT and TRUTH"},
        {2, "eval a b c", "expected PREDICT and TRUTH"},
        {2, "eval a b --conf 0.3", "--conf does not go with this command"},
        {2, "eval a b --body-regressor c", "--body-regressor: belongs to a body"},
        {2, "eval @/boxes.json @/keypoints.json -o @/boxes.json",
         "boxes.json: would be overwritten"},
        {2, "eval a --ablation b", "unknown option --ablation"},
        {2, "eval --ablation", "expected one folder with truth.json"},
        {2, "eval --ablation @", "no --output given"},
        {2, "eval --ablation @ -o @/out --iterations 80,0",
         "--iterations: expected increasing numbers"},
        {2, "eval --ablation @ -o @/out --iterations 80,,90",
         "'80,,90' is no list of whole numbers"},
        {2, "eval --ablation @ -o @/out --iterations 1.5", "'1.5' is no list of whole numbers"},
        {2, "eval --ablation @ -o @/out --iterations 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
         "--iterations: more than 16"},
        {2, "eval --ablation @ -o @/out --conf 0.3,2", "--conf: '0.3,2' is no list of numbers"},
        {2, "eval --ablation @ -o @/out", "no --detector given"},
        {2, "eval --ablation @ -o @/out --keypoints x --conf 0.3",
         "--conf: no boxes are detected with --keypoints"},
        {2, "eval --ablation @ -o @/out --truth x", "--truth does not go with this command"},
        {2, "body x -o @/out.npz", "and no file"},
        {2, "body -o @/out.npz --vertices 5", "--vertices: '5' is no whole number from 2000"},
        {3, "body -o @/absent/out.npz", "absent/out.npz: cannot write"},
        {2, "synth", "expected -o DIR"},
        {2, "synth x -o @/out", "and no file"},
        {2, "synth -o @/out --people 9..3", "--people: '9..3' ends before it begins"},
        {2, "synth -o @/out --people 0..0", "--people: '0..0' is nobody"},
        {2, "synth -o @/out --people 9", "--people: '9' is no A..B"},
        {2, "synth -o @/out --people 1..9999",
         "--people: '1..9999' has a number outside 0 to 4000"},
        {2, "synth -o @/out --size 640", "--size: '640' is no WIDTHxHEIGHT"},
        {2, "synth -o @/out --size 640x8", "--size: '640x8' has a number outside 64 to 32768"},
        {2, "synth -o @/out --size 640x480x3", "'640x480x3' is no WIDTHxHEIGHT"},
        {2, "synth -o @/out --tall 1..50", "--tall: '1..50' has a number outside 4 to 32768"},
        {2, "synth -o @/out --photos gif", "--photos: 'gif' is not one of png|jpg"},
        {2, "synth -o @/out --scenes 0", "--scenes: '0' is no whole number from 1"},
        {2, "synth -o @/out --focal 20", "focal length 20: expected"},
        {2, "synth -o @/photo.png/out", "photo.png: cannot make the folder"},
    };
    float numbers[6] = {0};
    file_write_npy(support_in_folder("two.npy"),
                   &(Array){.dtype = F32, .dims = 2, .dim = {2, 3}, .data = numbers});
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check_refused(&bad[i]);
    assert_int_equal(process_run("%s", "")->status, 2);
}

static void test_bad_files(void **state) {
    (void)state;
    static const Refused bad[] = {
        {3, "detect @/absent.jpg -o @/out --detector " DETECTOR, "absent.jpg: cannot open"},
        {3, "detect @/broken.jpg -o @/out --detector " DETECTOR,
         "broken.jpg: damaged or unsupported photo"},
        {3, "detect @/empty -o @/out --detector " DETECTOR, "empty: no photo"},
        {3, "detect " PHOTO "--intrinsics @/absent.json --detector " DETECTOR,
         "absent.json: cannot open"},
        {3, "detect " PHOTO "--intrinsics @/boxes.json --detector " DETECTOR,
         "boxes.json: no 3x3 matrix"},
        {3, "regress " PHOTO "--mesh " MESH " " BODY "--boxes @/absent.json",
         "absent.json: cannot open"},
        {3, "regress " PHOTO "--mesh " MESH " " BODY "--boxes @/broken.jpg", "broken.jpg: no JSON"},
        {3, "regress " PHOTO "--mesh " MESH " " BODY "--keypoints @/boxes.json",
         "keypoints: 0 values"},
        {3, "regress @/other.png -o @/out --mesh " MESH " " BODY "--boxes @/boxes.json",
         "has no image named 'other.png'"},
        {3, "forward yolox_nano --rule 1 --input @/absent.npy -o @/out.npz",
         "absent.npy: cannot open"},
        {3, "forward yolox_nano --rule 1 --input @/two.npy -o @/out.npz",
         "array of [2,3], expected N,C,H,W"},
        {3, "forward yolox_nano --rule 1 --input @/body.npz -o @/out.npz",
         "body.npz: 7 arrays, expected one"},
        {3, "forward yolox_nano --rule 1 --input rule:1:1,3,60,64 -o @/out.npz",
         "expected multiples of 32"},
        {3, "forward yolox_nano --rule 1 --input rule:1:1,4,64,64 -o @/out.npz",
         "expected at least one image of 3 channels"},
        {3, "forward yolox_nano --rule 1 --input rule:1:0,3,64,64 -o @/out.npz", "size 0"},
        {3, "forward yolox_nano --rule 1 --input rule:1:32768,3,32768,32768 -o @/out.npz",
         "numbers, at most"},
        {3, "forward yolox_nano --rule 1 --input rule:1:1,3,64,64 -o @/absent/out.npz",
         "absent/out.npz: cannot write"},
        {3, "inspect @/broken.jpg", "broken.jpg: damaged or unsupported photo"},
        {3, "eval @/absent.json @/absent.json", "absent.json: cannot open"},
        {3, "eval @/boxes.json @/boxes.json", "boxes.json: expected an object with photos' names"},
        {3, REGRESS "--truth @/absent.json", "absent.json: cannot open"},
        {3, REGRESS "--truth @/unrelated.json", "no photo 'photo.png'"},
        {4, "inspect @/absent", "absent: cannot open"},
        {4, "detect " PHOTO "--detector @/absent.pth", "absent.pth: cannot open"},
        {4, "detect " PHOTO "--detector @/boxes.json", "boxes.json: unknown format"},
        {4, "detect " PHOTO "--detector @/body.npz", "body.npz: 7 arrays of no known network"},
        {4, "detect " PHOTO "--detector " MESH, "a detector must be a yolox"},
        {4, "pose " PHOTO "--boxes @/boxes.json --pose rule:yolox_nano:1",
         "a 2d pose network must be"},
        {4, "regress " PHOTO "--boxes @/boxes.json --mesh rule:yolox_nano:1 " BODY,
         "expected body parameters"},
        {4, "regress " PHOTO "--boxes @/boxes.json --mesh " MESH " --body @/absent.npz",
         "absent.npz: cannot open"},
        {4, "regress " PHOTO "--boxes @/boxes.json --mesh " MESH " --body @/two.npy",
         "two.npy: no array v_template"},
        {4, REGRESS "--body-regressor @/two.npy", "two.npy: J_regressor_halpe is [2,3]"},
        {4, REGRESS "--mean @/body.npz", "body.npz: no array init_pose or pose"},
        {4, "forward yolox_s --weights @/nano.safetensors --input rule:1:1,3,64,64 -o @/out.npz",
         "holds yolox_nano"},
        {4, "convert @/two.npy @/out.npz", "no known network"},
        {6, REFINE "--iterations 1 --max-mem 1M", "are allowed; raise --max-mem"},
    };
    float numbers[6] = {0};
    support_write_text("broken.jpg", "\xff\xd8\xff\xe0 this is no photo");
    support_write_text("unrelated.json", "{}");
    write_photo("other.png", 64, 64);
    file_make_folder(support_in_folder("empty"));
    file_write_npy(support_in_folder("two.npy"),
                   &(Array){.dtype = F32, .dims = 2, .dim = {2, 3}, .data = numbers});
    assert_int_equal(
        process_run("convert rule:yolox_nano:1 %s", support_in_folder("nano.safetensors"))->status,
        0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check_refused(&bad[i]);
}

/* ---- the job ---- */

static void check_valid_json(const char *folder, const char *name) {
    json_decref(read_json(folder, name));
}

static void test_refine(void **state) {
    (void)state;
    const char *out = support_in_folder("refined");
    const Process *p =
        process_run("refine %s -o %s --mesh " MESH
                    " --body %s --keypoints %s --iterations 3 --rate 1e-6 --meshes",
                    support_in_folder("photo.png"), out, support_in_folder("body.npz"),
                    support_in_folder("keypoints.json"));
    if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
    assert_non_null(strstr(p->out, "people 2, bodies 2, refined 2, iterations 3"));
    static const char *const json[] = {"result.json", "predict.json", "detections.json",
                                       "keypoints.json"};
    static const char *const others[] = {"result.npz",
                                         "overlay.png",
                                         "side.png",
                                         "log.jsonl",
                                         "meshes/person_0000.obj",
                                         "meshes/person_0001.obj"};
    for (size_t i = 0; i < sizeof json / sizeof *json; i++) check_valid_json(out, json[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!has(out, others[i])) fail_msg("no %s", others[i]);
    json_t *root = read_json(out, "result.json");
    const json_t *refinement = json_object_get(root, "refinement");
    double first = support_number(refinement, "first_loss");
    double last = support_number(refinement, "last_loss");
    if (!(last < first)) fail_msg("loss went from %g to %g", first, last);
    assert_string_equal(json_string_value(json_object_get(root, "arithmetic")),
                        "cpu, fp32, winograd");
    json_decref(root);
}

/* photo.png and its keypoints under two other names, of the first one person alone. */
static void write_twins(const char *name) {
    static const char *const photo[] = {"twin1.png", "twin2.png"};
    json_t *people = read_json(support_folder(), "keypoints.json"), *twins = json_array();
    for (int k = 0; k < 2; k++) {
        size_t i;
        const json_t *person;
        json_array_foreach(people, i, person) {
            if (k == 0 && i > 0) break;
            json_t *copy = json_deep_copy(person);
            json_object_set_new(copy, "image_id", json_string(photo[k]));
            json_array_append_new(twins, copy);
        }
        assert_int_equal(link(support_in_folder("photo.png"), support_in_folder(photo[k])), 0);
    }
    assert_int_equal(json_dump_file(twins, support_in_folder(name), 0), 0);
    json_decref(twins);
    json_decref(people);
}

static void refine_twins(const char *photos, const char *out) {
    const Process *p = process_run(
        "refine %s -o %s --mesh " MESH " --body %s --keypoints %s --iterations 3 --rate 1e-3",
        photos, out, support_in_folder("body.npz"), support_in_folder("twins.json"));
    if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
}

/* What one photo's refinement did to the weights is gone at the next photo, also in the bodies
 * before refinement, which side.png shows. */
static void test_photos_know_nothing_of_each_other(void **state) {
    (void)state;
    static const char *const file[] = {"result.npz", "side.png"};
    char both[8500];
    write_twins("twins.json");
    snprintf(both, sizeof both, "%s %s", support_in_folder("twin1.png"),
             support_in_folder("twin2.png"));
    refine_twins(both, support_in_folder("twins"));
    refine_twins(support_in_folder("twin2.png"), support_in_folder("twin"));
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        char name[2][64];
        Bytes bytes[2];
        snprintf(name[0], sizeof name[0], "twins/twin2/%s", file[i]);
        snprintf(name[1], sizeof name[1], "twin/%s", file[i]);
        for (int k = 0; k < 2; k++)
            assert_int_equal(file_read(support_in_folder(name[k]), 1 << 24, &bytes[k]), OK);
        if (bytes[0].size != bytes[1].size ||
            memcmp(bytes[0].data, bytes[1].data, bytes[0].size) != 0)
            fail_msg("%s depends on the photo before", file[i]);
        for (int k = 0; k < 2; k++) file_release(&bytes[k]);
    }
}

/* Direct convolutions are asked for, used, and said in the result. */
static void test_exact(void **state) {
    (void)state;
    const char *out = support_in_folder("exact");
    const Process *p = process_run("regress %s -o %s --mesh " MESH " --body %s --boxes %s --exact",
                                   support_in_folder("photo.png"), out,
                                   support_in_folder("body.npz"), support_in_folder("boxes.json"));
    if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
    json_t *root = read_json(out, "result.json");
    assert_string_equal(json_string_value(json_object_get(root, "arithmetic")),
                        "cpu, fp32, direct");
    json_decref(root);
}

/* Same bytes whatever the number of threads, and a whole run of separate stages. */
static void test_threads(void **state) {
    (void)state;
    Bytes bytes[2];
    for (int i = 0; i < 2; i++) {
        char name[32], path[4300];
        snprintf(name, sizeof name, "threads%d", i);
        const char *out = support_in_folder(name);
        const Process *p =
            process_run("regress %s -o %s --mesh " MESH " --body %s --boxes %s --threads %d",
                        support_in_folder("photo.png"), out, support_in_folder("body.npz"),
                        support_in_folder("boxes.json"), 1 + i);
        if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
        snprintf(path, sizeof path, "%s/result.json", out);
        assert_int_equal(file_read(path, 1 << 20, &bytes[i]), OK);
    }
    assert_int_equal(bytes[0].size, bytes[1].size);
    assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].size);
    for (int i = 0; i < 2; i++) file_release(&bytes[i]);
}

/* The boxes of a keypoints.json are boxes.json's, moved to its keypoints by four fifths of the way.
 */
static void check_pose_boxes(const char *folder, size_t people) {
    json_t *root = read_json(folder, "keypoints.json");
    const json_t *list = json_object_get(root, "annotations");
    assert_int_equal(json_array_size(list), people);
    for (size_t i = 0; i < people; i++) {
        static const float given[2][4] = {{20, 30, 100, 190}, {150, 40, 220, 190}};
        const json_t *person = json_array_get(list, i), *box = json_object_get(person, "bbox"),
                     *keypoints = json_object_get(person, "keypoints");
        Person p = {0};
        float got[4];
        memcpy(p.box, given[i], sizeof p.box);
        assert_int_equal(json_array_size(keypoints), 3 * CROWD_KEYPOINTS);
        for (size_t j = 0; j < 3 * CROWD_KEYPOINTS; j++)
            p.keypoints[j / 3][j % 3] = (float)support_number_at(keypoints, j);
        for (size_t k = 0; k < 4; k++) got[k] = (float)support_number_at(box, k);
        got[2] += got[0], got[3] += got[1];
        assert_true(crowd_box_of_keypoints(&p, 0.8f));
        support_close("box", got, p.box, 4, 1e-3);
    }
    json_decref(root);
}

static void test_stages_chain(void **state) {
    (void)state;
    const char *photo = support_in_folder("photo.png"), *body = support_in_folder("body.npz");
    const char *posed = support_in_folder("posed"), *whole = support_in_folder("chained");
    const Process *p = process_run("pose %s -o %s --pose rule:fastpose_res50_halpe26:1 --boxes %s"
                                   " --pose-boxes on",
                                   photo, posed, support_in_folder("boxes.json"));
    if (p->status) fail_msg("pose: %s", p->err);
    check_pose_boxes(posed, 2);
    p = process_run("run %s -o %s --keypoints %s/keypoints.json --mesh " MESH
                    " --body %s --no-refine --fov 60",
                    photo, whole, posed, body);
    if (p->status) fail_msg("run: %s", p->err);
    assert_non_null(strstr(p->out, "people 2, bodies 2, refined 0"));
    assert_false(has(whole, "log.jsonl"));
    json_t *root = read_json(whole, "result.json");
    const json_t *camera = json_object_get(root, "camera");
    double focal = support_number(camera, "focal");
    assert_true(fabs(focal - 160 / tan(M_PI / 6)) < 1e-5);
    assert_string_equal(json_string_value(json_object_get(camera, "source")), "--fov");
    json_decref(root);
}

/* ---- against the truth ---- */

/* A folder as `synth` writes it, whose truth is what the first estimate of the bodies gives. */
static const char *make_world(void) {
    const char *world = support_in_folder("world"), *out = support_in_folder("estimate");
    const Process *p = process_run("regress %s -o %s --mesh " MESH " --body %s --boxes %s",
                                   support_in_folder("photo.png"), out,
                                   support_in_folder("body.npz"), support_in_folder("boxes.json"));
    if (p->status) fail_msg("regress: %s", p->err);
    assert_int_equal(file_make_folder(support_in_folder("world/images")), OK);
    write_photo("world/images/photo.png", 320, 240);
    assert_int_equal(
        rename(support_in_folder("estimate/predict.json"), support_in_folder("world/truth.json")),
        0);
    SmallBody *body = smallbody_new(60, 40);
    smallbody_write(body, support_in_folder("world/body.npz"));
    smallbody_free(body);
    return world;
}

static void check_names(const char *folder, const char *const *name, size_t count) {
    json_t *root = read_json(folder, "eval.json");
    const json_t *results = json_object_get(root, "results");
    assert_int_equal(json_array_size(results), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *result = json_array_get(results, i),
                     *total = json_object_get(result, "total");
        assert_string_equal(json_string_value(json_object_get(result, "name")), name[i]);
        assert_int_equal(json_array_size(support_get(result, "photos")), 1);
        assert_int_equal(json_integer_value(json_object_get(total, "people")), 2);
        assert_int_equal(json_integer_value(json_object_get(total, "boxes")), 2);
    }
    json_decref(root);
}

static void test_truth(void **state) {
    (void)state;
    static const char *const both[] = {"before", "after"}, *const one[] = {"result"};
    const char *world = make_world(), *refined = support_in_folder("refined"),
               *posed = support_in_folder("posed");
    const Process *p =
        process_run("refine %s/images -o %s --mesh " MESH " --body %s/body.npz"
                    " --keypoints %s --iterations 1 --max-iterations 1"
                    " --truth %s/truth.json",
                    world, refined, world, support_in_folder("keypoints.json"), world);
    if (p->status) fail_msg("refine: %s", p->err);
    assert_non_null(strstr(p->out, "before     after"));
    assert_non_null(strstr(p->out, "1 photo, 2 people"));
    check_names(refined, both, 2);
    p = process_run("pose %s/images -o %s --pose rule:fastpose_res50_halpe26:1 --boxes %s"
                    " --truth %s/truth.json",
                    world, posed, support_in_folder("boxes.json"), world);
    if (p->status) fail_msg("pose: %s", p->err);
    assert_null(strstr(p->out, "PA-PPDS"));
    assert_true(has(posed, "overlay.png"));
    check_names(posed, one, 1);
    p = process_run("eval %s %s/truth.json --per-photo", refined, world);
    if (p->status) fail_msg("eval: %s", p->err);
    assert_non_null(strstr(p->out, "detection AP50"));
    assert_non_null(strstr(p->out, "photo.png"));
    /* What was written is exactly what the truth was made of. */
    p = process_run("eval %s/truth.json %s/truth.json", world, world);
    assert_int_equal(p->status, 0);
    assert_non_null(strstr(p->out, "2/2\n"));
}

/* A regressor of joints counts for both sides, which are told in the same body. */
static void test_truth_of_one_body(void **state) {
    (void)state;
    enum { VERTICES = 60 };
    static float weights[CROWD_KEYPOINTS * VERTICES];
    const char *world = make_world(), *out = support_in_folder("regressed");
    const char *regressor = support_in_folder("regressor.npy");
    for (int i = 0; i < CROWD_KEYPOINTS; i++) weights[i * VERTICES + i] = 1;
    Array array = {.dtype = F32, .dims = 2, .dim = {CROWD_KEYPOINTS, VERTICES}, .data = weights};
    assert_int_equal(file_write_npy(regressor, &array), OK);
    json_t *truth = read_json(world, "truth.json"), *root;
    const json_t *people = support_get(json_object_get(truth, "photo.png"), "person_list");
    for (size_t i = 0; i < 2; i++)
        json_object_set_new(json_array_get(people, i), "bbox",
                            i ? json_pack("[i,i,i,i]", 150, 40, 70, 150)
                              : json_pack("[i,i,i,i]", 20, 30, 80, 160));
    assert_int_equal(json_dump_file(truth, support_in_folder("world/boxed.json"), 0), 0);
    json_decref(truth);
    const Process *p =
        process_run("regress %s/images -o %s --mesh " MESH " --body %s/body.npz"
                    " --body-regressor %s --boxes %s --truth %s/boxed.json",
                    world, out, world, regressor, support_in_folder("boxes.json"), world);
    if (p->status) fail_msg("regress: %s", p->err);
    root = read_json(out, "eval.json");
    const json_t *result = json_array_get(json_object_get(root, "results"), 0);
    support_near("mpjpe_mm", support_number(json_object_get(result, "total"), "mpjpe_mm"), 0, 1e-3);
    json_decref(root);
}

static void test_ablation(void **state) {
    (void)state;
    const char *world = make_world(), *out = support_in_folder("ablation");
    const Process *p = process_run("eval --ablation %s -o %s --mesh " MESH
                                   " --keypoints %s --iterations 0,1 --joint",
                                   world, out, support_in_folder("keypoints.json"));
    if (p->status) fail_msg("ablation: %s", p->err);
    assert_non_null(strstr(p->out, "| 0 iter "));
    assert_non_null(strstr(p->out, "| 1 iter + one group "));
    assert_true(has(out, "given/iterations-1/side.png") && has(out, "ablation.md"));
    json_t *root = read_json(out, "ablation.json");
    const json_t *settings = json_object_get(root, "settings");
    assert_int_equal(json_array_size(settings), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *s = json_array_get(settings, i), *total = json_object_get(s, "total");
        assert_int_equal(json_integer_value(json_object_get(s, "iterations")), i > 0);
        assert_int_equal(json_integer_value(json_object_get(s, "group")), i == 2 ? -1 : 50);
        assert_int_equal(json_integer_value(json_object_get(total, "people")), 2);
        assert_true(json_is_null(json_object_get(s, "conf")));
        assert_true(json_is_null(json_object_get(s, "paper")));
    }
    json_decref(root);
}

/* The demo at a reduced size: a made-up crowd, networks that no option names, the bodies measured
 * against the truth.  The networks' parameters are made up here. */
static void test_default_networks(void **state) {
    (void)state;
    static const char *const network[][2] = {
        {"detector", "yolox_nano"}, {"pose", "hrnet_pose_w16_small"}, {"mesh", "cliff_hr16_small"}};
    const char *world = support_in_folder("synth"), *out = support_in_folder("default"),
               *models = support_in_folder("networks");
    const Process *p =
        process_run("synth -o %s --scenes 1 --people 2..3 --size 320x256 --seed 9", world);
    if (p->status) fail_msg("synth: %s", p->err);
    assert_int_equal(file_make_folder(models), OK);
    for (size_t i = 0; i < sizeof network / sizeof *network; i++) {
        p = process_run("convert rule:%s:1 %s/%s.safetensors --half", network[i][1], models,
                        network[i][0]);
        if (p->status) fail_msg("convert: %s", p->err);
    }
    setenv("CROWDREC_MODELS", models, 1);
    p = process_run("refine %s/images -o %s --keypoints %s/person_keypoints.json --iterations 2 "
                    "--max-iterations 2 --truth %s/truth.json",
                    world, out, world, world);
    if (p->status) fail_msg("refine: %s", p->err);
    assert_non_null(strstr(p->err, "synthetic people only"));
    assert_non_null(strstr(p->out, "before     after"));
    assert_true(has(out, "side.png") && has(out, "overlay.png") && has(out, "predict.json"));
    json_t *root = read_json(out, "result.json");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(root, "refinement"), "recipe")),
        "models");
    json_decref(root);
    p = process_run("pose %s/images -o %s --conf 0.001 --detector-size 64x64", world, out);
    assert_int_equal(p->status, 0);
    /* Fresh numbers see nobody; the user's boxes stay all the same, unless asked. */
    p = process_run("pose %s/images -o %s --boxes %s/person_keypoints.json", world, out, world);
    assert_true(strstr(p->out, "people 2") || strstr(p->out, "people 3"));
    p = process_run("pose %s/images -o %s --boxes %s/person_keypoints.json --pose-conf 0.5", world,
                    out, world);
    assert_non_null(strstr(p->out, "people 0"));
    assert_non_null(strstr(p->err, "people dropped (--pose-nms 0, --pose-conf 0.5)"));
    /* Options about 2D poses are for the first step alone. */
    p = process_run(
        "eval --ablation %s -o %s --conf 0.001 --decode quarter --flip off --iterations "
        "0,1 --detector-size 64x64",
        world, support_in_folder("settings"));
    if (p->status) fail_msg("ablation: %s", p->err);
    assert_true(has(support_in_folder("settings"), "conf-0.001/iterations-1/eval.json"));
    setenv("CROWDREC_MODELS", support_folder(), 1);
    p = process_run("detect %s/images -o %s", world, out);
    assert_int_equal(p->status, 2);
    assert_non_null(strstr(p->err, "--detector"));
    assert_non_null(strstr(p->err, "detector.safetensors"));
}

static void test_folder_with_a_broken_photo(void **state) {
    (void)state;
    const char *out = support_in_folder("many");
    assert_int_equal(file_make_folder(support_in_folder("photos")), OK);
    write_photo("photos/a.png", 96, 64);
    support_write_text("photos/b.jpg", "\xff\xd8\xff\xe0 broken");
    write_photo("photos/c.png", 64, 96);
    support_write_text("photos/notes.txt", "no photo");
    const Process *p =
        process_run("detect %s -o %s --detector " DETECTOR, support_in_folder("photos"), out);
    assert_int_equal(p->status, 1);
    assert_non_null(strstr(p->err, "b.jpg"));
    assert_non_null(strstr(p->err, "1 of 3 photos failed"));
    assert_non_null(strstr(p->out, "a.png"));
    assert_null(strstr(p->out, "b.jpg"));
    assert_true(has(out, "a/result.json") && has(out, "c/result.json"));
    assert_false(has(out, "b"));
    json_t *root = read_json(out, "detections.json");
    assert_int_equal(json_array_size(support_get(root, "images")), 2);
    json_decref(root);
    support_write_text("photos/a.png", "");
    support_write_text("photos/c.png", "");
    const char *none = support_in_folder("none");
    p = process_run("detect %s -o %s --detector " DETECTOR, support_in_folder("photos"), none);
    assert_int_equal(p->status, 3);
    assert_non_null(strstr(p->err, "all 3 photos failed"));
    assert_false(has(none, "detections.json"));
}

static void test_nobody_found(void **state) {
    (void)state;
    const char *out = support_in_folder("nobody");
    support_write_text("empty.json", "{\"images\": [{\"id\": 1, \"file_name\": \"photo.png\"}],"
                                     " \"annotations\": []}");
    const Process *p = process_run("refine %s -o %s --mesh " MESH " --body %s --keypoints %s",
                                   support_in_folder("photo.png"), out,
                                   support_in_folder("body.npz"), support_in_folder("empty.json"));
    if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
    assert_non_null(strstr(p->out, "people 0"));
    json_t *root = read_json(out, "predict.json");
    assert_int_equal(
        json_array_size(support_get(json_object_get(root, "photo.png"), "person_list")), 0);
    json_decref(root);
}

/* ---- names, places and streams ---- */

/* What JSON or a line cannot say would make two photos one. */
static void test_strange_names(void **state) {
    (void)state;
    const char *out = support_in_folder("strange");
    assert_int_equal(file_make_folder(support_in_folder("names")), OK);
    write_photo("names/a.png", 64, 64);
    write_photo("names/caf\xe9.png", 64, 64);
    write_photo("names/b\x1b[1m.png", 64, 64);
    const Process *p =
        process_run("detect %s -o %s --detector " DETECTOR, support_in_folder("names"), out);
    assert_int_equal(p->status, 1);
    assert_non_null(strstr(p->err, "caf?.png': the name is no UTF-8"));
    assert_non_null(strstr(p->err, "2 of 3 photos failed"));
    json_t *root = read_json(out, "detections.json");
    assert_int_equal(json_array_size(support_get(root, "images")), 1);
    json_decref(root);
}

static void test_inputs_stay(void **state) {
    (void)state;
    const char *out = support_in_folder("inputs");
    assert_int_equal(file_make_folder(out), OK);
    write_photo("inputs/overlay.png", 64, 64);
    const Process *p = process_run("detect %s/overlay.png -o %s --detector " DETECTOR, out, out);
    assert_int_equal(p->status, 2);
    assert_non_null(strstr(p->err, "would be overwritten"));
    p = process_run("detect %s -o %s --detector " DETECTOR, support_in_folder("photo.png"), out);
    assert_int_equal(p->status, 0);
    p = process_run("regress %s -o %s --mesh " MESH " --body %s --boxes %s/detections.json",
                    support_in_folder("photo.png"), out, support_in_folder("body.npz"), out);
    assert_int_equal(p->status, 2);
    assert_non_null(strstr(p->err, "detections.json: would be overwritten"));
    static const char *const cameras[] = {"result.npz", "detections.json", "result.json"};
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "inputs/%s", cameras[i]);
        if (i) support_write_text(name, "[[90, 0, 32], [0, 90, 32], [0, 0, 1]]");
        p = process_run("detect %s -o %s --detector " DETECTOR " --intrinsics %s/%s",
                        support_in_folder("photo.png"), out, out, cameras[i]);
        assert_int_equal(p->status, 2);
        assert_non_null(strstr(p->err, "would be overwritten"));
    }
}

/* What is meant for a closed stream must not end up in a result. */
static void test_closed_streams(void **state) {
    (void)state;
    char command[4400];
    const char *program = getenv("CROWDREC_PROGRAM"), *out = support_in_folder("closed");
    if (!program) skip();
    snprintf(command, sizeof command,
             "%s synth -o %s --scenes 3 --people 1..2 --size 64x64 --verbose >&- 2>&-", program,
             out);
    assert_int_equal(WEXITSTATUS(system(command)), 0);
    check_valid_json(out, "person_keypoints.json");
    check_valid_json(out, "truth.json");
}

/* ---- interrupts ---- */

static bool has_begun(const char *folder) {
    DIR *dir = opendir(folder);
    bool found = false;
    for (struct dirent *e; dir && (e = readdir(dir));)
        found = found || !strncmp(e->d_name, "log.jsonl", 9);
    if (dir) closedir(dir);
    return found;
}

/* A refinement without end, sent a signal once it has begun. */
static const Process *interrupt_refinement(const char *out, int number) {
    pid_t pid = process_start("refine %s -o %s --mesh " MESH
                              " --body %s --keypoints %s --iterations 100000 --rate 1e-9",
                              support_in_folder("photo.png"), out, support_in_folder("body.npz"),
                              support_in_folder("keypoints.json"));
    const struct timespec pause = {0, 50 * 1000 * 1000};
    for (int i = 0; i < 6000 && !has_begun(out); i++) nanosleep(&pause, NULL);
    kill(pid, number);
    return process_wait(pid);
}

static void check_interrupt(const char *name, int number) {
    const char *out = support_in_folder(name);
    const Process *p = interrupt_refinement(out, number);
    if (p->status != 130) fail_msg("exit code %d: %s", p->status, p->err);
    json_t *root = read_json(out, "result.json");
    assert_string_equal(json_string_value(json_object_get(root, "ended")), "interrupted");
    json_decref(root);
    check_valid_json(out, "predict.json");
    DIR *dir = opendir(out);
    for (struct dirent *e; (e = readdir(dir));)
        if (strstr(e->d_name, ".tmp")) fail_msg("%s was left over", e->d_name);
    closedir(dir);
}

static void test_interrupt(void **state) {
    (void)state;
    check_interrupt("interrupted", SIGINT);
    check_interrupt("terminated", SIGTERM);
}

/* What cannot be written is no interrupt that kept everything. */
static void test_interrupt_and_no_room(void **state) {
    (void)state;
    assert_int_equal(file_make_folder(support_in_folder("taken/predict.json")), OK);
    const Process *p = interrupt_refinement(support_in_folder("taken"), SIGINT);
    if (p->status != 3) fail_msg("exit code %d: %s", p->status, p->err);
    assert_non_null(strstr(p->err, "predict.json"));
    assert_null(strstr(p->err, "is written"));
}

static void test_time_limit(void **state) {
    (void)state;
    const char *out = support_in_folder("limited");
    const Process *p =
        process_run("refine %s -o %s --mesh " MESH " --body %s --keypoints %s --time-limit 0.5",
                    support_in_folder("photo.png"), out, support_in_folder("body.npz"),
                    support_in_folder("keypoints.json"));
    assert_int_equal(p->status, 0);
    assert_non_null(strstr(p->out, "time limit"));
    check_valid_json(out, "result.json");
}

static void test_full_disk(void **state) {
    (void)state;
    char command[4400];
    const char *program = getenv("CROWDREC_PROGRAM");
    if (access("/dev/full", W_OK) || !program) skip();
    snprintf(command, sizeof command, "%s doctor >/dev/full 2>/dev/null", program);
    assert_int_equal(WEXITSTATUS(system(command)), 3);
}

/* ---- forward against the reference ---- */

/* A whole array, or every stride-th number of one that was too long to store. */
static void compare(const ArrayFile *got, const ArrayFile *want, const char *name,
                    const json_t *about) {
    const Array *a = support_array(got, name), *b = support_array(want, name);
    const json_t *shape = json_object_get(about, "shape"), *step = json_object_get(about, "stride");
    size_t stride = step ? (size_t)json_integer_value(step) : 1;
    assert_int_equal(a->dims, json_array_size(shape));
    for (int i = 0; i < a->dims; i++)
        assert_int_equal(a->dim[i], json_integer_value(json_array_get(shape, (size_t)i)));
    double tolerance = 3e-5 * support_number(about, "absmax");
    for (size_t i = 0; i < array_size(b); i++) {
        double x = array_get(a, i * stride), y = array_get(b, i);
        if (!(fabs(x - y) <= tolerance))
            fail_msg("%s[%zu]: got %.9g, want %.9g, tolerance %.3g", name, i * stride, x, y,
                     tolerance);
    }
}

static void check_forward(const char *json_path) {
    json_t *root = support_read_json(json_path), *about;
    const json_t *shape = json_object_get(json_object_get(root, "input"), "shape");
    long long s[4];
    char taps[4096] = "", npz[4200];
    const char *name, *out = support_in_folder("forward.npz");
    for (size_t i = 0; i < 4; i++) s[i] = json_integer_value(json_array_get(shape, i));
    json_object_foreach(support_get(root, "arrays"), name, about) {
        if (strncmp(name, "tap.", 4)) continue;
        snprintf(taps + strlen(taps), sizeof taps - strlen(taps), " --tap %s", name + 4);
    }
    const Process *p =
        process_run("forward %s --rule %lld:%.17g --input rule:%lld:%lld,%lld,%lld,%lld%s -o %s",
                    json_string_value(json_object_get(root, "net")),
                    (long long)json_integer_value(json_object_get(root, "seed")),
                    support_number(root, "conv_gain"),
                    (long long)json_integer_value(json_object_get(root, "seed")), s[0], s[1], s[2],
                    s[3], taps, out);
    if (p->status) fail_msg("%s: exit code %d: %s", json_path, p->status, p->err);
    ArrayFile got, want;
    snprintf(npz, sizeof npz, "%.*s.npz", (int)strlen(json_path) - 5, json_path);
    assert_int_equal(file_load(out, &got), OK);
    assert_int_equal(file_load(npz, &want), OK);
    json_object_foreach(support_get(root, "arrays"), name, about) compare(&got, &want, name, about);
    array_file_free(&got);
    array_file_free(&want);
    json_decref(root);
}

static void test_forward(void **state) {
    (void)state;
    char pattern[4200];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/fixtures/forward/*.json", support_root());
    if (glob(pattern, 0, NULL, &found)) {
        print_message("skipped: no %s\n", pattern);
        skip();
    }
    for (size_t i = 0; i < found.gl_pathc; i++) check_forward(found.gl_pathv[i]);
    globfree(&found);
}

/* The reference's taps of CLIFF: shape, and every stride-th number. */
static void compare_taps(const ArrayFile *got, const json_t *taps) {
    const char *name;
    json_t *about;
    char title[256];
    json_object_foreach((json_t *)taps, name, about) {
        const json_t *sample = json_object_get(about, "sample");
        size_t stride = (size_t)json_integer_value(json_object_get(about, "stride"));
        snprintf(title, sizeof title, "tap.%s", name);
        const Array *a = support_array(got, title);
        assert_int_equal(a->dims, json_array_size(support_get(about, "shape")));
        for (size_t i = 0; i < json_array_size(sample); i++) {
            double x = array_get(a, i * stride), y = support_number_at(sample, i);
            if (!(fabs(x - y) <= 1e-4)) fail_msg("%s[%zu]: got %.9g, want %.9g", name, i, x, y);
        }
    }
}

/* An output of the reference, and the same as a tap of the head. */
static void compare_output(const ArrayFile *got, const ArrayFile *want, const char *name,
                           const char *reference, double tolerance) {
    const Array *a = support_array(got, name), *b = support_array(want, reference);
    assert_string_equal(array_shape_text(a), array_shape_text(b));
    float *x = support_floats(got, name), *y = support_floats(want, reference);
    support_close(name, x, y, array_size(b), tolerance);
    free(x);
    free(y);
}

/* CLIFF, with its second input and its mean body from files. */
static void test_forward_cliff(void **state) {
    (void)state;
    const char *means = support_fixture("fixtures_body/cliff/cliff_hr48_forward.npz"), *name;
    ArrayFile want = support_arrays("fixtures_body/cliff/cliff_res50_forward_256x192.npz"), got;
    json_t *root = support_json("fixtures_body/cliff/cliff_res50_taps_256x192.json"), *about;
    const char *box = support_in_folder("box.npy"), *out = support_in_folder("cliff.npz");
    char taps[1024] = "";
    json_object_foreach(support_get(root, "taps"), name, about)
        snprintf(taps + strlen(taps), sizeof taps - strlen(taps), " --tap %s", name);
    assert_int_equal(file_write_npy(box, support_array(&want, "bbox_info")), OK);
    const Process *p = process_run("forward cliff_res50 --rule %lld:%g --mean %s --bbox-info %s"
                                   " --input rule:1:2,3,256,192%s --tap iter0_pose6d -o %s",
                                   (long long)json_integer_value(json_object_get(root, "seed")),
                                   support_number(root, "conv_gain"), means, box, taps, out);
    if (p->status) fail_msg("exit code %d: %s", p->status, p->err);
    assert_int_equal(file_load(out, &got), OK);
    compare_taps(&got, json_object_get(root, "taps"));
    compare_output(&got, &want, "feature", "feature", 1e-4);
    compare_output(&got, &want, "tap.iter0_pose6d", "iter0_pose6d", 1e-5);
    compare_output(&got, &want, "pose6d", "iter2_pose6d", 1e-5);
    compare_output(&got, &want, "shape", "iter2_shape", 1e-5);
    compare_output(&got, &want, "cam", "iter2_cam", 1e-5);
    array_file_free(&got);
    array_file_free(&want);
    json_decref(root);
}

/* Numbers from a file are the same as those of the rule; so are weights after a conversion. */
static void test_forward_files(void **state) {
    (void)state;
    const char *input = support_in_folder("input.npy"),
               *weights = support_in_folder("w.safetensors");
    const char *steers = support_in_folder("steers.safetensors");
    const char *a = support_in_folder("a.npz"), *b = support_in_folder("b.npz");
    assert_int_equal(process_run("convert rule:yolox_nano:3 %s --licence MIT", weights)->status, 0);
    assert_non_null(strstr(process_run("inspect %s", weights)->out, "MIT"));
    process_run("convert rule:yolox_nano:3 %s --licence x\033[1m\nkind:y", steers);
    assert_non_null(strstr(process_run("inspect %s", steers)->out, "x?[1m?kind:y"));
    assert_int_equal(
        process_run("forward yolox_nano --weights %s --input rule:5:1,3,64,32 -o %s", weights, a)
            ->status,
        0);
    enum { NUMBERS = 3 * 64 * 32 };
    static float numbers[NUMBERS];
    uint64_t stream = rng_stream("input", 5);
    for (uint64_t i = 0; i < NUMBERS; i++) numbers[i] = rng_signed(stream, i);
    Array array = {.dtype = F32, .dims = 4, .dim = {1, 3, 64, 32}, .data = numbers};
    assert_int_equal(file_write_npy(input, &array), OK);
    assert_int_equal(process_run("forward yolox_nano --rule 3 --input %s -o %s", input, b)->status,
                     0);
    ArrayFile x, y;
    assert_int_equal(file_load(a, &x), OK);
    assert_int_equal(file_load(b, &y), OK);
    const Array *raw = support_array(&x, "raw");
    assert_memory_equal(raw->data, support_array(&y, "raw")->data, array_size(raw) * sizeof(float));
    array_file_free(&x);
    array_file_free(&y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_bad_usage),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_refine),
        cmocka_unit_test(test_photos_know_nothing_of_each_other),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_stages_chain),
        cmocka_unit_test(test_truth),
        cmocka_unit_test(test_truth_of_one_body),
        cmocka_unit_test(test_ablation),
        cmocka_unit_test(test_default_networks),
        cmocka_unit_test(test_folder_with_a_broken_photo),
        cmocka_unit_test(test_nobody_found),
        cmocka_unit_test(test_strange_names),
        cmocka_unit_test(test_inputs_stay),
        cmocka_unit_test(test_closed_streams),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_interrupt_and_no_room),
        cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_forward_cliff),
        cmocka_unit_test(test_forward_files),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
