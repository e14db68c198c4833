/* Regress: a body for each box from its crop (HRNet or ResNet-50 backbone + CLIFF head, paper 1.2).
 *
 *     Regressor *r;
 *     TRY(regress_open(&(RegressOptions){.mesh = "hr48.pt", .body = "SMPL_NEUTRAL.pkl"}, &r));
 *     TRY(regress_run(r, &photo, &crowd));      // fills pose, betas, trans, joints of every person
 *     TRY(refine_run(r, &photo, &crowd, &options, &report));
 *     regress_close(r);
 *
 * The Regressor holds the network's weights; refine_run changes them for one photo and
 * regress_reset brings the loaded ones back.
 */
#ifndef CROWDREC_REGRESS_H
#define CROWDREC_REGRESS_H

#include "crowdrec/crowd.h"
#include "crowdrec/image.h"
#include "nets/net.h"
#include "smpl/body.h"

typedef struct {
    const Backend *backend;     /* NULL: cpu */
    const char *mesh;           /* checkpoint, or a rule (net_open) */
    const char *body;           /* SMPL-format body; NULL: crowdrec's own (procedural.h) */
    const char *body_regressor; /* J_regressor_halpe.npy, or NULL: from the body or its landmarks */
    const volatile int *interrupted; /* not 0: regress_run ends between 64 people; may be NULL */
} RegressOptions;

typedef struct Regressor Regressor;

Status regress_open(const RegressOptions *options, Regressor **out);
void regress_close(Regressor *r); /* NULL is allowed */

/* Fills center, scale, crop_camera, pose, betas, trans, joints and PERSON_HAS_BODY of everybody
 * whose box can be cropped, and the crowd's ground.  The camera is the crowd's.  ERR_INTERRUPTED
 * leaves some without. */
Status regress_run(Regressor *r, const Image *photo, Crowd *crowd);

Status regress_reset(Regressor *r); /* the weights as loaded; ERR_MEMORY at the first call only */

const Body *regress_body(const Regressor *r);
const NetSpec *regress_net(const Regressor *r);
Params *regress_params(Regressor *r);

#endif
