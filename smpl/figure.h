/* Figure: the skeleton and the measures of a made-up human figure, as ten betas shape it.
 *
 *     const double betas[BODY_BETAS] = {[FIGURE_STATURE] = 1.5};
 *     Figure tall = figure_make(betas);
 *     double knee_height = tall.joint[SMPL24_L_KNEE][1];
 *     double point[3] = {0.08, -0.5, 0.05};              // of the mean figure, on the thigh
 *     figure_carry(&tall, SMPL24_L_HIP, point, moved);   // the same place of the tall one
 *
 * Metres, x to the figure's left, y up, z forward; it stands in a T and its pelvis stays where it
 * is whatever the betas.  Betas have mean 0 and variance 1.  Each measure is linear in them, and so
 * is each joint.
 */
#ifndef SMPL_FIGURE_H
#define SMPL_FIGURE_H

#include "smpl/body.h"

/* What the betas mean; each raises what it is called after. */
enum {
    FIGURE_STATURE,
    FIGURE_GIRTH,
    FIGURE_BELLY,
    FIGURE_SHOULDERS,
    FIGURE_HIPS,
    FIGURE_LEGS,
    FIGURE_ARMS,
    FIGURE_HEAD,
    FIGURE_MUSCLE,
    FIGURE_BUST
};

/* Factors on the mean figure's sizes. */
typedef enum {
    TRUNK_LENGTH,
    NECK_LENGTH,
    ARM_LENGTH,
    FOREARM_LENGTH,
    THIGH_LENGTH,
    SHANK_LENGTH,
    SHOULDER_BREADTH,
    HIP_BREADTH,
    HEAD_SIZE,
    HAND_SIZE,
    FOOT_SIZE,
    CHEST_WIDTH,
    CHEST_DEPTH,
    WAIST_WIDTH,
    WAIST_DEPTH,
    PELVIS_WIDTH,
    PELVIS_DEPTH,
    BELLY_GIRTH,
    BUST_GIRTH,
    SEAT_GIRTH,
    NECK_GIRTH,
    SHOULDER_GIRTH,
    ARM_GIRTH,
    FOREARM_GIRTH,
    THIGH_GIRTH,
    CALF_GIRTH,
    MEASURES
} Measure;

typedef struct {
    double measure[MEASURES];
    double joint[BODY_JOINTS][3];
} Figure;

Figure figure_make(const double betas[BODY_BETAS]);

/* Where the joints of the mean figure are; the same as figure_make with betas 0. */
extern const double FIGURE_JOINT[BODY_JOINTS][3];

/* A point of the mean figure that moves with a joint, in another figure: its offset from the joint
 * is stretched along the limb and across it. */
void figure_carry(const Figure *f, int joint, const double point[3], double moved[3]);

#endif
