/* crowdrec: one photo of a crowd -> 3D people in one space.  The library's only public header.
 *
 *     CrowdrecOptions o = {.output = "out", .detector = "bytetrack_x.pth", .pose = "halpe26.pth",
 *                          .mesh = "cliff_hr48.pt", .body = "SMPL_NEUTRAL.pkl"};
 *     const char *photo[] = {"crowd.jpg"};
 *     if (crowdrec_run(photo, 1, &o) != CROWDREC_OK)
 *         fprintf(stderr, "%s\n", crowdrec_error());
 *
 * Link with -lcrowdrec.  Options are zeroed first: zero means the default everywhere.
 *
 * Files: docs/formats.md describes every file that is read or written.  Outputs appear whole or not
 * at all, but for the log.jsonl of a training, which grows line by line.  Weights are a path, or
 * "rule:NET:SEED[:GAIN]" for made-up parameters that every machine makes alike (NET as in
 * crowdrec_forward).
 *
 * Units: pixels of the photo as shown (EXIF orientation applied), x right, y down, pixel centres at
 * whole numbers.  3D is the camera frame, x right, y down, z forward, metres.  Angles are radians.
 *
 * Threads: one call at a time in a process; inside, all cores work.  Results do not depend on their
 * number, but for one thing: gradients of convolutions' weights are summed in an order that does,
 * so refined bodies and trained weights may differ by rounding.  Texts that are handed out live as
 * long as their comment says.
 */
#ifndef CROWDREC_CROWDREC_H
#define CROWDREC_CROWDREC_H

#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CROWDREC_API __attribute__((visibility("default")))

#define CROWDREC_VERSION "0.1.0"

/* What every call returns; the program exits with the same numbers. */
typedef enum {
    CROWDREC_OK = 0,
    CROWDREC_PARTIAL = 1,   /* some photos failed, the others were done */
    CROWDREC_BAD_USAGE = 2, /* options that are wrong or do not go together */
    CROWDREC_BAD_INPUT = 3, /* a photo, or a file of boxes, keypoints, intrinsics */
    CROWDREC_BAD_MODEL = 4, /* weights or body: missing, damaged, unsuitable */
    CROWDREC_NO_DEVICE = 5, /* no usable device */
    CROWDREC_NO_MEMORY = 6,
    CROWDREC_INTERRUPTED = 130 /* what was reached is written */
} CrowdrecStatus;

CROWDREC_API const char *crowdrec_version(void); /* of the library that runs */

/* Why this thread's latest call failed: one line without a newline, "" if none did.  Lives until
 * this thread's next call. */
CROWDREC_API const char *crowdrec_error(void);

/* How much goes to stderr; the default is CROWDREC_LOG_INFO.  Progress bars appear with INFO and
 * more, and only on a terminal. */
typedef enum {
    CROWDREC_LOG_QUIET,
    CROWDREC_LOG_ERROR,
    CROWDREC_LOG_INFO,
    CROWDREC_LOG_DEBUG
} CrowdrecLog;
CROWDREC_API void crowdrec_log(CrowdrecLog level);

/* Worker threads of the calls that the same thread makes from now on, its own OpenMP loops among
 * them; at least 1, the default is one a core. */
CROWDREC_API void crowdrec_threads(int threads);

/* Where the job ends.  Each stage needs the ones before it, or their results from a file. */
typedef enum {
    CROWDREC_REFINE,  /* the whole job: network weights refined under crowd constraints */
    CROWDREC_REGRESS, /* a body for each box */
    CROWDREC_POSE,    /* 2D keypoints for each box */
    CROWDREC_DETECT   /* boxes */
} CrowdrecStage;

enum { CROWDREC_KEYPOINTS = 26, CROWDREC_POSE_SIZE = 72, CROWDREC_BETAS = 10 };

/* CrowdrecPerson.flags */
enum {
    CROWDREC_HAS_KEYPOINTS = 1,
    CROWDREC_HAS_BODY = 2,
    CROWDREC_IS_REFINED = 4,
    CROWDREC_IS_BEHIND_CAMERA = 8 /* the depth of the body's hip is not above 0 */
};

typedef struct {
    int id;       /* of the boxes' or keypoints' file, or the index */
    float box[4]; /* x0, y0, x1, y1 in pixels */
    float score;  /* of the detector or the file */
    unsigned flags;
    float keypoints[CROWDREC_KEYPOINTS][3]; /* Halpe-26: x, y, confidence (0: not estimated) */
    float pose[CROWDREC_POSE_SIZE];         /* SMPL axis-angle, root first */
    float betas[CROWDREC_BETAS];
    float trans[3];                      /* added to SMPL's vertices, camera frame */
    float joints[CROWDREC_KEYPOINTS][3]; /* Halpe-26, camera frame, trans included */
    float ground_distance;               /* of the root to the ground plane, signed */
} CrowdrecPerson;

