#include "crowdrec/score.h"

#include "crowdrec/ap.h"
#include "crowdrec/metrics.h"
#include "crowdrec/posed.h"
#include "tensor/zeros.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the truth, those count who can be seen. */
static const double LEAST_VISIBLE = 0.5, LEAST_HEIGHT = 40; /* share; pixels, exclusive */
static const double PCOD_LIMIT = 0.3;                       /* metres */

static const ScoreMetricInfo metric_info[SCORE_METRICS] = {
#define METRIC(NAME, key, title, unit, better, digits) {key, title, unit, better, digits},
#include "crowdrec/score.def"
};

/* One matched person. */
typedef struct {
    double oks, mpjpe, pa_mpjpe, pve, root;
} Match;

typedef struct {
    void *item;
    int count;
    size_t capacity;
} List;

struct Score {
    const Body *body, *truth_body;
    List rows;         /* ScoreRow */
    List matches;      /* Match */
    List keypoint_oks; /* double */
    Ap *ap, *keypoint_ap;
};

static void *list_add(List *l, size_t size) {
    if ((size_t)l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 64;
        l->item = realloc(l->item, l->capacity * size);
        CHECK(l->item, "out of memory");
    }
    return (char *)l->item + size * (size_t)l->count++;
}

const ScoreMetricInfo *score_metric(ScoreMetric metric) { return &metric_info[metric]; }

Score *score_new(const Body *body, const Body *truth_body) {
    Score *s = zeros(1, sizeof *s);
    *s = (Score){.body = body, .truth_body = truth_body, .ap = ap_new(), .keypoint_ap = ap_new()};
    return s;
}

void score_free(Score *s) {
    if (!s) return;
    free(s->rows.item);
    free(s->matches.item);
    free(s->keypoint_oks.item);
    ap_free(s->ap);
    ap_free(s->keypoint_ap);
    free(s);
}

/* ---- who belongs to whom ---- */

/* The truth's people, those who count first. */
typedef struct {
    Posed all;
    int *person; /* place -> index in the photo */
    double (*box)[4];
    int counted;
} Truth;

bool score_counts(double visible, double height) {
    return visible >= LEAST_VISIBLE && height > LEAST_HEIGHT;
}

static bool counts(const GigaPerson *p, const double box[4]) {
    return score_counts(p->visible, box[3] - box[1]);
}

static Truth truth_new(const GigaPhoto *photo, const Body *body) {
    Truth t = {.all = posed_new(photo, body)};
    t.person = zeros(t.all.people, sizeof *t.person);
    t.box = zeros(t.all.people, sizeof *t.box);
    int placed = 0;
    for (int wanted = 1; wanted >= 0; wanted--) {
        for (int i = 0; i < t.all.people; i++)
            if (counts(&photo->person[i], t.all.box[i]) == wanted) {
                memcpy(t.box[placed], t.all.box[i], sizeof t.box[placed]);
                t.person[placed++] = i;
            }
        if (wanted) t.counted = placed;
    }
    return t;
}

static void truth_free(Truth *t) {
    posed_free(&t->all);
    free(t->person);
    free(t->box);
}

typedef struct {
    MetricsPair *pair; /* truth: index in the photo */
    int matched;
    int found; /* without those who belong to ignored people */
} Matching;

/* How many of the boxes that were not matched belong to people who do not count. */
static int count_ignored(const Truth *t, const double (*box)[4], int boxes, const Matching *m) {
    int ignored = t->all.people - t->counted, rest = 0;
    bool *taken = zeros(boxes, sizeof *taken);
    double(*left)[4] = zeros(boxes, sizeof *left);
    MetricsPair *pair = zeros(ignored, sizeof *pair);
    for (int i = 0; i < m->matched; i++) taken[m->pair[i].found] = true;
    for (int i = 0; i < boxes; i++)
        if (!taken[i]) memcpy(left[rest++], box[i], sizeof left[0]);
    int count = metrics_match((const double(*)[4])(t->box + t->counted), ignored,
                              (const double(*)[4])left, rest, pair);
    free(taken);
    free(left);
    free(pair);
    return count;
}

