/* Attributes, inputs and outputs of every op.  Zero in an attribute means the default.
 * [..] gives shapes in n,h,w,c; "or absent" marks an input that may be missing. */
#ifndef KERNELS_ATTR_H
#define KERNELS_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char unused;
} NoAttr;

typedef enum { ACT_NONE, ACT_RELU, ACT_SILU, ACT_LEAKY } Act;

/* conv: y = act(x * w + b + r).
 * x [n,h,w,ci], w [co,kh,kw,ci/groups], b [1,1,1,co] or absent, r [n,ho,wo,co] or absent -> y
 * [n,ho,wo,co]. ho = (h + 2*pad - dilation*(kh-1) - 1)/stride + 1.  A 1x1 conv on [n,1,1,c] is a
 * linear layer; groups = ci = co is a depthwise conv.  ACT_LEAKY multiplies negative values by
 * slope. Backward of ACT_SILU computes the value before the activation again. */
typedef struct {
    int stride, pad, dilation, groups; /* 0: stride 1, dilation 1, groups 1 */
    Act act;
    float slope;
} ConvAttr;

/* matmul: a [n,h,m,k] (or [n,h,k,m] when transpose_a), b [n,h,k,p] (or [n,h,p,k] when transpose_b)
 * -> [n,h,m,p], one product for each of the n*h pairs. */
typedef struct {
    bool transpose_a, transpose_b;
} MatmulAttr;

/* batchnorm: training mode.  x [n,h,w,c], gamma, beta, running_mean, running_var [1,1,1,c]
 * -> y, mean of the batch, 1/sqrt(biased variance + eps) [1,1,1,c].
 * Normalises with the biased variance; running = (1 - momentum)*running + momentum*batch, with the
 * unbiased variance.  The running statistics are changed in place. */
typedef struct {
    float eps, momentum;
} BatchnormAttr;

/* fold: a norm in inference mode moved into the conv before it.
 * w [co,kh,kw,ci], gamma, beta, mean, var, b [1,1,1,co] (b, the conv's own bias, or absent)
 * -> w' = w*gamma*s, b' = beta + (b - mean)*gamma*s with s = 1/sqrt(var + eps). */
typedef struct {
    float eps;
} FoldAttr;

/* maxpool, avgpool: [n,h,w,c] -> [n,ho,wo,c], ho = (h + 2*pad - k)/stride + 1.  Padding never wins
 * a maximum; the gradient of a tie goes to the first position in row-major order.  avgpool divides
 * by k*k, padding counted. */
typedef struct {
    int k, stride, pad; /* 0: stride 1 */
} PoolAttr;

/* resize: [n,h,w,c] -> [n,out_h,out_w,c]; nearest takes floor(i*h/out_h), bilinear has half-pixel
 * centres and clamped edges (align_corners = false).  Input 1, if any, is added. */
typedef enum { RESIZE_NEAREST, RESIZE_BILINEAR } ResizeKind;
typedef struct {
    ResizeKind kind;
    int out_h, out_w;
} ResizeAttr;

/* shuffle (pixel shuffle): [n,h,w,c*r*r] -> [n,h*r,w*r,c], out[y*r+i][x*r+j][k] =
 * in[y][x][k*r*r+i*r+j]. */
typedef struct {
    int r;
} ShuffleAttr;

/* focus (space to depth of YOLOX): [n,h,w,c] -> [n,h/2,w/2,4c], channel blocks in the order
 * top-left, bottom-left, top-right, bottom-right; bottom-left is rows 1::2, columns 0::2. */

/* reshape: the same numbers in the same order under another shape of equal size. */
typedef struct {
    int n, h, w, c;
} ReshapeAttr;

typedef enum { AXIS_N, AXIS_H, AXIS_W, AXIS_C } Axis;

/* concat: up to eight inputs, equal but for the axis; the first absent input ends the list.
 * gather: x, indices (dtype I32, [1,1,1,m]) -> x with m entries along the axis; an index may
 * repeat. */
typedef struct {
    Axis axis;
} AxisAttr;

/* slice: entries start .. start+size-1 of one axis. */
typedef struct {
    Axis axis;
    int start, size;
} SliceAttr;

/* unary: y = f(x) element by element; f and f' are rows of unary.def. */
typedef enum {
#define UNARY(NAME, reads, value, slope) UNARY_##NAME,
#include "kernels/unary.def"
#undef UNARY
    UNARY_COUNT
} UnaryKind;
typedef struct {
    UnaryKind kind;
    float p; /* LEAKY: slope; SCALE: factor; OFFSET: summand; POW: exponent; CLAMP_MIN: lower end */
} UnaryAttr;

/* binary: sizes are equal or 1; a size of 1 is repeated (numpy's broadcasting over four axes). */
typedef enum { BINARY_ADD, BINARY_SUB, BINARY_MUL, BINARY_DIV } BinaryKind;
typedef struct {
    BinaryKind kind;
} BinaryAttr;

/* dropout: x, seed (F32 [1,1,1,2]: seed, step; whole numbers below 2^24) -> x*keep/(1-p).  The mask
 * is keep(i) = rng_uniform(rng_stream(key, seed) + step*2^32, i) >= p. */