/* One photo's end.  Everything lives until the callback returns. */
typedef struct {
    const char *path;
    const char *folder; /* where its files are */
    CrowdrecStatus status;
    const char *reason; /* of a failure; else why refinement ended, or NULL without one */
    int width, height;
    double focal, cx, cy; /* camera used, pixels */
    float ground_normal[3], ground_offset;
    int iterations;
    const CrowdrecPerson *person;
    int people, bodies, refined; /* persons, and how many of them have a body, are refined */
} CrowdrecPhoto;

typedef struct {
    CrowdrecStage until;
    const char *output; /* folder, made when absent; required */

    /* Networks that are needed and NULL are those that come with crowdrec: in the folder
     * $CROWDREC_MODELS, else in models/ or share/crowdrec/models/ near this library (near the
     * program where it is linked statically). */
    const char *detector; /* YOLOX weights, for photos without boxes and keypoints */
    const char *pose;     /* FastPose or HRNet weights, for refinement without keypoints */
    const char *mesh;     /* CLIFF weights, from REGRESS on */
    const char *mean;     /* npz with init_pose, init_shape, init_cam for mesh weights by rule */
    const char *body;     /* SMPL-format body; needed with a mesh of your own */
    const char *body_regressor; /* J_regressor_halpe.npy, [26, vertices] */

    const char *boxes;     /* COCO JSON that replaces detection */
    const char *keypoints; /* COCO JSON that replaces detection and 2D pose */

    double conf;                /* least score of a detection, 0: 0.23 */
    double nms;                 /* overlap (IoU) above which the weaker detection goes, 0: 0.7 */
    int agnostic;               /* not 0: boxes of any class suppress each other */
    int detector_size[2];       /* height, width of its input, multiples of 32; 0: the net's own */
    const char *detector_input; /* "bgr255" or "imagenet"; NULL: as the weights say */
    const char *flip; /* "on": 2D pose also looks at the mirrored crop; "off"; NULL: "on" with the
                         pose network that comes with crowdrec, else "off" */

    /* Where in its heatmap a keypoint is, "quarter": at the maximum, moved by a quarter pixel, as
     * FastPose and HRNet have it; "fit": where a Gaussian fits best; NULL: "fit" with the pose
     * network that comes with crowdrec, else "quarter". */
    const char *decode;

    /* What 2D poses tell about people; NULL and 0: what suits the pose network that comes with
     * crowdrec, 0.3, 0.55 and "on", and nothing with another one or with boxes. */
    double pose_nms;  /* similarity (OKS) of 2D poses above which the weaker person goes, negative:
                         nobody does */
    double pose_conf; /* least mean confidence of a person's 2D keypoints, negative: any */
    const char *pose_boxes; /* "on": boxes are made anew of the 2D keypoints; "off" */

    double focal_px, fov;   /* pixels; horizontal degrees; at most one of these three */
    const char *intrinsics; /* JSON, npy or npz with a 3x3 matrix; default: image diagonal */

    const char *recipe; /* "paper", "released" or "models"; NULL: "models" with the mesh network
                           that comes with crowdrec, else "paper" */
    int iterations, max_iterations; /* per group, 0: the recipe's; hard cap, 0: 4 * iterations */
    int group;                      /* people refined together, 0: 50; -1: all */

    /* Of the recipe, 0: as it says (paper and released; models). */
    double rate;         /* learning rate: 1e-5; 1e-4 */
    double crowd_weight; /* of the term that draws the crowd to one ground: 0.001; 0.1 */
    double betas_weight; /* of the term that keeps bodies' shapes: 0.001; 0.03 */
    double pose_weight;  /* of the term that keeps their poses: 5; 2 */

    double time_limit; /* seconds of refinement for each photo, 0: none */
    size_t max_mem;    /* bytes for activations, 0: three quarters of what is free */
    int profile;       /* not 0: the log ends with what refinement's steps cost */
    int meshes;        /* not 0: meshes/person_0000.obj ... are written */

    const char *truth;      /* truth.json: the results are held against it at the end, and eval.json
                               is written */
    const char *truth_body; /* body of the truth; NULL: body.npz beside it, else body */
    FILE *report;           /* where the table of that goes; may be NULL */

    const char *device;    /* "auto" (default), "cpu", "cuda" or "cuda:N" */
    const char *precision; /* on a GPU: "tf32" (default), "fp32" or "bf16" */
    int deterministic;     /* not 0: the same bits in every run on the same device */
    int exact;             /* not 0: the cpu's convolutions as plain sums, no Winograd */
    const char *tune;      /* "on": every convolution in the way that is measured to be the fastest,
                              remembered between runs; "off" (default): by a fixed rule */

    const volatile int
        *interrupted; /* becomes not 0: stop soon, write what is there; may be NULL */
    void (*done)(const CrowdrecPhoto *photo, void *context); /* after each photo; may be NULL */
    void *context;
} CrowdrecOptions;

