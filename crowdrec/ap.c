#include "crowdrec/ap.h"

#include "crowdrec/metrics.h"
#include "tensor/error.h"
#include "tensor/zeros.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* row, column: in the image's similarity. */
typedef struct {
    double box[4], score;
    int order; /* of adding, over all images */
    int row;
} Found;

typedef struct {
    double box[4];
    ApKind kind;
    int column;
} Truth;

typedef struct {
    Found *found; /* by falling score */
    Truth *truth; /* counted ones first */
    int founds, truths;
    double *similarity; /* NULL: IoU */
} Entry;

struct Ap {
    Entry *image;
    int images, founds, counted;
};

Ap *ap_new(void) {
    Ap *ap = calloc(1, sizeof *ap);
    CHECK(ap, "out of memory");
    return ap;
}

void ap_free(Ap *ap) {
    if (!ap) return;
    for (int i = 0; i < ap->images; i++) {
        free(ap->image[i].found);
        free(ap->image[i].truth);
        free(ap->image[i].similarity);
    }
    free(ap->image);
    free(ap);
}

static int by_score(const void *a, const void *b) {
    const Found *p = a, *q = b;
    if (p->score != q->score) return p->score > q->score ? -1 : 1;
    return (p->order > q->order) - (p->order < q->order);
}

void ap_add(Ap *ap, const ApImage *in) {
    Entry *longer = realloc(ap->image, ((size_t)ap->images + 1) * sizeof *longer);
    CHECK(longer, "out of memory");
    ap->image = longer;
    Entry *e = &ap->image[ap->images++];
    *e = (Entry){zeros(in->boxes, sizeof(Found)), zeros(in->truths, sizeof(Truth)), in->boxes, 0,
                 NULL};
    if (in->similarity) {
        long size = (long)in->boxes * in->truths;
        e->similarity = zeros(size, sizeof *e->similarity);
        memcpy(e->similarity, in->similarity, (size_t)size * sizeof *e->similarity);
    }
    for (int i = 0; i < in->boxes; i++) {
        if (in->box) memcpy(e->found[i].box, in->box[i], sizeof e->found[i].box);
        e->found[i].score = in->score[i];
        e->found[i].order = ap->founds++;
        e->found[i].row = i;
    }
    qsort(e->found, (size_t)e->founds, sizeof *e->found, by_score);
    for (int counted = 1; counted >= 0; counted--)
        for (int i = 0; i < in->truths; i++) {
            ApKind kind = in->kind ? in->kind[i] : AP_COUNTED;
            if ((kind == AP_COUNTED) != counted) continue;
            Truth *t = &e->truth[e->truths++];
            if (in->truth) memcpy(t->box, in->truth[i], sizeof t->box);
            t->kind = kind, t->column = i;
            ap->counted += counted;
        }
}

static double overlap(const double *found, const Truth *t) {
    double common = metrics_common(found, t->box), whole = metrics_area(found);
    if (t->kind != AP_REGION) whole += metrics_area(t->box) - common;
    return common > 0 ? common / whole : 0;
}

static double similarity(const Entry *e, const Found *found, const Truth *t) {
    if (e->similarity) return e->similarity[(long)found->row * e->truths + t->column];
    return overlap(found->box, t);
}

/* The truth that a box takes, -1 for none. */
static int best_truth(const Entry *e, const Found *found, const bool *taken, double limit) {
    int best = -1;
    double most = limit;
    for (int i = 0; i < e->truths; i++) {
        const Truth *t = &e->truth[i];
        if (taken[i]) continue;
        if (best >= 0 && e->truth[best].kind == AP_COUNTED && t->kind != AP_COUNTED) break;
        double share = similarity(e, found, t);
        if (!(share >= most) || (best >= 0 && share == most)) continue;
        best = i, most = share;
    }
    return best;
}

typedef struct {
    Found found;
    bool right;
} Verdict;

static int verdicts_by_score(const void *a, const void *b) {
    return by_score(&((const Verdict *)a)->found, &((const Verdict *)b)->found);
}

/* Adds a verdict on every box of an image that is right or wrong; returns how many. */
static int judge(const Entry *e, double limit, Verdict *out) {
    bool *taken = zeros(e->truths, sizeof *taken);
    int count = 0;
    for (int i = 0; i < e->founds; i++) {
        int t = best_truth(e, &e->found[i], taken, limit);
        if (t >= 0) taken[t] = e->truth[t].kind != AP_REGION;
        if (t >= 0 && e->truth[t].kind != AP_COUNTED) continue;
        out[count++] = (Verdict){e->found[i], t >= 0};
    }
    free(taken);
    return count;
}

/* Mean over 101 recalls of the best precision at that recall or more. */
static double area_under(const Verdict *verdict, int count, int counted) {
    enum { STEPS = 100 };
    double sum = 0, best = 0;
    int right = 0, step = STEPS;
    for (int i = 0; i < count; i++) right += verdict[i].right;
    for (int i = count - 1; i >= 0; i--) {
        while (step >= 0 && (double)step / STEPS > (double)right / counted) sum += best, step--;
        best = fmax(best, (double)right / (i + 1));
        right -= verdict[i].right;
    }
    return (sum + best * (step + 1)) / (STEPS + 1);
}

double ap_at(const Ap *ap, double limit) {
    if (!ap->counted) return NAN;
    Verdict *verdict = zeros(ap->founds, sizeof *verdict);
    int count = 0;
    for (int i = 0; i < ap->images; i++) count += judge(&ap->image[i], limit, verdict + count);
    qsort(verdict, (size_t)count, sizeof *verdict, verdicts_by_score);
    double value = area_under(verdict, count, ap->counted);
    free(verdict);
    return value;
}

double ap_mean(const Ap *ap) {
    double sum = 0;
    for (int percent = 50; percent < 100; percent += 5) sum += ap_at(ap, percent / 100.0);
    return sum / 10;
}
