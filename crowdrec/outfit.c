#include "crowdrec/outfit.h"

#include "crowdrec/light.h"
#include "crowdrec/noise.h"

#include <string.h>

/* ---- choosing ---- */

static void pick_skin(Dice *d, float skin[3]) {
    static const float tone[6][3] = {{0.76f, 0.52f, 0.41f}, {0.66f, 0.42f, 0.31f},
                                     {0.55f, 0.33f, 0.22f}, {0.40f, 0.22f, 0.13f},
                                     {0.24f, 0.12f, 0.07f}, {0.12f, 0.06f, 0.035f}};
    double at = dice_uniform(d) * 4.999;
    int i = (int)at;
    memcpy(skin, tone[i], 3 * sizeof *skin);
    color_blend(skin, tone[i + 1], (float)(at - i));
    color_scale(skin, (float)dice_range(d, 0.9, 1.08));
}

static void pick_hair(Dice *d, float hair[3]) {
    static const float tone[7][3] = {{0.012f, 0.010f, 0.009f}, {0.03f, 0.02f, 0.014f},
                                     {0.08f, 0.045f, 0.022f},  {0.18f, 0.10f, 0.045f},
                                     {0.42f, 0.29f, 0.13f},    {0.22f, 0.07f, 0.025f},
                                     {0.40f, 0.39f, 0.38f}};
    memcpy(hair, tone[dice_pick(d, 7)], 3 * sizeof *hair);
    color_scale(hair, (float)dice_range(d, 0.75, 1.25));
    if (dice_chance(d, 0.02)) color_hue(hair, dice_uniform(d), 0.7, 0.45);
}

/* Anything: whites, blacks and greys, calm colours, bright ones. */
static void pick_color(Dice *d, float rgb[3]) {
    double kind = dice_uniform(d), hue = dice_uniform(d);
    if (kind < 0.16)
        color_hue(rgb, 0.1, dice_range(d, 0, 0.2), dice_range(d, 0.82, 0.95));
    else if (kind < 0.34)
        color_hue(rgb, 0.6, dice_range(d, 0, 0.15), dice_range(d, 0.1, 0.5));
    else if (kind < 0.7)
        color_hue(rgb, hue, dice_range(d, 0.15, 0.5), dice_range(d, 0.25, 0.7));
    else
        color_hue(rgb, hue, dice_range(d, 0.6, 0.95), dice_range(d, 0.35, 0.6));
}

static void pick_trousers(Dice *d, float rgb[3]) {
    switch (dice_pick(d, 6)) {
    case 0: color_hue(rgb, 0.61, 0.45, dice_range(d, 0.18, 0.45)); break;
    case 1: color_hue(rgb, 0.62, 0.3, dice_range(d, 0.12, 0.3)); break;
    case 2: color_hue(rgb, 0.6, 0.05, dice_range(d, 0.08, 0.22)); break;
    case 3: color_hue(rgb, 0.1, 0.25, dice_range(d, 0.4, 0.72)); break;
    case 4: color_hue(rgb, 0.6, 0.04, dice_range(d, 0.3, 0.6)); break;
    default: pick_color(d, rgb);
    }
}

static Cloth pick_cloth(Dice *d, void (*color)(Dice *, float *), double plain) {
    Cloth c = {.pattern = dice_chance(d, plain) ? PATTERN_PLAIN : (Pattern)dice_pick(d, PATTERNS)};
    color(d, c.first);
    pick_color(d, c.second);
    c.period = (float)dice_log_range(d, 0.03, 0.12);
    c.gloss = (float)dice_range(d, 0.5, 1.2);
    return c;
}

/* Where the garments end; one in nine wears one piece. */
static void pick_cut(Dice *d, Outfit *o) {
    double sleeves = dice_uniform(d), legs = dice_uniform(d);
    o->sleeve = (float)(sleeves < 0.1    ? dice_range(d, 0.15, 0.19)
                        : sleeves < 0.55 ? dice_range(d, 0.27, 0.42)
                                         : dice_range(d, 0.64, 0.70));
    o->hem = (float)dice_range(d, -0.30, -0.12);
    o->neckline = (float)(dice_chance(d, 0.3) ? dice_range(d, 0.03, 0.12) : 0);
    o->leg = (float)(legs < 0.62   ? dice_range(d, -1.09, -1.03)
                     : legs < 0.85 ? dice_range(d, -0.66, -0.42)
                                   : dice_range(d, -0.95, -0.68));
    o->cuff =
        (float)(dice_chance(d, 0.12) ? dice_range(d, -0.95, -0.8) : dice_range(d, -1.085, -1.06));
    o->jacket = o->sleeve > 0.6f && dice_chance(d, 0.45);
    o->has_belt = o->hem > -0.18f && dice_chance(d, 0.5);
    if (dice_chance(d, 0.11)) o->trousers = o->shirt, o->has_belt = false;
}

