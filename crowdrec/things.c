#include "crowdrec/things.h"

#include "crowdrec/light.h"
#include "crowdrec/noise.h"

#include <string.h>

enum { MOST_POINTS = 1024, MOST_FACES = 2048, AROUND = 14, RINGS = 9 };

/* A mesh that grows part by part. */
typedef struct {
    Thing thing;
    Dice *dice;
    float rgb[3];
} Maker;

static int add_point(Maker *m, const float at[3], const float normal[3]) {
    ThingPoint *p = &m->thing.point[m->thing.points];
    memcpy(p->at, at, sizeof p->at);
    memcpy(p->normal, normal, sizeof p->normal);
    memcpy(p->rgb, m->rgb, sizeof p->rgb);
    return m->thing.points++;
}

static void add_face(Maker *m, int a, int b, int c) {
    int32_t *face = m->thing.face + 3 * (size_t)m->thing.faces++;
    face[0] = a, face[1] = b, face[2] = c;
}

/* ---- parts ---- */

/* Between two corners. */
static void add_box(Maker *m, const float low[3], const float high[3]) {
    for (int axis = 0; axis < 3; axis++)
        for (int side = 0; side < 2; side++) {
            float normal[3] = {0}, at[3];
            int u = (axis + 1) % 3, v = (axis + 2) % 3, corner[4];
            normal[axis] = side ? 1 : -1;
            at[axis] = side ? high[axis] : low[axis];
            for (int k = 0; k < 4; k++) {
                at[u] = (k == 1 || k == 2) == side ? high[u] : low[u];
                at[v] = k >= 2 ? high[v] : low[v];
                corner[k] = add_point(m, at, normal);
            }
            add_face(m, corner[0], corner[1], corner[2]);
            add_face(m, corner[0], corner[2], corner[3]);
        }
}

static void add_block(Maker *m, float x, float y, float z, float width, float height, float depth) {
    add_box(m, (float[]){x - width / 2, y, z - depth / 2},
            (float[]){x + width / 2, y + height, z + depth / 2});
}

/* Upright, from y to y + height, with these radii below and above. */
static void add_tube(Maker *m, float x, float y, float z, float height, float below, float above) {
    int first = m->thing.points;
    float slope = (below - above) / height, length = sqrtf(1 + slope * slope);
    for (int i = 0; i < AROUND; i++) {
        float angle = (float)(2 * M_PI / AROUND) * (float)i, c = cosf(angle), s = sinf(angle);
        float normal[3] = {c / length, slope / length, s / length};
        add_point(m, (float[]){x + below * c, y, z + below * s}, normal);
        add_point(m, (float[]){x + above * c, y + height, z + above * s}, normal);
    }
    int foot = add_point(m, (float[]){x, y, z}, (float[]){0, -1, 0});
    int tip = add_point(m, (float[]){x, y + height, z}, (float[]){0, 1, 0});
    for (int i = 0; i < AROUND; i++) {
        int a = first + 2 * i, b = first + 2 * ((i + 1) % AROUND);
        add_face(m, a, a + 1, b + 1);
        add_face(m, a, b + 1, b);
        add_face(m, foot, a, b);
        add_face(m, tip, b + 1, a + 1);
    }
}

/* An ellipsoid with lumps of the given share of its size. */
static void add_ball(Maker *m, const float center[3], const float radius[3], float lumps) {
    uint32_t seed = (uint32_t)(dice_uniform(m->dice) * 0x1p24);
    int first = m->thing.points, across = AROUND;
    for (int ring = 0; ring <= RINGS; ring++)
        for (int i = 0; i < across; i++) {
            float polar = (float)M_PI * (float)ring / RINGS, at[3], normal[3];
            float angle = (float)(2 * M_PI) * (float)i / (float)across;
            float d[3] = {sinf(polar) * cosf(angle), cosf(polar), sinf(polar) * sinf(angle)};
            float lump = 1 + lumps * noise_at3(seed, 2.5f * d[0], 2.5f * d[1], 2.5f * d[2]);
            for (int k = 0; k < 3; k++) at[k] = center[k] + lump * radius[k] * d[k];
            float length = 0;
            for (int k = 0; k < 3; k++)
                normal[k] = d[k] / radius[k], length += normal[k] * normal[k];
            for (int k = 0; k < 3; k++) normal[k] /= sqrtf(length);
            add_point(m, at, normal);
        }
    for (int ring = 0; ring < RINGS; ring++)
        for (int i = 0; i < across; i++) {
            int a = first + ring * across + i, b = first + ring * across + (i + 1) % across;
            add_face(m, a, b, b + across);
            add_face(m, a, b + across, a + across);
        }
}

/* ---- things ---- */

static double range(Maker *m, double low, double high) { return dice_range(m->dice, low, high); }

static void paint(Maker *m, double saturation, double low, double high) {
    color_hue(m->rgb, dice_uniform(m->dice), saturation, range(m, low, high));
}

