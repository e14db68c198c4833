#include "smpl/solid.h"

#include "smpl/anatomy.h"

#include <math.h>
#include <stdlib.h>

#define REAL double
#include "kernels/geom.h"

/* The blend of left and right half in the middle, metres, and how far from there it ends; the
 * parts' own blends are in ANATOMY. */
static const double SEAM_BLEND = 0.010, SEAM_WIDTH = 0.12;

/* Parts farther than this from a point do not touch the surface there; more than any blend. */
static const double REACH = 0.06;

/* A value far outside of everything. */
static const double FAR = 1;

enum { AT, SIDE, FRONT, BACK, SHIFT_SIDE, SHIFT_FRONT, VALUES };

/* A part of one figure: cross-sections as functions of the place along its line. */
typedef struct {
    PartKind kind;
    double blend, power, cap[2];
    double origin[3], axis[3], side[3], front[3];
    int stations;
    double value[PART_STATIONS][VALUES], slope[PART_STATIONS][VALUES];
    double low[3], high[3]; /* beyond these it is farther than REACH */
    bool left;              /* has a mirror image */
} Tube;

struct Solid {
    int tubes;
    Tube tube[];
};

/* ---- making ---- */

static void set_frame(Tube *t, const double first[3], const double last[3], const double front[3]) {
    static const double UP[3] = {0, 1, 0};
    double line[3];
    for (int k = 0; k < 3; k++) {
        t->origin[k] = first[k];
        line[k] = t->stations > 1 ? last[k] - first[k] : UP[k];
    }
    geom_normalise(line, t->axis);
    double along = geom_dot(front, t->axis), across[3];
    for (int k = 0; k < 3; k++) across[k] = front[k] - along * t->axis[k];
    geom_normalise(across, t->front);
    geom_cross(t->axis, t->front, t->side);
}

static void set_station(Tube *t, int i, const Figure *f, const Station *s, const double center[3]) {
    double offset[3], *v = t->value[i];
    for (int k = 0; k < 3; k++) offset[k] = center[k] - t->origin[k];
    v[AT] = geom_dot(offset, t->axis);
    v[SHIFT_SIDE] = geom_dot(offset, t->side);
    v[SHIFT_FRONT] = geom_dot(offset, t->front);
    v[SIDE] = f->measure[s->width] * s->side;
    v[FRONT] = f->measure[s->depth] * s->front;
    v[BACK] = f->measure[s->depth] * s->back;
    double reach = REACH + fmax(v[SIDE], fmax(v[FRONT], v[BACK])) + fmax(t->cap[0], t->cap[1]);
    for (int k = 0; k < 3; k++) {
        t->low[k] = fmin(t->low[k], center[k] - reach);
        t->high[k] = fmax(t->high[k], center[k] + reach);
    }
}

/* Slopes of Catmull and Rom; flat at the ends, where the caps begin. */
static void set_slopes(Tube *t) {
    for (int i = 1; i + 1 < t->stations; i++)
        for (int k = SIDE; k < VALUES; k++)
            t->slope[i][k] = (t->value[i + 1][k] - t->value[i - 1][k]) /
                             (t->value[i + 1][AT] - t->value[i - 1][AT]);
}

static void make_tube(const Figure *f, const Part *p, Tube *t) {
    double center[PART_STATIONS][3];
    *t = (Tube){.kind = p->kind,
                .blend = p->blend,
                .power = p->power,
                .stations = p->stations,
                .low = {FAR * 9, FAR * 9, FAR * 9},
                .high = {-FAR * 9, -FAR * 9, -FAR * 9},
                .left = p->station[0].center[0] > 0};
    for (int i = 0; i < p->stations; i++)
        figure_carry(f, p->station[i].joint, p->station[i].center, center[i]);
    t->cap[0] = p->cap[0] * f->measure[p->station[0].depth];
    t->cap[1] = p->cap[1] * f->measure[p->station[p->stations - 1].depth];
    set_frame(t, center[0], center[p->stations - 1], p->front);
    for (int i = 0; i < p->stations; i++) set_station(t, i, f, &p->station[i], center[i]);
    set_slopes(t);
}

Solid *solid_new(const Figure *figure) {
    Solid *s = malloc(sizeof *s + (size_t)ANATOMY_PARTS * sizeof *s->tube);
    CHECK(s, "out of memory");
    s->tubes = ANATOMY_PARTS;
    for (int i = 0; i < s->tubes; i++) make_tube(figure, &ANATOMY[i], &s->tube[i]);
    return s;
}

void solid_free(Solid *solid) { free(solid); }