static void pick_head(Dice *d, Outfit *o) {
    bool bald = dice_chance(d, 0.06), full = dice_chance(d, 0.42);
    o->hairline = (float)(bald ? 0.7 : dice_range(d, 0.495, 0.525));
    o->hair_length = (float)(bald   ? 0.7
                             : full ? dice_range(d, 0.12, 0.33)
                                    : dice_range(d, 0.34, 0.40));
    o->beard = (float)(!full && dice_chance(d, 0.35) ? dice_range(d, 0.3, 0.9) : 0);
    o->cap = dice_chance(d, 0.1);
    if (o->cap) pick_color(d, o->hair), o->hairline = 0.485f, o->hair_length = 0.44f;
}

Outfit outfit_make(Dice *dice) {
    Outfit o = {.seed = (uint32_t)(dice_uniform(dice) * 0x1p24)};
    o.shirt = pick_cloth(dice, pick_color, 0.5);
    o.trousers = pick_cloth(dice, pick_trousers, 0.9);
    pick_skin(dice, o.skin);
    pick_hair(dice, o.hair);
    pick_color(dice, o.shoes);
    if (dice_chance(dice, 0.6)) color_scale(o.shoes, 0.25f);
    color_set(o.soles, 0.55f, 0.55f, 0.52f);
    if (dice_chance(dice, 0.5)) color_scale(o.soles, 0.08f);
    color_set(o.belt, 0.03f, 0.02f, 0.015f);
    pick_cut(dice, &o);
    pick_head(dice, &o);
    return o;
}

/* ---- cloth ---- */

/* 0 or 1 in turns along x, half a period each; its mean where a pixel spans too much. */
static float bars(float x, float period, float grain) {
    float t = x / period, phase = fabsf(t - (float)noise_floor(t) - 0.5f) - 0.25f;
    float sharp = color_edge(phase * period, grain),
          fade = color_edge(grain - 0.5f * period, period);
    return sharp + (0.5f - sharp) * fade;
}

static float dots(float u, float v, float period, float grain) {
    float x = u / period - (float)noise_floor(u / period) - 0.5f,
          y = v / period - (float)noise_floor(v / period) - 0.5f;
    float inside = color_edge((0.28f - sqrtf(x * x + y * y)) * period, grain);
    return inside + (0.25f - inside) * color_edge(grain - 0.5f * period, period);
}

/* Share of the second colour.  u runs around the limb or trunk, v along it. */
static float pattern(const Outfit *o, const Cloth *c, const float p[3], float grain) {
    bool arm = fabsf(p[0]) > 0.19f;
    float u = arm ? p[1] + p[2] : p[0], v = arm ? fabsf(p[0]) : p[1];
    switch (c->pattern) {
    case PATTERN_HOOPS: return bars(v, c->period, grain);
    case PATTERN_STRIPES: return bars(u, c->period, grain);
    case PATTERN_CHECKS: return 0.5f * (bars(u, c->period, grain) + bars(v, c->period, grain));
    case PATTERN_DOTS: return dots(u, v, c->period, grain);
    case PATTERN_PATCHES:
        return color_edge(noise_at3(o->seed, p[0] / c->period, p[1] / c->period, p[2] / c->period),
                          0.15f + grain / c->period);
    case PATTERN_HALVES: return color_edge((arm ? 0.15f : 0.08f) - p[1], grain);
    case PATTERN_LOGO:
        return p[2] < 0 ? 0
                        : color_edge(0.07f - fabsf(p[0]), grain) *
                              color_edge(0.055f - fabsf(p[1] - 0.12f), grain) *
                              (0.4f + 0.6f * bars(p[1], 0.04f, grain));
    default: return 0;
    }
}

/* Folds and unevenness as a factor. */
static float folds(const Outfit *o, const float p[3], float grain) {
    float wide = noise_at3(o->seed + 1, p[0] * 13, p[1] * 9, p[2] * 13);
    float sum = 0.16f * wide;
    if (grain < 0.02f) sum += 0.09f * noise_at3(o->seed + 2, p[0] * 40, p[1] * 30, p[2] * 40);
    if (grain < 0.006f) sum += 0.05f * noise_at3(o->seed + 3, p[0] * 220, p[1] * 220, p[2] * 220);
    return 1 + sum;
}

static void cloth_color(const Outfit *o, const Cloth *c, const float p[3], float grain,
                        float rgb[3]) {
    memcpy(rgb, c->first, 3 * sizeof *rgb);
    if (c->pattern != PATTERN_PLAIN) color_blend(rgb, c->second, pattern(o, c, p, grain));
    color_scale(rgb, 1 + c->gloss * (folds(o, p, grain) - 1));
}

/* ---- head ---- */

/* Height above which hair grows, falling from the forehead to the nape. */
static float hair_edge(const Outfit *o, float z) {
    if (z > 0.07f) return o->hairline;
    if (z < -0.03f) return o->hair_length;
    float t = (0.07f - z) / 0.1f;
    return o->hairline + (o->hair_length - o->hairline) * t * t;
}

static float ellipse(float x, float y, float width, float height, float grain) {
    float r = sqrtf(x * x / (width * width) + y * y / (height * height));
    return color_edge((1 - r) * height, grain);
}

