/* Defaults: what stands in for what the user does not name, above all the networks that come with
 * crowdrec.
 *
 *     char path[PATH_MAX];
 *     TRY(defaults_find(DEFAULTS_MESH, path));
 *
 * They are detector.safetensors, pose.safetensors and mesh.safetensors in $CROWDREC_MODELS if that
 * is set; else in models/, ../models/, ../share/crowdrec/models/, ../../models/ or ../../../models/
 * seen from the program or library. All three were trained on synthetic people (docs/models.md),
 * and the mesh network on crowdrec's own body.
 */
#ifndef CROWDREC_DEFAULTS_H
#define CROWDREC_DEFAULTS_H

#include "tensor/error.h"

#include <limits.h>

typedef enum { DEFAULTS_DETECTOR, DEFAULTS_POSE, DEFAULTS_MESH, DEFAULTS_MODELS } DefaultsModel;

/* ERR_USAGE names the option to give and where was looked. */
Status defaults_find(DefaultsModel model, char path[PATH_MAX]);

/* What a number of the options means: `usual` where it is 0, 0 where it is negative (none). */
double defaults_value(double option, double usual);

#endif