/* The main job.  A path is a photo, or a folder whose photos are taken in order of name.  Models
 * and the output folder are checked before the first photo.  A photo that fails is reported through
 * done and the log, and the others go on: PARTIAL; when every photo fails, the first one's
 * status. */
CROWDREC_API CrowdrecStatus crowdrec_run(const char *const *paths, int count,
                                         const CrowdrecOptions *options);

/* Results held against the truth (docs/formats.md, eval.json). */
typedef struct {
    const char *predict;        /* predict.json, or a folder that crowdrec_run wrote */
    const char *truth;          /* truth.json, or any file in GigaCrowd's form */
    const char *body;           /* of the results; NULL: the truth's */
    const char *body_regressor; /* as in CrowdrecOptions, for body */
    const char *truth_body;     /* NULL: body.npz beside the truth, else body */
    const char *output;         /* JSON file; may be NULL */
    int per_photo;              /* not 0: the report has a line for each photo as well */
} CrowdrecEval;
CROWDREC_API CrowdrecStatus crowdrec_eval(const CrowdrecEval *options, FILE *report);

/* The whole job at several settings over photos with truth (paper, table 1). */
typedef struct {
    const char *data;      /* folder with truth.json, body.npz and the photos, here or in images/ */
    const int *iterations; /* increasing, 0: not refined; NULL: 0, 80, 200, 260 */
    int iterations_count;
    const double *conf; /* least scores of a detection; NULL: 0.45, 0.24, 0.23 */
    int conf_count;
    int joint;           /* not 0: the last setting once more with each photo as one group */
    CrowdrecOptions run; /* output: folder of the results; until, iterations, conf, truth and report
                            are set here; with boxes or keypoints there is one setting of conf */
} CrowdrecAblation;

/* Writes ablation.json and ablation.md beside a folder for each setting; the table also goes to
 * report, unless NULL. */
CROWDREC_API CrowdrecStatus crowdrec_ablation(const CrowdrecAblation *options, FILE *report);

/* One forward pass of one network, written with any inner values as a reference would print them:
 * npz, f32 (f64 with backend "ref"), NCHW. */
typedef struct {
    const char *net;       /* "yolox_s", "hrnet_pose_w32", "fastpose_res50_halpe26", "cliff_hr48" */
    const char *weights;   /* file; exactly one of weights and rule */
    const char *rule;      /* "SEED[:GAIN]" */
    const char *input;     /* "FILE.npy" [N,C,H,W], or "rule:SEED:N,C,H,W" */
    const char *bbox_info; /* CLIFF: FILE.npy [N,3]; NULL: zeros */
    const char *mean;      /* as in CrowdrecOptions */
    const char *backend;   /* "cpu" (default), "ref" (double precision), "cuda" or "cuda:N" */
    const char *precision, *tune; /* as in CrowdrecOptions */
    const char *const *tap;       /* names of modules */
    int taps;
    const char *output; /* npz file; required */
} CrowdrecForward;

/* Writes arrays "output" (pose nets), "raw" and "decoded" (YOLOX), "feature", "pose6d", "shape" and
 * "cam" (CLIFF), and "tap.NAME" for each tap.  One line an array goes to report, unless NULL. */
CROWDREC_API CrowdrecStatus crowdrec_forward(const CrowdrecForward *options, FILE *report);

/* Says on report what a file is: checkpoint, body, photo, JSON or arrays; with all set, every array
 * and not only the first ones. */
CROWDREC_API CrowdrecStatus crowdrec_inspect(const char *path, int all, FILE *report);

/* Weights of any readable format -> safetensors; a body -> npz.  The kind is read off the content,
 * the texts go into the safetensors header, NULL: unknown. */
typedef struct {
    const char *input;   /* "bgr255", "imagenet" or "alphapose"; NULL: found out */
    const char *licence; /* of the weights */
    const char *recipe;  /* how they were made */
    int input_size[2];   /* height, width that the network is run at; zeros: as before */
    int half;            /* not 0: 16-bit numbers (F16), but for arrays with larger ones */
} CrowdrecConvert;
CROWDREC_API CrowdrecStatus crowdrec_convert(const char *in, const char *out,
                                             const CrowdrecConvert *options, FILE *report);

/* What a network is trained for, and so of which kind it is. */
typedef enum {
    CROWDREC_TRAIN_POSE,    /* HRNet: 26 keypoints of a crop */
    CROWDREC_TRAIN_MESH,    /* CLIFF: the body of a crop */
    CROWDREC_TRAIN_DETECTOR /* YOLOX: the people of a photo */
} CrowdrecTrainTask;

enum { CROWDREC_DATA_SETS = 16 };