static void make_leaves(Maker *m) {
    color_hue(m->rgb, range(m, 0.2, 0.36), range(m, 0.3, 0.55), range(m, 0.2, 0.4));
    m->thing.leafy = true;
}

static void make_bush(Maker *m) {
    make_leaves(m);
    int balls = 1 + dice_pick(m->dice, 3);
    for (int i = 0; i < balls; i++) {
        float r = (float)range(m, 0.35, 0.75), h = (float)range(m, 0.35, 0.7);
        float x = i ? (float)range(m, -0.6, 0.6) : 0, z = i ? (float)range(m, -0.6, 0.6) : 0;
        add_ball(m, (float[]){x, h * 0.8f, z}, (float[]){r, h, r}, 0.3f);
    }
    m->thing.radius = 1.1f;
}

static void make_tree(Maker *m) {
    float trunk = (float)range(m, 1.8, 3.2);
    color_hue(m->rgb, 0.08, 0.3, range(m, 0.18, 0.32));
    add_tube(m, 0, 0, 0, trunk + 0.8f, 0.16f, 0.1f);
    make_leaves(m);
    for (int i = 0; i < 4; i++) {
        float r = (float)range(m, 0.9, 1.5);
        add_ball(
            m, (float[]){(float)range(m, -0.7, 0.7), trunk + r * 0.8f, (float)range(m, -0.7, 0.7)},
            (float[]){r, r * 0.85f, r}, 0.3f);
    }
    m->thing.radius = 0.4f;
}

static void make_bag(Maker *m) {
    float w = (float)range(m, 0.22, 0.5), h = (float)range(m, 0.25, 0.6),
          d = (float)range(m, 0.15, 0.3);
    paint(m, 0.5, 0.1, 0.5);
    if (dice_chance(m->dice, 0.5))
        add_ball(m, (float[]){0, h / 2, 0}, (float[]){w / 2, h / 2, d / 2}, 0.12f);
    else
        add_block(m, 0, 0.03f, 0, w, h, d), add_block(m, 0, h, 0, w * 0.4f, 0.25f, 0.03f);
    m->thing.radius = 0.3f;
}

static void make_cone(Maker *m) {
    float h = (float)range(m, 0.45, 0.8);
    color_set(m->rgb, 0.75f, 0.16f, 0.03f);
    add_block(m, 0, 0, 0, 0.38f, 0.04f, 0.38f);
    add_tube(m, 0, 0.04f, 0, h * 0.45f, 0.14f, 0.09f);
    color_set(m->rgb, 0.7f, 0.7f, 0.68f);
    add_tube(m, 0, 0.04f + h * 0.45f, 0, h * 0.25f, 0.09f, 0.06f);
    color_set(m->rgb, 0.75f, 0.16f, 0.03f);
    add_tube(m, 0, 0.04f + h * 0.7f, 0, h * 0.3f, 0.06f, 0.02f);
    m->thing.radius = 0.3f;
}

static void make_barrier(Maker *m) {
    float width = (float)range(m, 1.6, 2.6);
    color_hue(m->rgb, 0.6, 0.05, range(m, 0.4, 0.75));
    add_block(m, 0, 1.02f, 0, width, 0.06f, 0.05f);
    add_block(m, 0, 0.18f, 0, width, 0.05f, 0.04f);
    for (int i = 0; i <= 10; i++)
        add_block(m, width * (0.1f * (float)i - 0.5f), i % 10 ? 0.2f : 0, 0, 0.035f,
                  i % 10 ? 0.84f : 1.06f, 0.035f);
    m->thing.radius = width / 2;
}

static void make_bench(Maker *m) {
    color_hue(m->rgb, 0.08, 0.4, range(m, 0.25, 0.5));
    for (int i = 0; i < 4; i++) add_block(m, 0, 0.42f, 0.12f * (float)i - 0.18f, 1.7f, 0.04f, 0.1f);
    for (int i = 0; i < 3; i++)
        add_block(m, 0, 0.55f + 0.13f * (float)i, -0.26f, 1.7f, 0.1f, 0.04f);
    color_set(m->rgb, 0.05f, 0.05f, 0.05f);
    for (int side = -1; side <= 1; side += 2) {
        add_block(m, 0.7f * (float)side, 0, 0, 0.06f, 0.42f, 0.4f);
        add_block(m, 0.7f * (float)side, 0.4f, -0.24f, 0.06f, 0.45f, 0.05f);
    }
    m->thing.radius = 0.95f;
}

static void make_sign(Maker *m) {
    float h = (float)range(m, 2.0, 3.0), w = (float)range(m, 0.5, 1.1);
    color_set(m->rgb, 0.3f, 0.3f, 0.32f);
    add_tube(m, 0, 0, 0, h, 0.035f, 0.035f);
    paint(m, 0.8, 0.3, 0.6);
    add_block(m, 0, h - 0.75f, 0.06f, w, 0.7f, 0.03f);
    color_set(m->rgb, 0.75f, 0.75f, 0.72f);
    for (int i = 0; i < 3; i++)
        add_block(m, 0, h - 0.25f - 0.18f * (float)i, 0.08f, w * (float)range(m, 0.3, 0.8), 0.06f,
                  0.02f);
    m->thing.radius = 0.5f;
}

