#include "crowdrec/posture.h"

#include "smpl/joints.h"

#include <string.h>

/* A unit quaternion: cosine, then the axis times sine, of half the angle. */
typedef struct {
    double w, v[3];
} Turn;

typedef struct {
    Turn turn[SMPL24_COUNT];
    Dice *dice;
} Stance;

enum { X, Y, Z };

static Turn product(Turn a, Turn b) {
    Turn r = {a.w * b.w, {0}};
    for (int k = 0; k < 3; k++) {
        int i = (k + 1) % 3, j = (k + 2) % 3;
        r.w -= a.v[k] * b.v[k];
        r.v[k] = a.w * b.v[k] + b.w * a.v[k] + a.v[i] * b.v[j] - a.v[j] * b.v[i];
    }
    return r;
}

/* Turns a joint further about an axis of its parent. */
static void turn(Stance *f, int joint, int axis, double angle) {
    Turn t = {.w = cos(angle / 2)};
    t.v[axis] = sin(angle / 2);
    f->turn[joint] = product(t, f->turn[joint]);
}

/* A deviation around a value, in radians. */
static double about(Stance *f, double value, double deviation) {
    return value + dice_normal(f->dice, deviation);
}

static void write(const Stance *f, float pose[CROWD_POSE]) {
    for (int j = 0; j < SMPL24_COUNT; j++) {
        const Turn *t = &f->turn[j];
        double sine = sqrt(t->v[0] * t->v[0] + t->v[1] * t->v[1] + t->v[2] * t->v[2]);
        double angle = 2 * atan2(sine, t->w);
        if (angle > M_PI) angle -= 2 * M_PI;
        for (int k = 0; k < 3; k++)
            pose[3 * j + k] = (float)(sine > 1e-9 ? angle * t->v[k] / sine : 0);
    }
}

/* ---- limbs; side is 1 for left, -1 for right ---- */

static int on_side(int side, int left, int right) { return side > 0 ? left : right; }

/* The angles of an arm that begins stretched out sideways. */
typedef struct {
    double raise;   /* above the shoulder's height; -1.3 hangs */
    double forward; /* then swung forward */
    double inward;  /* about its own length: a bent forearm turns towards the chest */
    double elbow;   /* 0 straight to 2.4 */
} Arm;

/* Of an arm's lift the collar takes a part, above the shoulder's height more (docs/body.md). */
static void set_arm(Stance *f, int side, Arm a) {
    int shoulder = on_side(side, SMPL24_L_SHOULDER, SMPL24_R_SHOULDER);
    int collar = on_side(side, SMPL24_L_COLLAR, SMPL24_R_COLLAR);
    double lift = a.raise < 0 ? 0.1 * a.raise : 0.35 * a.raise;
    turn(f, shoulder, X, a.inward);
    turn(f, shoulder, Z, side * (a.raise - lift));
    turn(f, shoulder, X, -a.forward * 0.9);
    turn(f, collar, Z, side * lift);
    turn(f, collar, Y, -side * 0.12 * a.forward);
    turn(f, on_side(side, SMPL24_L_ELBOW, SMPL24_R_ELBOW), Y, -side * fmin(2.4, fmax(0, a.elbow)));
    int wrist = on_side(side, SMPL24_L_WRIST, SMPL24_R_WRIST);
    turn(f, wrist, X, about(f, 0, 0.2));
    turn(f, wrist, Z, about(f, 0, 0.1));
}

static Arm noisy(Stance *f, Arm a) {
    return (Arm){about(f, a.raise, 0.06), about(f, a.forward, 0.08), about(f, a.inward, 0.1),
                 about(f, a.elbow, 0.08)};
}

/* Thigh forward and outward, knee bent; the foot stays level by the share `level`. */
static void set_leg(Stance *f, int side, double forward, double outward, double knee,
                    double level) {
    int hip = on_side(side, SMPL24_L_HIP, SMPL24_R_HIP);
    knee = fmin(2.3, fmax(0.02, knee));
    turn(f, hip, Y, side * (0.12 + outward / 3));
    turn(f, hip, X, -forward);
    turn(f, hip, Z, side * outward);
    turn(f, on_side(side, SMPL24_L_KNEE, SMPL24_R_KNEE), X, knee);
    double ankle = fmin(0.6, fmax(-0.5, level * (forward - knee)));
    turn(f, on_side(side, SMPL24_L_ANKLE, SMPL24_R_ANKLE), X, ankle);
}

/* Bends the three joints of the spine together: forward, to its left, and turned to the left. */
static void set_spine(Stance *f, double forward, double sideward, double twist) {
    static const int joint[] = {SMPL24_SPINE1, SMPL24_SPINE2, SMPL24_SPINE3};
    for (int i = 0; i < 3; i++) {
        turn(f, joint[i], X, forward / 3);
        turn(f, joint[i], Z, -sideward / 3);
        turn(f, joint[i], Y, twist / 3);
    }
}

