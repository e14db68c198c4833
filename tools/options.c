#include "tools/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    FLAG,
    TEXT,
    CHOICE,
    DEVICE,
    INTEGER,
    REAL,
    SIZE,
    PAIR,
    SPAN,
    REACH,
    LIST,
    NUMBERS
} Kind;

typedef struct {
    const char *name;
    char letter; /* of the short form, 0: none */
    Kind kind;
    const char *argument; /* as --help calls it; of a CHOICE its words with | between */
    size_t place;         /* in Arguments */
    double low, high;     /* of a number */
    const char *word;     /* an INTEGER's word for -1 */
    unsigned commands;
    const char *help;
} Option;

#define AT(field) offsetof(Arguments, field)
#define IN_MODELS(name) name ".safetensors in $CROWDREC_MODELS, else in models/."
enum {
    ALL_STAGES = COMMAND_RUN | COMMAND_ABLATION,
    BODIES = ALL_STAGES | COMMAND_REGRESS | COMMAND_REFINE,
    REFINING = ALL_STAGES | COMMAND_REFINE,
    POSES = ALL_STAGES | COMMAND_POSE,
    BOXES = ALL_STAGES | COMMAND_DETECT | COMMAND_POSE | COMMAND_REGRESS,
    PHOTOS = BOXES | COMMAND_REFINE,
    SCORED = PHOTOS & ~COMMAND_ABLATION,
    EVERY = -1
};

