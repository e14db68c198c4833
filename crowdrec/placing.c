#include "crowdrec/placing.h"

#include <stdlib.h>
#include <string.h>

#define REAL double
#include "kernels/geom.h"

enum { TRIES = 60, SPOTS = 2 * SMPL24_COUNT };

/* Somebody's joints and the middles of the bones, in the camera frame. */
typedef struct {
    float spot[SPOTS][3];
} Figure;

typedef struct {
    Scene *scene;
    const Poser *poser;
    Dice *dice;
    double near, far;
    Figure *figure; /* of scene->person */
    float *vertex;  /* room for one body */
    double flow;    /* heading of those who walk along */
    bool flowing;
} Room;

/* A person who has a pose but no place: body frame, y up, the root joint at the origin. */
typedef struct {
    Posture posture;
    float pose[CROWD_POSE], betas[CROWD_BETAS];
    double turn[9];   /* of the root */
    double root[3];   /* where SMPL puts the root joint before the translation */
    double low, seat; /* lowest point; underside of the seated thighs */
    double spot[SPOTS][3];
} Candidate;

/* Flesh around a spot, metres: less than it is, people in a crowd touch. */
static double radius(int spot) {
    switch (spot % SMPL24_COUNT) {
    case SMPL24_PELVIS:
    case SMPL24_SPINE1:
    case SMPL24_SPINE2:
    case SMPL24_SPINE3: return 0.15;
    case SMPL24_HEAD:
    case SMPL24_NECK: return 0.11;
    case SMPL24_L_SHOULDER:
    case SMPL24_R_SHOULDER:
    case SMPL24_L_HIP:
    case SMPL24_R_HIP: return 0.1;
    default: return 0.06;
    }
}

/* ---- who ---- */

static void set_lows(const Room *r, Candidate *c) {
    const Body *body = poser_body(r->poser);
    c->low = INFINITY, c->seat = INFINITY;
    for (int v = 0; v < body->vertices; v++) {
        double y = (double)r->vertex[3 * v + 1] - c->root[1];
        const float *rest = body->v_template + 3 * (size_t)v;
        c->low = fmin(c->low, y);
        if (rest[1] > -0.45f && rest[1] < -0.15f && fabsf(rest[0]) < 0.25f)
            c->seat = fmin(c->seat, y);
    }
}

static void set_spots(const float joint[SMPL24_COUNT][3], Candidate *c) {
    const Joint *tree = joints_order(JOINTS_SMPL24)->joint;
    for (int j = 0; j < SMPL24_COUNT; j++) {
        int parent = tree[j].parent < 0 ? j : tree[j].parent;
        for (int k = 0; k < 3; k++) {
            double at = (double)joint[j][k] - c->root[k];
            c->spot[j][k] = at;
            c->spot[SMPL24_COUNT + j][k] = (at + (double)joint[parent][k] - c->root[k]) / 2;
        }
    }
}

static void make_candidate(Room *r, Posture posture, Candidate *c) {
    static const float origin[3] = {0, 0, 0};
    float joint[SMPL24_COUNT][3];
    double root[3];
    c->posture = posture;
    posture_make(posture, r->dice, c->pose);
    for (int i = 0; i < CROWD_BETAS; i++)
        c->betas[i] = (float)fmax(-2.5, fmin(2.5, dice_normal(r->dice, 1)));
    poser_run(r->poser, c->pose, c->betas, origin, r->vertex, joint[0]);
    for (int k = 0; k < 3; k++) root[k] = (double)c->pose[k], c->root[k] = (double)joint[0][k];
    geom_rodrigues(root, c->turn);
    set_lows(r, c);
    set_spots(joint, c);
}

/* ---- where ---- */

/* A place for feet, before it is known to be free. */
typedef struct {
    int plane;
    double at[3], heading;
} Place;

static void to_pixel(const Scene *s, const double at[3], double pixel[2]) {
    pixel[0] = s->focal * at[0] / at[2] + s->cx;
    pixel[1] = s->focal * at[1] / at[2] + s->cy;
}

/* Somewhere on the ground: depth uniform in its logarithm or in the area that is seen. */
static void pick_on_ground(Room *r, double at[3]) {
    const Scene *s = r->scene;
    const ScenePlane *ground = &s->plane[0];
    double t = dice_uniform(r->dice), wide = dice_range(r->dice, -0.56, 0.56) * s->width;
    double depth = dice_chance(r->dice, 0.5)
                       ? r->near * pow(r->far / r->near, t)
                       : sqrt(r->near * r->near + t * (r->far * r->far - r->near * r->near));
    double up = (double)ground->normal[2], forward = (double)s->frame.forward[2];
    scene_place(s, ground, wide * depth / s->focal, (depth - (double)ground->offset * up) / forward,
                at);
}

static void on_tread(const Scene *s, const ScenePlane *p, double across, double along,
                     double at[3]) {
    double axes[9];
    scene_upright(s, (double)p->heading, axes);
    for (int k = 0; k < 3; k++)
        at[k] = (double)p->center[k] + across * axes[3 * k] + along * axes[3 * k + 2];
}

