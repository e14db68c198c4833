/* Coco: people's boxes and keypoints as COCO JSON, so that each stage can start from somebody
 * else's results and hand on its own.
 *
 *     Coco *coco;
 *     TRY(coco_open("keypoints.json", COCO_KEYPOINTS, &coco));
 *     TRY(coco_people(coco, only_photo, &crowd));        // crowd: photo, width, height are set
 *     coco_close(coco);
 *     TRY(coco_write("out/keypoints.json", COCO_KEYPOINTS, &crowd, 1));
 *
 * Reads the annotation form (images, annotations, categories) and the results form (a bare list
 * with image_id, as COCO's and AlphaPose's tools write it; "box" stands for "bbox").  Entries of
 * another category than "person" and crowd regions are passed over.  bbox is x, y, width, height.
 * keypoints are 17 (COCO) or 26 (Halpe) times x, y, v: where all v of an entry are 0, 1 or 2 they
 * are COCO's visibility (above 0: confidence 1), otherwise confidences.  Everything is checked when
 * the file is opened.
 */
#ifndef CROWDREC_COCO_H
#define CROWDREC_COCO_H

#include "crowdrec/crowd.h"

#include <jansson.h>

typedef enum { COCO_BOXES, COCO_KEYPOINTS } CocoContent;

typedef struct Coco Coco;

/* content: what each entry must bring.  An entry with keypoints and without a box gets the box of
 * its keypoints (crowd_box_of_keypoints).  ERR_INPUT names the entry. */
Status coco_open(const char *path, CocoContent content, Coco **out);
void coco_close(Coco *coco); /* NULL is allowed */

/* Adds the people of the crowd's photo, found by file_name, or in a results list by image_id: the
 * photo's name or stem, the number that its stem ends in, or, for the only photo of a run, the only
 * image of the list.  ERR_INPUT when it is not there or there twice, has another size, or a box
 * lies outside the photo. */
Status coco_people(const Coco *coco, bool only_photo, Crowd *crowd);

/* Whether the file names this photo, and its size there, 0 where it does not say. */
bool coco_size(const Coco *coco, const char *photo, int *width, int *height);

/* All crowds in the annotation form, with scores: boxes only, or everybody who has keypoints (26,
 * third number the confidence).  Atomic. */
Status coco_write(const char *path, CocoContent content, const Crowd *crowd, int count);

/* An id, whole number or text, as text, in buffer where need be; NULL for anything else. */
enum { COCO_ID_TEXT = 32 };
const char *coco_id(const json_t *id, char buffer[COCO_ID_TEXT]);

/* Adds the ids of the categories named "person" to the object people, as keys.  ERR_INPUT where
 * there are categories and none is. */
Status coco_categories(const json_t *categories, json_t *people);

/* Whether an annotation is of such a category: without categories of number 1, or of none. */
bool coco_is_person(const json_t *people, const json_t *annotation);

/* A list of keypoints: x, y, v of 17 (COCO) or 26 (Halpe) joints in a row.  ERR_INPUT for another
 * length, what is no number, or a place that is in no photo. */
Status coco_keypoints(const json_t *list, double value[3 * CROWD_KEYPOINTS], int *joints);

#endif
