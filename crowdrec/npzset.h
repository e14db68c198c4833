/* Npzset: people of an npz as a dataset: the single-person training sets of SPIN, the pseudo ground
 * truth of CLIFF, and people.npz of `crowdrec synth`.  docs/formats.md lists the fields. */
#ifndef CROWDREC_NPZSET_H
#define CROWDREC_NPZSET_H

#include "crowdrec/annotations.h"

/* Adds everybody, photos in order of name.  `halpe_2d` and `halpe_3d` count before `part` and `S`,
 * whose 24 joints become those of Halpe-26 that they have; without `bbox` the box is the one whose
 * crop (crop_cliff_inside) has `center` and `scale`.  ERR_INPUT names field and entry. */
Status npzset_read(const char *path, Annotations *a);

#endif
