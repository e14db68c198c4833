/* Trainset: several sets of people as one, each with a ratio.
 *
 *     TrainSet s;
 *     TRY(trainset_open(options, usable, &s));
 *     TrainPick p = trainset_pick(&s, draw);
 *     trainset_close(&s);
 *
 * An epoch has ratio times the usable people of each set: whole copies of all, and for what is left
 * of the ratio people drawn at random.
 */
#ifndef CROWDREC_TRAINSET_H
#define CROWDREC_TRAINSET_H

#include "crowdrec/train.h"

typedef struct {
    Dataset *set;
    int *person, people; /* the usable ones */
    double ratio;
    int entries; /* of an epoch */
} TrainPart;

typedef struct {
    TrainPart part[CROWDREC_DATA_SETS];
    int parts, samples;
} TrainSet;

typedef struct {
    Dataset *set;
    const DatasetPerson *person;
} TrainPick;

/* How many `ratio` times so many (at least one) are, rounded up; what double numbers do not hold
 * exactly is not counted. */
int trainset_entries(double ratio, int count);

/* The sets options->data.  ERR_INPUT when one has nobody usable. */
Status trainset_open(const TrainOptions *options, bool (*usable)(const DatasetPerson *),
                     TrainSet *out);

/* options->validation alone; no sample when there is none. */
Status trainset_open_validation(const TrainOptions *options, bool (*usable)(const DatasetPerson *),
                                TrainSet *out);
void trainset_close(TrainSet *s); /* a zeroed one is allowed */

TrainPick trainset_pick(const TrainSet *s, const TrainDraw *draw);

#endif
