#include "smpl/figure.h"

#include <string.h>

/* Heights and lengths follow the shares of stature by Drillis and Contini (Body Segment Parameters,
 * 1966; in Winter, Biomechanics and Motor Control of Human Movement, figure 4.1) for 1.70 m, the
 * ground at y = -1.14: ankle 0.039, knee 0.285, hip 0.530, shoulder 0.818, chin 0.870, forearm
 * 0.146, hand 0.108, foot 0.152.  Theirs are landmarks; the centres of hip and shoulder lie 2 to
 * 3 cm below, and the upper arm counts from there.  What they do not give (spine, collars) lies
 * about where SMPL has it. */
const double FIGURE_JOINT[BODY_JOINTS][3] = {
    [SMPL24_PELVIS] = {0, -0.190, -0.005},        [SMPL24_L_HIP] = {0.080, -0.258, -0.002},
    [SMPL24_R_HIP] = {-0.080, -0.258, -0.002},    [SMPL24_SPINE1] = {0, -0.080, -0.015},
    [SMPL24_L_KNEE] = {0.092, -0.656, 0.002},     [SMPL24_R_KNEE] = {-0.092, -0.656, 0.002},
    [SMPL24_SPINE2] = {0, 0.050, -0.020},         [SMPL24_L_ANKLE] = {0.090, -1.070, -0.030},
    [SMPL24_R_ANKLE] = {-0.090, -1.070, -0.030},  [SMPL24_SPINE3] = {0, 0.115, -0.020},
    [SMPL24_L_FOOT] = {0.108, -1.120, 0.095},     [SMPL24_R_FOOT] = {-0.108, -1.120, 0.095},
    [SMPL24_NECK] = {0, 0.300, -0.025},           [SMPL24_L_COLLAR] = {0.065, 0.222, -0.020},
    [SMPL24_R_COLLAR] = {-0.065, 0.222, -0.020},  [SMPL24_HEAD] = {0, 0.385, 0.002},
    [SMPL24_L_SHOULDER] = {0.180, 0.215, -0.020}, [SMPL24_R_SHOULDER] = {-0.180, 0.215, -0.020},
    [SMPL24_L_ELBOW] = {0.448, 0.214, -0.028},    [SMPL24_R_ELBOW] = {-0.448, 0.214, -0.028},
    [SMPL24_L_WRIST] = {0.695, 0.213, -0.020},    [SMPL24_R_WRIST] = {-0.695, 0.213, -0.020},
    [SMPL24_L_HAND] = {0.780, 0.211, -0.018},     [SMPL24_R_HAND] = {-0.780, 0.211, -0.018},
};

/* What a unit of each beta adds to each measure.  Together they spread stature by 0.08 m, as among
 * adults of both sexes, and girths by more of their size than lengths. */