static const Option option[] = {
    {"--output", 'o', TEXT, "DIR", AT(run.output), 0, 0, NULL, PHOTOS,
     "Folder for the results, made when absent.  Required."},
    {"--detector", 0, TEXT, "WEIGHTS", AT(run.detector), 0, 0, NULL, BOXES,
     "YOLOX network that finds the people.  Its variant is read off the file.  "
     "Default: " IN_MODELS("detector")},
    {"--pose", 0, TEXT, "WEIGHTS", AT(run.pose), 0, 0, NULL, POSES,
     "FastPose or HRNet network that finds 2D keypoints; the two are told apart by the file.  "
     "Default: " IN_MODELS("pose")},
    {"--mesh", 0, TEXT, "WEIGHTS", AT(run.mesh), 0, 0, NULL, BODIES,
     "CLIFF network that gives each person a body.  Default: " IN_MODELS("mesh")},
    {"--mean", 0, TEXT, "FILE", AT(run.mean), 0, 0, NULL, BODIES,
     "npz with init_pose, init_shape and init_cam, for --mesh weights made by rule."},
    {"--body", 0, TEXT, "FILE", AT(run.body), 0, 0, NULL, BODIES,
     "SMPL-format body model, .pkl or .npz.  Default: the one of `crowdrec body` with the default "
     "mesh network; needed with another one."},
    {"--body-regressor", 0, TEXT, "FILE", AT(run.body_regressor), 0, 0, NULL, BODIES,
     "J_regressor_halpe.npy for --body, 26 rows.  Default: from the body file, or from its "
     "landmarks."},
    {"--boxes", 0, TEXT, "FILE", AT(run.boxes), 0, 0, NULL, BOXES & ~COMMAND_DETECT,
     "COCO JSON with the people's boxes; takes the place of a detector and its options."},
    {"--keypoints", 0, TEXT, "FILE", AT(run.keypoints), 0, 0, NULL, BODIES,
     "COCO JSON with 17 or 26 keypoints a person; takes the place of a detector, a pose network "
     "and their options."},
    {"--conf", 0, REAL, "X", AT(run.conf), 0.001, 1, NULL, BOXES & ~COMMAND_ABLATION,
     "Least score of a detection.  Default: 0.23."},
    {"--nms", 0, REAL, "X", AT(run.nms), 0.01, 1, NULL, BOXES,
     "Overlap (IoU) above which the weaker of two detections is dropped.  Default: 0.7."},
    {"--agnostic", 0, FLAG, NULL, AT(run.agnostic), 0, 0, NULL, BOXES,
     "Boxes of any class suppress each other, not only people's."},
    {"--detector-size", 0, PAIR, "HEIGHTxWIDTH", AT(run.detector_size), 32, 8192, NULL, BOXES,
     "Size of the detector's input, multiples of 32.  Default: the network's own."},
    {"--detector-input", 0, CHOICE, "bgr255|imagenet", AT(run.detector_input), 0, 0, NULL, BOXES,
     "Pixels that the detector expects: 0 to 255 in blue, green, red (current YOLOX), or ImageNet-"
     "normalised red, green, blue (ByteTrack).  Default: as the weights tell."},
    {"--flip", 0, CHOICE, "on|off", AT(run.flip), 0, 0, NULL, POSES,
     "Averages 2D keypoints with those of the mirrored crop, at twice the time.  Default: on with "
     "the default pose network, else off."},
    {"--decode", 0, CHOICE, "quarter|fit", AT(run.decode), 0, 0, NULL, POSES,
     "Where in its heatmap a 2D keypoint lies: at the maximum, moved by a quarter pixel as "
     "FastPose and HRNet do, or where a Gaussian fits best.  Default: fit with the default pose "
     "network, else quarter."},
    {"--pose-nms", 0, REAL, "X|none", AT(run.pose_nms), 0.01, 1, "none", POSES,
     "Similarity (OKS) of 2D keypoints above which the weaker of two people is dropped.  Default: "
     "0.3 with the default pose network, none with another one or with --boxes."},
    {"--pose-conf", 0, REAL, "X|none", AT(run.pose_conf), 0.001, 1, "none", POSES,
     "Least mean confidence of a person's 2D keypoints.  Default: 0.55 with the default pose "
     "network, none with another one or with --boxes."},
    {"--pose-boxes", 0, CHOICE, "on|off", AT(run.pose_boxes), 0, 0, NULL, POSES,
     "Boxes are moved to the 2D keypoints, for what follows and in the results.  Default: on "
     "with the default pose network, off with another one or with --boxes."},
    {"--focal-px", 0, REAL, "F", AT(run.focal_px), 1, 1e7, NULL, PHOTOS,
     "Focal length in pixels of the photo.  Default: its diagonal."},
    {"--fov", 0, REAL, "DEGREES", AT(run.fov), 1, 179, NULL, PHOTOS,
     "Horizontal field of view, instead of --focal-px."},
    {"--intrinsics", 0, TEXT, "FILE", AT(run.intrinsics), 0, 0, NULL, PHOTOS,
     "3x3 camera matrix as JSON, npy or npz, instead of --focal-px."},
    {"--recipe", 0, CHOICE, "paper|released|models", AT(run.recipe), 0, 0, NULL, REFINING,
     "Loss and schedule: the paper's equations 7 to 11, the released code's, or the paper's with "
     "the rate and weights that the small default networks ask for and a ground found from where "
     "people are, not how they lean.  Default: models with the default mesh network, else paper."},
    {"--iterations", 0, INTEGER, "N", AT(run.iterations), 1, 1e6, NULL,
     REFINING & ~COMMAND_ABLATION, "Refinement steps for each group.  Default: the recipe's, 260."},
    {"--max-iterations", 0, INTEGER, "N", AT(run.max_iterations), 1, 1e6, NULL,
     REFINING & ~COMMAND_ABLATION,
     "Hard cap on a group's steps while it has not converged.  Default: 4 times --iterations."},
    {"--group", 0, INTEGER, "N|all", AT(run.group), 1, 1e6, "all", REFINING,
     "People refined together; `all` takes the whole photo as one crowd.  Default: 50."},
    {"--rate", 0, REAL, "X", AT(run.rate), 1e-12, 1, NULL, REFINING,
     "Learning rate of the refinement.  Default: 1e-5; recipe models: 1e-4."},
    {"--crowd-weight", 0, REAL, "X", AT(run.crowd_weight), 1e-12, 1e6, NULL, REFINING,
     "How much the loss counts that the people stand on one ground (lambda 5).  Default: 0.001; "
     "recipe models: 0.1."},
    {"--betas-weight", 0, REAL, "X", AT(run.betas_weight), 1e-12, 1e6, NULL, REFINING,
     "How much the loss counts that bodies keep their first shapes (lambda 7).  Default: 0.001; "
     "recipe models: 0.03."},
    {"--pose-weight", 0, REAL, "X", AT(run.pose_weight), 1e-12, 1e6, NULL, REFINING,
     "How much the loss counts that they keep their first poses (lambda 8).  Default: 5; recipe "
     "models: 2."},
    {"--max-mem", 0, SIZE, "SIZE", AT(run.max_mem), 0x1p20, 0x1p50, NULL, REFINING,
     "Memory for activations, such as 800M or 6G; less means more and smaller passes with the "
     "same result.  It bounds what is kept for gradients; passes without them, of 8 people, come "
     "on top.  Default: three quarters of what is free."},
    {"--time-limit", 0, REAL, "SECONDS", AT(run.time_limit), 0.001, 1e9, NULL, REFINING,
     "Ends each photo's refinement after this time; what was reached is written."},
    {"--profile", 0, FLAG, NULL, AT(run.profile), 0, 0, NULL, REFINING,
     "Ends the log with what refinement spent its time on: seconds, share, GFLOP/s and share of "
     "the machine's peak of every kind of step.  Costs a GPU some speed."},
    {"--no-refine", 0, FLAG, NULL, AT(no_refine), 0, 0, NULL, COMMAND_RUN,
     "Ends after the bodies' first estimate."},
    {"--meshes", 0, FLAG, NULL, AT(run.meshes), 0, 0, NULL, BODIES,
     "Also writes meshes/person_0000.obj and so on."},
    {"--truth", 0, TEXT, "FILE", AT(run.truth), 0, 0, NULL, SCORED,
     "truth.json of the photos: the results are held against it at the end, before and after "
     "refinement, and eval.json is written."},
    {"--truth-body", 0, TEXT, "FILE", AT(run.truth_body), 0, 0, NULL, SCORED,
     "Body that the truth is told in.  Default: body.npz beside it, else --body."},
    {"--iterations", 0, NUMBERS, "N,N...", AT(iterations), 0, 1e6, "whole", COMMAND_ABLATION,
     "Refinement steps for each group, in increasing order; 0: the bodies' first estimate.  "
     "Default: 0,80,200,260."},
    {"--conf", 0, NUMBERS, "X,X...", AT(confs), 0.001, 1, NULL, COMMAND_ABLATION,
     "Least scores of a detection.  Default: 0.45,0.24,0.23."},
    {"--joint", 0, FLAG, NULL, AT(joint), 0, 0, NULL, COMMAND_ABLATION,
     "Adds the last setting with everybody of a photo as one group."},

    {"--device", 0, DEVICE, "auto|cpu|cuda[:N]", AT(run.device), 0, 0, NULL, PHOTOS,
     "Where the networks run; N counts GPUs from 0.  `auto` takes cuda:0 if it can be used and "
     "says why if not.  Default: auto."},
    {"--precision", 0, CHOICE, "fp32|tf32|bf16", AT(run.precision), 0, 0, NULL, PHOTOS,
     "How a GPU multiplies in convolutions; sums, losses and weights are always fp32.  Default: "
     "tf32."},
    {"--deterministic", 0, FLAG, NULL, AT(run.deterministic), 0, 0, NULL, PHOTOS,
     "The same bits in every run on the same GPU, at some cost; the cpu's always are."},
    {"--exact", 0, FLAG, NULL, AT(run.exact), 0, 0, NULL, PHOTOS,
     "The cpu's convolutions as plain sums: slower, without the errors of some 1e-6 of Winograd's "
     "form."},
    {"--tune", 0, CHOICE, "on|off", AT(run.tune), 0, 0, NULL, PHOTOS,
     "on: the way that is the fastest for each convolution's shape is measured and remembered in "
     "~/.cache/crowdrec ($XDG_CACHE_HOME); results then differ by some 1e-6 between machines and "
     "numbers of threads.  off: by a fixed rule.  --exact goes before it.  Default: off."},

    {"--weights", 0, TEXT, "WEIGHTS", AT(forward.weights), 0, 0, NULL, COMMAND_FORWARD,
     "Checkpoint with the network's parameters."},
    {"--rule", 0, TEXT, "SEED[:GAIN]", AT(forward.rule), 0, 0, NULL, COMMAND_FORWARD,
     "Made-up parameters instead of --weights.  GAIN scales the convolutions, default 0.6."},
    {"--input", 0, TEXT, "FILE.npy|rule:SEED:N,C,H,W", AT(forward.input), 0, 0, NULL,
     COMMAND_FORWARD,
     "The network's input, N,C,H,W, or the rule's numbers in [-1, 1) for the key `input`."},
    {"--bbox-info", 0, TEXT, "FILE.npy", AT(forward.bbox_info), 0, 0, NULL, COMMAND_FORWARD,
     "CLIFF's second input, N,3: where the crop lies in the photo.  Default: zeros."},
    {"--mean", 0, TEXT, "FILE", AT(forward.mean), 0, 0, NULL, COMMAND_FORWARD,
     "npz with CLIFF's init_pose, init_shape and init_cam."},
    {"--tap", 0, LIST, "NAME", AT(forward.taps), 0, 0, NULL, COMMAND_FORWARD,
     "Also writes the output of this module, by its state-dict path; `#0`, `#1` number the outputs "
     "of a module that gives a list.  May be given many times."},
    {"--backend", 0, DEVICE, "cpu|ref|cuda[:N]", AT(forward.backend), 0, 0, NULL, COMMAND_FORWARD,
     "`cpu` computes in single precision (default), `ref` slowly in double, `cuda` on GPU N."},
    {"--precision", 0, CHOICE, "fp32|tf32|bf16", AT(forward.precision), 0, 0, NULL, COMMAND_FORWARD,
     "How a GPU multiplies.  Default: tf32."},
    {"--tune", 0, CHOICE, "on|off", AT(forward.tune), 0, 0, NULL, COMMAND_FORWARD,
     "Takes the measured fastest way of each convolution, as in `run`.  Default: off."},
    {"--output", 'o', TEXT, "FILE.npz", AT(forward.output), 0, 0, NULL, COMMAND_FORWARD,
     "Where the arrays go.  Required."},

    {"--input", 0, CHOICE, "bgr255|imagenet|alphapose", AT(convert.input), 0, 0, NULL,
     COMMAND_CONVERT,
     "What the network's input means, for the file's header.  Default: found out."},
    {"--licence", 0, TEXT, "TEXT", AT(convert.licence), 0, 0, NULL, COMMAND_CONVERT,
     "Licence of the weights, for the file's header."},
    {"--recipe", 0, TEXT, "TEXT", AT(convert.recipe), 0, 0, NULL, COMMAND_CONVERT,
     "How the weights were made, for the file's header."},
    {"--input-size", 0, PAIR, "HEIGHTxWIDTH", AT(convert.input_size), 32, 8192, NULL,
     COMMAND_CONVERT,
     "Size at which the network is run unless told otherwise, multiples of 32, for the file's "
     "header.  Default: as before."},
    {"--half", 0, FLAG, NULL, AT(convert.half), 0, 0, NULL, COMMAND_CONVERT,
     "Writes 16-bit numbers, half the size; arrays with numbers beyond 65504 stay as they are."},
    {"--all", 0, FLAG, NULL, AT(all), 0, 0, NULL, COMMAND_INSPECT,
     "Lists every array, not only the first ones."},

    {"--output", 'o', TEXT, "FILE.json", AT(eval.output), 0, 0, NULL, COMMAND_EVAL,
     "File for the numbers as JSON, none of those that are read."},
    {"--body", 0, TEXT, "FILE", AT(eval.body), 0, 0, NULL, COMMAND_EVAL,
     "Body of the results.  Default: the truth's."},
    {"--body-regressor", 0, TEXT, "FILE", AT(eval.body_regressor), 0, 0, NULL, COMMAND_EVAL,
     "J_regressor_halpe.npy for --body.  Default: from the body file, or from its landmarks."},
    {"--truth-body", 0, TEXT, "FILE", AT(eval.truth_body), 0, 0, NULL, COMMAND_EVAL,
     "Body that the truth is told in.  Default: body.npz beside it, else --body."},
    {"--per-photo", 0, FLAG, NULL, AT(eval.per_photo), 0, 0, NULL, COMMAND_EVAL,
     "Prints a line for each photo as well."},
    {"--output", 'o', TEXT, "DIR", AT(train.output), 0, 0, NULL, COMMAND_TRAIN,
     "Folder for checkpoints, log and curves, made when absent.  Required."},
    {"--resume", 0, FLAG, NULL, AT(train.resume), 0, 0, NULL, COMMAND_TRAIN,
     "Goes on from last.safetensors in DIR."},
    {"--data", 0, LIST, "PATH[:RATIO]", AT(train.sets), 0, 0, NULL, COMMAND_TRAIN,
     "What to train on: a folder of `crowdrec synth`, a COCO JSON or an npz; its people come RATIO "
     "times an epoch (default 1).  May be given up to 16 times."},
    {"--validation", 0, TEXT, "PATH", AT(train.validation), 0, 0, NULL, COMMAND_TRAIN,
     "A set like those on which the network is measured.  Default: none."},
    {"--photos", 0, TEXT, "FOLDER", AT(train.photos), 0, 0, NULL, COMMAND_TRAIN,
     "Where the photos of the sets are.  Default: beside the annotations, or in images/ there."},
    {"--cache", 0, SIZE, "SIZE", AT(train.cache), 0x1p20, 0x1p50, NULL, COMMAND_TRAIN,
     "Memory for decoded photos, for each set.  Default: 1G."},
    {"--net", 0, TEXT, "NET", AT(train.net), 0, 0, NULL, COMMAND_TRAIN,
     "Variant to train; an unknown name lists them.  Default: the small one of the task."},
    {"--weights", 0, TEXT, "WEIGHTS", AT(train.weights), 0, 0, NULL, COMMAND_TRAIN,
     "Starts from these instead of fresh numbers."},
    {"--backbone", 0, TEXT, "WEIGHTS", AT(train.backbone), 0, 0, NULL, COMMAND_TRAIN,
     "Fresh numbers but for what has the same name and shape in these: an encoder, or a pose "
     "network for a mesh network to begin with."},
    {"--freeze", 0, TEXT, "PREFIX", AT(train.freeze), 0, 0, NULL, COMMAND_TRAIN,
     "Weights whose names begin so stay as they are (the running statistics of norms do not)."},
    {"--input-size", 0, PAIR, "HEIGHTxWIDTH", AT(train.input_size), 32, 8192, NULL, COMMAND_TRAIN,
     "Size of the network's input, multiples of 32.  Default: the network's own."},
    {"--body", 0, TEXT, "FILE", AT(train.body), 0, 0, NULL, COMMAND_TRAIN,
     "mesh: SMPL-format body model.  Required there."},
    {"--body-regressor", 0, TEXT, "FILE", AT(train.body_regressor), 0, 0, NULL, COMMAND_TRAIN,
     "mesh: J_regressor_halpe.npy, 26 rows."},
    {"--mean", 0, TEXT, "FILE", AT(train.mean), 0, 0, NULL, COMMAND_TRAIN,
     "mesh: npz with init_pose, init_shape and init_cam.  Default: the mean over the sets."},
    {"--batch", 0, INTEGER, "N", AT(train.batch), 1, 4096, NULL, COMMAND_TRAIN,
     "Samples of one pass.  Default: 32, detector 8."},
    {"--accumulate", 0, INTEGER, "N", AT(train.accumulate), 1, 65536, NULL, COMMAND_TRAIN,
     "Passes whose gradients make one step.  Default: 1."},
    {"--steps", 0, INTEGER, "N", AT(train.steps), 1, 1e9, NULL, COMMAND_TRAIN,
     "Length of the training in steps."},
    {"--epochs", 0, INTEGER, "N", AT(train.epochs), 1, 1e6, NULL, COMMAND_TRAIN,
     "Length in epochs.  Default: mesh 105, pose 210, detector 300; the time limit alone, if that "
     "is given."},
    {"--time-limit", 0, REAL, "SECONDS", AT(train.time_limit), 0.001, 1e9, NULL, COMMAND_TRAIN,
     "Ends this run after this time with a checkpoint.  Without --steps and --epochs the schedule "
     "spans it, and the time of runs before a --resume counts."},
    {"--optimizer", 0, CHOICE, "adam|adamw|sgd", AT(train.optimizer), 0, 0, NULL, COMMAND_TRAIN,
     "sgd has Nesterov's momentum.  Default: adam, detector sgd."},
    {"--rate", 0, REAL, "X", AT(train.rate), 1e-12, 10, NULL, COMMAND_TRAIN,
     "Learning rate after warm-up; it falls along half a cosine.  Default: mesh 1e-4, pose 1e-3, "
     "detector 0.00125."},
    {"--min-rate", 0, REAL, "X|none", AT(train.min_rate), 1e-12, 10, "none", COMMAND_TRAIN,
     "Learning rate at the end.  Default: mesh 0.1, pose 0.01, detector 0.05 of --rate."},
    {"--decay", 0, REAL, "X|none", AT(train.decay), 1e-12, 10, "none", COMMAND_TRAIN,
     "Weight decay.  Default: none, detector 5e-4."},
    {"--momentum", 0, REAL, "X|none", AT(train.momentum), 1e-6, 0.9999, "none", COMMAND_TRAIN,
     "Of sgd.  Default: 0.9."},
    {"--warmup", 0, INTEGER, "N|none", AT(train.warmup), 1, 1e9, "none", COMMAND_TRAIN,
     "Steps over which the rate rises.  Default: 100, detector 500."},
    {"--clip", 0, REAL, "X|none", AT(train.clip), 1e-9, 1e9, "none", COMMAND_TRAIN,
     "Greatest norm of the gradient; longer ones are shortened to it.  Default: mesh 1, else "
     "none."},
    {"--ema", 0, REAL, "X|none", AT(train.ema), 0.01, 0.999999, "none", COMMAND_TRAIN,
     "Decay of the moving average of the weights that is validated and written.  Default: 0.9998."},
    {"--validate", 0, INTEGER, "STEPS", AT(train.validate), 1, 1e9, NULL, COMMAND_TRAIN,
     "Steps between validations and checkpoints.  Default: an epoch, at least 100."},
    {"--overfit", 0, INTEGER, "N", AT(train.overfit), 1, 1e6, NULL, COMMAND_TRAIN,
     "Trains on N samples again and again, to see whether the loss can vanish."},
    {"--workers", 0, INTEGER, "N", AT(train.workers), 1, 256, NULL, COMMAND_TRAIN,
     "Threads that make samples; the samples do not depend on it.  Default: 2."},
    {"--seed", 0, INTEGER, "N", AT(train.seed), 0, 1e6, NULL, COMMAND_TRAIN,
     "Of samples, their order and fresh weights.  Default: 0."},
    {"--rotate", 0, REAL, "DEGREES|none", AT(train.rotate), 0.001, 90, "none", COMMAND_TRAIN,
     "pose, mesh: deviation of the angle by which 60 % of the samples are turned.  Default: 30."},
    {"--scale", 0, REAL, "X|none", AT(train.scale), 1e-4, 0.9, "none", COMMAND_TRAIN,
     "pose, mesh: crops are up to this share larger or smaller.  Default: 0.25."},
    {"--jitter", 0, REAL, "X|none", AT(train.jitter), 1e-4, 0.5, "none", COMMAND_TRAIN,
     "pose, mesh: crops are shifted by up to this share.  Default: 0.05."},
    {"--armless", 0, REAL, "X", AT(train.armless), 0, 1, NULL, COMMAND_TRAIN,
     "pose, mesh: this share of the crops is around the body without its arms, like the boxes of "
     "detectors that overlook a stretched arm.  Default: 0."},
    {"--reach", 0, INTEGER, "N", AT(train.reach), 1, 100, NULL, COMMAND_TRAIN,
     "pose, mesh: people whose arms alone make more than 30 % of their box are drawn N times as "
     "often as others.  Default: 1."},
    {"--colour", 0, REAL, "X|none", AT(train.colour), 1e-4, 0.9, "none", COMMAND_TRAIN,
     "pose, mesh: channels are up to this share brighter or darker.  Default: 0.2.  "
     "detector: `none` keeps the photos' colours, which otherwise move by YOLOX's rule."},
    {"--no-flip", 0, FLAG, NULL, AT(train.no_flip), 0, 0, NULL, COMMAND_TRAIN,
     "No sample is mirrored."},
    {"--dropout", 0, FLAG, NULL, AT(train.dropout), 0, 0, NULL, COMMAND_TRAIN,
     "mesh: dropout (0.5) in the head."},
    {"--emphasis", 0, REAL, "X|none", AT(train.emphasis), 1e-4, 1e4, "none", COMMAND_TRAIN,
     "pose: at first errors at a joint's place count up to 1 + X times as much as elsewhere, at "
     "the end no more than they.  Default: 30."},
    {"--loss-weights", 0, NUMBERS, "K,P,B,J,V", AT(loss_weights), 0, 1e6, NULL, COMMAND_TRAIN,
     "mesh: what keypoints, pose, betas, joints and vertices count.  Default: the paper's "
     "5,5,5,1,0.1."},
    {"--verts", 0, INTEGER, "N|none", AT(train.vertices), 1, 1e6, "none", COMMAND_TRAIN,
     "mesh: vertices compared in the loss.  Default: 128."},
    {"--device", 0, DEVICE, "auto|cpu|cuda[:N]", AT(train.device), 0, 0, NULL, COMMAND_TRAIN,
     "Where the network is trained.  Default: auto."},
    {"--precision", 0, CHOICE, "fp32|tf32|bf16", AT(train.precision), 0, 0, NULL, COMMAND_TRAIN,
     "How a GPU multiplies.  Default: tf32."},
    {"--deterministic", 0, FLAG, NULL, AT(train.deterministic), 0, 0, NULL, COMMAND_TRAIN,
     "The same bits in every run on the same GPU, at some cost."},
    {"--tune", 0, CHOICE, "on|off", AT(train.tune), 0, 0, NULL, COMMAND_TRAIN,
     "Takes the measured fastest way of each convolution, as in `run`.  Default: off."},

    {"--output", 'o', TEXT, "FILE.npz", AT(body), 0, 0, NULL, COMMAND_BODY,
     "Where the body goes.  Required."},
    {"--vertices", 0, INTEGER, "N", AT(vertices), 2000, 40000, NULL, COMMAND_BODY,
     "About how many vertices the body gets.  Default: 6900."},

    {"--output", 'o', TEXT, "DIR", AT(synth.output), 0, 0, NULL, COMMAND_SYNTH,
     "Folder for photos and truth, made when absent.  Required."},
    {"--scenes", 0, INTEGER, "N", AT(synth.scenes), 1, 1e6, NULL, COMMAND_SYNTH,
     "Number of photos.  Default: 100."},
    {"--people", 0, SPAN, "A..B", AT(synth.people), 0, 4000, NULL, COMMAND_SYNTH,
     "People in a photo, fewest and most, as far as there is room.  Default: 5..40."},
    {"--size", 0, SPAN, "WIDTHxHEIGHT", AT(synth.width), 64, 32768, NULL, COMMAND_SYNTH,
     "Size of the photos in pixels.  Default: 1280x720."},
    {"--tall", 0, REACH, "A..B", AT(synth.tall), 4, 32768, NULL, COMMAND_SYNTH,
     "Height of standing people in pixels, least and greatest.  Default: 20..400, but at most "
     "0.9 of the photo's."},
    {"--focal", 0, REAL, "F", AT(synth.focal), 16, 1e7, NULL, COMMAND_SYNTH,
     "Focal length in pixels.  Default: the image diagonal, which the other commands assume too."},
    {"--seed", 0, INTEGER, "S", AT(seed), 0, 2147483647, NULL, COMMAND_SYNTH,
     "Which world; the same seed and options give the same bytes.  Default: 0."},
    {"--photos", 0, CHOICE, "png|jpg", AT(synth.photos), 0, 0, NULL, COMMAND_SYNTH,
     "Format of the photos.  jpg has quality 93 and takes a tenth of the room.  Default: png."},

    {"--threads", 0, INTEGER, "N", AT(threads), 1, 4096, NULL, (unsigned)EVERY,
     "Worker threads.  Gradients of weights are summed in an order that depends on their number: "
     "refined bodies and trained weights may differ by rounding, nothing else.  Default: one a "
     "core."},
    {"--quiet", 0, FLAG, NULL, AT(quiet), 0, 0, NULL, (unsigned)EVERY, "Only errors on stderr."},
    {"--verbose", 0, FLAG, NULL, AT(verbose), 0, 0, NULL, (unsigned)EVERY,
     "More detail on stderr."},
    {"--help", 'h', FLAG, NULL, AT(help), 0, 0, NULL, (unsigned)EVERY, "Prints this page."},
};
enum { OPTIONS = sizeof option / sizeof *option };

