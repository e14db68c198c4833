/* Result: result.json and result.npz, all that is known of one photo's people.  docs/formats.md
 * describes both.  Neither holds a time or a date: the same run gives the same bytes. */
#ifndef CROWDREC_RESULT_H
#define CROWDREC_RESULT_H

#include "crowdrec/refine.h"

#include <jansson.h>

#define RESULT_SCHEMA "crowdrec-result"
enum { RESULT_VERSION = 1 };

/* recipe and report of the refinement, NULL where there was none.  A new reference. */
json_t *result_json(const Crowd *crowd, const char *recipe, const RefineReport *report);

Status result_write_npz(const char *path, const Crowd *crowd);

#endif
