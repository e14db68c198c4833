/* Score: results held against the truth, photo by photo and in total (paper, section 2 and table
 * 1).
 *
 *     Score *s = score_new(body, truth_body);
 *     score_add(s, &(ScorePhoto){.truth = &truth->photo[0], .found = &found->photo[0]});
 *     ScoreRow total;
 *     score_total(s, &total);
 *     printf("%.4f\n", total.value[SCORE_PA_PPDS]);
 *     score_free(s);
 *
 * Who counts: people of the truth at least half visible and taller than 40 pixels.  The others are
 * neither right nor wrong: what is found there is left out.  People are matched one to one by IoU
 * of 0.5 or more (metrics_match), first with those who count; a person without a box has that of
 * the projected vertices, and none with a vertex behind the camera.
 *
 * Over matched people: OKS (COCO-17 of the projected bodies; every joint counts, hidden ones too;
 * area of the true box), MPJPE and PA-MPJPE (LSP-14), PVE (Halpe hips aligned; needs bodies of
 * equal vertices), root error (distance of the Halpe hips in the camera's frame).  Over photos:
 * PA-PPDS and PCOD (two matched people or more), SS (scaled as PA-PPDS is), RP, and the spread of
 * the matched roots over the ground that they themselves give (crowd_ground; two or more that it
 * counts).
 * Totals are means over people or photos; detection is counted over all boxes.
 */
#ifndef CROWDREC_SCORE_H
#define CROWDREC_SCORE_H

#include "crowdrec/gigacrowd.h"
#include "smpl/body.h"

typedef enum {
#define METRIC(NAME, ...) SCORE_##NAME,
#include "crowdrec/score.def"
    SCORE_METRICS
} ScoreMetric;

typedef struct {
    const char *key, *title, *unit;
    char better; /* '+' larger, '-' smaller, ' ' neither */
    int digits;  /* behind the point, for people */
} ScoreMetricInfo;

const ScoreMetricInfo *score_metric(ScoreMetric metric);

/* Who counts: visible, a share of the body; height in pixels. */
bool score_counts(double visible, double height);

/* What is known of one photo. */
typedef struct {
    const GigaPhoto *truth;
    const GigaPhoto *found; /* bodies; NULL: none were made */
    const Crowd *boxes;     /* detections with scores; NULL: the bodies' boxes, equal scores */
    const Crowd *keypoints; /* people with 2D keypoints; NULL: none were made */
} ScorePhoto;

typedef struct {
    const char *photo; /* NULL: total */
    int photos;
    int people, ignored;         /* of the truth: who counts, who does not */
    int bodies, matched;         /* found bodies, without those of ignored people */
    int boxes, boxes_right;      /* the same of detections */
    double value[SCORE_METRICS]; /* NaN: not defined, or nothing to measure */
} ScoreRow;

typedef struct Score Score;

/* Bodies are borrowed.  body: of the results, NULL when there are none. */
Score *score_new(const Body *body, const Body *truth_body);
void score_free(Score *s); /* NULL is allowed */

/* Copies what it keeps but the photo's name. */
void score_add(Score *s, const ScorePhoto *photo);

/* In order of adding; a row lives until the next add. */
int score_photos(const Score *s);
const ScoreRow *score_photo(const Score *s, int i);

void score_total(const Score *s, ScoreRow *out);

#endif
