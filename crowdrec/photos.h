/* Photos: the list of photos that a command line means, and where each one's results go.
 *
 *     Photos photos;
 *     TRY(photos_list((const char *[]){"holiday", "one.jpg"}, 2, "out", &photos));
 *     image_read(photos.photo[0].path, ...);
 *     photos_free(&photos);
 *
 * A folder stands for the photos in it (by extension, not those of its folders), in order of name;
 * in the output folder the pictures of an earlier run are none.
 */
#ifndef CROWDREC_PHOTOS_H
#define CROWDREC_PHOTOS_H

#include "tensor/arena.h"
#include "tensor/error.h"

typedef struct {
    const char *path;
    const char *name;   /* without folders; what predict.json calls it */
    const char *folder; /* for its results: the output folder itself when it is the only photo,
                           else OUTPUT/STEM, or OUTPUT/NAME where two photos share a stem or it
                           is the name of a file there */
} Photo;

typedef struct {
    Arena *arena;
    Photo *photo;
    int count;
} Photos;

/* ERR_INPUT for a folder that cannot be read or has no photo, ERR_USAGE where two photos have the
 * same name or folder.  Whether a file is there and a photo shows when it is read. */
Status photos_list(const char *const *paths, int count, const char *output, Photos *out);
void photos_free(Photos *photos);

/* Behind the last slash. */
const char *photos_name(const char *path);

/* How many characters of a name come before its extension. */
int photos_stem(const char *name);

#endif
