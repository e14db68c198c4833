/* Annotations: the photos and people of a dataset while its file is read.
 *
 *     Annotations a = {0};
 *     TRY(annotations_photo(&a, "images/a.jpg", &photo));
 *     TRY(annotations_person(&a, &(DatasetPerson){.photo = photo, .visible = 1}));
 *     TRY(annotations_sort(&a));                         // photo by photo, once all are there
 *     annotations_free(&a);
 */
#ifndef CROWDREC_ANNOTATIONS_H
#define CROWDREC_ANNOTATIONS_H

#include "crowdrec/dataset.h"

typedef struct {
    DatasetPhoto *photo;
    DatasetPerson *person;
    int photos, people;
    int photo_room, person_room;
} Annotations;

void annotations_free(Annotations *a); /* zeroes it */

/* name: path below the photos' folder, copied.  ERR_INPUT for one that would leave that folder. */
Status annotations_photo(Annotations *a, const char *name, int *index);

Status annotations_person(Annotations *a, const DatasetPerson *person); /* copied */

/* Puts each photo's people side by side, in the order in which they came. */
Status annotations_sort(Annotations *a);

/* What is the same for every kind of file.  x, y of keypoints that are not known become 0, and has
 * says whether any is. */
void annotations_keypoints(DatasetPerson *p);
void annotations_joints(DatasetPerson *p);

#endif
