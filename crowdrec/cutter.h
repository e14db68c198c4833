/* Cutter: a photo as the source of networks' inputs.  Where a network runs on a device the photo is
 * copied there once, as bytes, and crops are cut there, straight into the network's input; what
 * goes over for a crop is ten numbers.
 *
 *     Cutter *cutter;
 *     TRY(cutter_new(&photo, backend, 0, &cutter));
 *     cutter_feed(cutter, crop, &pixels, plan, input);       // then plan_run
 *     cutter_free(cutter);
 *
 * Of a photo above the budget only the tiles that crops reach are copied, one after the other; what
 * reaches farther than the budget is cut in bands of rows.  The numbers are the same in every way.
 */
#ifndef CROWDREC_CUTTER_H
#define CROWDREC_CUTTER_H

#include "autograd/plan.h"
#include "crowdrec/crop.h"

typedef struct Cutter Cutter;

enum { CUTTER_BUDGET = 512 << 20 }; /* bytes of a device for a photo: 178 megapixels */

/* The photo must outlive the cutter.  budget: bytes, 0: CUTTER_BUDGET.  A device without room for
 * the photo is no error: crops are then cut on the host. */
Status cutter_new(const Image *photo, const Backend *backend, size_t budget, Cutter **out);
void cutter_free(Cutter *cutter); /* NULL is allowed */

const Image *cutter_photo(const Cutter *cutter);

/* Whether crops are cut on a device, and so best again for each run instead of being kept. */
bool cutter_on_device(const Cutter *cutter);

/* One crop for each row of the input [n,out_h,out_w,3]. */
void cutter_feed(Cutter *cutter, const Crop *crop, const AffineAttr *pixels, Plan *plan,
                 const Tensor *input);

#endif
