#include "crowdrec/scene.h"

#include "crowdrec/placing.h"

#include <string.h>

static const double STATURE = 1.7;

static void set(float out[3], double x, double y, double z) {
    out[0] = (float)x, out[1] = (float)y, out[2] = (float)z;
}

void scene_place(const Scene *s, const ScenePlane *plane, double right, double forward,
                 double out[3]) {
    for (int k = 0; k < 3; k++)
        out[k] = (double)plane->offset * (double)plane->normal[k] +
                 right * (double)s->frame.right[k] + forward * (double)s->frame.forward[k];
}

void scene_upright(const Scene *s, double heading, double axes[9]) {
    double y[3], z[3];
    for (int k = 0; k < 3; k++) {
        y[k] = (double)s->frame.up[k];
        z[k] =
            sin(heading) * (double)s->frame.right[k] - cos(heading) * (double)s->frame.forward[k];
    }
    for (int k = 0; k < 3; k++) {
        int i = (k + 1) % 3, j = (k + 2) % 3;
        axes[3 * k] = y[i] * z[j] - y[j] * z[i];
        axes[3 * k + 1] = y[k], axes[3 * k + 2] = z[k];
    }
}

ScenePlaced *scene_add(Scene *s, const Thing *thing, const double at[3], double heading,
                       int plane) {
    double axes[9];
    size_t bytes = (size_t)thing->points * 3 * sizeof(float);
    if (s->things == SCENE_MOST_THINGS) return NULL;
    ScenePlaced *p = &s->thing[s->things++];
    *p = (ScenePlaced){.thing = *thing, .plane = plane};
    p->at = arena_alloc(s->arena, bytes), p->normal = arena_alloc(s->arena, bytes);
    memcpy(p->foot, at, sizeof p->foot);
    scene_upright(s, heading, axes);
    for (int i = 0; i < thing->points; i++)
        for (int k = 0; k < 3; k++) {
            const ThingPoint *t = &thing->point[i];
            double moved = at[k], turned = 0;
            for (int m = 0; m < 3; m++) {
                moved += axes[3 * k + m] * (double)t->at[m];
                turned += axes[3 * k + m] * (double)t->normal[m];
            }
            p->at[i][k] = (float)moved, p->normal[i][k] = (float)turned;
        }
    return p;
}

/* ---- camera ---- */

/* Depths at which somebody is as tall as wished; a scene takes a part of that range. */
static void pick_depths(const SceneWish *wish, const Scene *s, Dice *d, double deep[2]) {
    double low = wish->tall[0] > 0 ? wish->tall[0] : 20;
    double high = wish->tall[1] > 0 ? wish->tall[1] : fmin(400, 0.9 * s->height);
    low = fmin(low, high);
    double near = low * pow(high / low, dice_range(d, 0.45, 1));
    double far = low * pow(near / low, dice_range(d, 0, 0.6));
    deep[0] = s->focal * STATURE / near, deep[1] = s->focal * STATURE / far;
}

/* Height and pitch for which the nearest people stand at the lower edge. */
static void set_camera(Scene *s, Dice *d, const double deep[2]) {
    double height = fmin(30, fmax(2, deep[0] * dice_log_range(d, 0.15, 0.6)));
    double half = atan(s->height / (2 * s->focal));
    double pitch = atan(height / deep[0]) - half + dice_range(d, -0.03, 0.06);
    double roll = dice_normal(d, 0.01);
    pitch = fmax(-0.04, pitch);
    s->camera_height = (float)height;
    double up[3] = {sin(roll) * cos(pitch), -cos(roll) * cos(pitch), -sin(pitch)};
    double ahead = sqrt(1 - up[2] * up[2]);
    double forward[3] = {-up[2] * up[0] / ahead, -up[2] * up[1] / ahead, ahead};
    set(s->frame.up, up[0], up[1], up[2]);
    set(s->frame.forward, forward[0], forward[1], forward[2]);
    set(s->frame.right, forward[1] * up[2] - forward[2] * up[1],
        forward[2] * up[0] - forward[0] * up[2], forward[0] * up[1] - forward[1] * up[0]);
}

/* Exposure and white balance, neither quite right. */
static void set_gain(Scene *s, Dice *d) {
    float light = 0;
    for (int k = 0; k < 3; k++) light += (0.6f * s->light.sun[k] + s->light.sky[k]) / 3;
    double exposure = 0.78 * exp(dice_normal(d, 0.18)) / (double)light, warm = dice_normal(d, 0.06);
    set(s->gain, exposure * (1 + warm), exposure * (1 + dice_normal(d, 0.02)),
        exposure * (1 - warm));
}

/* ---- planes ---- */

static void add_plane(Scene *s, double height, const double center[3], double heading,
                      double across, double along) {
    ScenePlane *p = &s->plane[s->planes++];
    memcpy(p->normal, s->frame.up, sizeof p->normal);
    p->offset = (float)(height - (double)s->camera_height);
    p->heading = (float)heading;
    p->half[0] = (float)(across / 2), p->half[1] = (float)(along / 2);
    for (int k = 0; k < 3; k++) p->center[k] = (float)center[k];
}

