/* Things: what stands about in a public place and is no person.
 *
 *     Thing t = thing_make(THING_BUSH, &dice, arena);      // stands on y = 0 around the origin
 *
 * Closed meshes with flat or smooth normals and a colour a vertex, metres, y up.
 */
#ifndef CROWDREC_THINGS_H
#define CROWDREC_THINGS_H

#include "crowdrec/dice.h"
#include "tensor/arena.h"
#include "tensor/error.h"

typedef enum {
    THING_CRATE,
    THING_POLE,
    THING_BAG,
    THING_BUSH,
    THING_CONE,
    THING_BARRIER,
    THING_BENCH,
    THING_SIGN,
    THING_TREE,
    THING_BIN,
    THING_COLUMN,
    THING_CAR,
    THINGS,
    THING_SEAT,
    THING_STEP
} ThingKind;

typedef struct {
    float at[3], normal[3], rgb[3];
} ThingPoint;

typedef struct {
    ThingKind kind;
    ThingPoint *point;
    int32_t *face; /* [faces,3], counter-clockwise seen from outside */
    int points, faces;
    float radius; /* of the room it needs on the ground */
    bool leafy;   /* coarse, dark grain */
} Thing;

Thing thing_make(ThingKind kind, Dice *dice, Arena *arena);

/* A box of these sizes (x, y, z) on the ground, for seats and steps. */
Thing thing_box(ThingKind kind, const float size[3], const float rgb[3], Arena *arena);

#endif