bool options_complain(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("crowdrec: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

/* ---- values ---- */

static bool is_word(const char *words, const char *text) {
    size_t length = strlen(text);
    for (const char *at = words; length; at = strchr(at, '|') + 1) {
        if (!strncmp(at, text, length) && (!at[length] || at[length] == '|')) return true;
        if (!strchr(at, '|')) break;
    }
    return false;
}

/* The word itself must live on: the text in argv does. */
static bool set_choice(const Option *o, const char *text, Arguments *a) {
    if (!is_word(o->argument, text))
        return options_complain("%s: '%s' is not one of %s", o->name, text, o->argument);
    *(const char **)((char *)a + o->place) = text;
    return true;
}

/* One of the words, or cuda:N where they offer it. */
static bool set_device(const Option *o, const char *text, Arguments *a) {
    size_t digits = strncmp(text, "cuda:", 5) ? 0 : strspn(text + 5, "0123456789");
    bool number = digits && digits <= 3 && !text[5 + digits];
    if (!number && (!is_word(o->argument, text) || strchr(text, '[')) && strcmp(text, "cuda"))
        return options_complain("%s: '%s' is not one of %s", o->name, text, o->argument);
    *(const char **)((char *)a + o->place) = text;
    return true;
}

static bool set_text(const Option *o, const char *text, Arguments *a) {
    if (!*text) return options_complain("%s: empty, expected %s", o->name, o->argument);
    *(const char **)((char *)a + o->place) = text;
    return true;
}

/* 1 for no unit, 0 for an unknown one. */
static double unit(const char *text) {
    static const char letters[] = "KMGT";
    if (!*text) return 1;
    const char *at = strchr(letters, *text >= 'a' ? *text - 'a' + 'A' : *text);
    if (!at) return 0;
    text += text[1] == 'i' ? 2 : 1;
    if (*text && strcmp(text, "B")) return 0;
    return ldexp(1, 10 * (int)(at - letters + 1));
}

/* Whether the text is a number of the option's kind and range. */
static bool parse_number(const Option *o, const char *text, double *out) {
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno || isspace((unsigned char)*text)) return false;
    if (o->kind == SIZE)
        value *= unit(end);
    else if (*end)
        return false;
    if (o->kind == INTEGER && value != floor(value)) return false;
    *out = value;
    return value >= o->low && value <= o->high;
}

static bool set_number(const Option *o, const char *text, Arguments *a) {
    void *place = (char *)a + o->place;
    double value = -1;
    bool word = o->word && !strcmp(text, o->word);
    if (!word && !parse_number(o, text, &value)) {
        if (o->kind == SIZE)
            return options_complain("%s: '%s' is no size, expected 1M to 1024T such as 6G", o->name,
                                    text);
        return options_complain("%s: '%s' is no %s from %.9g to %.9g%s%s", o->name, text,
                                o->kind == INTEGER ? "whole number" : "number", o->low, o->high,
                                o->word ? " or " : "", o->word ? o->word : "");
    }
    if (o->kind == INTEGER)
        *(int *)place = (int)value;
    else if (o->kind == SIZE)
        *(size_t *)place = (size_t)value;
    else
        *(double *)place = value;
    return true;
}

/* HEIGHTxWIDTH, multiples of the lower limit. */
static bool set_pair(const Option *o, const char *text, Arguments *a) {
    int *pair = (int *)((char *)a + o->place), step = (int)o->low, end = 0;
    bool good = sscanf(text, "%5dx%5d%n", &pair[0], &pair[1], &end) == 2 && !text[end];
    for (int i = 0; good && i < 2; i++)
        good = pair[i] >= step && pair[i] <= (int)o->high && pair[i] % step == 0;
    return good || options_complain("%s: '%s' is no %s, expected multiples of %d up to %d", o->name,
                                    text, o->argument, step, (int)o->high);
}

/* A..B or AxB: two whole numbers within the limits, of a range the smaller one first. */
static bool parse_span(const Option *o, const char *text, int pair[2]) {
    bool range = strstr(o->argument, "..") != NULL;
    int end = 0;
    if (sscanf(text, range ? "%6d..%6d%n" : "%6dx%6d%n", &pair[0], &pair[1], &end) != 2 ||
        text[end])
        return options_complain("%s: '%s' is no %s", o->name, text, o->argument);
    for (int i = 0; i < 2; i++)
        if (pair[i] < o->low || pair[i] > o->high)
            return options_complain("%s: '%s' has a number outside %.9g to %.9g", o->name, text,
                                    o->low, o->high);
    if (range && pair[1] < pair[0])
        return options_complain("%s: '%s' ends before it begins", o->name, text);
    if (!pair[1]) return options_complain("%s: '%s' is nobody", o->name, text);
    return true;
}

static bool set_span(const Option *o, const char *text, Arguments *a) {
    int pair[2];
    void *place = (char *)a + o->place;
    if (!parse_span(o, text, pair)) return false;
    for (int i = 0; i < 2; i++)
        if (o->kind == SPAN)
            ((int *)place)[i] = pair[i];
        else
            ((double *)place)[i] = pair[i];
    return true;
}

static bool add_set(const Option *o, const char *text, Arguments *a) {
    if (a->train.sets == CROWDREC_DATA_SETS)
        return options_complain("%s: more than %d", o->name, CROWDREC_DATA_SETS);
    a->train.data[a->train.sets++] = text;
    return true;
}

/* A list is told by where its count is. */
static bool add_text(const Option *o, const char *text, Arguments *a) {
    if (!*text) return options_complain("%s: empty, expected %s", o->name, o->argument);
    if (o->place == AT(train.sets)) return add_set(o, text, a);
    if (a->forward.taps == OPTIONS_TAPS)
        return options_complain("%s: more than %d", o->name, OPTIONS_TAPS);
    a->tap[a->forward.taps++] = text;
    return true;
}

/* word "whole": no fractions. */
static bool set_numbers(const Option *o, const char *text, Arguments *a) {
    Numbers *out = (Numbers *)((char *)a + o->place);
    Option one = *o;
    one.kind = o->word ? INTEGER : REAL;
    for (const char *at = text;; at++) {
        char item[64];
        int length = (int)strcspn(at, ",");
        if (out->count == OPTIONS_NUMBERS)
            return options_complain("%s: more than %d", o->name, OPTIONS_NUMBERS);
        snprintf(item, sizeof item, "%.*s", length, at);
        if (length >= (int)sizeof item || !parse_number(&one, item, &out->value[out->count++]))
            return options_complain("%s: '%s' is no list of %s from %.9g to %.9g", o->name, text,
                                    o->word ? "whole numbers" : "numbers", o->low, o->high);
        at += length;
        if (!*at) return true;
    }
}

static bool set(const Option *o, const char *text, Arguments *a) {
    switch (o->kind) {
    case FLAG: *(int *)((char *)a + o->place) = 1; return true;
    case TEXT: return set_text(o, text, a);
    case CHOICE: return set_choice(o, text, a);
    case DEVICE: return set_device(o, text, a);
    case PAIR: return set_pair(o, text, a);
    case SPAN:
    case REACH: return set_span(o, text, a);
    case NUMBERS: return set_numbers(o, text, a);
    case LIST: return add_text(o, text, a);
    default: return set_number(o, text, a);
    }
}

/* ---- words ---- */

/* Whether a word names the option; *value is set behind an equals sign. */
static bool names(const Option *o, const char *word, const char **value) {
    *value = NULL;
    const char letter[] = {'-', o->letter, 0},
               *name = o->letter && word[1] != '-' ? letter : o->name;
    size_t length = strlen(name);
    if (strncmp(word, name, length)) return false;
    if (word[length] == '=') *value = word + length + 1;
    return !word[length] || *value;
}

static const Option *find(Command command, const char *word, const char **value) {
    bool elsewhere = false;
    for (int i = 0; i < OPTIONS; i++) {
        if (!names(&option[i], word, value)) continue;
        if (option[i].commands & command) return &option[i];
        elsewhere = true;
    }
    int length = (int)strcspn(word, "=");
    options_complain(elsewhere ? "%.*s does not go with this command; --help lists what does"
                               : "unknown option %.*s; --help lists the options",
                     length, word);
    return NULL;
}

/* Handles argv[*i], a word that begins with '-', and steps over its value. */
static bool take_option(Command command, int argc, char **argv, int *i, bool *seen, Arguments *a) {
    const char *value, *word = argv[*i];
    const Option *o = find(command, word, &value);
    if (!o) return false;
    if (o->kind == FLAG && value) return options_complain("%s takes no value", o->name);
    if (o->kind != LIST && seen[o - option]) return options_complain("%s is given twice", o->name);
    seen[o - option] = true;
    if (o->kind != FLAG && !value) {
        if (*i + 1 >= argc)
            return options_complain("%s: nothing follows, expected %s", o->name, o->argument);
        value = argv[++*i];
    }
    return set(o, value, a);
}

bool options_parse(Command command, int argc, char **argv, Arguments *out) {
    bool seen[OPTIONS] = {false}, flags = true;
    *out = (Arguments){.operand = calloc((size_t)argc + 1, sizeof(char *))};
    if (!out->operand) return options_complain("out of memory");
    bool good = true;
    for (int i = 0; good && i < argc; i++) {
        if (flags && !strcmp(argv[i], "--"))
            flags = false;
        else if (flags && argv[i][0] == '-' && argv[i][1])
            good = take_option(command, argc, argv, &i, seen, out);
        else
            out->operand[out->operands++] = argv[i];
    }
    if (good && out->quiet && out->verbose)
        good = options_complain("--quiet and --verbose exclude each other");
    out->forward.tap = out->tap;
    if (!good) options_free(out);
    return good;
}

void options_free(Arguments *arguments) {
    free(arguments->operand);
    arguments->operand = NULL;
}

/* ---- help ---- */

void options_wrap(int indent, const char *text, FILE *out) {
    enum { COLUMNS = 80 };
    int column = 0;
    for (;;) {
        text += strspn(text, " ");
        int length = (int)strcspn(text, " ");
        if (!length) break;
        if (column && column + 1 + length > COLUMNS) column = 0, fputc('\n', out);
        column += fprintf(out, "%*s%.*s", column ? 1 : indent, "", length, text);
        text += length;
    }
    fputc('\n', out);
}

void options_print(Command command, FILE *out) {
    for (int i = 0; i < OPTIONS; i++) {
        const Option *o = &option[i];
        if (!(o->commands & command)) continue;
        fputs("  ", out);
        if (o->letter) fprintf(out, "-%c, ", o->letter);
        fprintf(out, "%s%s%s\n", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        options_wrap(8, o->help, out);
    }
}
