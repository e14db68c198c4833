/* Crowd: the one record that flows through the pipeline and gains fields at each stage:
 * photo -> boxes (detect) -> keypoints (pose2d) -> body parameters (regress) -> refined (refine).
 *
 * Pixels are of the photo as shown (EXIF orientation applied), x right, y down, pixel centres at
 * whole numbers.  3D is the camera frame: x right, y down, z forward, metres.  Poses are
 * axis-angle, radians.
 */
#ifndef CROWDREC_CROWD_H
#define CROWDREC_CROWD_H

#include "smpl/joints.h"
#include "tensor/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { CROWD_KEYPOINTS = HALPE26_COUNT, CROWD_POSE = 3 * SMPL24_COUNT, CROWD_BETAS = 10 };

/* What a person's record holds beyond its box. */
enum {
    PERSON_HAS_KEYPOINTS = 1,
    PERSON_HAS_BODY = 2,
    PERSON_REFINED = 4,
    PERSON_BEHIND_CAMERA = 8
};

typedef struct {
    float box[4]; /* x0, y0, x1, y1 */
    float score;  /* of the detector, or as a file says, 1 where it does not */
    int id;       /* of the input file, or the index */
    unsigned flags;
    float keypoints[CROWD_KEYPOINTS][3]; /* Halpe-26: x, y, confidence; 0 where not estimated */
    float center[2], scale;              /* CLIFF's crop: centre in pixels, height/200 */
    float crop_camera[3];                /* s, tx, ty of the crop */
    float pose[CROWD_POSE], betas[CROWD_BETAS], trans[3];
    float joints[CROWD_KEYPOINTS][3]; /* Halpe-26, camera frame, translation included */
    float ground_distance;            /* of the root to the common ground plane, metres, signed */
    int group;                        /* refined in this group, from 0; -1: not refined */
    float loss_keypoints, loss_pose, loss_betas; /* this person's unweighted terms at the end */
} Person;

typedef struct {
    double focal, cx, cy; /* pixels */
    const char *source;   /* "image diagonal", "--focal-px", "--fov", "--intrinsics" */
} Camera;

typedef struct {
    char *photo; /* path as given */
    int width, height;
    Camera camera;
    char arithmetic[32]; /* of the networks (backend_arithmetic), "" where none ran */
    Person *person;
    int count, capacity;
    float ground_normal[3]; /* feet to head, unit length */
    float ground_offset;    /* plane: normal . X = offset, through the mean root */
    float ground_spread;    /* standard deviation of the roots' heights, metres */
    int iterations;         /* of the refinement, summed over groups; 0: not refined */
    const char
        *reason; /* why it ended: "iterations", "converged", "time limit", "interrupted", ... */
} Crowd;

void crowd_free(Crowd *crowd); /* zeroes it; a zeroed crowd is allowed */

/* A zeroed person at the end, group -1, id = index. */
Person *crowd_add(Crowd *crowd);

/* How many people have all of these flags. */
int crowd_count(const Crowd *crowd, unsigned flags);

/* Once joints are filled: PERSON_HAS_BODY, and PERSON_BEHIND_CAMERA where the hip's depth is not
 * above 0. */
void crowd_mark_body(Person *p);

/* Drops every person for which keep is false, order kept. */
void crowd_filter(Crowd *crowd, bool (*keep)(const Person *, void *), void *context);

/* Whether a part of the box lies on the photo. */
bool crowd_sees(const Crowd *crowd, const float box[4]);

/* Around the keypoints [26] with a confidence above 0, but for the joints that `without` (NULL:
 * none) tells: x0, y0, x1, y1; infinities the wrong way round where there are none. */
void crowd_hull(const float (*keypoints)[3], bool (*without)(int joint), float hull[4]);

/* Moves the box towards the one around the keypoints with a confidence above 0, grown by what a
 * body has beyond them: by a share of the way, 1 all of it.  False, and the box as it was, where
 * they span none. */
bool crowd_box_of_keypoints(Person *p, float share);

/* Mean confidence of COCO's 17 keypoints. */
double crowd_confidence(const Person *p);

/* As COCO's pose estimators score a person: the box's score times crowd_confidence. */
double crowd_strength(const Person *p);

/* What the mean body axis is worth beside the roots when the ground's normal is sought, square
 * metres: the axis is off by some 0.06 radians, roots by some 0.5 m of height. */
#define CROWD_AXIS_WORTH 70.0

/* Ground plane from the people's joints (op plane): normal, offset, spread, each person's distance.
 * How many people it is of: those with a body that is not behind the camera and has an axis. */
int crowd_ground(Crowd *crowd);

#endif
