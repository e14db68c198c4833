/* Joints: the orders in which files and networks list a body's joints, and the maps between them.
 *
 *     float wrist_x = keypoints[HALPE26_L_WRIST][0];
 *     const JointOrderInfo *o = joints_order(JOINTS_HALPE26);
 *     for (int i = 0; i < o->count; i++)
 *         if (o->joint[i].parent >= 0) line(keypoints[i], keypoints[o->joint[i].parent]);
 *     joints_convert(JOINTS_HALPE26, JOINTS_COCO17, &keypoints[0][0], 3, &coco[0][0]);
 *
 * Everything is generated from joints.def.
 */
#ifndef SMPL_JOINTS_H
#define SMPL_JOINTS_H

#include <stdbool.h>

/* SMPL24_PELVIS, ..., SMPL24_COUNT, HALPE26_NOSE, ...; *_NONE is -1. */
enum {
#define ORDER(order, text) order##_NONE = -1,
#define JOINT(order, name, text, parent, flip) order##_##name,
#define END(order) order##_COUNT,
#include "smpl/joints.def"
};

typedef enum {
#define ORDER(order, text) JOINTS_##order,
#define JOINT(order, name, text, parent, flip)
#define END(order)
#include "smpl/joints.def"
    JOINTS_ORDERS
} JointOrder;

typedef struct {
    const char *name;
    int parent; /* -1: the root */
    int flip;   /* the same joint of the mirrored body */
} Joint;

typedef struct {
    const char *name; /* "halpe26" */
    int count;
    const Joint *joint;
} JointOrderInfo;

const JointOrderInfo *joints_order(JointOrder order);

/* For each joint of target its index in source, -1 where it has none; NULL when joints.def has no
 * such map. */
const int *joints_map(JointOrder target, JointOrder source);

/* Brings values [joints][width] of order `from` into order `to` by the map from -> to or, where
 * only to -> from exists, by its inverse (of several partners the first counts).  Joints without a
 * partner become 0.  Orders without a map are bad code. */
void joints_convert(JointOrder from, JointOrder to, const float *in, int width, float *out);

#endif
