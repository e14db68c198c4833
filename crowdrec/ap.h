/* Ap: average precision of scored boxes or keypoints, as COCO counts it.
 *
 *     Ap *ap = ap_new();
 *     for each image: ap_add(ap, &(ApImage){box, score, n, truth, kind, m, NULL});
 *     double ap50 = ap_at(ap, 0.5), map = ap_mean(ap);
 *     ap_free(ap);
 *
 * In each image boxes take truths in order of falling score (equal scores: in their own order),
 * each the free truth that it overlaps most, if by the limit or more.  A box whose truth is no
 * AP_COUNTED is neither right nor wrong; it gets such a truth only where no counted one is left for
 * it. Precision is made monotone and averaged over the recalls 0, 0.01, ... 1.  Any number of boxes
 * of an image counts; COCO stops at 100.
 */
#ifndef CROWDREC_AP_H
#define CROWDREC_AP_H

typedef enum {
    AP_COUNTED, /* must be found */
    AP_IGNORED, /* may be found, by one box */
    AP_REGION   /* any number of boxes may lie in it: overlap is the share of the box inside */
} ApKind;

/* Boxes are x0, y0, x1, y1.  For keypoints similarity holds the OKS of each estimate with each
 * truth, and takes the place of the overlap; box and truth may be NULL then. */
typedef struct {
    const double (*box)[4];
    const double *score;
    int boxes;
    const double (*truth)[4];
    const ApKind *kind; /* of each truth; NULL: all counted */
    int truths;
    const double *similarity; /* [boxes,truths]; NULL: IoU */
} ApImage;

typedef struct Ap Ap;

Ap *ap_new(void);
void ap_free(Ap *ap);                      /* NULL is allowed */
void ap_add(Ap *ap, const ApImage *image); /* copies */

/* Over all images added, at one least IoU or similarity.  NaN without counted truths. */
double ap_at(const Ap *ap, double limit);

double ap_mean(const Ap *ap); /* over limits 0.50, 0.55, ... 0.95 */

#endif
