#include "tools/help.h"

#include <string.h>

typedef struct {
    Command command;
    const char *name, *summary;
    const char *synopsis;           /* without "crowdrec NAME" */
    const char *const *description; /* paragraphs, up to NULL */
    const char *files;              /* lines */
    const char *example;            /* lines */
} Page;

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char weights_text[] =
    "WEIGHTS is a file (.pth, .pt, .pth.tar, .safetensors; the variant is read off its content) or "
    "rule:NET:SEED[:GAIN], made-up parameters that are the same on every machine.";

static const char photos_text[] =
    "PHOTO is a JPEG, PNG, BMP, TGA, GIF or PNM file, or a folder of them. With one photo the "
    "files go into DIR; with several, each photo's files go into DIR/STEM (its name without "
    "extension; with it where two share a stem) and those that cover all photos into DIR. A photo "
    "that fails is reported and the others go on.";

#define RESULT_FILES                                                     \
    "  result.json        all about one photo: camera, ground, people\n" \
    "  result.npz         the same as plain arrays\n"
#define BODY_FILES                                                                      \
    "  predict.json       all photos, GigaCrowd form: camera, pose, shape, "            \
    "trans_cam\n" RESULT_FILES "  overlay.png        the bodies drawn over the photo\n" \
    "  side.png           the crowd from the side, before and after refinement\n"       \
    "  meshes/person_%04d.obj   with --meshes\n"
#define SKETCH_FILE "  overlay.png        the photo with boxes, scores and skeletons\n"
#define EVAL_FILE "  eval.json          with --truth: how far the results are from it\n"
#define BOX_FILE "  detections.json    all photos, COCO form: boxes and scores\n"
#define KEYPOINT_FILE "  keypoints.json     all photos, COCO form: 26 keypoints a person\n"
#define LOG_FILE "  log.jsonl          every iteration: rate, decay, every term of the loss\n"

