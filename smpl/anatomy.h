/* Anatomy: the parts that a made-up body's flesh consists of, for solid.h. */
#ifndef SMPL_ANATOMY_H
#define SMPL_ANATOMY_H

#include "smpl/figure.h"

/* An elliptic cross-section around a point of the mean figure, which moves with a joint. */
typedef struct {
    int joint;
    double center[3];
    double side, front, back; /* half axes; front towards the part's `front` */
    Measure width, depth;     /* what scales side, and front and back */
} Station;

enum { PART_STATIONS = 14 };

typedef enum { PART_ADDS, PART_CARVES } PartKind;

/* Cross-sections along the line from the first station to the last, smooth in between, with
 * half-ellipsoids on both ends.  A single station's line is y.  A part with a first centre at
 * x > 0 has a mirror image on the right. */
typedef struct {
    PartKind kind;
    double blend;    /* metres over which it runs into what came before it */
    double power;    /* of the cross-section: 2 is an ellipse, more is boxier */
    double cap[2];   /* height of the rounded ends */
    double front[3]; /* across the line */
    int stations;
    Station station[PART_STATIONS];
} Part;

/* In order of union. */
extern const Part ANATOMY[];
extern const int ANATOMY_PARTS;

#endif
