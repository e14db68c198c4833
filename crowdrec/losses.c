#include "crowdrec/losses.h"

enum {
    AXES_EACH = 1 << AXIS_H | 1 << AXIS_W | 1 << AXIS_C,
    AXES_N = 1 << AXIS_N,
    AXES_C = 1 << AXIS_C
};

LossTargets losses_targets(const Scope *m, int n, bool pose_as_matrices) {
    Graph *g = m->graph;
    int pose = pose_as_matrices ? 9 : 3;
    return (LossTargets){
        .box = graph_input(g, "box", F32, (Shape){n, 1, 1, 6}),
        .intrinsics = graph_input(g, "intrinsics", F32, (Shape){n, 1, 1, 3}),
        .center = graph_input(g, "center", F32, (Shape){n, 1, 1, 2}),
        .height = graph_input(g, "height", F32, (Shape){n, 1, 1, 1}),
        .keypoints = graph_input(g, "keypoints", F32, (Shape){n, 1, HALPE26_COUNT, 2}),
        .confidence = graph_input(g, "confidence", F32, (Shape){n, 1, HALPE26_COUNT, 1}),
        .pose = graph_input(g, "first pose", F32, (Shape){n, 1, BODY_JOINTS, pose}),
        .betas = graph_input(g, "first betas", F32, (Shape){n, 1, 1, BODY_BETAS}),
    };
}

LossBodies losses_bodies(const Scope *m, const Body *body, const LossPrediction *p,
                         const LossTargets *t) {
    LossBodies b;
    b.rotations = rot6d(m, p->pose6d);
    bool near = t->pose && t->pose->shape.c == 3;
    b.angles = axisangle(m, b.rotations, near ? t->pose : NULL);
    b.trans = camera(m, p->cam, t->box);
    b.joints = add(m, body_halpe(m, body, b.rotations, p->betas), b.trans);
    Tensor *pixels = project(m, b.joints, t->intrinsics);
    b.projected = divide(m, sub(m, pixels, t->center), t->height);
    return b;
}

static Tensor *joint(const Scope *m, Tensor *joints, int index) {
    return slice(m, joints, AXIS_W, index, 1);
}

/* [n,1,1,1] along `up` [1,1,1,3]. */
static Tensor *heights(const Scope *m, Tensor *points, Tensor *up) {
    return sum(m, mul(m, points, up), AXES_C);
}

Tensor *losses_crowd(const Scope *m, Tensor *joints, double plane) {
    Tensor *ankles = add(m, joint(m, joints, HALPE26_L_ANKLE), joint(m, joints, HALPE26_R_ANKLE));
    Tensor *axis = sub(m, joint(m, joints, HALPE26_HEAD), scale(m, ankles, 0.5f));
    Tensor *length = unary(m, SQRT, sum(m, square(m, axis), AXES_C), 0);
    Tensor *up = mean(m, divide(m, axis, unary(m, CLAMP_MIN, length, 1e-12f)), AXES_N);
    Tensor *root = joint(m, joints, HALPE26_HIP);
    if (!(plane > 0)) return deviation(m, heights(m, root, up), AXES_N);
    Tensor *ground = plane(m, root, up, (float)plane), *fixed = unary(m, STOP, root, 0);
    return add(m, deviation(m, heights(m, root, ground), AXES_N),
               deviation(m, heights(m, fixed, up), AXES_N));
}

/* The weighted term from each person's sum: mean over people, and over an entry's numbers. */
static Tensor *term(const Scope *m, const LossWeights *w, double weight, Tensor *each,
                    int numbers) {
    double factor = w->overall * weight / (w->means ? numbers : 1);
    return scale(m, mean(m, each, AXES_N), (float)factor);
}

