/* Synth: photos of made-up crowds, with the truth about everybody in them.
 *
 *     Synth *synth;
 *     TRY(synth_open(&(SynthChoice){.wish = {.width = 640, .height = 480, .people = {5, 30}},
 *                                   .seed = 1}, &synth));
 *     SynthPhoto p;
 *     TRY(synth_photo(synth, 17, &p));        // the same photo on every call; any thread
 *     synth_photo_free(&p);
 *     synth_close(synth);
 *
 * scene.h says what a scene is, paint.h how it becomes a photo.  Truth lists those who are seen: at
 * least SYNTH_VISIBLE of their silhouette and SYNTH_PIXELS pixels.  Others are in the photo, as far
 * as they are, without an entry.
 */
#ifndef CROWDREC_SYNTH_H
#define CROWDREC_SYNTH_H

#include "crowdrec/crowdrec.h"
#include "crowdrec/image.h"
#include "crowdrec/scene.h"

#define SYNTH_VISIBLE 0.02
enum { SYNTH_PIXELS = 8 };

typedef struct {
    SceneWish wish;
    uint64_t seed;
    const char *body; /* made by `crowdrec body` */
} SynthChoice;

typedef struct Synth Synth;

/* ERR_USAGE for a wish that cannot be, what body_load returns, ERR_MODEL for a body that is not the
 * made-up one (clothes lie on its template). */
Status synth_open(const SynthChoice *choice, Synth **out);
void synth_close(Synth *synth); /* NULL is allowed */

/* A photo; scene.person are those who are seen. */
typedef struct {
    Image photo;
    Scene scene;
} SynthPhoto;

/* The world's photo of that number, from 0: the same whatever the threads.  ERR_MEMORY. */
Status synth_photo(const Synth *synth, int number, SynthPhoto *out);
void synth_photo_free(SynthPhoto *photo);

/* `crowdrec synth`: writes a folder as docs/formats.md describes it.  ERR_USAGE for options that
 * cannot be or a folder that cannot be written, ERR_INPUT for a file in it, ERR_MEMORY,
 * ERR_INTERRUPTED with what was reached written. */
Status synth_run(const CrowdrecSynth *options, FILE *report);

#endif