static const double SLOPE[BODY_BETAS][MEASURES] = {
    [FIGURE_STATURE] = {[TRUNK_LENGTH] = 0.046,    [NECK_LENGTH] = 0.045,  [ARM_LENGTH] = 0.052,
                        [FOREARM_LENGTH] = 0.052,  [THIGH_LENGTH] = 0.056, [SHANK_LENGTH] = 0.056,
                        [SHOULDER_BREADTH] = 0.04, [HIP_BREADTH] = 0.03,   [HEAD_SIZE] = 0.022,
                        [HAND_SIZE] = 0.045,       [FOOT_SIZE] = 0.045,    [CHEST_WIDTH] = 0.036,
                        [CHEST_DEPTH] = 0.03,      [WAIST_WIDTH] = 0.03,   [WAIST_DEPTH] = 0.026,
                        [PELVIS_WIDTH] = 0.028,    [PELVIS_DEPTH] = 0.028, [BELLY_GIRTH] = 0.026,
                        [BUST_GIRTH] = 0.02,       [SEAT_GIRTH] = 0.028,   [NECK_GIRTH] = 0.035,
                        [SHOULDER_GIRTH] = 0.04,   [ARM_GIRTH] = 0.03,     [FOREARM_GIRTH] = 0.035,
                        [THIGH_GIRTH] = 0.03,      [CALF_GIRTH] = 0.034},
    [FIGURE_GIRTH] = {[HEAD_SIZE] = 0.006,
                      [HAND_SIZE] = 0.012,
                      [FOOT_SIZE] = 0.012,
                      [CHEST_WIDTH] = 0.055,
                      [CHEST_DEPTH] = 0.065,
                      [WAIST_WIDTH] = 0.085,
                      [WAIST_DEPTH] = 0.095,
                      [PELVIS_WIDTH] = 0.06,
                      [PELVIS_DEPTH] = 0.07,
                      [BELLY_GIRTH] = 0.10,
                      [BUST_GIRTH] = 0.07,
                      [SEAT_GIRTH] = 0.065,
                      [NECK_GIRTH] = 0.05,
                      [SHOULDER_GIRTH] = 0.05,
                      [ARM_GIRTH] = 0.085,
                      [FOREARM_GIRTH] = 0.055,
                      [THIGH_GIRTH] = 0.075,
                      [CALF_GIRTH] = 0.06},
    [FIGURE_BELLY] = {[WAIST_WIDTH] = 0.03, [WAIST_DEPTH] = 0.05, [BELLY_GIRTH] = 0.15},
    [FIGURE_SHOULDERS] = {[SHOULDER_BREADTH] = 0.065,
                          [CHEST_WIDTH] = 0.035,
                          [SHOULDER_GIRTH] = 0.03,
                          [PELVIS_WIDTH] = -0.012},
    [FIGURE_HIPS] = {[HIP_BREADTH] = 0.05,
                     [PELVIS_WIDTH] = 0.06,
                     [SEAT_GIRTH] = 0.05,
                     [THIGH_GIRTH] = 0.045,
                     [WAIST_WIDTH] = 0.012},
    [FIGURE_LEGS] = {[THIGH_LENGTH] = 0.030, [SHANK_LENGTH] = 0.032, [TRUNK_LENGTH] = -0.022},
    [FIGURE_ARMS] = {[ARM_LENGTH] = 0.035, [FOREARM_LENGTH] = 0.038, [HAND_SIZE] = 0.025},
    [FIGURE_HEAD] = {[HEAD_SIZE] = 0.035, [NECK_LENGTH] = 0.05},
    [FIGURE_MUSCLE] = {[CHEST_WIDTH] = 0.03,
                       [CHEST_DEPTH] = 0.035,
                       [WAIST_WIDTH] = -0.012,
                       [SHOULDER_GIRTH] = 0.075,
                       [SHOULDER_BREADTH] = 0.015,
                       [NECK_GIRTH] = 0.05,
                       [ARM_GIRTH] = 0.085,
                       [FOREARM_GIRTH] = 0.06,
                       [THIGH_GIRTH] = 0.04,
                       [CALF_GIRTH] = 0.06,
                       [BUST_GIRTH] = 0.03},
    [FIGURE_BUST] = {[BUST_GIRTH] = 0.16,
                     [WAIST_WIDTH] = -0.018,
                     [SHOULDER_BREADTH] = -0.012,
                     [NECK_GIRTH] = -0.03,
                     [SEAT_GIRTH] = 0.025},
};

typedef struct {
    Measure axis[3];
} Axes;

