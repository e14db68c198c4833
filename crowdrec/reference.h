/* Reference: the truth about some photos: who really is in them, and the body that this is told in.
 *
 *     Reference truth;
 *     TRY(reference_open("world/truth.json", NULL, NULL, NULL, &truth));
 *     const GigaPhoto *photo = gigacrowd_find(&truth.file, "00001.jpg");
 *     reference_close(&truth);
 */
#ifndef CROWDREC_REFERENCE_H
#define CROWDREC_REFERENCE_H

#include "crowdrec/gigacrowd.h"
#include "smpl/body.h"
#include "tensor/file.h"

typedef struct {
    GigaFile file;
    Body *body;
} Reference;

/* path: a file in GigaCrowd's form, such as `crowdrec synth` writes.  Its body is, in this order:
 * body, body.npz beside the file, fallback; NULL: not given.  ERR_USAGE when none is there.  Where
 * that is the file of fallback, which is the results' body, its joints come from the results'
 * regressor too (body_load; NULL: none). */
Status reference_open(const char *path, const char *body, const char *fallback,
                      const char *regressor, Reference *out);

/* The file that this body is read from, NULL when none is there; may lie in beside. */
const char *reference_body(const char *path, const char *body, const char *fallback,
                           char beside[FILE_PATH]);

void reference_close(Reference *truth); /* zeroes it; a zeroed one is allowed */

#endif
