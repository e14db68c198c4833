/* Render: pictures of a crowd's bodies.
 *
 *     Image picture;
 *     TRY(render_overlay(&photo, &crowd, regress_body(r), &picture));
 *     TRY(image_write_png("overlay.png", &picture));
 *     image_free(&picture);
 *
 * A person has the same calm colour in every picture, given by the place in the crowd.  People
 * without a body, behind the camera, or not within 1000 km of it (NaN among them) are left out.
 */
#ifndef CROWDREC_RENDER_H
#define CROWDREC_RENDER_H

#include "crowdrec/crowd.h"
#include "crowdrec/image.h"
#include "smpl/body.h"

/* The photo with the bodies over it, seen by the crowd's camera.  ERR_MEMORY. */
Status render_overlay(const Image *photo, const Crowd *crowd, const Body *body, Image *out);

/* The crowd from the side (paper, figure 3): parallel projection along the ground, perpendicular to
 * the camera's view, at true proportions; depth grows to the right, height above the mean foot
 * level upwards.  Two panels of one scale when before is given.  Far outliers lie outside of the
 * picture and are counted in its caption.  Ground planes: crowd_ground's.  ERR_MEMORY. */
Status render_side(const Crowd *before, const Crowd *after, const Body *body, Image *out);

/* The colour of the crowd's person i. */
void render_color(int i, uint8_t rgb[3]);

#endif