typedef struct {
    float p;
    uint64_t key;
} DropoutAttr;

/* softmax: over c. */

/* reduce: over the axes in the mask (1 << Axis), which become size 1.  STD divides by the count
 * minus one; of fewer than two values, and where it is 0, value and gradient are 0. */
typedef enum { REDUCE_SUM, REDUCE_MEAN, REDUCE_STD } ReduceKind;
typedef struct {
    ReduceKind kind;
    unsigned axes;
} ReduceAttr;

/* loss: element by element weight*l(prediction, target); weight broadcasts, or is absent (1).
 * MSE (p-t)^2; L1 |p-t|; BCE with logits max(p,0) - p*t + log(1+exp(-|p|)); SMOOTH_L1 d^2/2/beta
 * below beta, |d| - beta/2 above (beta 0 means 1).  BCE has no gradient for the target. */
typedef enum { LOSS_MSE, LOSS_L1, LOSS_BCE, LOSS_SMOOTH_L1 } LossKind;
typedef struct {
    LossKind kind;
    float beta;
} LossAttr;

/* rot6d: [n,1,j,6] -> [n,1,j,9].  Zhou et al. 2019; numbers 0,2,4 are the first axis, 1,3,5 the
 * second, the matrix (row-major) has b1 b2 b3 as columns; norms are clamped at 1e-12. rodrigues:
 * axis-angle [n,1,j,3] -> [n,1,j,9]; angle = |r + 1e-8| as in smplx; safe at 0. axisangle:
 * [n,1,j,9] -> [n,1,j,3] through the quaternion whose largest component is positive; angles up to
 * 2*pi are legal, no jump at pi; with a second input [n,1,j,3] that axis-angle or the same rotation
 * one turn back, whichever is nearer to it.
 * project: points [n,1,j,3] (camera frame, metres), camera [n,1,1,3] = f, cx, cy (pixels)
 * -> pixels [n,1,j,2] = f*X/Z + cx, f*Y/Z + cy; Z is not clamped.
 * camera (paper eq. 1): crop camera [n,1,1,3] = s, tx, ty; box [n,1,1,6] = centre x, centre y,
 * height (200*scale), image width, image height, f in pixels -> translation [n,1,1,3] in metres. */

enum { SKIN_JOINTS = 64 };

/* skin: SMPL's vertices (Loper et al. 2015).
 * rotations [n,1,j,9], betas [n,1,1,b], v_template [1,1,v,3], shapedirs [1,v,3,b],
 * posedirs [1,v,3,9*(j-1)] or absent, joint template [1,1,j,3] = J_regressor v_template,
 * joint shapedirs [1,j,3,b] = J_regressor shapedirs, weights [1,1,v,j]
 * -> vertices [n,1,v,3], joints of the chain [n,1,j,3]; metres, no translation.
 *
 * joints: k regressed joints without making vertices: joint_k = sum_j G_j [P_kj; c_kj], exact
 * because a regressed vertex is linear in (1, betas, pose feature). rotations, betas, joint
 * template, joint shapedirs as above, constant [1,k,j,4] (template part of P_kj, c_kj), shape part
 * [1,k,3*j,b], pose part [1,k,3*j,9*(j-1)] or absent (row j*3+axis) -> [n,1,k,3]. A row r of a
 * regressor (1 x v) gives P_kj = sum_v r_v w_vj v_posed_v, c_kj = sum_v r_v w_vj.  A point whose
 * four constants are 0 takes no part: few of the chain's joints move any one. */
typedef struct {
    int8_t parent[SKIN_JOINTS]; /* -1 for the root; parents come before children */
} SkinAttr;

/* boxdecode (YOLOX): raw [n,a,1,5+classes] = x, y, w, h, objectness, classes; anchors of strides 8,
 * 16, 32 over an input of height x width, each map row-major -> centre x, centre y, w, h in input
 * pixels, sigmoid of the rest. */
typedef struct {
    int height, width;
} BoxdecodeAttr;

/* assign (SimOTA, YOLOX): decoded [n,a,1,5+classes] as boxdecode makes it, labels [n,g,1,5] =
 * class, centre x, centre y, w, h in input pixels (w or h 0: none) -> foreground [n,a,1,1], 1 for
 * an anchor that answers for a label; match [n,a,1,8] = the label's box and the raw row that
 * decodes to it; target [n,a,1,classes] = IoU of row and label at the label's class.  What is not
 * foreground is 0. A label takes as many of its cheapest anchors as the sum of its ten largest IoUs
 * says, at least one; an anchor taken by several goes to the label with the lowest cost for it.
 * cost = BCE of sqrt(class * objectness) - 3 log(IoU + 1e-8), and anchors that are not near come
 * last.  MEGVII: candidates and near are anchors within 1.5 strides of the label's centre;
 * BYTETRACK: candidates are inside the label or within 2.5 strides of its centre (clamped to the
 * input), near are both. */
typedef enum { ASSIGN_MEGVII, ASSIGN_BYTETRACK } AssignVariant;
typedef struct {
    int height, width;
    AssignVariant variant;
} AssignAttr;

