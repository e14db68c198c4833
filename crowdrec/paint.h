/* Paint: a scene as a photo, with the truth that only the picture knows.
 *
 *     Image photo;
 *     TRY(paint_scene(&scene, poser, &photo));     // scene.person[i].visible, .box, ... are set
 *     image_free(&photo);
 *
 * Bands of rows are drawn independently, so memory is the photo's three bytes a pixel, one band a
 * thread and some 200 KB a person, and no number depends on the threads.  Visibility is solved for
 * four samples a pixel (cover.h), colours once a pixel for each mesh that is seen in it.
 */
#ifndef CROWDREC_PAINT_H
#define CROWDREC_PAINT_H

#include "crowdrec/image.h"
#include "crowdrec/scene.h"

enum { PAINT_BAND = 64 };

/* The photo is clean: no noise, no blur (degrade.h).  ERR_MEMORY. */
Status paint_scene(Scene *scene, const Poser *poser, Image *out);

#endif
