/* Degrade: what lens, sensor and storage do to a photo.
 *
 *     degrade_photo(&photo, seed);
 *
 * Now and then a little blur, noise and the blocks of 8 x 8 that strong compression leaves.
 */
#ifndef CROWDREC_DEGRADE_H
#define CROWDREC_DEGRADE_H

#include "crowdrec/image.h"

/* How much of each; zeros leave the photo as it is. */
typedef struct {
    float blur;       /* share of each neighbour in a row and in a column, 0 to 0.25 */
    float dark, shot; /* deviation of the noise in levels, at black and what white adds */
    float coarse;     /* step of the 8 x 8 transform's coefficients, levels */
} Degrade;

void degrade_apply(const Degrade *d, uint64_t seed, Image *photo);
void degrade_photo(Image *photo, uint64_t seed); /* with a Degrade drawn from the seed */

#endif
