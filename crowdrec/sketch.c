#include "crowdrec/sketch.h"

#include "crowdrec/draw.h"
#include "crowdrec/font.h"
#include "crowdrec/render.h"
#include "smpl/joints.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const float LEAST_CONFIDENCE = 0.1f;

/* Lines have a dark border, so that they show on any background. */
typedef struct {
    Image *picture;
    DrawPen border, line;
} Sketch;

/* Thinner for small people, at least one pixel, at most three hundredths of a large photo's side.
 */
static double line_width(const Image *photo, const Person *p) {
    double side = fmin(p->box[2] - p->box[0], p->box[3] - p->box[1]);
    double most = fmax(1.5, fmin(photo->width, photo->height) / 300.0);
    return fmin(most, fmax(1, side / 25));
}

static Sketch sketch_of(Image *picture, int person, double width) {
    Sketch s = {picture, {{0, 0, 0}, width + 1.5, 0.45}, {{0, 0, 0}, width, 1}};
    render_color(person, s.line.rgb);
    return s;
}

static void sketch_box(const Sketch *s, const float box[4]) {
    double corner[4] = {box[0], box[1], box[2], box[3]};
    draw_box(s->picture, corner, &s->border);
    draw_box(s->picture, corner, &s->line);
}

/* Above the box, or inside where there is no room above; as large as fits its width. */
static void sketch_score(const Sketch *s, const Person *p) {
    static const uint8_t dark[3] = {20, 20, 24};
    char text[16];
    snprintf(text, sizeof text, "%.2f", (double)p->score);
    int size = (int)fmin(s->line.width + 0.5, (p->box[2] - p->box[0]) / font_width(1, text));
    size = size < 1 ? 1 : size;
    double x = fmax(1, p->box[0]), y = p->box[1] - 8 * size - s->line.width;
    if (y < 1) y = fmax(1, p->box[1]) + s->line.width + size;
    if (!(x < s->picture->width && y < s->picture->height)) return;
    for (int i = 0; i < 4; i++)
        font_write(s->picture, (int)x + i % 2 * 2 - 1, (int)y + i / 2 * 2 - 1, size, dark, text);
    font_write(s->picture, (int)x, (int)y, size, s->line.rgb, text);
}

static bool is_seen(const Person *p, int joint) {
    return p->keypoints[joint][2] >= LEAST_CONFIDENCE;
}

/* The first 17 of Halpe's joints are COCO's. */
static const JointOrderInfo *order_of(const Person *p) {
    for (int i = COCO17_COUNT; i < HALPE26_COUNT; i++)
        if (p->keypoints[i][2] > 0) return joints_order(JOINTS_HALPE26);
    return joints_order(JOINTS_COCO17);
}

static void sketch_bones(const Sketch *s, const Person *p, const DrawPen *pen) {
    const JointOrderInfo *order = order_of(p);
    for (int i = 0; i < order->count; i++) {
        int parent = order->joint[i].parent;
        if (parent < 0 || !is_seen(p, i) || !is_seen(p, parent)) continue;
        const float *a = p->keypoints[i], *b = p->keypoints[parent];
        draw_line(s->picture, (double[2]){a[0], a[1]}, (double[2]){b[0], b[1]}, pen);
    }
}

static void sketch_skeleton(const Sketch *s, const Person *p) {
    sketch_bones(s, p, &s->border);
    sketch_bones(s, p, &s->line);
}

Status sketch_people(const Image *photo, const Crowd *crowd, Image *out) {
    TRY(image_new(photo->width, photo->height, out));
    memcpy(out->rgb, photo->rgb, 3 * (size_t)photo->width * photo->height);
    for (int i = crowd->count - 1; i >= 0; i--) { /* the best detections come first: on top */
        const Person *p = &crowd->person[i];
        Sketch s = sketch_of(out, i, line_width(photo, p));
        sketch_box(&s, p->box);
        if (p->flags & PERSON_HAS_KEYPOINTS) sketch_skeleton(&s, p);
        sketch_score(&s, p);
    }
    return OK;
}
