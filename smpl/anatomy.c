#include "smpl/anatomy.h"

/* Breadths and girths are round figures for an adult of 1.70 m between woman and man: chest breadth
 * 0.30, waist 0.27, hips 0.34; girths of upper arm 0.29, forearm 0.26, wrist 0.16, thigh 0.55, calf
 * 0.36, ankle 0.22, neck 0.36; head 0.22 high, 0.19 long and 0.15 broad. */

#define ALL(measure) measure, measure
#define PELVIS(y, side, front, back) \
    { SMPL24_PELVIS, {0, y, -0.005}, side, front, back, PELVIS_WIDTH, PELVIS_DEPTH }
#define WAIST(y, side, front, back) \
    { SMPL24_SPINE1, {0, y, -0.005}, side, front, back, WAIST_WIDTH, WAIST_DEPTH }
#define CHEST(y, z, side, front, back) \
    { SMPL24_SPINE3, {0, y, z}, side, front, back, CHEST_WIDTH, CHEST_DEPTH }
#define NECK(y, z, side, front, back) \
    { SMPL24_NECK, {0, y, z}, side, front, back, ALL(NECK_GIRTH) }
#define HEAD(x, y, z, side, front, back) \
    { SMPL24_HEAD, {x, y, z}, side, front, back, ALL(HEAD_SIZE) }
#define THIGH(x, y, z, side, front, back) \
    { SMPL24_L_HIP, {x, y, z}, side, front, back, ALL(THIGH_GIRTH) }
#define SHANK(x, y, z, side, front, back) \
    { SMPL24_L_KNEE, {x, y, z}, side, front, back, ALL(CALF_GIRTH) }
#define FOOT(x, y, z, side, front, back) \
    { SMPL24_L_ANKLE, {x, y, z}, side, front, back, ALL(FOOT_SIZE) }
#define ARM(x, y, z, side, front, back) \
    { SMPL24_L_SHOULDER, {x, y, z}, side, front, back, ALL(ARM_GIRTH) }
#define FOREARM(x, y, z, side, front, back) \
    { SMPL24_L_ELBOW, {x, y, z}, side, front, back, ALL(FOREARM_GIRTH) }
#define HAND(x, y, z, side, front, back) \
    { SMPL24_L_WRIST, {x, y, z}, side, front, back, ALL(HAND_SIZE) }

#define UP \
    { 0, 1, 0 }
#define AHEAD \
    { 0, 0, 1 }

/* A part of the stations behind front; low and high are its caps. */
#define PART(kind, blend, power, low, high, front, ...)                             \
    {                                                                               \
        kind, blend, power, {low, high}, front, COUNT(__VA_ARGS__), { __VA_ARGS__ } \
    }
#define COUNT(...) (int)(sizeof((Station[]){__VA_ARGS__}) / sizeof(Station))

/* A finger from knuckle to tip; z across the hand. */
#define FINGER(z, tip, radius)                                                  \
    PART(PART_ADDS, 0.007, 2, radius, 1.2 * (radius), UP,                       \
         HAND(0.770, 0.211, z, radius, radius, radius),                         \
         HAND(0.5 * (0.770 + tip), 0.211, (z) + 0.002, radius, radius, radius), \
         HAND(tip, 0.208, (z), 0.86 * radius, 0.82 * radius, 0.86 * radius))

#define TOE(x, z, radius)                                            \
    PART(PART_ADDS, 0.006, 2, radius, radius, UP,                    \
         FOOT((x)-0.004, -1.126, (z)-0.035, radius, radius, radius), \
         FOOT(x, -1.140 + radius, z, radius, 0.9 * radius, radius))