/* Free pair. */
static Matching match(const Truth *t, const double (*box)[4], int boxes) {
    Matching m = {.pair = zeros(t->counted, sizeof *m.pair)};
    m.matched = metrics_match((const double(*)[4])t->box, t->counted, box, boxes, m.pair);
    for (int i = 0; i < m.matched; i++) m.pair[i].truth = t->person[m.pair[i].truth];
    m.found = boxes - count_ignored(t, box, boxes, &m);
    return m;
}

/* ---- matched people ---- */

static double oks(const double found[COCO17_COUNT][2], const PosedPerson *truth) {
    double joint[COCO17_COUNT][3], box[4];
    for (int i = 0; i < COCO17_COUNT; i++) {
        memcpy(joint[i], truth->pixel[i], sizeof truth->pixel[i]);
        joint[i][2] = isfinite(joint[i][0]);
    }
    for (int k = 0; k < 2; k++) box[k] = truth->box[k], box[2 + k] = truth->box[2 + k] - box[k];
    return metrics_oks(found, (const double(*)[3])joint, box[2] * box[3], box);
}

static void lsp14(const PosedPerson *f, double out[LSP14_COUNT][3]) {
    const int *map = joints_map(JOINTS_LSP14, JOINTS_HALPE26);
    for (int i = 0; i < LSP14_COUNT; i++) memcpy(out[i], f->joint[map[i]], sizeof out[i]);
}

static double root_distance(const PosedPerson *a, const PosedPerson *b) {
    return metrics_distance((const double(*)[3])a->joint[HALPE26_HIP], NULL,
                            (const double(*)[3])b->joint[HALPE26_HIP], NULL, NULL, 1);
}

static double vertex_error(const Posed *found, int i, const Posed *truth, int j) {
    if (found->body->vertices != truth->body->vertices) return NAN;
    double(*a)[3] = posed_vertices(found, i), (*b)[3] = posed_vertices(truth, j);
    double error = metrics_distance((const double(*)[3])a, found->person[i].joint[HALPE26_HIP],
                                    (const double(*)[3])b, truth->person[j].joint[HALPE26_HIP],
                                    NULL, found->body->vertices);
    free(a);
    free(b);
    return error;
}

