/* Losses: the crowd constraints of paper section 1.3 as a graph.
 *
 *     LossTargets t = losses_targets(&m, n, weights->pose_as_matrices);
 *     LossBodies b = losses_bodies(&m, body, &prediction, &t);
 *     LossTerms l = losses_build(&m, weights, &b, prediction.betas, &t);
 *     ... PlanOptions.loss = l.total ...
 *
 * All positions are in the camera frame, metres; keypoints are normalised by the crop: (pixel - box
 * centre) / box height.
 */
#ifndef CROWDREC_LOSSES_H
#define CROWDREC_LOSSES_H

#include "autograd/build.h"
#include "smpl/body.h"

/* One row of constants for each way of refining. */
typedef struct {
    double crowd, keypoints, betas, pose; /* lambda 5, 6, 7, 8 */
    double overall;                       /* factor on every term */
    double plane; /* 0: heights along the mean body axis; else along the normal of the plane near
                     the roots, and this is what the axis is worth beside them, square metres */
    bool means;   /* the terms are means over all entries; else sums over an entry's numbers, mean
                     over people */
    bool betas_to_zero;    /* betas are drawn to zero; else to the first prediction */
    bool pose_as_matrices; /* pose distance between rotation matrices; else between axis-angles */
} LossWeights;

/* What the network says of n people. */
typedef struct {
    Tensor *pose6d; /* [n,1,24,6] */
    Tensor *betas;  /* [n,1,1,10] */
    Tensor *cam;    /* [n,1,1,3] */
} LossPrediction;

/* Inputs of the graph, written by the host. */
typedef struct {
    Tensor *box;        /* [n,1,1,6]: op camera */
    Tensor *intrinsics; /* [n,1,1,3]: f, cx, cy; op project */
    Tensor *center;     /* [n,1,1,2], pixels */
    Tensor *height;     /* [n,1,1,1], pixels */
    Tensor *keypoints;  /* [n,1,26,2], normalised */
    Tensor *confidence; /* [n,1,26,1] */
    Tensor *pose;       /* first prediction, [n,1,24,9] or [n,1,24,3] as the recipe compares */
    Tensor *betas;      /* first prediction, [n,1,1,10] */
} LossTargets;

typedef struct {
    Tensor *rotations; /* [n,1,24,9] */
    Tensor *angles;    /* [n,1,24,3] axis-angle */
    Tensor *trans;     /* [n,1,1,3] */
    Tensor *joints;    /* [n,1,26,3], Halpe-26 with translation */
    Tensor *projected; /* [n,1,26,2], normalised */
} LossBodies;

typedef struct {
    Tensor *crowd, *keypoints, *betas, *pose; /* [1,1,1,1], weighted, as they enter total */
    Tensor *total;
    Tensor *each_keypoints, *each_betas, *each_pose; /* [n,1,1,1], each person's unweighted sum */
} LossTerms;

LossTargets losses_targets(const Scope *m, int n, bool pose_as_matrices);

/* From network outputs to bodies in the camera frame; of the axis-angles of a rotation those
 * nearest to t->pose, where that holds axis-angles. */
LossBodies losses_bodies(const Scope *m, const Body *body, const LossPrediction *p,
                         const LossTargets *t);

/* Equation 9 on bodies and their betas [n,1,1,10].  The bodies need joints, projected and, as the
 * weights compare poses, rotations or angles. */
LossTerms losses_build(const Scope *m, const LossWeights *weights, const LossBodies *bodies,
                       Tensor *betas, const LossTargets *t);

/* The truth of n people in training; what is not known has weight 0. */
typedef struct {
    Tensor *keypoints, *confidence; /* [n,1,26,2] normalised by the crop, [n,1,26,1] */
    Tensor *rotations, *betas;      /* [n,1,24,9], [n,1,1,10] */
    Tensor *joints;                 /* [n,1,26,4]: Halpe-26 in metres, confidence */
    Tensor *has;                    /* [n,1,1,2]: 1 where SMPL's parameters, 3D joints are known */
} LossTruth;

/* What each term of pre-training counts.  The paper has 5, 5, 5, 1, 0.1 (eq. 2; eq. 4 counts poses
 * and betas alike). */
typedef struct {
    double keypoints, pose, betas, joints, vertices;
} LossTrainingWeights;
extern const LossTrainingWeights losses_paper_weights;

/* Pre-training (paper eqs. 2 to 6): squared errors of reprojection, of SMPL's parameters, of 3D
 * joints less Halpe's hip, and of vertices without translation, each a mean over what is known, 0
 * where nothing is.  Terms are unweighted; total is weighted. */
typedef struct {
    Tensor *keypoints, *pose, *betas, *joints; /* [1,1,1,1] */
    Tensor *vertices;                          /* NULL without tables */
    Tensor *total;
} LossTraining;

/* bodies: rotations, joints and projected are read.  vertices: tables of the vertices that are
 * compared, or NULL. */
LossTraining losses_training(const Scope *m, const LossTrainingWeights *weights, const Body *body,
                             const BodyTables *vertices, const LossBodies *bodies, Tensor *betas,
                             const LossTruth *truth);

/* How far the crowd is from standing on one plane (paper eq. 8): the standard deviation over people
 * (n - 1) of the root's height along l.  joints [n,1,26,3] -> [1,1,1,1]; 0 for one person.
 * Where `plane` is 0, l is the mean unit vector from ankles to head (eq. 7, not renormalised;
 * gradients flow through it).  Body axes may be wrong by ten degrees together, for people far away
 * seen from above, where the roots tell the ground to half a degree.  So else roots learn from the
 * deviation along the ground's unit normal (op plane: near the roots, held to l), and bodies, to
 * stand upright on it, from the one along l: the sum of both. */
Tensor *losses_crowd(const Scope *m, Tensor *joints, double plane);

#endif