static const Page page[] = {
    {COMMAND_RUN, "run", "photo in, 3D crowd out", "PHOTO... -o DIR [options]",
     TEXTS("Finds the people in each photo (YOLOX), their 2D keypoints (FastPose or HRNet) and a "
           "body for each (CLIFF), then refines the body network's weights for this photo until "
           "the bodies fit the keypoints and stand on one ground.",
           photos_text, weights_text,
           "Ctrl-C ends after the iteration under way and writes what was reached."),
     BOX_FILE KEYPOINT_FILE BODY_FILES LOG_FILE EVAL_FILE,
     "  crowdrec run crowd.jpg -o out --detector bytetrack_x_mot17.pth.tar \\\n"
     "      --pose halpe26_fast_res50_256x192.pth --mesh hr48.pt --body smpl.pkl\n"
     "  crowdrec run photos/ -o out --keypoints alphapose-results.json \\\n"
     "      --mesh hr48.pt --body SMPL_NEUTRAL.pkl --group all --max-mem 6G\n"},
    {COMMAND_DETECT, "detect", "people's boxes", "PHOTO... -o DIR [--detector WEIGHTS] [options]",
     TEXTS("Finds the people in each photo and ends there.", photos_text, weights_text),
     BOX_FILE RESULT_FILES SKETCH_FILE EVAL_FILE,
     "  crowdrec detect crowd.jpg -o out --detector yolox_x.pth --conf 0.4\n"},
    {COMMAND_POSE, "pose", "2D keypoints",
     "PHOTO... -o DIR [--pose WEIGHTS] [--detector WEIGHTS | --boxes FILE] [options]",
     TEXTS("Finds 26 keypoints (Halpe) for each box; a network with 17 fills the first 17.",
           photos_text, weights_text),
     BOX_FILE KEYPOINT_FILE RESULT_FILES SKETCH_FILE EVAL_FILE,
     "  crowdrec pose crowd.jpg -o out --pose halpe26.pth --boxes out/detections.json\n"},
    {COMMAND_REGRESS, "regress", "a body for each box, without refinement",
     "PHOTO... -o DIR [--mesh WEIGHTS --body FILE] "
     "[--detector WEIGHTS | --boxes FILE | --keypoints FILE] [options]",
     TEXTS("Gives each person a body, by one pass of the network.", photos_text, weights_text),
     BOX_FILE BODY_FILES EVAL_FILE,
     "  crowdrec regress crowd.jpg -o out --mesh hr48.pt --body SMPL_NEUTRAL.pkl \\\n"
     "      --boxes boxes.json\n"},
    {COMMAND_REFINE, "refine", "bodies refined from given keypoints",
     "PHOTO... -o DIR --keypoints FILE [--mesh WEIGHTS --body FILE] [options]",
     TEXTS("Does what `run` does behind the 2D keypoints: a body for each person of FILE, then the "
           "refinement under crowd constraints.",
           photos_text, weights_text),
     BOX_FILE KEYPOINT_FILE BODY_FILES LOG_FILE EVAL_FILE,
     "  crowdrec refine crowd.jpg -o out --keypoints out/keypoints.json \\\n"
     "      --mesh hr48.pt --body SMPL_NEUTRAL.pkl --recipe released\n"},
    {COMMAND_EVAL, "eval", "results held against the truth", "PREDICT TRUTH [options]",
     TEXTS(
         "PREDICT is a predict.json, or a folder that `run` wrote, whose detections.json and "
         "keypoints.json are then judged as well. TRUTH is the truth.json of `synth`, or any file "
         "in the same form (GigaCrowd's).",
         "Prints PA-PPDS, SS, PCOD, OKS and RP (the paper's table 1), the errors of joints, "
         "vertices and places, the spread over the ground and the quality of the detections. "
         "People count who are at least half visible and taller than 40 pixels; the others are "
         "neither right nor wrong. Photos that only one of the two has are left out."),
     NULL,
     "  crowdrec eval out world/truth.json --per-photo\n"
     "  crowdrec eval predict.json truth.json --body SMPL_NEUTRAL.pkl -o eval.json\n"},
    {COMMAND_ABLATION, "eval --ablation", "the whole job at several settings, with truth",
     "DATA -o DIR [options]",
     TEXTS(
         "DATA is a folder that `synth` wrote: truth.json, body.npz and photos. Runs the whole job "
         "over them for each least score of a detection and each number of refinement steps "
         "(the paper's table 1) and holds the results against the truth. Boxes and keypoints are "
         "found once for each least score. --ablation is the first word behind `eval`.",
         "With --boxes or --keypoints, such as the true ones, there is nothing to detect, no "
         "--conf and one row for each number of steps."),
     "  ablation.json, ablation.md   all settings' results, beside the paper's\n"
     "  conf-X/iterations-N/         results of one setting, as `run` writes them\n",
     "  crowdrec eval --ablation world -o out --detector yolox_x.pth \\\n"
     "      --pose halpe26.pth --mesh hr48.pt --iterations 0,80 --conf 0.23\n"},
    {COMMAND_FORWARD, "forward", "one pass of one network, with inner values",
     "NET (--weights FILE | --rule SEED[:GAIN]) --input INPUT -o FILE.npz [--tap NAME]...",
     TEXTS("Runs the network NET (yolox_nano, hrnet_pose_w32, fastpose_res50_halpe26, cliff_hr48 "
           "and so on; an unknown name lists them all) and writes its outputs and the modules that "
           "--tap names as n,c,h,w arrays.",
           "Arrays are `output` (pose heatmaps), `raw` and `decoded` (YOLOX), `feature`, `pose6d`, "
           "`shape`, `cam` (CLIFF) and `tap.NAME`."),
     NULL,
     "  crowdrec forward yolox_nano --rule 1 --input rule:1:2,3,96,160 \\\n"
     "      --tap backbone.backbone.dark3 -o out.npz\n"},
    {COMMAND_INSPECT, "inspect", "what a file is", "FILE [options]",
     TEXTS("Reads weights, body models, arrays, photos and JSON, and prints kind, network, "
           "parameters, licence, shapes."),
     NULL, "  crowdrec inspect SMPL_NEUTRAL.pkl\n"},
    {COMMAND_CONVERT, "convert", "weights to safetensors, a body to npz", "IN OUT [options]",
     TEXTS("Reads weights of any format that crowdrec knows and writes safetensors with the "
           "network's name, input convention, licence and recipe in the header. A body model "
           "becomes an npz."),
     NULL,
     "  crowdrec convert yolox_x.pth yolox_x.safetensors --licence Apache-2.0\n"
     "  crowdrec convert SMPL_NEUTRAL.pkl smpl.npz\n"},
    {COMMAND_BODY, "body", "a made-up body, free to use and pass on", "-o FILE.npz [options]",
     TEXTS(
         "Makes a human body in SMPL's format without any measured data: skeleton, skin, skinning "
         "weights, ten shape directions, pose blend shapes and regressors. It takes SMPL's place "
         "in every command's --body."),
     NULL, "  crowdrec body -o body.npz\n"},
    {COMMAND_SYNTH, "synth", "photos of made-up crowds with exact truth",
     "-o DIR [--scenes N] [--people A..B] [--size WIDTHxHEIGHT] [options]",
     TEXTS(
         "Paints photos of made-up people, dressed and posed by chance, on squares, lawns, tracks "
         "and stands, and writes what is true of everybody in them: body, place, box, keypoints "
         "and how much is seen. For training and for measuring; nothing in them is licensed.",
         "A photo is a function of the options, the seed and its number alone."),
     "  images/scene_000000.png ...   the photos\n"
     "  person_keypoints.json         COCO form, with 26 keypoints and `visible`\n"
     "  people.npz                    the same people as arrays, with SMPL parameters\n"
     "  truth.json                    cameras, planes and bodies\n"
     "  body.npz                      the body that the parameters belong to\n",
     "  crowdrec synth -o world --scenes 200 --people 10..60 --photos jpg\n"},
    {COMMAND_TRAIN, "train", "networks trained", "TASK -o DIR --data PATH[:RATIO] [options]",
     TEXTS(
         "Trains a network: TASK is pose (HRNet, 26 keypoints of a crop), mesh (CLIFF, a body for "
         "a crop) or detector (YOLOX). The small networks that are the default train on a CPU.",
         "PATH is a folder of `crowdrec synth`, a COCO person_keypoints JSON (17 or 26 keypoints) "
         "or a single-person npz (SPIN, CLIFF).",
         "Ctrl-C and --time-limit end with a checkpoint; --resume goes on from it with the same "
         "bits as if nothing had happened.",
         weights_text),
     "  best.safetensors   averaged weights of the best validation, for use\n"
     "  last.safetensors   all that --resume needs; also usable as weights\n"
     "  log.jsonl          every step: loss, its terms, gradient norm, rate, times; validations\n"
     "  curves.svg         loss and first metric\n",
     "  crowdrec train pose -o pose --data world --validation world-val --epochs 20\n"
     "  crowdrec train mesh -o mesh --data world:2 --data 3dpw.npz --body body.npz \\\n"
     "      --validation world-val --time-limit 3600\n"},
    {COMMAND_DOCTOR, "doctor", "what this build and machine offer", "[options]",
     TEXTS("Prints processor, kernels, threads, libraries, memory and devices."), NULL, NULL},
};
enum { PAGES = sizeof page / sizeof *page };

