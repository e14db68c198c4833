/* Truth: the files beside a folder of made-up photos (docs/formats.md, "synth").
 *
 *     Truth *truth;
 *     TRY(truth_begin("world", &wish, false, &truth));
 *     TRY(truth_add(truth, 0, &scene));        // photo after photo
 *     TRY(truth_commit(truth));                // or truth_abandon: no file appears
 *
 * JSON goes to its file as it comes; only what the npz takes is kept, 3 KB a person.
 */
#ifndef CROWDREC_TRUTH_H
#define CROWDREC_TRUTH_H

#include "crowdrec/scene.h"

typedef struct Truth Truth;

enum { TRUTH_NAME = 32 };

/* scene_000017.png */
void truth_name(int number, bool jpeg, char out[TRUTH_NAME]);

/* Removes what an older world left there: it is not true of photos that take its photos' place. */
Status truth_remove(const char *folder);

Status truth_begin(const char *folder, const SceneWish *wish, bool jpeg, Truth **out);
Status truth_add(Truth *truth, int number, const Scene *scene);
Status truth_commit(Truth *truth); /* frees it, whatever comes */
void truth_abandon(Truth *truth);

#endif