/* What stretches the offset of a joint from its parent. */
static const Axes BONE[BODY_JOINTS] = {
    [SMPL24_L_HIP] = {{HIP_BREADTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_R_HIP] = {{HIP_BREADTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_SPINE1] = {{TRUNK_LENGTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_SPINE2] = {{TRUNK_LENGTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_SPINE3] = {{TRUNK_LENGTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_NECK] = {{TRUNK_LENGTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_HEAD] = {{NECK_LENGTH, NECK_LENGTH, NECK_LENGTH}},
    [SMPL24_L_COLLAR] = {{SHOULDER_BREADTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_R_COLLAR] = {{SHOULDER_BREADTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_L_SHOULDER] = {{SHOULDER_BREADTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_R_SHOULDER] = {{SHOULDER_BREADTH, TRUNK_LENGTH, TRUNK_LENGTH}},
    [SMPL24_L_ELBOW] = {{ARM_LENGTH, ARM_LENGTH, ARM_LENGTH}},
    [SMPL24_R_ELBOW] = {{ARM_LENGTH, ARM_LENGTH, ARM_LENGTH}},
    [SMPL24_L_WRIST] = {{FOREARM_LENGTH, FOREARM_LENGTH, FOREARM_LENGTH}},
    [SMPL24_R_WRIST] = {{FOREARM_LENGTH, FOREARM_LENGTH, FOREARM_LENGTH}},
    [SMPL24_L_HAND] = {{HAND_SIZE, HAND_SIZE, HAND_SIZE}},
    [SMPL24_R_HAND] = {{HAND_SIZE, HAND_SIZE, HAND_SIZE}},
    [SMPL24_L_KNEE] = {{THIGH_LENGTH, THIGH_LENGTH, THIGH_LENGTH}},
    [SMPL24_R_KNEE] = {{THIGH_LENGTH, THIGH_LENGTH, THIGH_LENGTH}},
    [SMPL24_L_ANKLE] = {{SHANK_LENGTH, SHANK_LENGTH, SHANK_LENGTH}},
    [SMPL24_R_ANKLE] = {{SHANK_LENGTH, SHANK_LENGTH, SHANK_LENGTH}},
    [SMPL24_L_FOOT] = {{FOOT_SIZE, FOOT_SIZE, FOOT_SIZE}},
    [SMPL24_R_FOOT] = {{FOOT_SIZE, FOOT_SIZE, FOOT_SIZE}},
};

/* What stretches the flesh around a joint's bone. */
static const Axes FLESH[BODY_JOINTS] = {
    [SMPL24_PELVIS] = {{PELVIS_WIDTH, TRUNK_LENGTH, PELVIS_DEPTH}},
    [SMPL24_SPINE1] = {{WAIST_WIDTH, TRUNK_LENGTH, WAIST_DEPTH}},
    [SMPL24_SPINE2] = {{CHEST_WIDTH, TRUNK_LENGTH, CHEST_DEPTH}},
    [SMPL24_SPINE3] = {{CHEST_WIDTH, TRUNK_LENGTH, CHEST_DEPTH}},
    [SMPL24_NECK] = {{NECK_GIRTH, NECK_LENGTH, NECK_GIRTH}},
    [SMPL24_HEAD] = {{HEAD_SIZE, HEAD_SIZE, HEAD_SIZE}},
    [SMPL24_L_COLLAR] = {{SHOULDER_BREADTH, TRUNK_LENGTH, CHEST_DEPTH}},
    [SMPL24_R_COLLAR] = {{SHOULDER_BREADTH, TRUNK_LENGTH, CHEST_DEPTH}},
    [SMPL24_L_SHOULDER] = {{ARM_LENGTH, ARM_GIRTH, ARM_GIRTH}},
    [SMPL24_R_SHOULDER] = {{ARM_LENGTH, ARM_GIRTH, ARM_GIRTH}},
    [SMPL24_L_ELBOW] = {{FOREARM_LENGTH, FOREARM_GIRTH, FOREARM_GIRTH}},
    [SMPL24_R_ELBOW] = {{FOREARM_LENGTH, FOREARM_GIRTH, FOREARM_GIRTH}},
    [SMPL24_L_WRIST] = {{HAND_SIZE, HAND_SIZE, HAND_SIZE}},
    [SMPL24_R_WRIST] = {{HAND_SIZE, HAND_SIZE, HAND_SIZE}},
    [SMPL24_L_HAND] = {{HAND_SIZE, HAND_SIZE, HAND_SIZE}},
    [SMPL24_R_HAND] = {{HAND_SIZE, HAND_SIZE, HAND_SIZE}},
    [SMPL24_L_HIP] = {{THIGH_GIRTH, THIGH_LENGTH, THIGH_GIRTH}},
    [SMPL24_R_HIP] = {{THIGH_GIRTH, THIGH_LENGTH, THIGH_GIRTH}},
    [SMPL24_L_KNEE] = {{CALF_GIRTH, SHANK_LENGTH, CALF_GIRTH}},
    [SMPL24_R_KNEE] = {{CALF_GIRTH, SHANK_LENGTH, CALF_GIRTH}},
    [SMPL24_L_ANKLE] = {{FOOT_SIZE, FOOT_SIZE, FOOT_SIZE}},
    [SMPL24_R_ANKLE] = {{FOOT_SIZE, FOOT_SIZE, FOOT_SIZE}},
    [SMPL24_L_FOOT] = {{FOOT_SIZE, FOOT_SIZE, FOOT_SIZE}},
    [SMPL24_R_FOOT] = {{FOOT_SIZE, FOOT_SIZE, FOOT_SIZE}},
};

Figure figure_make(const double betas[BODY_BETAS]) {
    const Joint *tree = joints_order(JOINTS_SMPL24)->joint;
    Figure f;
    for (int m = 0; m < MEASURES; m++) {
        f.measure[m] = 1;
        for (int b = 0; b < BODY_BETAS; b++) f.measure[m] += betas[b] * SLOPE[b][m];
    }
    memcpy(f.joint[0], FIGURE_JOINT[0], sizeof f.joint[0]);
    for (int j = 1; j < BODY_JOINTS; j++)
        for (int k = 0; k < 3; k++) {
            int parent = tree[j].parent;
            double bone = FIGURE_JOINT[j][k] - FIGURE_JOINT[parent][k];
            f.joint[j][k] = f.joint[parent][k] + f.measure[BONE[j].axis[k]] * bone;
        }
    return f;
}

void figure_carry(const Figure *f, int joint, const double point[3], double moved[3]) {
    for (int k = 0; k < 3; k++)
        moved[k] = f->joint[joint][k] +
                   f->measure[FLESH[joint].axis[k]] * (point[k] - FIGURE_JOINT[joint][k]);
}