/* Training (docs/training.md).  Numbers that are 0 take the task's default, -1 means none where 0
 * is no useful value. */
typedef struct CrowdrecTrain {
    CrowdrecTrainTask task;
    const char *output; /* folder; required.  last.safetensors, best.safetensors, log.jsonl,
                           curves.svg */
    int resume;         /* not 0: goes on from last.safetensors in it */

    const char *data[CROWDREC_DATA_SETS]; /* "PATH[:RATIO]": a folder of `crowdrec synth`, a COCO
                                             JSON, an npz; its people come RATIO times an epoch */
    int sets;
    const char *validation; /* a set like those; NULL: none */
    const char *photos;     /* folder of the sets' photos; NULL: beside the annotations */
    size_t cache;           /* bytes of decoded photos kept for each set, 0: 1 GiB */

    const char *net;     /* variant; NULL: the task's small one */
    const char *weights; /* start from these; NULL: fresh */
    const char
        *backbone;      /* fresh, but what fits of these (an encoder, a pose network); NULL: all */
    const char *freeze; /* weights whose names begin with this do not learn; NULL: all learn */
    int input_size[2];  /* height, width, multiples of 32; 0: the network's own */
    const char *body, *body_regressor; /* MESH: the body, required; as in CrowdrecOptions */
    const char *mean; /* MESH: npz with init_pose, init_shape, init_cam; NULL: the sets' mean */

    int batch, accumulate; /* samples of one pass, passes of one step (0: 1) */
    int steps, epochs;     /* at most one; without both the schedule spans time_limit, if given */
    double time_limit; /* seconds of this run (without steps and epochs of all that --resume goes
                          on from), 0: none; ends with a checkpoint */
    const char *optimizer; /* "adam", "adamw", "sgd" (Nesterov) */
    double rate, min_rate; /* learning rate after warm-up and at the end; -1: falls to 0 */
    double decay, momentum;
    int warmup;   /* steps; -1: none */
    double clip;  /* greatest norm of the gradient; -1: none */
    double ema;   /* decay of the moving average of the weights; -1: none */
    int validate; /* steps between validations and checkpoints, 0: an epoch, at least 100 */
    int overfit;  /* not 0: only this many samples, the same every time */
    int workers;  /* threads that make samples, 0: 2 */
    int seed;

    double rotate, scale, jitter, colour; /* degrees; shares of box, box and brightness; -1: none */
    double armless;                       /* share of the crops around the body without its arms */
    int reach;            /* how often people with reaching arms are drawn, others once; 0: once */
    int no_flip, dropout; /* MESH: dropout in the head when not 0 */
    double emphasis; /* POSE: errors at a joint count up to 1 + this at first; 0: 30, -1: none */
    double loss_weights[5]; /* MESH: of keypoints, pose, betas, joints, vertices; all 0: the paper's
                               5, 5, 5, 1, 0.1 */
    int vertices; /* MESH: vertices in the loss, 0: 128, -1: none; as many as the body has: all */

    const char *device, *precision, *tune; /* as in CrowdrecOptions */
    int deterministic;

    const volatile int *interrupted; /* becomes not 0: writes a checkpoint and returns */
} CrowdrecTrain;

/* INTERRUPTED when it was asked to stop; a time limit that is reached is a normal end. */
CROWDREC_API CrowdrecStatus crowdrec_train(const CrowdrecTrain *options, FILE *report);

/* Writes a made-up human body in SMPL's format, npz, free of SMPL's licence.  vertices: about that
 * many, 2000 to 40000, 0: 6900.  The same bytes on every call.  One line goes to report, unless
 * NULL. */
CROWDREC_API CrowdrecStatus crowdrec_body(const char *path, int vertices, FILE *report);

/* Photos of made-up crowds with exact truth, for training and measuring: docs/formats.md, "synth".
 * The same photos and numbers for the same options, whatever the threads. */
typedef struct {
    const char *output; /* folder, made when absent; required */
    int scenes;         /* photos, at least 1 */
    int people[2];      /* in a photo, fewest and most; zeros: 5 and 40 */
    int width, height;  /* pixels; zeros: 1280 x 720 */
    double tall[2];     /* least and greatest height of a standing person, pixels; zeros: 20, 400
                           or 0.9 of the photo's height */
    double focal;       /* pixels, 0: the image diagonal */
    unsigned long seed; /* which world */
    const char *photos; /* "png" (default) or "jpg" */
    const volatile int *interrupted; /* as in CrowdrecOptions */
} CrowdrecSynth;
CROWDREC_API CrowdrecStatus crowdrec_synth(const CrowdrecSynth *options, FILE *report);

/* What this build and machine offer: processor, threads, libraries, memory, devices. */
CROWDREC_API CrowdrecStatus crowdrec_doctor(FILE *report);

#ifdef __cplusplus
}
#endif

#endif