/* Steps that rise away from the camera, or one broad stage. */
static void add_stand(Scene *s, Dice *d, const double deep[2]) {
    bool stage = dice_chance(d, 0.25);
    int steps = stage ? 1 : 3 + dice_pick(d, 8);
    double along = stage ? dice_range(d, 3, 7) : dice_range(d, 0.9, 1.5),
           heading = dice_normal(d, 0.2);
    double rise = stage ? dice_range(d, 0.4, 1.1) : dice_range(d, 0.22, 0.45);
    double across = dice_range(d, 6, 25), base[3], axes[9],
           depth = dice_range(d, 1.15, 1.7) * deep[0];
    float rgb[3];
    color_hue(rgb, dice_range(d, 0, 0.2), dice_range(d, 0, 0.2), dice_range(d, 0.4, 0.75));
    scene_upright(s, heading, axes);
    scene_place(s, &s->plane[0], dice_normal(d, 0.15) * depth, depth, base);
    for (int i = 0; i < steps; i++) {
        double height = rise * (i + 1), top[3], foot[3];
        float size[3] = {(float)across, (float)height, (float)along};
        for (int k = 0; k < 3; k++) {
            foot[k] = base[k] - axes[3 * k + 2] * along * i;
            top[k] = foot[k] + height * axes[3 * k + 1];
        }
        color_scale(rgb, i % 2 ? 1.15f : 1 / 1.15f);
        Thing step = thing_box(THING_STEP, size, rgb, s->arena);
        add_plane(s, height, top, heading, across, along);
        scene_add(s, &step, foot, heading, s->planes - 1);
    }
}

/* ---- all of it ---- */

Status scene_check(const SceneWish *w) {
    enum { LEAST_SIDE = 64, MOST_SIDE = 32768 };
    if (w->width < LEAST_SIDE || w->height < LEAST_SIDE || w->width > MOST_SIDE ||
        w->height > MOST_SIDE)
        return fail(ERR_USAGE,
                    "a photo of %d x %d pixels is not possible, expected %d to %d a side", w->width,
                    w->height, LEAST_SIDE, MOST_SIDE);
    if (w->people[0] < 0 || w->people[1] < w->people[0] || w->people[1] > SCENE_MOST_PEOPLE)
        return fail(ERR_USAGE, "people %d..%d: expected a range within 0 to %d", w->people[0],
                    w->people[1], SCENE_MOST_PEOPLE);
    double low = w->tall[0] > 0 ? w->tall[0] : 20, high = w->tall[1] > 0 ? w->tall[1] : 400;
    if (!(low >= 4 && high >= low && high <= MOST_SIDE))
        return fail(ERR_USAGE, "people %g to %g pixels tall: expected a range within 4 to %d", low,
                    high, MOST_SIDE);
    if (w->focal != 0 && !(w->focal >= w->width / 4.0 && w->focal <= 100.0 * w->width))
        return fail(ERR_USAGE, "focal length %g: expected %g to %g pixels", w->focal,
                    w->width / 4.0, 100.0 * w->width);
    return OK;
}

void scene_make(const SceneWish *wish, uint64_t seed, const Poser *poser, Scene *out) {
    Dice dice = dice_new("scene", seed), sky = dice_child(&dice, 1), stand = dice_child(&dice, 2);
    Dice thing = dice_child(&dice, 3), crowd = dice_child(&dice, 4);
    double deep[2];
    *out = (Scene){.arena = arena_new(), .width = wish->width, .height = wish->height};
    out->focal = wish->focal > 0 ? wish->focal : hypot(wish->width, wish->height);
    out->cx = wish->width / 2.0, out->cy = wish->height / 2.0;
    out->grain = dice_child(&dice, 5).stream;
    out->thing = arena_alloc(out->arena, SCENE_MOST_THINGS * sizeof *out->thing);
    pick_depths(wish, out, &dice, deep);
    set_camera(out, &dice, deep);
    out->light = light_make(&sky, out->frame.up, out->frame.right, out->frame.forward);
    out->backdrop = backdrop_make(&sky, &out->frame, out->camera_height, &out->light);
    out->backdrop.far = fmaxf(out->backdrop.far, (float)(1.3 * deep[1]));
    set_gain(out, &sky);
    add_plane(out, 0, (double[]){0, 0, 0}, 0, 0, 0);
    if (dice_chance(&stand, 0.4)) add_stand(out, &stand, deep);
    placing_things(out, &thing, dice_pick(&thing, 14), deep);
    int count = wish->people[0] + dice_pick(&crowd, wish->people[1] - wish->people[0] + 1);
    placing_people(out, poser, &crowd, count, deep);
}

void scene_free(Scene *scene) {
    if (scene->arena) arena_free(scene->arena);
    *scene = (Scene){0};
}