static void add_face(const Outfit *o, const float p[3], float grain, float rgb[3]) {
    static const float white[3] = {0.7f, 0.68f, 0.66f}, dark[3] = {0.02f, 0.015f, 0.012f};
    float lips[3] = {o->skin[0] * 0.75f, o->skin[1] * 0.45f, o->skin[2] * 0.45f};
    float x = fabsf(p[0]) - 0.032f;
    if (p[2] < 0.04f) return;
    color_blend(rgb, o->hair, o->beard * color_edge(0.398f - p[1], 0.02f + grain));
    color_blend(rgb, dark, 0.35f * ellipse(x, p[1] - 0.452f, 0.02f, 0.013f, 0.01f + grain));
    color_blend(rgb, white, 0.9f * ellipse(x, p[1] - 0.450f, 0.013f, 0.0065f, grain));
    color_blend(rgb, dark, ellipse(x, p[1] - 0.450f, 0.006f, 0.006f, grain));
    color_blend(rgb, o->hair, 0.8f * ellipse(x, p[1] - 0.470f, 0.018f, 0.0045f, grain));
    color_blend(rgb, lips, ellipse(p[0], p[1] - 0.383f, 0.024f, 0.0075f, grain));
}

static void head_color(const Outfit *o, const float p[3], float grain, float rgb[3]) {
    float hair[3];
    memcpy(hair, o->hair, sizeof hair);
    color_scale(hair, 1 + 0.3f * noise_at3(o->seed, p[0] * 130, p[1] * 35, p[2] * 130));
    memcpy(rgb, o->skin, 3 * sizeof *rgb);
    add_face(o, p, grain, rgb);
    color_blend(rgb, hair, color_edge(p[1] - hair_edge(o, p[2]), 0.008f + grain));
}

/* ---- body ---- */

/* Share of the shirt, which leaves neck, V neck, hands and what hangs below the hem free. */
static float shirt_share(const Outfit *o, const float p[3], float grain) {
    float x = fabsf(p[0]),
          share = color_edge(o->sleeve - x, grain) * color_edge(p[1] - o->hem, grain);
    float collar = sqrtf(p[0] * p[0] + (p[2] + 0.02f) * (p[2] + 0.02f)) - 0.075f;
    if (p[1] > 0.2f)
        share *= noise_max(color_edge(0.265f - p[1], grain), color_edge(collar, grain));
    if (o->neckline > 0 && p[2] > 0)
        share *= 1 - color_edge(0.55f * (p[1] - 0.24f + o->neckline) - x, grain);
    return share;
}

static void add_details(const Outfit *o, const float p[3], float grain, float rgb[3]) {
    float dark[3] = {rgb[0] * 0.35f, rgb[1] * 0.35f, rgb[2] * 0.35f};
    if (o->jacket && p[2] > 0 && fabsf(p[0]) < 0.03f && p[1] < 0.25f)
        color_blend(rgb, dark, color_edge(0.007f - fabsf(p[0]), grain));
    if (fabsf(p[1] - o->hem) < 0.1f && fabsf(p[0]) < 0.19f)
        color_blend(rgb, dark, 0.7f * color_edge(0.012f - fabsf(p[1] - o->hem - 0.012f), 0.02f));
}

static void leg_color(const Outfit *o, const float p[3], float grain, float rgb[3]) {
    float cloth[3];
    memcpy(rgb, o->skin, 3 * sizeof *rgb);
    cloth_color(o, &o->trousers, p, grain, cloth);
    color_blend(rgb, cloth, color_edge(p[1] - o->leg, grain));
    if (o->has_belt)
        color_blend(rgb, o->belt, color_edge(0.018f - fabsf(p[1] - o->hem + 0.02f), grain));
    color_blend(rgb, o->shoes, color_edge(o->cuff - p[1], grain));
    color_blend(rgb, o->soles, color_edge(-1.122f - p[1], grain));
}

void outfit_color(const Outfit *o, const float point[3], float grain, float rgb[3]) {
    const float *p = point;
    float least = noise_max(grain, 0.002f);
    bool limb = fabsf(p[0]) > 0.25f;
    if (p[1] > 0.33f && !limb) {
        head_color(o, p, least, rgb);
        return;
    }
    if (p[1] < -0.1f && !limb)
        leg_color(o, p, least, rgb);
    else
        memcpy(rgb, o->skin, 3 * sizeof *rgb);
    float shirt[3], share = limb || p[1] > o->hem - 0.05f ? shirt_share(o, p, least) : 0;
    if (share > 0) {
        cloth_color(o, &o->shirt, p, least, shirt);
        add_details(o, p, least, shirt);
        color_blend(rgb, shirt, share);
    }
    if (o->hair_length < 0.3f && p[2] < -0.03f && fabsf(p[0]) < 0.1f && p[1] > 0.1f)
        color_blend(rgb, o->hair, color_edge(p[1] - o->hair_length, 0.03f));
}
