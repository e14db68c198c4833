/* Gigacrowd: the result form of the GigaCrowd challenge, which predict.json and truth.json have:
 *
 *     {"NAME.jpg": {"Intrinsic_matrix": [[f,0,cx],[0,f,cy],[0,0,1]],
 *                   "person_list": [{"pose": [72], "shape": [10], "trans_cam": [3],
 *                                    "scale_smpl": 1.0, "gender": "neutral"}, ...]}, ...}
 *
 *     GigaFile file;
 *     TRY(gigacrowd_read("truth.json", &file));
 *     const GigaPhoto *photo = gigacrowd_find(&file, "NAME.jpg");
 *     gigacrowd_free(&file);
 *
 * A truth may say more of a person: "bbox" (x, y, width, height of the whole body), "visible"
 * (share of the body that is seen).  Keys that are not known are passed over.
 */
#ifndef CROWDREC_GIGACROWD_H
#define CROWDREC_GIGACROWD_H

#include "crowdrec/crowd.h"
#include "tensor/arena.h"

#include <jansson.h>

typedef struct {
    float pose[CROWD_POSE], betas[CROWD_BETAS]; /* "shape" */
    float trans[3], scale;                      /* vertices are scale * SMPL(pose, betas) + trans */
    bool has_box;
    double box[4];  /* x0, y0, x1, y1 in pixels */
    double visible; /* 0..1; 1 when not said */
} GigaPerson;

typedef struct {
    const char *name;
    double camera[9]; /* Intrinsic_matrix, row-major */
    GigaPerson *person;
    int people;
} GigaPhoto;

typedef struct {
    Arena *arena;
    GigaPhoto *photo;
    int photos;
} GigaFile;

/* Everything is checked; ERR_INPUT names file, photo and person. */
Status gigacrowd_read(const char *path, GigaFile *out);
void gigacrowd_free(GigaFile *file); /* a zeroed file is allowed */

GigaPhoto *gigacrowd_find(const GigaFile *file, const char *name); /* NULL: not there */

/* A crowd as its photo's entry: everybody who has a body, with the box.  Lives in the arena. */
GigaPhoto gigacrowd_photo(const Crowd *crowd, Arena *arena);

/* predict.json of some crowds: everybody who has a body, in the crowds' order.  A new reference. */
json_t *gigacrowd_json(const Crowd *crowd, int count);

#endif