const Part ANATOMY[] = {
    /* Trunk. */
    PART(PART_ADDS, 0.01, 2.3, 0.035, 0.03, AHEAD, PELVIS(-0.325, 0.105, 0.070, 0.080),
         PELVIS(-0.265, 0.150, 0.090, 0.100), PELVIS(-0.200, 0.158, 0.098, 0.103),
         WAIST(-0.130, 0.147, 0.099, 0.094), WAIST(-0.070, 0.134, 0.096, 0.088),
         WAIST(-0.020, 0.131, 0.094, 0.088), CHEST(0.045, -0.008, 0.140, 0.099, 0.095),
         CHEST(0.110, -0.012, 0.151, 0.106, 0.102), CHEST(0.170, -0.017, 0.150, 0.098, 0.102),
         CHEST(0.220, -0.022, 0.132, 0.078, 0.090), CHEST(0.262, -0.027, 0.098, 0.056, 0.070),
         CHEST(0.290, -0.030, 0.062, 0.045, 0.055)),
    PART(PART_ADDS, 0.05, 2, 0.10, 0.11, AHEAD,
         {SMPL24_SPINE1, {0, -0.115, 0.025}, 0.105, 0.072, 0.05, ALL(BELLY_GIRTH)}),
    /* Neck and the slopes to the shoulders. */
    PART(PART_ADDS, 0.025, 2, 0.02, 0.02, AHEAD, NECK(0.255, -0.030, 0.064, 0.055, 0.060),
         NECK(0.305, -0.022, 0.056, 0.052, 0.056), NECK(0.350, -0.010, 0.054, 0.052, 0.055),
         NECK(0.400, 0.000, 0.053, 0.052, 0.056)),
    PART(PART_ADDS, 0.035, 2, 0.03, 0.03, UP,
         {SMPL24_NECK, {0.028, 0.335, -0.035}, 0.030, 0.022, 0.030, ALL(NECK_GIRTH)},
         {SMPL24_L_COLLAR, {0.090, 0.277, -0.034}, 0.036, 0.022, 0.040, ALL(SHOULDER_GIRTH)},
         {SMPL24_L_COLLAR, {0.168, 0.232, -0.024}, 0.036, 0.024, 0.040, ALL(SHOULDER_GIRTH)}),
    /* Chest, shoulder blade, bust, seat. */
    PART(PART_ADDS, 0.04, 2, 0.055, 0.060, AHEAD,
         {SMPL24_SPINE3, {0.070, 0.150, 0.035}, 0.078, 0.050, 0.05, CHEST_WIDTH, CHEST_DEPTH}),
    PART(PART_ADDS, 0.04, 2, 0.085, 0.075, AHEAD,
         {SMPL24_SPINE3, {0.080, 0.145, -0.080}, 0.060, 0.04, 0.043, CHEST_WIDTH, CHEST_DEPTH}),
    PART(PART_ADDS, 0.035, 2, 0.052, 0.062, AHEAD,
         {SMPL24_SPINE3, {0.074, 0.105, 0.058}, 0.055, 0.042, 0.04, ALL(BUST_GIRTH)}),
    PART(PART_ADDS, 0.04, 2, 0.082, 0.088, AHEAD,
         {SMPL24_PELVIS, {0.074, -0.275, -0.060}, 0.078, 0.05, 0.070, ALL(SEAT_GIRTH)}),
    /* Leg. */
    PART(PART_ADDS, 0.045, 2, 0.06, 0.04, AHEAD, THIGH(0.092, -0.235, -0.006, 0.072, 0.078, 0.082),
         THIGH(0.094, -0.300, -0.002, 0.079, 0.085, 0.088),
         THIGH(0.095, -0.370, 0.002, 0.080, 0.086, 0.084),
         THIGH(0.094, -0.450, 0.004, 0.074, 0.082, 0.077),
         THIGH(0.093, -0.540, 0.004, 0.063, 0.069, 0.064),
         THIGH(0.092, -0.610, 0.004, 0.054, 0.058, 0.054),
         SHANK(0.092, -0.656, 0.004, 0.051, 0.055, 0.050),
         SHANK(0.092, -0.700, 0.000, 0.048, 0.048, 0.050)),
    PART(PART_ADDS, 0.02, 2, 0.02, 0.03, AHEAD, SHANK(0.092, -0.656, 0.002, 0.046, 0.046, 0.046),
         SHANK(0.092, -0.700, 0.000, 0.049, 0.047, 0.052),
         SHANK(0.094, -0.760, -0.006, 0.054, 0.045, 0.064),
         SHANK(0.094, -0.815, -0.010, 0.053, 0.043, 0.064),
         SHANK(0.092, -0.880, -0.015, 0.044, 0.039, 0.050),
         SHANK(0.091, -0.950, -0.022, 0.034, 0.035, 0.038),
         SHANK(0.090, -1.010, -0.027, 0.030, 0.033, 0.034),
         FOOT(0.090, -1.060, -0.031, 0.033, 0.036, 0.038),
         FOOT(0.090, -1.085, -0.032, 0.033, 0.040, 0.038)),
    /* Foot: front is up here. */
    PART(PART_ADDS, 0.022, 2.4, 0.026, 0.022, UP, FOOT(0.086, -1.114, -0.062, 0.027, 0.036, 0.026),
         FOOT(0.089, -1.115, -0.025, 0.031, 0.052, 0.025),
         FOOT(0.095, -1.116, 0.025, 0.034, 0.052, 0.024),
         FOOT(0.104, -1.117, 0.075, 0.041, 0.033, 0.023),
         FOOT(0.110, -1.118, 0.110, 0.046, 0.021, 0.022),
         FOOT(0.112, -1.120, 0.130, 0.043, 0.015, 0.020)),
    TOE(0.086, 0.160, 0.0150),
    TOE(0.108, 0.158, 0.0110),
    TOE(0.124, 0.150, 0.0105),
    TOE(0.139, 0.140, 0.0100),
    TOE(0.151, 0.126, 0.0095),
    /* Arm: side is ahead, front is up. */
    PART(PART_ADDS, 0.045, 2, 0.040, 0.044, AHEAD,
         {SMPL24_L_SHOULDER, {0.190, 0.208, -0.020}, 0.060, 0.053, 0.053, ALL(SHOULDER_GIRTH)}),
    PART(PART_ADDS, 0.04, 2, 0.04, 0.03, UP, ARM(0.165, 0.209, -0.020, 0.044, 0.040, 0.038),
         ARM(0.225, 0.212, -0.021, 0.048, 0.043, 0.043),
         ARM(0.290, 0.215, -0.022, 0.047, 0.046, 0.048),
         ARM(0.350, 0.214, -0.024, 0.045, 0.045, 0.045),
         ARM(0.410, 0.213, -0.027, 0.039, 0.039, 0.040),
         FOREARM(0.448, 0.214, -0.028, 0.038, 0.036, 0.036),
         FOREARM(0.480, 0.214, -0.027, 0.040, 0.036, 0.036),
         FOREARM(0.510, 0.214, -0.026, 0.039, 0.034, 0.034)),
    PART(PART_ADDS, 0.015, 2, 0.03, 0.02, UP, FOREARM(0.448, 0.214, -0.028, 0.034, 0.033, 0.033),
         FOREARM(0.500, 0.214, -0.026, 0.042, 0.036, 0.036),
         FOREARM(0.550, 0.214, -0.024, 0.040, 0.034, 0.034),
         FOREARM(0.610, 0.213, -0.022, 0.033, 0.027, 0.028),
         FOREARM(0.660, 0.212, -0.020, 0.028, 0.0215, 0.0220),
         HAND(0.695, 0.214, -0.019, 0.028, 0.0195, 0.0200),
         HAND(0.720, 0.214, -0.018, 0.032, 0.0180, 0.0185)),
    PART(PART_ADDS, 0.012, 2.3, 0.02, 0.012, UP, HAND(0.700, 0.214, -0.018, 0.028, 0.0175, 0.0180),
         HAND(0.735, 0.214, -0.016, 0.037, 0.0165, 0.0180),
         HAND(0.770, 0.213, -0.016, 0.041, 0.0140, 0.0160),
         HAND(0.800, 0.211, -0.016, 0.037, 0.0090, 0.0100),
         HAND(0.820, 0.209, -0.015, 0.032, 0.0070, 0.0075)),
    FINGER(0.0145, 0.850, 0.0105),
    FINGER(-0.0065, 0.860, 0.0110),
    FINGER(-0.0270, 0.852, 0.0105),
    FINGER(-0.0455, 0.832, 0.0095),
    PART(PART_ADDS, 0.014, 2, 0.012, 0.010, UP, HAND(0.715, 0.209, 0.005, 0.015, 0.014, 0.014),
         HAND(0.750, 0.205, 0.035, 0.0125, 0.0125, 0.0125),
         HAND(0.790, 0.203, 0.048, 0.0095, 0.0095, 0.0095)),
    /* Head: cranium and face, then what is on it. */
    PART(PART_ADDS, 0.020, 2.2, 0.014, 0.071, AHEAD, HEAD(0, 0.346, 0.020, 0.036, 0.078, 0.030),
         HEAD(0, 0.366, 0.018, 0.051, 0.085, 0.050), HEAD(0, 0.395, 0.016, 0.062, 0.088, 0.072),
         HEAD(0, 0.425, 0.014, 0.069, 0.089, 0.088), HEAD(0, 0.450, 0.013, 0.073, 0.089, 0.096),
         HEAD(0, 0.472, 0.012, 0.076, 0.090, 0.100), HEAD(0, 0.490, 0.011, 0.076, 0.088, 0.100)),
    PART(PART_ADDS, 0.016, 2, 0.014, 0.014, AHEAD, HEAD(0, 0.352, 0.086, 0.024, 0.017, 0.02)),
    PART(PART_ADDS, 0.030, 2, 0.020, 0.018, AHEAD, HEAD(0.041, 0.420, 0.061, 0.024, 0.022, 0.02)),
    PART(PART_CARVES, 0.012, 2, 0.013, 0.012, AHEAD,
         HEAD(0.033, 0.450, 0.101, 0.021, 0.012, 0.019)),
    PART(PART_ADDS, 0.004, 2, 0.0115, 0.0115, AHEAD,
         HEAD(0.032, 0.449, 0.0760, 0.0120, 0.0120, 0.0120)),
    PART(PART_ADDS, 0.014, 2, 0.007, 0.007, AHEAD, HEAD(0.025, 0.4700, 0.088, 0.026, 0.012, 0.012)),
    PART(PART_ADDS, 0.012, 2, 0.010, 0.010, AHEAD, HEAD(0, 0.458, 0.096, 0.0080, 0.010, 0.010),
         HEAD(0, 0.432, 0.105, 0.0095, 0.0105, 0.012),
         HEAD(0, 0.415, 0.109, 0.0155, 0.0125, 0.014)),
    PART(PART_ADDS, 0.010, 2, 0.0075, 0.0065, AHEAD, HEAD(0, 0.3900, 0.097, 0.025, 0.0115, 0.010)),
    PART(PART_ADDS, 0.007, 2, 0.0065, 0.0070, AHEAD, HEAD(0, 0.3770, 0.096, 0.021, 0.0110, 0.010)),
    PART(PART_ADDS, 0.006, 2, 0.014, 0.014, AHEAD, HEAD(0.074, 0.420, 0.006, 0.0075, 0.009, 0.010),
         HEAD(0.080, 0.446, 0.000, 0.0085, 0.014, 0.015)),
};
const int ANATOMY_PARTS = sizeof ANATOMY / sizeof *ANATOMY;