void solid_bounds(const Solid *solid, double low[3], double high[3]) {
    for (int k = 0; k < 3; k++) low[k] = FAR * 9, high[k] = -FAR * 9;
    for (int i = 0; i < solid->tubes; i++)
        for (int k = 0; k < 3; k++) {
            low[k] = fmin(low[k], solid->tube[i].low[k] + REACH);
            high[k] = fmax(high[k], solid->tube[i].high[k] - REACH);
        }
    low[0] = 0;
}

/* ---- values ---- */

/* The cross-section at a place along the line, cut to the line's ends: cubic Hermite. */
static void section(const Tube *t, double at, double out[VALUES]) {
    int last = t->stations - 1, i = 0;
    at = fmax(t->value[0][AT], fmin(t->value[last][AT], at));
    while (i + 1 < last && at > t->value[i + 1][AT]) i++;
    out[AT] = at;
    const double *a = t->value[i], *b = t->value[last ? i + 1 : 0];
    double length = b[AT] - a[AT], x = length > 0 ? (at - a[AT]) / length : 0;
    double rest = 1 - x, late = x * x * (3 - 2 * x);
    for (int k = SIDE; k < VALUES; k++)
        out[k] = a[k] + late * (b[k] - a[k]) +
                 length * x * rest * (rest * t->slope[i][k] - x * t->slope[last ? i + 1 : 0][k]);
}

static double norm(double a, double b, double power) {
    if (power == 2) return sqrt(a * a + b * b);
    return pow(pow(fabs(a), power) + pow(fabs(b), power), 1 / power);
}

/* How far the point is from the tube, measured along the ray from the tube's centre. */
static double tube_distance(const Tube *t, const double point[3]) {
    double offset[3], s[VALUES];
    for (int k = 0; k < 3; k++) offset[k] = point[k] - t->origin[k];
    double at = geom_dot(offset, t->axis);
    section(t, at, s);
    double x = geom_dot(offset, t->side) - s[SHIFT_SIDE];
    double z = geom_dot(offset, t->front) - s[SHIFT_FRONT];
    double beyond = at - s[AT], cap = t->cap[beyond > 0];
    double across = norm(x / s[SIDE], z / (z > 0 ? s[FRONT] : s[BACK]), t->power);
    double share = norm(across, beyond / cap, 2), length = sqrt(x * x + z * z + beyond * beyond);
    return share < 1e-9 ? -s[SIDE] : length - length / share;
}

/* The lesser of two, rounded where they differ by less than blend. */
static double smooth_least(double a, double b, double blend) {
    double h = fmax(0, 1 - fabs(a - b) / blend);
    return fmin(a, b) - h * h * blend / 4;
}

static bool within(const Tube *t, const double point[3]) {
    for (int k = 0; k < 3; k++)
        if (!(point[k] > t->low[k] && point[k] < t->high[k])) return false;
    return true;
}

/* The middle parts and those of the left side. */
static double half_distance(const Solid *s, const double point[3]) {
    double sum = FAR;
    for (int i = 0; i < s->tubes; i++) {
        const Tube *t = &s->tube[i];
        if (!within(t, point)) continue;
        double d = tube_distance(t, point);
        sum = t->kind == PART_ADDS ? smooth_least(sum, d, t->blend)
                                   : -smooth_least(-sum, d, t->blend);
    }
    return sum;
}

double solid_distance(const Solid *solid, const double point[3]) {
    const double left[3] = {fabs(point[0]), point[1], point[2]};
    const double mirrored[3] = {-left[0], point[1], point[2]};
    double own = half_distance(solid, left), share = left[0] / SEAM_WIDTH;
    double fade = 1 - share * share;
    if (fade < 1e-3) return own;
    return smooth_least(own, half_distance(solid, mirrored), SEAM_BLEND * fade * fade);
}

void solid_gradient(const Solid *solid, const double point[3], double gradient[3]) {
    static const double STEP = 1e-5;
    for (int k = 0; k < 3; k++) {
        double before[3], after[3];
        for (int i = 0; i < 3; i++) before[i] = after[i] = point[i];
        before[k] -= STEP;
        after[k] += STEP;
        gradient[k] = (solid_distance(solid, after) - solid_distance(solid, before)) / (2 * STEP);
    }
}

void solid_project(const Solid *solid, double point[3]) {
    enum { STEPS = 8 };
    static const double LONGEST = 0.01, NEAR = 1e-7;
    for (int i = 0; i < STEPS; i++) {
        double gradient[3], distance = solid_distance(solid, point);
        if (fabs(distance) < NEAR) return;
        solid_gradient(solid, point, gradient);
        double square = fmax(0.05, geom_dot(gradient, gradient));
        double step = fmax(-LONGEST, fmin(LONGEST, distance / sqrt(square))) / sqrt(square);
        for (int k = 0; k < 3; k++) point[k] -= step * gradient[k];
    }
}