static void set_head(Stance *f, double nod, double look) {
    turn(f, SMPL24_NECK, X, 0.4 * nod);
    turn(f, SMPL24_HEAD, X, 0.6 * nod);
    turn(f, SMPL24_NECK, Y, 0.45 * look);
    turn(f, SMPL24_HEAD, Y, 0.55 * look);
    turn(f, SMPL24_HEAD, Z, about(f, 0, 0.05));
}

static void glance(Stance *f) { set_head(f, about(f, 0.05, 0.13), about(f, 0, 0.35)); }

/* ---- arms at leisure ---- */

static const Arm HANGING = {-1.36, 0.02, 0.3, 0.2};

static void hang(Stance *f, int side) { set_arm(f, side, noisy(f, HANGING)); }

/* Both arms of somebody who stands: hanging, hands on hips, in pockets, behind the back, before
 * the belly. */
static void arms_at_leisure(Stance *f) {
    static const Arm way[] = {{-0.92, -0.12, 0.55, 1.5},
                              {-1.25, -0.1, 0.5, 0.6},
                              {-1.2, -0.42, 0.9, 0.7},
                              {-1.2, 0.22, 0.62, 1.15}};
    int pick = dice_pick(f->dice, 9);
    for (int side = -1; side <= 1; side += 2)
        if (pick < 4 && !(pick < 2 && side > 0 && dice_chance(f->dice, 0.4)))
            set_arm(f, side, noisy(f, way[pick]));
        else
            hang(f, side);
}

/* ---- whole figures ---- */

static void legs_stand(Stance *f) {
    double outward = fabs(about(f, 0.08, 0.05)), step = about(f, 0, 0.06);
    for (int side = -1; side <= 1; side += 2)
        set_leg(f, side, side * step, outward, fabs(about(f, 0.04, 0.03)), 1);
    set_spine(f, about(f, 0.02, 0.05), about(f, 0, 0.03), about(f, 0, 0.08));
}

/* The pelvis drops on the side of the bent leg and the trunk makes up for it. */
static void legs_rest(Stance *f) {
    int loose = dice_chance(f->dice, 0.5) ? 1 : -1;
    double drop = dice_range(f->dice, 0.03, 0.09), knee = dice_range(f->dice, 0.25, 0.55);
    turn(f, SMPL24_PELVIS, Z, -loose * drop);
    set_leg(f, loose, knee * 0.6, 0.14 + drop, knee, 1);
    set_leg(f, -loose, 0.01, 0.05 - drop, 0.03, 1);
    set_spine(f, about(f, 0.02, 0.04), -loose * drop, about(f, 0, 0.12));
}

/* One instant of a gait: phase 0 to 2 pi, thighs swung by `stride`, knees bent by `lift`. */
static void gait(Stance *f, double stride, double lift, double lean, double elbow, double swing) {
    double phase = dice_range(f->dice, 0, 2 * M_PI);
    for (int side = -1; side <= 1; side += 2) {
        double own = phase + (side > 0 ? 0 : M_PI);
        double bend = 0.12 + lift * pow(fmax(0, cos(own + 0.35)), 1.5);
        double forward = stride * sin(own) + 0.25 * lift * fmax(0, cos(own));
        set_leg(f, side, forward, about(f, 0.02, 0.02), bend, 0.55);
        Arm arm = {-1.3, -swing * sin(own), 0.3, elbow - 0.3 * swing * sin(own)};
        set_arm(f, side, noisy(f, arm));
    }
    turn(f, SMPL24_PELVIS, Y, -0.15 * stride * sin(phase));
    turn(f, SMPL24_PELVIS, X, lean / 2);
    set_spine(f, lean / 2, 0, 0.4 * stride * sin(phase));
}

static void walk(Stance *f) {
    double pace = dice_range(f->dice, 0.6, 1.15);
    gait(f, 0.45 * pace, 0.85 * pace, 0.06, dice_range(f->dice, 0.2, 0.55), 0.45 * pace);
    glance(f);
}

static void run(Stance *f) {
    double pace = dice_range(f->dice, 0.75, 1.15);
    gait(f, 0.75 * pace, 1.5 * pace, 0.22, about(f, 1.5, 0.12), 0.75 * pace);
    set_head(f, about(f, -0.05, 0.08), about(f, 0, 0.15));
}

static void sit(Stance *f) {
    double apart = dice_range(f->dice, 0.02, 0.28), knee = about(f, 1.5, 0.1);
    double lean = dice_range(f->dice, -0.12, 0.3);
    turn(f, SMPL24_PELVIS, X, lean / 2);
    for (int side = -1; side <= 1; side += 2) {
        set_leg(f, side, 1.48 + lean / 2, apart, knee + about(f, 0, 0.05), 0.9);
        set_arm(f, side, noisy(f, (Arm){-1.12, 0.42 + lean, 0.42, 0.75 - lean}));
    }
    set_spine(f, lean, about(f, 0, 0.04), about(f, 0, 0.1));
    glance(f);
}

