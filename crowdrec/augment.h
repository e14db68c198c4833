/* Augment: how a crop is varied in training.
 *
 *     Augment a = augment_draw(options, draw.key);
 *     augment_colour(&a, &pixels, crop, height * width);
 *
 * Turns by up to twice options->rotate (a normal deviate of that, in 60 % of the draws), sizes by a
 * factor 1 +- scale, shifts by +- jitter of the box, mirrors half of the draws, multiplies each
 * channel by 1 +- colour.  A share options->armless of the draws takes its crop from a box like
 * those of detectors that overlook a stretched arm.
 */
#ifndef CROWDREC_AUGMENT_H
#define CROWDREC_AUGMENT_H

#include "crowdrec/dataset.h"
#include "crowdrec/train.h"
#include "kernels/attr.h"

typedef struct {
    double roll;     /* radians, of the photo's content, from x to y */
    double size;     /* the crop's side over the usual one */
    double shift[2]; /* of the crop's centre, shares of its sides */
    bool flip, armless;
    float gain[3];
} Augment;

Augment augment_draw(const TrainOptions *options, uint64_t key);

/* The box to take the crop from: the person's, without what only arms reach if so drawn. */
void augment_box(const Augment *a, const DatasetPerson *p, float box[4]);

/* Whether arms alone make more than 30 % of the person's box. */
bool augment_reaches(const DatasetPerson *p);

/* pixels numbers of three channels each, normalised as the rule says. */
void augment_colour(const Augment *a, const AffineAttr *rule, float *crop, int pixels);

/* Mirrors (about its own y axis) and then turns a vector of two numbers: photo -> augmented photo,
 * both from the middle that stays; and back. */
void augment_turn(const Augment *a, const double in[2], double out[2]);
void augment_turn_back(const Augment *a, const double in[2], double out[2]);

#endif
