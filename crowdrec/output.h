/* Output: the files in the output folder, all with fixed names, each whole or not there at all.
 *
 *     TRY(output_prepare("out"));                              // before long work
 *     TRY(output_photo("out", &(Results){.crowd = &crowd, .image = &image}));
 *     TRY(output_run("out", crowds, count, stages));           // what covers all photos
 *
 * docs/formats.md describes them.
 */
#ifndef CROWDREC_OUTPUT_H
#define CROWDREC_OUTPUT_H

#include "crowdrec/crowd.h"
#include "crowdrec/image.h"
#include "crowdrec/refine.h"
#include "smpl/body.h"

/* Names of the files that cover all photos, and of the pictures of one; each list ends in NULL. */
extern const char *const output_names[];
extern const char *const output_pictures[];
bool output_is_picture(const char *name);

/* ERR_USAGE when the input is the file at `path`, where results go; NULL: no input. */
Status output_spares(const char *input, const char *path);

/* Makes the folder and proves that a file can be made in it; ERR_USAGE otherwise. */
Status output_prepare(const char *folder);

/* One photo's end. */
typedef struct {
    const Crowd *crowd;
    const Crowd *before; /* as regressed, for side.png; NULL where nothing was refined */
    const Image *image;
    const Body *body;            /* NULL before regression */
    const char *recipe;          /* of the refinement */
    const RefineReport *refined; /* NULL where nothing was refined */
    bool meshes;
} Results;

/* result.json, result.npz, overlay.png (the bodies, or boxes and skeletons where nobody has one);
 * from regression on, with anybody to show, side.png, and when asked for meshes/person_%04d.obj.
 * Mesh files of an earlier run's further people are removed. */
Status output_photo(const char *folder, const Results *results);

/* detections.json of all photos, and with these stages keypoints.json and predict.json. */
enum { OUTPUT_KEYPOINTS = 1, OUTPUT_BODIES = 2 };
Status output_run(const char *folder, const Crowd *crowd, int count, unsigned stages);

#endif