/* iouloss: boxes and targets [n,a,1,4] = centre x, centre y, w, h, weight [n,a,1,1] or absent (1)
 * -> weight*(1 - IoU^2) [n,a,1,1] with IoU = common/(union + 1e-16).  A row of weight 0 is 0
 * whatever its numbers are.  No gradient for targets and weights. */

/* plane: points [n,1,1,3] and a direction [1,1,1,3] -> [1,1,1,3], the unit normal of the plane
 * through the points' mean from which they are least far, held to the direction: the n of least
 * sum (n . (p - mean))^2 + prior |n - direction|^2. */
typedef struct {
    float prior; /* square units of the points, above 0 */
} PlaneAttr;

/* nms: decoded [n,a,1,5+classes] -> rows [n,limit,1,8] = x0, y0, x1, y1, score, objectness, class,
 * anchor in order of falling score (ties: lower anchor first), and count [n,1,1,1].  A row needs
 * score = objectness * best class >= conf; of two rows with IoU > iou the lower score goes (within
 * a class, or among all when agnostic). */
typedef struct {
    float conf, iou;
    bool agnostic;
    int limit;
} NmsAttr;

/* heatpeak: heatmaps [n,h,w,j] -> [n,1,j,3] = x, y in heatmap pixels and the largest number of each
 * joint's map.  Of equal numbers the first in row-major order counts, NaN never; where none is
 * positive the point is (0, 0).  quarter: a point with 1 < x < w - 1 and 1 < y < h - 1 moves by a
 * quarter of a pixel towards the larger of its two neighbours, in x and in y.  deviation: where it
 * is not 0 a positive peak moves to where a Gaussian of that many pixels fits the map best instead
 * (heatpeak_fit). */
typedef struct {
    bool quarter;
    float deviation; /* 0 to 1000 */
} HeatpeakAttr;

/* affine: cuts n crops out of one photo.  image (dtype U8) [1,H,W,3], map [n,1,1,6] (crop pixel ->
 * photo pixel: X = m0 x + m1 y + m2, Y = m3 x + m4 y + m5), rectangle [n,1,1,4] or absent: source
 * coordinates are clamped into x0..x1, y0..y1 -> [n,out_h,out_w,3] = (p*scale - mean)/deviation,
 * bilinear; pixels outside the photo are `border`.  Rows and columns at or beyond valid_h, valid_w
 * (0: all) of a crop are `border` as well.  mean and deviation are per output channel.
 * Where the image is a tile of a larger photo, which has all that the crops reach of it, `tile`
 * says of which, and coordinates are the photo's; the numbers are the same.  first_row: the output
 * begins with this row of the crops, valid_h is then given. */
typedef struct {
    int left, top, height,
        width; /* place of the tile's first pixel; the photo's size, 0: no tile */
} AffineTile;
typedef struct {
    int out_h, out_w, valid_h, valid_w;
    float border, scale;         /* scale 0: 1 */
    float mean[3], deviation[3]; /* deviation 0: 1 */
    bool reverse;                /* RGB <-> BGR */
    bool round8;                 /* round the sample to a whole grey level first */
    AffineTile tile;
    int first_row;
} AffineAttr;

/* update: one optimiser step over the flat slabs, in place.  weights, gradients, m, v [1,1,1,size]
 * (m, v absent where unused), hyper [rows,1,1,4] = learning rate, weight decay, step (1-based) and,
 * written when clip is set, the L2 norm of the gradient; cursor [1,1,1,1] = the row in force, or
 * absent: the first; beyond the last: the last.  ADAMW (Loshchilov & Hutter 2017): w -=
 * lr*wd*w; w -= lr/(1-beta1^t) * m/(sqrt(v)/sqrt(1-beta2^t) + eps).  ADAM: decay is added to the
 * gradient. SGD: m = momentum*m + g + wd*w; w -= lr*m (nesterov: g + momentum*m).  AVERAGE: w +=
 * lr*(g - w), a moving average of the numbers g.  With clip, a gradient whose norm over all ranges
 * is larger is scaled down to that norm, and one whose norm is not finite changes nothing; INFINITY
 * only measures.
 */
enum { UPDATE_HYPER = 4 }; /* numbers a row of hyper */
typedef enum { UPDATE_ADAMW, UPDATE_ADAM, UPDATE_SGD, UPDATE_AVERAGE } UpdateKind;
typedef struct {
    size_t offset, size;
} UpdateRange;
typedef struct {
    UpdateKind kind;
    float beta1, beta2, eps; /* 0: 0.9, 0.999, 1e-8 */
    float momentum;
    bool nesterov;
    float clip; /* 0: the norm is not measured */
    int ranges;
    const UpdateRange *range; /* parts of the slab that have a gradient */
} UpdateAttr;

/* record: in place, cursor [1,1,1,1], history [rows,1,1,k] or absent, values x0 .. x(k-1) [1,1,1,1]
 * each: the history's row `cursor` (beyond the last: the last) becomes the values, then the cursor
 * goes up by one.  So what a run of many steps made is read once, at its end. */
enum { RECORD_FIRST = 2, RECORD_MAX = 6 };

#endif