static void wave(Stance *f) {
    int side = dice_chance(f->dice, 0.7) ? -1 : 1;
    legs_stand(f);
    set_arm(
        f, side,
        noisy(f, (Arm){dice_range(f->dice, 0.1, 0.9), 0.15, -1.5, dice_range(f->dice, 0.5, 1.3)}));
    hang(f, -side);
    glance(f);
}

/* Held before the chest and looked at, or at the ear. */
static void phone(Stance *f) {
    int side = dice_chance(f->dice, 0.75) ? -1 : 1;
    bool ear = dice_chance(f->dice, 0.35), both = dice_chance(f->dice, 0.3);
    if (dice_chance(f->dice, 0.5))
        legs_rest(f);
    else
        legs_stand(f);
    Arm held = ear ? (Arm){-1.0, 0.55, 0.15, 2.3} : (Arm){-1.18, 0.38, 0.42, 1.55};
    set_arm(f, side, noisy(f, held));
    if (!ear && both)
        set_arm(f, -side, noisy(f, held));
    else
        hang(f, -side);
    set_head(f, ear ? 0.05 : about(f, 0.5, 0.1), about(f, 0, 0.12));
}

static void cross(Stance *f) {
    int upper = dice_chance(f->dice, 0.5) ? 1 : -1;
    legs_stand(f);
    set_arm(f, upper, (Arm){-1.08, 0.52, about(f, 1.02, 0.05), about(f, 1.62, 0.05)});
    set_arm(f, -upper, (Arm){-1.12, 0.36, about(f, 1.0, 0.05), about(f, 1.66, 0.05)});
    glance(f);
}

static void cheer(Stance *f) {
    legs_stand(f);
    double raise = dice_range(f->dice, 0.75, 1.3), elbow = dice_range(f->dice, 0.1, 0.8);
    for (int side = -1; side <= 1; side += 2)
        set_arm(f, side, noisy(f, (Arm){raise, 0.2, -1.3, elbow}));
    set_head(f, about(f, -0.15, 0.1), about(f, 0, 0.2));
}

static void point(Stance *f) {
    int side = dice_chance(f->dice, 0.6) ? -1 : 1;
    legs_rest(f);
    set_arm(f, side, noisy(f, (Arm){-1.15, dice_range(f->dice, 1.1, 1.6), 0.2, 0.15}));
    hang(f, -side);
    glance(f);
}

static void bend(Stance *f) {
    double depth = dice_range(f->dice, 0.35, 1.0);
    turn(f, SMPL24_PELVIS, X, 0.55 * depth);
    for (int side = -1; side <= 1; side += 2) {
        set_leg(f, side, 0.85 * depth + side * 0.1, 0.08, 0.6 * depth, 1);
        set_arm(f, side, noisy(f, (Arm){-1.18, 0.9 * depth, 0.3, 0.5}));
    }
    set_spine(f, 0.7 * depth, about(f, 0, 0.05), about(f, 0, 0.1));
    set_head(f, -0.1, about(f, 0, 0.2));
}

void posture_make(Posture kind, Dice *dice, float pose[CROWD_POSE]) {
    Stance f = {.dice = dice};
    for (int j = 0; j < SMPL24_COUNT; j++) f.turn[j].w = 1;
    switch (kind) {
    case POSTURE_STAND: legs_stand(&f), arms_at_leisure(&f), glance(&f); break;
    case POSTURE_REST: legs_rest(&f), arms_at_leisure(&f), glance(&f); break;
    case POSTURE_WALK: walk(&f); break;
    case POSTURE_RUN: run(&f); break;
    case POSTURE_SIT: sit(&f); break;
    case POSTURE_WAVE: wave(&f); break;
    case POSTURE_PHONE: phone(&f); break;
    case POSTURE_CROSS: cross(&f); break;
    case POSTURE_CHEER: cheer(&f); break;
    case POSTURE_POINT: point(&f); break;
    case POSTURE_BEND: bend(&f); break;
    case POSTURES: break;
    }
    write(&f, pose);
}

Posture posture_draw(Dice *dice) {
    static const struct {
        Posture kind;
        double share;
    } often[] = {{POSTURE_STAND, 0.22}, {POSTURE_REST, 0.16},  {POSTURE_WALK, 0.28},
                 {POSTURE_RUN, 0.06},   {POSTURE_WAVE, 0.04},  {POSTURE_PHONE, 0.09},
                 {POSTURE_CROSS, 0.05}, {POSTURE_CHEER, 0.04}, {POSTURE_POINT, 0.03},
                 {POSTURE_BEND, 0.03}};
    double at = dice_uniform(dice);
    for (size_t i = 0; i < sizeof often / sizeof *often; i++)
        if ((at -= often[i].share) < 0) return often[i].kind;
    return POSTURE_STAND;
}
