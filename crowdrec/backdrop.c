#include "crowdrec/backdrop.h"

#include "crowdrec/noise.h"

#include <string.h>

static float dot(const float a[3], const float b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* ---- choosing ---- */

static void pick_ground(Backdrop *b, Dice *d) {
    double dark = dice_range(d, 0.75, 1.25);
    b->ground = (Ground)dice_pick(d, GROUNDS);
    switch (b->ground) {
    case GROUND_GRASS:
        color_hue(b->first, dice_range(d, 0.22, 0.32), dice_range(d, 0.35, 0.55), 0.34);
        color_hue(b->second, dice_range(d, 0.14, 0.24), 0.4, 0.4);
        break;
    case GROUND_TRACK:
        color_hue(b->first, dice_range(d, 0.0, 0.06), dice_range(d, 0.4, 0.6), 0.45);
        color_hue(b->second, 0.28, 0.4, 0.35);
        if (dice_chance(d, 0.3)) color_hue(b->first, 0.58, 0.45, 0.45);
        break;
    case GROUND_ASPHALT:
        color_hue(b->first, 0.6, 0.04, dice_range(d, 0.3, 0.5));
        color_hue(b->second, 0.6, 0.03, dice_range(d, 0.25, 0.5));
        break;
    case GROUND_SAND:
        color_hue(b->first, 0.1, 0.3, dice_range(d, 0.6, 0.75));
        color_hue(b->second, 0.09, 0.3, dice_range(d, 0.5, 0.65));
        break;
    default:
        color_hue(b->first, dice_range(d, 0, 0.15), dice_range(d, 0, 0.25),
                  dice_range(d, 0.45, 0.75));
        color_hue(b->second, dice_range(d, 0, 0.15), dice_range(d, 0, 0.3),
                  dice_range(d, 0.35, 0.7));
    }
    color_scale(b->first, (float)dark);
    color_scale(b->second, (float)dark);
    color_set(b->line, 0.75f, 0.75f, 0.72f);
    b->size = (float)(b->ground == GROUND_COBBLES ? dice_range(d, 0.1, 0.2)
                                                  : dice_log_range(d, 0.35, 1.6));
}

Backdrop backdrop_make(Dice *dice, const Frame *frame, float height, const Light *light) {
    Backdrop b = {.frame = *frame, .height = height};
    b.seed = (uint32_t)(dice_uniform(dice) * 0x1p24);
    pick_ground(&b, dice);
    double turn = dice_range(dice, -M_PI, M_PI);
    b.turn[0] = (float)cos(turn), b.turn[1] = (float)sin(turn);
    b.far = (float)dice_log_range(dice, 60, 320);
    b.town = (float)(dice_chance(dice, 0.7) ? dice_range(dice, 0.3, 1) : 0);
    b.wood = (float)(dice_chance(dice, 0.75) ? dice_range(dice, 0.3, 1) : 0);
    b.cloud = (float)dice_uniform(dice);
    b.haze = (float)(1 / dice_log_range(dice, 300, 4000));
    float clear = light->sun[0];
    color_hue(b.brick, dice_range(dice, 0, 0.1), dice_range(dice, 0.1, 0.4), 0.4);
    color_hue(b.plaster, dice_range(dice, 0.08, 0.16), dice_range(dice, 0.05, 0.3), 0.75);
    color_hue(b.leaf, dice_range(dice, 0.22, 0.36), 0.35, dice_range(dice, 0.2, 0.32));
    color_set(b.zenith, 0.42f - 0.3f * clear, 0.48f - 0.2f * clear, 0.58f + 0.05f * clear);
    color_set(b.horizon, 0.62f + 0.08f * clear, 0.68f + 0.08f * clear, 0.74f + 0.1f * clear);
    return b;
}

/* ---- ground ---- */

/* A place on the ground in the pattern's own directions, and what a pixel spans there. */
typedef struct {
    float u, v, grain;
} Spot;

/* 1 on lines of a width around whole multiples of the period; their mean where pixels are wider. */
static float lines(float x, float period, float width, float grain) {
    float t = x / period - (float)noise_floor(x / period), distance = period * noise_min(t, 1 - t);
    float mean = noise_min(1, width / period),
          sharp = color_edge(width / 2 - distance, grain + 1e-4f);
    return noise_mix(sharp * noise_min(1, width / grain), mean,
                     color_edge(grain - period / 2, period));
}

/* Noise of lumps of the given size, which pixels wider than they average away. */
static float lumps(uint32_t seed, const Spot *s, float size) {
    float strength = 1 - s->grain / size;
    return strength > 0.08f ? strength * noise_at2(seed, s->u / size, s->v / size) : 0;
}

static void tiles(const Backdrop *b, const Spot *s, float rgb[3]) {
    bool shifted = b->ground == GROUND_COBBLES || b->seed % 3 == 0;
    float row = (float)noise_floor(s->v / b->size),
          u = s->u + (shifted && (int)row % 2 ? b->size / 2 : 0);
    int i = noise_floor(u / b->size), j = (int)row;
    float fade = 1 - color_edge(s->grain - b->size / 2, b->size);
    float mix = b->seed % 2 ? (float)((i + j) & 1) : noise_cell(b->seed, i, j);
    color_blend(rgb, b->second, 0.5f + (mix - 0.5f) * fade);
    float joint = b->ground == GROUND_COBBLES ? 0.16f * b->size : 0.012f;
    float seam =
        noise_max(lines(u, b->size, joint, s->grain), lines(s->v, b->size, joint, s->grain));
    color_scale(rgb,
                (1 - 0.45f * seam) * (1 + 0.12f * fade * (noise_cell(b->seed + 1, i, j) - 0.5f)));
}

static void grass(const Backdrop *b, const Spot *s, float rgb[3]) {
    color_blend(rgb, b->second,
                0.5f + 0.4f * lumps(b->seed, s, 3) + 0.2f * lumps(b->seed + 1, s, 0.4f));
    color_scale(rgb, 1 + 0.35f * lumps(b->seed + 2, s, 0.06f) + 0.2f * lumps(b->seed + 3, s, 0.2f));
    if (b->seed % 3 == 0) color_scale(rgb, 1 + 0.12f * (lines(s->u, 10, 5, s->grain) - 0.5f));
}

/* Eight lanes of 1.22 m with lines of 5 cm, grass on either side. */
static void track(const Backdrop *b, const Spot *s, float rgb[3]) {
    static const float LANE = 1.22f, LANES = 8;
    float across = s->u + LANE * LANES / 2, width = LANE * LANES;
    float inside =
        color_edge(across + 0.1f, s->grain) * color_edge(width + 0.1f - across, s->grain);
    float field[3];
    memcpy(field, b->second, sizeof field);
    color_scale(field, 1 + 0.3f * lumps(b->seed, s, 0.3f) + 0.2f * lumps(b->seed + 1, s, 4));
    color_blend(rgb, b->line, 0.85f * lines(across, LANE, 0.05f, s->grain));
    color_scale(rgb, 1 + 0.15f * lumps(b->seed + 2, s, 0.05f) + 0.08f * lumps(b->seed + 3, s, 2));
    color_blend(rgb, field, 1 - inside);
}

static void asphalt(const Backdrop *b, const Spot *s, float rgb[3]) {
    color_blend(rgb, b->second, 0.5f + 0.5f * lumps(b->seed, s, 5));
    color_scale(rgb, 1 + 0.22f * lumps(b->seed + 1, s, 0.05f) + 0.1f * lumps(b->seed + 2, s, 0.5f));
    float line = lines(s->u, 5 + (float)(b->seed % 5), 0.12f, s->grain);
    if (b->seed % 2) line *= lines(s->v, 4, 2, s->grain);
    color_blend(rgb, b->line, 0.8f * line);
}

static void ground_color(const Backdrop *b, const Spot *s, float rgb[3]) {
    memcpy(rgb, b->first, 3 * sizeof *rgb);
    switch (b->ground) {
    case GROUND_TILES:
    case GROUND_COBBLES: tiles(b, s, rgb); break;
    case GROUND_GRASS: grass(b, s, rgb); break;
    case GROUND_TRACK: track(b, s, rgb); break;
    case GROUND_ASPHALT: asphalt(b, s, rgb); break;
    default:
        color_blend(rgb, b->second, 0.5f + 0.4f * lumps(b->seed, s, 1.5f));
        color_scale(rgb,
                    1 + 0.2f * lumps(b->seed + 1, s, 0.08f) + 0.15f * lumps(b->seed + 2, s, 0.4f));
    }
    color_scale(rgb, 1 + 0.1f * lumps(b->seed + 7, s, 7) + 0.05f * lumps(b->seed + 8, s, 0.9f));
}

/* ---- skyline and sky ---- */

static void sky_color(const Backdrop *b, const float ray[3], float rise, float rgb[3]) {
    float up = rise > 0 ? rise : 0, t = 3 * up / (1 + 3 * up);
    memcpy(rgb, b->horizon, 3 * sizeof *rgb);
    color_blend(rgb, b->zenith, t);
    float u = dot(ray, b->frame.right) / (up + 0.12f), v = 1 / (up + 0.12f);
    float cloud = noise_at2(b->seed + 20, u, v) +
                  0.5f * noise_at2(b->seed + 21, 2.3f * u, 2.3f * v) +
                  0.25f * noise_at2(b->seed + 22, 5 * u, 5 * v);
    static const float white[3] = {0.95f, 0.95f, 0.96f};
    color_blend(rgb, white, 0.75f * b->cloud * color_edge(cloud + b->cloud - 0.75f, 0.8f));
}

/* A street's front: height and wall of the house that stands at s metres along it. */
static float house(const Backdrop *b, float s, float height, float grain, float rgb[3]) {
    float width = 14 + 10 * noise_cell(b->seed + 30, 0, 0), t = s / width;
    int i = noise_floor(t);
    if (noise_cell(b->seed + 31, i, 0) > b->town) return 0;
    float top = 6 + 18 * noise_cell(b->seed + 32, i, 0), wall = noise_cell(b->seed + 33, i, 0);
    memcpy(rgb, b->brick, 3 * sizeof *rgb);
    color_blend(rgb, b->plaster, wall);
    float storey = height / 3.2f - (float)noise_floor(height / 3.2f), bay = (t - (float)i) * 7;
    bay -= (float)noise_floor(bay);
    float window = color_edge(0.22f - fabsf(bay - 0.5f), 0.02f + grain / 3) *
                   color_edge(0.27f - fabsf(storey - 0.55f), 0.02f + grain / 3.2f);
    static const float glass[3] = {0.07f, 0.09f, 0.12f};
    color_blend(rgb, glass, 0.85f * window);
    return top;
}

static float trees(const Backdrop *b, float s, float rgb[3], float height) {
    float patch = noise_at2(b->seed + 40, s / 45, 0.5f);
    if (patch > 2 * b->wood - 1) return 0;
    float crown = s / 7, i = (float)noise_floor(crown), x = 2 * (crown - i) - 1;
    float top = 3.2f + 3 * noise_cell(b->seed + 41, (int)i, 0) + 3.5f * sqrtf(1 - 0.9f * x * x) +
                0.7f * noise_at2(b->seed + 42, s / 0.9f, 0);
    float leaf = 0.7f * noise_at2(b->seed + 43, s / 0.9f, height / 0.9f) +
                 0.5f * noise_at2(b->seed + 44, s / 0.3f, height / 0.3f);
    memcpy(rgb, b->leaf, 3 * sizeof *rgb);
    color_scale(rgb, 1 + 0.4f * leaf + 0.05f * (height - 4));
    return top;
}

/* What stands at the ground's far edge, over the sky that is in rgb. */
static void add_skyline(const Backdrop *b, const Light *light, float s, float height, float grain,
                        float rgb[3]) {
    float wall[3], normal[3];
    for (int k = 0; k < 3; k++) normal[k] = -b->frame.forward[k];
    float top = b->town > 0 ? house(b, s, height, grain, wall) : 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass) top = b->wood > 0 ? trees(b, s, wall, height) : 0;
        if (height > top + grain || top <= 0) continue;
        light_fall(light, normal, 0.8f, 1, wall);
        backdrop_haze(b, b->far, wall);
        color_blend(rgb, wall, color_edge(top - height, grain));
    }
}