static void make_pole(Maker *m) {
    float h = (float)range(m, 3.5, 7);
    color_hue(m->rgb, 0.6, 0.1, range(m, 0.15, 0.5));
    add_tube(m, 0, 0, 0, 0.5f, 0.14f, 0.11f);
    add_tube(m, 0, 0.5f, 0, h - 0.5f, 0.075f, 0.05f);
    add_block(m, 0.4f, h - 0.06f, 0, 0.9f, 0.08f, 0.1f);
    color_set(m->rgb, 0.8f, 0.78f, 0.7f);
    add_block(m, 0.7f, h - 0.1f, 0, 0.35f, 0.05f, 0.16f);
    m->thing.radius = 0.25f;
}

static void make_bin(Maker *m) {
    paint(m, 0.35, 0.15, 0.4);
    add_tube(m, 0, 0, 0, 0.85f, 0.24f, 0.28f);
    color_scale(m->rgb, 0.5f);
    add_tube(m, 0, 0.85f, 0, 0.1f, 0.3f, 0.2f);
    m->thing.radius = 0.4f;
}

static void make_column(Maker *m) {
    float h = (float)range(m, 2.4, 4);
    color_hue(m->rgb, 0.1, 0.15, range(m, 0.55, 0.8));
    add_block(m, 0, 0, 0, 0.7f, 0.25f, 0.7f);
    add_tube(m, 0, 0.25f, 0, h, 0.26f, 0.22f);
    add_block(m, 0, 0.25f + h, 0, 0.6f, 0.2f, 0.6f);
    m->thing.radius = 0.6f;
}

static void make_crate(Maker *m) {
    paint(m, 0.45, 0.2, 0.6);
    int stack = 1 + dice_pick(m->dice, 2);
    float w = (float)range(m, 0.4, 1), h = (float)range(m, 0.3, 0.8), d = (float)range(m, 0.4, 0.9);
    for (int i = 0; i < stack; i++) {
        add_block(m, 0.05f * (float)i, h * (float)i, 0, w, h, d);
        color_scale(m->rgb, 0.8f);
    }
    m->thing.radius = 0.5f * sqrtf(w * w + d * d) + 0.1f;
}

static void make_car(Maker *m) {
    paint(m, 0.6, 0.15, 0.7);
    add_block(m, 0, 0.3f, 0, 4.1f, 0.5f, 1.7f);
    add_block(m, -0.1f, 1.32f, 0, 2.0f, 0.08f, 1.45f);
    color_set(m->rgb, 0.04f, 0.05f, 0.06f);
    add_block(m, -0.1f, 0.8f, 0, 2.3f, 0.52f, 1.5f);
    color_set(m->rgb, 0.02f, 0.02f, 0.02f);
    for (int i = 0; i < 4; i++)
        add_block(m, i % 2 ? 1.3f : -1.3f, 0, i / 2 ? 0.72f : -0.72f, 0.62f, 0.6f, 0.24f);
    color_set(m->rgb, 0.8f, 0.75f, 0.6f);
    for (int side = -1; side <= 1; side += 2)
        add_block(m, 2.04f, 0.55f, 0.6f * (float)side, 0.06f, 0.14f, 0.3f);
    m->thing.radius = 2.3f;
}

static Maker maker(ThingKind kind, Dice *dice, int points, int faces, Arena *arena) {
    Maker m = {.thing.kind = kind, .dice = dice};
    m.thing.point = arena_alloc(arena, (size_t)points * sizeof *m.thing.point);
    m.thing.face = arena_alloc(arena, 3 * (size_t)faces * sizeof *m.thing.face);
    return m;
}

Thing thing_make(ThingKind kind, Dice *dice, Arena *arena) {
    static void (*const make[])(Maker *) = {
        [THING_CRATE] = make_crate, [THING_POLE] = make_pole,     [THING_BAG] = make_bag,
        [THING_BUSH] = make_bush,   [THING_CONE] = make_cone,     [THING_BARRIER] = make_barrier,
        [THING_BENCH] = make_bench, [THING_SIGN] = make_sign,     [THING_TREE] = make_tree,
        [THING_BIN] = make_bin,     [THING_COLUMN] = make_column, [THING_CAR] = make_car};
    CHECK(kind < THINGS, "thing %d", (int)kind);
    Maker m = maker(kind, dice, MOST_POINTS, MOST_FACES, arena);
    make[kind](&m);
    return m.thing;
}

Thing thing_box(ThingKind kind, const float size[3], const float rgb[3], Arena *arena) {
    Maker m = maker(kind, NULL, 24, 12, arena);
    memcpy(m.rgb, rgb, sizeof m.rgb);
    add_block(&m, 0, 0, 0, size[0], size[1], size[2]);
    m.thing.radius = 0.5f * sqrtf(size[0] * size[0] + size[2] * size[2]);
    return m.thing;
}