/* Whether a place on the ground lies under a tread, or nearly. */
static bool under_treads(const Scene *s, const double at[3], double margin) {
    double axes[9];
    for (const ScenePlane *p = s->plane + 1; p < s->plane + s->planes; p++) {
        double across = 0, along = 0;
        scene_upright(s, (double)p->heading, axes);
        for (int k = 0; k < 3; k++) {
            across += (at[k] - (double)p->center[k]) * axes[3 * k];
            along += (at[k] - (double)p->center[k]) * axes[3 * k + 2];
        }
        if (fabs(across) < (double)p->half[0] + margin && fabs(along) < (double)p->half[1] + margin)
            return true;
    }
    return false;
}

static bool clear_of_things(const Scene *s, const Place *place, double margin) {
    for (const ScenePlaced *t = s->thing; t < s->thing + s->things; t++) {
        if (t->thing.kind == THING_STEP || t->plane != place->plane) continue;
        double square = 0, up = 0, reach = (double)t->thing.radius + margin;
        for (int k = 0; k < 3; k++) {
            double away = t->foot[k] - place->at[k];
            square += away * away, up += away * (double)s->frame.up[k];
        }
        if (square - up * up < reach * reach) return false;
    }
    return true;
}

/* At least partly in the picture, and not too near. */
static bool in_sight(const Room *r, const double at[3]) {
    const Scene *s = r->scene;
    double pixel[2];
    if (at[2] < 0.85 * r->near || at[2] < 2) return false;
    to_pixel(s, at, pixel);
    double tall = s->focal * 1.7 / at[2], beyond = 0.15 * tall;
    return pixel[0] > -beyond && pixel[0] < s->width + beyond && pixel[1] > 0.4 * tall &&
           pixel[1] < s->height + 0.55 * tall;
}

static double pick_heading(Room *r, Posture posture) {
    bool walks = posture == POSTURE_WALK || posture == POSTURE_RUN;
    if (walks && r->flowing) {
        double turned = dice_chance(r->dice, 0.3) ? M_PI : 0;
        return r->flow + turned + dice_normal(r->dice, 0.2);
    }
    if (dice_chance(r->dice, 0.3)) return dice_normal(r->dice, 0.5);
    return dice_range(r->dice, -M_PI, M_PI);
}

/* Beside somebody, as those who belong together stand. */
static void pick_beside(Room *r, Place *place) {
    const Scene *s = r->scene;
    int other = dice_pick(r->dice, s->people);
    const ScenePlane *p = &s->plane[s->person[other].plane];
    double angle = dice_range(r->dice, -M_PI, M_PI), apart = dice_range(r->dice, 0.45, 1.1);
    double root[3], right = 0, forward = 0;
    for (int k = 0; k < 3; k++) {
        root[k] = (double)r->figure[other].spot[SMPL24_PELVIS][k];
        right += root[k] * (double)s->frame.right[k],
            forward += root[k] * (double)s->frame.forward[k];
    }
    place->plane = s->person[other].plane;
    scene_place(s, p, right + apart * cos(angle), forward + apart * sin(angle), place->at);
    if (dice_chance(r->dice, 0.6))
        place->heading = atan2(-cos(angle), sin(angle)) + dice_normal(r->dice, 0.4);
}

static bool on_its_plane(const Scene *s, const Place *place) {
    const ScenePlane *p = &s->plane[place->plane];
    double axes[9], across = 0, along = 0;
    if (!place->plane) return !under_treads(s, place->at, 0.4);
    scene_upright(s, (double)p->heading, axes);
    for (int k = 0; k < 3; k++) {
        across += (place->at[k] - (double)p->center[k]) * axes[3 * k];
        along += (place->at[k] - (double)p->center[k]) * axes[3 * k + 2];
    }
    return fabs(across) < (double)p->half[0] - 0.3 && fabs(along) < (double)p->half[1] - 0.25;
}

static bool pick_place(Room *r, const Candidate *c, Place *place) {
    const Scene *s = r->scene;
    place->heading = pick_heading(r, c->posture);
    place->plane = 0;
    if (s->people && dice_chance(r->dice, 0.4)) {
        pick_beside(r, place);
    } else if (s->planes > 1 && dice_chance(r->dice, 0.55)) {
        place->plane = 1 + dice_pick(r->dice, s->planes - 1);
        const ScenePlane *p = &s->plane[place->plane];
        on_tread(s, p, dice_range(r->dice, -1, 1) * (double)p->half[0],
                 dice_range(r->dice, -1, 1) * (double)p->half[1], place->at);
        if (dice_chance(r->dice, 0.7))
            place->heading = (double)p->heading + dice_normal(r->dice, 0.4);
    } else {
        pick_on_ground(r, place->at);
    }
    return on_its_plane(s, place) && in_sight(r, place->at) && clear_of_things(s, place, 0.3);
}

/* ---- together ---- */