LossTerms losses_build(const Scope *m, const LossWeights *w, const LossBodies *b, Tensor *betas,
                       const LossTargets *t) {
    LossTerms l;
    Tensor *pose = w->pose_as_matrices ? b->rotations : b->angles;
    Tensor *shape = w->betas_to_zero ? square(m, betas) : loss(m, MSE, betas, t->betas, NULL);
    l.each_keypoints = sum(m, loss(m, MSE, b->projected, t->keypoints, t->confidence), AXES_EACH);
    l.each_pose = sum(m, loss(m, MSE, pose, t->pose, NULL), AXES_EACH);
    l.each_betas = sum(m, shape, AXES_EACH);
    l.keypoints = term(m, w, w->keypoints, l.each_keypoints, 2 * HALPE26_COUNT);
    l.pose = term(m, w, w->pose, l.each_pose, BODY_JOINTS * pose->shape.c);
    l.betas = term(m, w, w->betas, l.each_betas, BODY_BETAS);
    l.crowd = scale(m, losses_crowd(m, b->joints, w->plane), (float)(w->overall * w->crowd));
    l.total = add(m, add(m, l.crowd, l.keypoints), add(m, l.betas, l.pose));
    return l;
}

/* Sum of squared differences of the people whose weight [n,1,1,1] is 1, over how many they are and
 * `numbers`. */
static Tensor *known_mean(const Scope *m, Tensor *found, Tensor *truth, Tensor *weight,
                          int numbers) {
    Tensor *squares = sum(m, loss(m, MSE, found, truth, weight), AXES_ALL);
    Tensor *people = unary(m, CLAMP_MIN, sum(m, weight, AXES_ALL), 1);
    return scale(m, divide(m, squares, people), 1 / (float)numbers);
}

/* Without the hip: joints [n,1,26,3]. */
static Tensor *about_hip(const Scope *m, Tensor *joints) {
    return sub(m, joints, joint(m, joints, HALPE26_HIP));
}

/* The confidence of a joint weighs its error; people count by has. */
static Tensor *joint_error(const Scope *m, const LossBodies *b, const LossTruth *t, Tensor *has) {
    Tensor *place = slice(m, t->joints, AXIS_C, 0, 3), *sure = slice(m, t->joints, AXIS_C, 3, 1);
    Tensor *errors = loss(m, MSE, about_hip(m, b->joints), about_hip(m, place), mul(m, sure, has));
    Tensor *people = unary(m, CLAMP_MIN, sum(m, has, AXES_ALL), 1);
    return scale(m, divide(m, sum(m, errors, AXES_ALL), people), 1 / (3.0f * HALPE26_COUNT));
}

const LossTrainingWeights losses_paper_weights = {5, 5, 5, 1, 0.1};

static Tensor *weighted(const Scope *m, Tensor *t, double factor) {
    return scale(m, t, (float)factor);
}

LossTraining losses_training(const Scope *m, const LossTrainingWeights *w, const Body *body,
                             const BodyTables *vertices, const LossBodies *b, Tensor *betas,
                             const LossTruth *t) {
    LossTraining l = {0};
    Tensor *has_smpl = slice(m, t->has, AXIS_C, 0, 1), *has_3d = slice(m, t->has, AXIS_C, 1, 1);
    l.keypoints = mean(m, loss(m, MSE, b->projected, t->keypoints, t->confidence), AXES_ALL);
    l.pose = known_mean(m, b->rotations, t->rotations, has_smpl, 9 * BODY_JOINTS);
    l.betas = known_mean(m, betas, t->betas, has_smpl, BODY_BETAS);
    l.joints = joint_error(m, b, t, has_3d);
    l.total = add(m, weighted(m, l.keypoints, w->keypoints), weighted(m, l.pose, w->pose));
    l.total = add(m, l.total, weighted(m, l.betas, w->betas));
    l.total = add(m, l.total, weighted(m, l.joints, w->joints));
    if (!vertices) return l;
    Tensor *found = body_regressed(m, body, vertices, "vertices", b->rotations, betas);
    Tensor *truth = body_regressed(m, body, vertices, "vertices", t->rotations, t->betas);
    l.vertices = known_mean(m, found, truth, has_smpl, 3 * vertices->rows);
    l.total = add(m, l.total, weighted(m, l.vertices, w->vertices));
    return l;
}
