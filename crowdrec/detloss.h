/* Detloss: what a detector in training is wrong about (YOLOX, Ge et al. 2021).
 *
 *     NetOutput y = net_build(&spec, &m, x, NULL);               // m.train
 *     DetLoss l = detloss_build(&m, &y, x->shape, 120, ASSIGN_MEGVII);
 *     plan_new(graph, backend, &(PlanOptions){.loss = l.total}, &plan);
 *     plan_write(plan, l.labels, F32, labels);
 *
 * total = 5 * box + object + class + l1, each a sum over all anchors divided by the number of
 * anchors in the batch that answer for a person (op assign), at least 1:
 *     box     1 - IoU^2 of such an anchor's box with its person's
 *     object  binary cross entropy of objectness, target 1 for such an anchor and 0 for the others
 *     class   binary cross entropy of its classes, target IoU for the person's class
 *     l1      |difference| of its raw row to the one that decodes to the person's box, times the
 *             image's weight; YOLOX has it in the last epochs alone
 */
#ifndef CROWDREC_DETLOSS_H
#define CROWDREC_DETLOSS_H

#include "nets/net.h"

typedef struct {
    Tensor *labels;                    /* input [n,boxes,1,5]: class, centre x, centre y, w, h in
                                          input pixels; w or h 0: none */
    Tensor *l1_weight;                 /* input [n,1,1,1] */
    Tensor *foreground;                /* [n,a,1,1]: 1 for an anchor that answers for a person */
    Tensor *match;                     /* [n,a,1,8]: the person's box and its raw form */
    Tensor *target;                    /* [n,a,1,classes] */
    Tensor *box, *object, *class, *l1; /* scalars [1,1,1,1], box times 5 */
    Tensor *total;
} DetLoss;

/* y: output of a YOLOX on an input [n,h,w,3]; boxes: how many an image may have. */
DetLoss detloss_build(const Scope *m, const NetOutput *y, Shape input, int boxes,
                      AssignVariant variant);

#endif