static Match measure(const Posed *found, int i, const Posed *truth, int j) {
    const PosedPerson *f = &found->person[i], *t = &truth->person[j];
    double a[LSP14_COUNT][3], b[LSP14_COUNT][3];
    lsp14(f, a);
    lsp14(t, b);
    const double(*p)[3] = (const double(*)[3])a, (*q)[3] = (const double(*)[3])b;
    return (Match){.oks = oks((const double(*)[2])f->pixel, t),
                   .mpjpe = 1000 * metrics_mpjpe(p, q, NULL),
                   .pa_mpjpe = 1000 * metrics_pa_mpjpe(p, q, LSP14_COUNT),
                   .pve = 1000 * vertex_error(found, i, truth, j),
                   .root = root_distance(f, t)};
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the values. */
static double median(double *value, int n) {
    if (!n) return NAN;
    qsort(value, (size_t)n, sizeof *value, by_value);
    return 0.5 * (value[(n - 1) / 2] + value[n / 2]);
}

static void mean_people(const Match *match, int n, double *value) {
    double *column = zeros(n, sizeof *column);
#define MEAN(metric, field)                                 \
    for (int i = 0; i < n; i++) column[i] = match[i].field; \
    value[metric] = metrics_mean(column, n)
    MEAN(SCORE_OKS, oks);
    MEAN(SCORE_MPJPE, mpjpe);
    MEAN(SCORE_PA_MPJPE, pa_mpjpe);
    MEAN(SCORE_PVE, pve);
    MEAN(SCORE_ROOT_MEAN, root);
#undef MEAN
    value[SCORE_ROOT_MEDIAN] = median(column, n); /* of the last one, root */
    free(column);
}

/* ---- the crowd of one photo ---- */

static double spread(const Posed *all, const int *index, int n) {
    Crowd crowd = {0};
    for (int i = 0; i < n; i++) {
        const PosedPerson *f = &all->person[index[i]];
        Person *p = crowd_add(&crowd);
        for (int j = 0; j < HALPE26_COUNT; j++)
            for (int k = 0; k < 3; k++) p->joints[j][k] = (float)f->joint[j][k];
        crowd_mark_body(p);
    }
    double value = crowd_ground(&crowd) > 1 ? (double)crowd.ground_spread : NAN;
    crowd_free(&crowd);
    return value;
}

typedef struct {
    int *index;
    double (*root)[3], *depth, *height;
} Side;

static Side side_new(const Posed *all, const MetricsPair *pair, int n, bool truth) {
    Side s = {zeros(n, sizeof *s.index), zeros(n, sizeof *s.root), zeros(n, sizeof *s.depth),
              zeros(n, sizeof *s.height)};
    for (int i = 0; i < n; i++) {
        const PosedPerson *f = &all->person[s.index[i] = truth ? pair[i].truth : pair[i].found];
        memcpy(s.root[i], f->joint[HALPE26_HIP], sizeof s.root[i]);
        s.depth[i] = s.root[i][2];
        s.height[i] = f->height;
    }
    return s;
}

static void side_free(Side *s) {
    free(s->index);
    free(s->root);
    free(s->depth);
    free(s->height);
}

static void measure_crowd(const Posed *found, const Posed *truth, const Matching *m,
                          double *value) {
    int n = m->matched;
    Side f = side_new(found, m->pair, n, false), t = side_new(truth, m->pair, n, true);
    const double(*a)[3] = (const double(*)[3])f.root, (*b)[3] = (const double(*)[3])t.root;
    double scale = n > 1 ? metrics_procrustes(a, b, n).scale : 1;
    value[SCORE_PA_PPDS] = metrics_pa_ppds(a, b, n);
    value[SCORE_SS] = metrics_ss(f.height, t.height, n, scale);
    value[SCORE_PCOD] = metrics_pcod(f.depth, t.depth, n, PCOD_LIMIT);
    value[SCORE_RP] = metrics_rp(n, m->found);
    value[SCORE_SPREAD] = spread(found, f.index, n);
    value[SCORE_TRUE_SPREAD] = spread(truth, t.index, n);
    side_free(&f);
    side_free(&t);
}

static void add_bodies(Score *s, const Posed *found, const Truth *truth, ScoreRow *row) {
    Matching m = match(truth, (const double(*)[4])found->box, found->people);
    int first = s->matches.count;
    for (int i = 0; i < m.matched; i++)
        *(Match *)list_add(&s->matches, sizeof(Match)) =
            measure(found, m.pair[i].found, &truth->all, m.pair[i].truth);
    if (m.matched) mean_people((Match *)s->matches.item + first, m.matched, row->value);
    measure_crowd(found, &truth->all, &m, row->value);
    row->bodies = m.found, row->matched = m.matched;
    free(m.pair);
}

/* ---- detections and keypoints ---- */

/* Boxes of a crowd, free them. */
static double (*boxes_of(const Crowd *crowd))[4] {
    double(*box)[4] = zeros(crowd->count, sizeof *box);
    for (int i = 0; i < crowd->count; i++)
        for (int k = 0; k < 4; k++) box[i][k] = crowd->person[i].box[k];
    return box;
}

static double share(int part, int whole) { return whole ? (double)part / whole : NAN; }

/* Free it. */
static ApKind *kinds_of(const Truth *truth) {
    ApKind *kind = zeros(truth->all.people, sizeof *kind);
    for (int i = truth->counted; i < truth->all.people; i++) kind[i] = AP_IGNORED;
    return kind;
}

/* Adds a photo to all of them; *ap50 and *ap are its own. */
static void add_image(Ap *all, const ApImage *image, double *ap50, double *ap) {
    Ap *alone = ap_new();
    ap_add(alone, image);
    ap_add(all, image);
    *ap50 = ap_at(alone, 0.5);
    *ap = ap_mean(alone);
    ap_free(alone);
}

static void add_boxes(Score *s, const double (*box)[4], const double *score, int boxes,
                      const Truth *truth, ScoreRow *row) {
    ApKind *kind = kinds_of(truth);
    ApImage image = {.box = box,
                     .score = score,
                     .boxes = boxes,
                     .truth = (const double(*)[4])truth->box,
                     .kind = kind,
                     .truths = truth->all.people};
    add_image(s->ap, &image, &row->value[SCORE_AP50], &row->value[SCORE_AP]);
    free(kind);
    Matching m = match(truth, box, boxes);
    row->boxes = m.found, row->boxes_right = m.matched;
    row->value[SCORE_PRECISION] = share(m.matched, m.found);
    row->value[SCORE_RECALL] = share(m.matched, truth->counted);
    free(m.pair);
}

static void add_detections(Score *s, const ScorePhoto *photo, const Posed *found,
                           const Truth *truth, ScoreRow *row) {
    const Crowd *crowd = photo->boxes;
    int boxes = crowd ? crowd->count : found->people;
    double *score = zeros(boxes, sizeof *score);
    for (int i = 0; i < boxes; i++) score[i] = crowd ? crowd->person[i].score : 1;
    double(*box)[4] = crowd ? boxes_of(crowd) : found->box;
    add_boxes(s, (const double(*)[4])box, score, boxes, truth, row);
    if (crowd) free(box);
    free(score);
}

/* Keypoints in Halpe's order; the first 17 are COCO's. */
static double keypoint_oks(const Person *found, const PosedPerson *truth) {
    double pixel[COCO17_COUNT][2];
    for (int j = 0; j < COCO17_COUNT; j++)
        for (int k = 0; k < 2; k++)
            pixel[j][k] = found->keypoints[j][2] > 0 ? (double)found->keypoints[j][k] : INFINITY;
    return oks((const double(*)[2])pixel, truth);
}

static void add_keypoint_ap(Score *s, const Crowd *crowd, const Truth *truth, ScoreRow *row) {
    int people = truth->all.people;
    double *score = zeros(crowd->count, sizeof *score);
    double *similarity = zeros((long)crowd->count * people, sizeof *similarity);
    for (int i = 0; i < crowd->count; i++) {
        score[i] = crowd_strength(&crowd->person[i]);
        for (int t = 0; t < people; t++)
            similarity[(long)i * people + t] =
                keypoint_oks(&crowd->person[i], &truth->all.person[truth->person[t]]);
    }
    ApKind *kind = kinds_of(truth);
    ApImage image = {.score = score,
                     .boxes = crowd->count,
                     .kind = kind,
                     .truths = people,
                     .similarity = similarity};
    add_image(s->keypoint_ap, &image, &row->value[SCORE_KEYPOINT_AP50],
              &row->value[SCORE_KEYPOINT_AP]);
    free(kind);
    free(similarity);
    free(score);
}

/* Those who have 2D keypoints, as keypoints.json has them. */
static Crowd keypoints_of(const Crowd *all) {
    Crowd some = {.person = zeros(all->count, sizeof *some.person), .capacity = all->count};
    for (int i = 0; i < all->count; i++)
        if (all->person[i].flags & PERSON_HAS_KEYPOINTS) some.person[some.count++] = all->person[i];
    return some;
}

static void add_keypoints(Score *s, const Crowd *all, const Truth *truth, ScoreRow *row) {
    Crowd crowd = keypoints_of(all);
    double(*box)[4] = boxes_of(&crowd);
    Matching m = match(truth, (const double(*)[4])box, crowd.count);
    int first = s->keypoint_oks.count;
    for (int i = 0; i < m.matched; i++)
        *(double *)list_add(&s->keypoint_oks, sizeof(double)) =
            keypoint_oks(&crowd.person[m.pair[i].found], &truth->all.person[m.pair[i].truth]);
    if (m.matched)
        row->value[SCORE_KEYPOINT_OKS] =
            metrics_mean((double *)s->keypoint_oks.item + first, m.matched);
    add_keypoint_ap(s, &crowd, truth, row);
    free(m.pair);
    free(box);
    crowd_free(&crowd);
}

/* ---- all ---- */

static ScoreRow empty_row(const char *photo, int photos) {
    ScoreRow row = {.photo = photo, .photos = photos};
    for (int i = 0; i < SCORE_METRICS; i++) row.value[i] = NAN;
    return row;
}

void score_add(Score *s, const ScorePhoto *photo) {
    ScoreRow row = empty_row(photo->truth->name, 1);
    Truth truth = truth_new(photo->truth, s->truth_body);
    Posed found = posed_new(photo->found, s->body);
    row.people = truth.counted, row.ignored = truth.all.people - truth.counted;
    if (found.photo && found.body) add_bodies(s, &found, &truth, &row);
    add_detections(s, photo, &found, &truth, &row);
    if (photo->keypoints) add_keypoints(s, photo->keypoints, &truth, &row);
    *(ScoreRow *)list_add(&s->rows, sizeof row) = row;
    posed_free(&found);
    truth_free(&truth);
}

int score_photos(const Score *s) { return s->rows.count; }

const ScoreRow *score_photo(const Score *s, int i) { return (const ScoreRow *)s->rows.item + i; }

static double mean_photos(const Score *s, ScoreMetric metric) {
    int n = score_photos(s);
    double *value = zeros(n, sizeof *value);
    for (int i = 0; i < n; i++) value[i] = score_photo(s, i)->value[metric];
    double mean = metrics_mean(value, n);
    free(value);
    return mean;
}

void score_total(const Score *s, ScoreRow *out) {
    static const ScoreMetric of_photos[] = {SCORE_PA_PPDS, SCORE_SS,     SCORE_PCOD,
                                            SCORE_RP,      SCORE_SPREAD, SCORE_TRUE_SPREAD};
    *out = empty_row(NULL, score_photos(s));
    for (int i = 0; i < score_photos(s); i++) {
        const ScoreRow *row = score_photo(s, i);
        out->people += row->people, out->ignored += row->ignored;
        out->bodies += row->bodies, out->matched += row->matched;
        out->boxes += row->boxes, out->boxes_right += row->boxes_right;
    }
    for (size_t i = 0; i < sizeof of_photos / sizeof *of_photos; i++)
        out->value[of_photos[i]] = mean_photos(s, of_photos[i]);
    if (s->matches.count) mean_people(s->matches.item, s->matches.count, out->value);
    out->value[SCORE_PRECISION] = share(out->boxes_right, out->boxes);
    out->value[SCORE_RECALL] = share(out->boxes_right, out->people);
    out->value[SCORE_AP50] = ap_at(s->ap, 0.5);
    out->value[SCORE_AP] = ap_mean(s->ap);
    if (s->keypoint_oks.count)
        out->value[SCORE_KEYPOINT_OKS] = metrics_mean(s->keypoint_oks.item, s->keypoint_oks.count);
    out->value[SCORE_KEYPOINT_AP50] = ap_at(s->keypoint_ap, 0.5);
    out->value[SCORE_KEYPOINT_AP] = ap_mean(s->keypoint_ap);
}