/* ---- a ray ---- */

void backdrop_haze(const Backdrop *b, float distance, float rgb[3]) {
    float t = distance * b->haze;
    color_blend(rgb, b->horizon, t / (1 + t));
}

void backdrop_color(const Backdrop *b, const Light *light, const float ray[3], float pixel,
                    float lit, float open, float rgb[3]) {
    float rise = dot(ray, b->frame.up), ahead = dot(ray, b->frame.forward);
    float side = dot(ray, b->frame.right), t = rise < -1e-6f ? -b->height / rise : INFINITY;
    if (!(t * ahead < b->far)) {
        float reach = b->far / noise_max(ahead, 1e-3f), grain = reach * pixel;
        sky_color(b, ray, rise / noise_max(ahead, 1e-3f), rgb);
        add_skyline(b, light, side * reach, b->height + rise * reach, grain, rgb);
        return;
    }
    float x = side * t, y = ahead * t, deep = t * pixel * sqrtf(ahead * ahead + 1e-6f) / -rise;
    Spot s = {b->turn[0] * x - b->turn[1] * y, b->turn[1] * x + b->turn[0] * y,
              sqrtf(t * pixel * deep)};
    ground_color(b, &s, rgb);
    light_fall(light, b->frame.up, lit, open, rgb);
    backdrop_haze(b, t, rgb);
}
