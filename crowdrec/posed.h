/* Posed: the people of a photo with their bodies, as metrics look at them.
 *
 *     Posed all = posed_new(photo, body);
 *     double z = all.person[0].joint[HALPE26_HIP][2];
 *     posed_free(&all);
 */
#ifndef CROWDREC_POSED_H
#define CROWDREC_POSED_H

#include "crowdrec/gigacrowd.h"
#include "smpl/body.h"

typedef struct {
    double joint[HALPE26_COUNT][3]; /* camera frame, metres, translation included */
    double pixel[COCO17_COUNT][2];  /* in the photo; infinite behind the camera */
    double height;                  /* of the unposed body, metres */
    double box[4]; /* x0, y0, x1, y1: the person's own, else of the projected vertices; empty where
                      one of them is behind the camera */
} PosedPerson;

typedef struct {
    const GigaPhoto *photo;
    const Body *body;
    PosedPerson *person; /* in the photo's order */
    double (*box)[4];    /* of each person once more */
    int people;
} Posed;

/* Photo and body are borrowed; without one of them (NULL) there is nobody. */
Posed posed_new(const GigaPhoto *photo, const Body *body);
void posed_free(Posed *all);

/* A person's vertices [body->vertices][3], camera frame.  Free them. */
double (*posed_vertices(const Posed *all, int person))[3];

#endif
