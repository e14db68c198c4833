/* Net: which networks there are, which one a file holds, and one way to build any of them.
 *
 *     NetSpec spec;
 *     Params *params;
 *     TRY(net_open("pose.pth", backend_find("cpu"), &spec, &params));    // or "rule:NET:SEED"
 *     TRY(net_check_input(&spec, (Shape){8, spec.height, spec.width, 3}));
 *     Graph *g = graph_new();
 *     Scope m = {.graph = g, .params = params};
 *     Tensor *x = graph_input(g, "input", F32, (Shape){8, spec.height, spec.width, 3});
 *     NetOutput y = net_build(&spec, &m, x, NULL);
 *     ... plan_new, plan_run, plan_free; graph_free(g); params_free(params) ...
 *
 * Names are those of the published networks (net_names lists them), state-dict keys are PyTorch's,
 * images are [n,h,w,3].  The variant is read off a checkpoint's names and shapes.  Modules' outputs
 * carry their PyTorch names, a list's outputs "#0", "#1": net_tap finds them.
 */
#ifndef NETS_NET_H
#define NETS_NET_H

#include "autograd/build.h"

typedef enum {
    NET_YOLOX,      /* people and other objects */
    NET_HRNET_POSE, /* heatmaps of joints */
    NET_FASTPOSE,
    NET_CLIFF, /* body parameters */
    NET_HRNET, /* the encoders alone: a feature, 2048 numbers in published sizes */
    NET_RESNET
} NetKind;

/* What the numbers of the input image mean. */
typedef enum {
    NET_BGR_255,      /* B, G, R in 0..255 */
    NET_RGB_IMAGENET, /* R, G, B: (p/255 - mean)/deviation, ImageNet's mean and deviation */
    NET_RGB_ALPHAPOSE /* R, G, B: p/255 - (0.406, 0.457, 0.480) */
} NetColors;

/* The parts of an HRNet that are not given by its finest branch, and CLIFF's head. */
typedef struct {
    int stem, layer1, bottlenecks; /* channels of the first two convolutions; width and number of
                                      the bottlenecks behind them */
    int modules[3], blocks;        /* of stages 2 to 4; basic blocks of a module's branch */
    int increase; /* encoders: width of the first incre_module, doubled from branch to branch */
    int feature;  /* encoders and CLIFF */
    int hidden;   /* CLIFF: fc1 and fc2 */
} NetSize;

typedef struct {
    const char *name; /* of the variant, "yolox_s"; "hrnet_pose", "cliff_hr" or "hrnet" for a size
                         that has no name */
    NetKind kind;
    int channels;   /* YOLOX: of the stem (64 * width); HRNet: of the finest branch; ResNet-50: 0 */
    int blocks;     /* YOLOX: bottlenecks of dark2 (3 * depth) */
    bool depthwise; /* YOLOX nano */
    int classes;    /* YOLOX */
    int joints;     /* HRNet pose, FastPose */
    NetSize size;   /* HRNet; feature and hidden also with ResNet-50 */
    NetColors colors;
    int height, width; /* of the input: the file's metadata "height", "width", else published */
    bool no_dropout;   /* CLIFF: training drops nothing */
    char input[16];    /* the metadata entry "input" of the file identified, "" without one */
} NetSpec;

/* The network's outputs; those that a kind does not have are NULL. */
typedef struct {
    Tensor *raw;     /* YOLOX: [n,a,1,5+classes]; pose: heatmaps [n,h/4,w/4,joints] */
    Tensor *decoded; /* YOLOX: raw in input pixels, scores after the sigmoid */
    Tensor *feature; /* encoders and CLIFF: [n,1,1,size.feature] */
    Tensor *pose6d;  /* CLIFF: [n,1,24,6], op rot6d's layout */
    Tensor *betas;   /* CLIFF: [n,1,1,10] */
    Tensor *cam;     /* CLIFF: [n,1,1,3] = s, tx, ty of the crop camera */
    Tensor *seed;    /* CLIFF with dropout in training: input [1,1,1,2] = seed, step */
} NetOutput;

/* The variant of that name; ERR_USAGE lists the names. */
Status net_spec(const char *name, NetSpec *out);

/* All names with ", " between. */
const char *net_names(void);

/* Reads the variant off names and shapes: kind, depth, width, depthwise, classes, joints, encoder;
 * HRNets may have any size, their channels a multiple of 4.  ERR_MODEL with one line for anything
 * else; whatever it accepts, net_build can build. */
Status net_identify(const ArrayFile *file, NetSpec *out);

/* Whether weights of one fit the other, but for their outputs: classes and joints may differ. */
bool net_same(const NetSpec *a, const NetSpec *b);

/* Whether the network takes an input [n,h,w,3] of this shape; ERR_INPUT if not. */
Status net_check_input(const NetSpec *s, Shape input);

/* Builds the network on x, an input that net_check_input accepts.  bbox_info [n,1,1,3] is CLIFF's
 * place of the crop in the photo, NULL for the other kinds. */
NetOutput net_build(const NetSpec *s, const Scope *m, Tensor *x, Tensor *bbox_info);

/* Declares all parameters of the network in params (before params_alloc). */
void net_declare(const NetSpec *s, Params *params);

/* What the file holds, declared in params; ERR_MODEL unless all of it is there (params_check).
 * Takes no memory that the file alone decides. */
Status net_declare_file(const ArrayFile *file, NetSpec *spec, Params *params);

/* Parameters from a checkpoint, or from the fixtures' rule: "rule:NET:SEED[:GAIN[:MEAN.npz]]" (see
 * rule.h).  Free *params with params_free. */
Status net_open(const char *weights, const Backend *backend, NetSpec *spec, Params **params);

/* The tensor of a module's name; names inside CLIFF's encoder may go without "encoder.".  NULL if
 * there is none. */
Tensor *net_tap(const Graph *g, const char *name);

/* A child scope in place: bottleneck(at(m, "layer1.%d", i), x, 64). */
#define at(m, ...) ((Scope[]){scope(m, __VA_ARGS__)})

#endif
