/* Dataset: people in photos with their truth, as training and evaluation read them.
 *
 *     Dataset *d;
 *     TRY(dataset_open(&(DatasetChoice){.path = "world", .cache_bytes = 4ull << 30}, &d));
 *     Image photo;
 *     TRY(dataset_photo(d, d->person[i].photo, &photo));    // borrowed until dataset_release
 *     dataset_release(d, d->person[i].photo);
 *     dataset_close(d);
 *
 * A path is a folder that `crowdrec synth` wrote, a COCO person_keypoints JSON (17 keypoints, or 26
 * of Halpe), or a single-person npz (SPIN, CLIFF; docs/formats.md).  What a set does not say is
 * marked absent, never guessed.
 */
#ifndef CROWDREC_DATASET_H
#define CROWDREC_DATASET_H

#include "crowdrec/crowd.h"
#include "crowdrec/image.h"

/* What is known of a person beyond the box. */
enum { DATASET_KEYPOINTS = 1, DATASET_JOINTS = 2, DATASET_SMPL = 4, DATASET_TRANS = 8 };

typedef struct {
    int photo;
    unsigned has;
    bool ignore;                         /* a crowd region, no person: what is found there counts
                                            neither way; a detector learns it as background */
    float box[4];                        /* x0, y0, x1, y1 of the whole body, may leave the photo */
    float visible;                       /* share of the body that is seen, 0..1; 1 when unknown */
    float keypoints[CROWD_KEYPOINTS][3]; /* Halpe-26: x, y, v (0 unknown, 1 hidden, 2 seen) */
    float joints[CROWD_KEYPOINTS][4];    /* Halpe-26: x, y, z, 1 where known; metres, the camera's
                                            axes, the set's own origin (often the pelvis) */
    float pose[CROWD_POSE], betas[CROWD_BETAS], trans[3];
} DatasetPerson;

typedef struct {
    const char *path;
    int width, height; /* 0 until the photo was borrowed, when the set does not say */
    float focal;       /* pixels; the diagonal when the set does not say */
    int first, count;  /* its people in Dataset.person */
} DatasetPhoto;

typedef struct Dataset {
    const DatasetPhoto *photo;
    int photos;
    const DatasetPerson *person;
    int people;
} Dataset;

typedef struct {
    const char *path;
    const char *photos; /* folder of the photos; NULL: beside the annotations, or images/ there */
    size_t cache_bytes; /* decoded photos kept, 0: 1 GiB */
} DatasetChoice;

/* Everything but the photos is read and checked here.  A set without anybody is refused.  ERR_INPUT
 * names file and entry. */
Status dataset_open(const DatasetChoice *choice, Dataset **out);
void dataset_close(Dataset *d); /* NULL is allowed */

/* The decoded photo, kept until it is released; any thread may ask.  ERR_INPUT for one that cannot
 * be read or is not of the size that the set says. */
Status dataset_photo(Dataset *d, int photo, Image *out);
void dataset_release(Dataset *d, int photo);

#endif