static bool apart(const Figure *a, const Figure *b) {
    double sum = 0;
    for (int k = 0; k < 3; k++) sum += pow((double)(a->spot[0][k] - b->spot[0][k]), 2);
    if (sum > 2.2 * 2.2) return true;
    for (int i = 0; i < SPOTS; i++)
        for (int j = 0; j < SPOTS; j++) {
            double least = radius(i) + radius(j), square = 0;
            for (int k = 0; k < 3; k++) square += pow((double)(a->spot[i][k] - b->spot[j][k]), 2);
            if (square < least * least) return false;
        }
    return true;
}

/* The candidate's spots where its lowest point touches the plane. */
static void stand(const Scene *s, const Candidate *c, const Place *place, Figure *out) {
    double axes[9], moved[3];
    scene_upright(s, place->heading, axes);
    for (int i = 0; i < SPOTS; i++) {
        geom_apply(axes, c->spot[i], moved);
        for (int k = 0; k < 3; k++)
            out->spot[i][k] = (float)(place->at[k] + moved[k] - c->low * axes[3 * k + 1]);
    }
}

static void add_seat(Room *r, const Candidate *c, const Place *place) {
    Scene *s = r->scene;
    double axes[9], back[3];
    float rgb[3], size[3] = {0.5f, (float)fmax(0.1, c->seat - c->low - 0.01), 0.44f};
    color_hue(rgb, dice_uniform(r->dice), dice_range(r->dice, 0, 0.4),
              dice_range(r->dice, 0.3, 0.7));
    scene_upright(s, place->heading, axes);
    for (int k = 0; k < 3; k++) back[k] = place->at[k] + 0.04 * axes[3 * k + 2];
    Thing seat = thing_box(THING_SEAT, size, rgb, s->arena);
    seat.radius = 0.2f;
    scene_add(s, &seat, back, place->heading, place->plane);
}

static void settle(Room *r, const Candidate *c, const Place *place, const Figure *figure) {
    Scene *s = r->scene;
    ScenePerson *p = &s->person[s->people];
    double axes[9], turn[9], root[3];
    Dice own = dice_child(r->dice, (uint64_t)s->people);
    *p = (ScenePerson){.posture = c->posture, .plane = place->plane, .outfit = outfit_make(&own)};
    memcpy(p->pose, c->pose, sizeof p->pose);
    memcpy(p->betas, c->betas, sizeof p->betas);
    scene_upright(s, place->heading, axes);
    geom_multiply(axes, c->turn, turn);
    geom_axisangle(turn, NULL, root);
    for (int k = 0; k < 3; k++) {
        p->pose[k] = (float)root[k];
        p->trans[k] = (float)(place->at[k] - c->low * axes[3 * k + 1] - c->root[k]);
    }
    r->figure[s->people++] = *figure;
    if (c->posture == POSTURE_SIT) add_seat(r, c, place);
}

static bool add_person(Room *r) {
    Candidate c;
    make_candidate(r, dice_chance(r->dice, 0.07) ? POSTURE_SIT : posture_draw(r->dice), &c);
    for (int i = 0; i < TRIES; i++) {
        Place place;
        Figure figure;
        if (!pick_place(r, &c, &place)) continue;
        stand(r->scene, &c, &place, &figure);
        bool room = true;
        for (int k = 0; room && k < r->scene->people; k++) room = apart(&figure, &r->figure[k]);
        if (!room) continue;
        settle(r, &c, &place, &figure);
        return true;
    }
    return false;
}

void placing_people(Scene *scene, const Poser *poser, Dice *dice, int count, const double deep[2]) {
    size_t most = (size_t)count + 1;
    Arena *scratch = arena_new();
    scene->person = arena_alloc(scene->arena, most * sizeof *scene->person);
    Room r = {.scene = scene, .poser = poser, .dice = dice, .near = deep[0], .far = deep[1]};
    r.figure = arena_alloc(scratch, most * sizeof *r.figure);
    r.vertex = arena_alloc(scratch, 3 * (size_t)poser_body(poser)->vertices * sizeof *r.vertex);
    r.flow = dice_range(dice, -M_PI, M_PI), r.flowing = dice_chance(dice, 0.6);
    for (int missed = 0; scene->people < count && missed < 20;) missed += !add_person(&r);
    arena_free(scratch);
}

void placing_things(Scene *scene, Dice *dice, int count, const double deep[2]) {
    Room r = {.scene = scene, .dice = dice, .near = deep[0], .far = deep[1]};
    for (int i = 0; i < count; i++) {
        Thing thing = thing_make((ThingKind)dice_pick(dice, THINGS), dice, scene->arena);
        double heading = dice_range(dice, -M_PI, M_PI);
        for (int tries = 0; tries < TRIES; tries++) {
            Place place = {.plane = 0};
            pick_on_ground(&r, place.at);
            if (under_treads(scene, place.at, (double)thing.radius) || !in_sight(&r, place.at) ||
                place.at[2] < 2 + (double)thing.radius ||
                !clear_of_things(scene, &place, (double)thing.radius))
                continue;
            scene_add(scene, &thing, place.at, heading, 0);
            break;
        }
    }
}