static const char exit_status[] =
    "  0    done\n"
    "  1    some photos failed, the others were done\n"
    "  2    wrong usage, or an output folder that cannot be written\n"
    "  3    bad photo, boxes, keypoints or other input, or an output file that\n"
    "       cannot be written\n"
    "  4    weights or body missing, damaged or unsuitable\n"
    "  5    no usable device\n"
    "  6    not enough memory\n"
    "  130  interrupted; what was reached is written\n";

static const Page *find_page(Command command) {
    for (int i = 0; i < PAGES; i++)
        if (page[i].command == command) return &page[i];
    return NULL;
}

const char *help_name(Command command) {
    const Page *p = find_page(command);
    return p ? p->name : NULL;
}

Command help_find(const char *name) {
    for (int i = 0; i < PAGES; i++)
        if (!strcmp(page[i].name, name)) return page[i].command;
    return 0;
}

void help_overview(FILE *out) {
    fputs("crowdrec " CROWDREC_VERSION ": one photo of a crowd -> 3D people in one space\n\n"
          "usage: crowdrec COMMAND ...\n\n",
          out);
    for (int i = 0; i < PAGES; i++) fprintf(out, "  %-15s %s\n", page[i].name, page[i].summary);
    fputs("\n`crowdrec COMMAND --help` tells all about one of them, `crowdrec --version` the "
          "version.\n",
          out);
}

static void section(const char *title, const char *lines, FILE *out) {
    if (lines) fprintf(out, "\n%s\n%s", title, lines);
}

void help_command(Command command, FILE *out) {
    const Page *p = find_page(command);
    fprintf(out, "NAME\n  crowdrec %s - %s\n\nSYNOPSIS\n  crowdrec %s\n", p->name, p->summary,
            p->name);
    options_wrap(6, p->synopsis, out);
    fputs("\nDESCRIPTION\n", out);
    for (const char *const *text = p->description; *text; text++) {
        if (text != p->description) fputc('\n', out);
        options_wrap(2, *text, out);
    }
    fputs("\nOPTIONS\n", out);
    options_print(command, out);
    section("FILES", p->files, out);
    section("EXIT STATUS", exit_status, out);
    section("EXAMPLES", p->example, out);
}
