#include "crowdrec/render.h"

#include "crowdrec/font.h"
#include "crowdrec/hsv.h"
#include "crowdrec/meshes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hues a golden section apart never come close to each other; three lightnesses take turns. */
void render_color(int i, uint8_t rgb[3]) {
    static const double lightness[3] = {0.60, 0.70, 0.52};
    double hue = fmod(0.58 + i * 0.6180339887498949, 1), light = lightness[i % 3];
    double chroma = 0.42 * (1 - fabs(2 * light - 1));
    for (int k = 0; k < 3; k++) {
        rgb[k] = (uint8_t)(255 * (light + chroma * (hsv_strength(hue, k) - 0.5)) + 0.5);
    }
}

Status render_overlay(const Image *photo, const Crowd *crowd, const Body *body, Image *out) {
    MeshesView view = {.axes = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
                       .scale = crowd->camera.focal,
                       .center = {crowd->camera.cx, crowd->camera.cy},
                       .perspective = true};
    Meshes meshes;
    TRY(image_new(photo->width, photo->height, out));
    memcpy(out->rgb, photo->rgb, 3 * (size_t)photo->width * photo->height);
    Status status = meshes_new(crowd, body, &view, &meshes);
    if (status == OK) {
        status = raster_draw(out, meshes.mesh, meshes.count, 0.88);
        meshes_free(&meshes);
    }
    if (status != OK) image_free(out);
    return status;
}

/* The side view's lay-out in pixels: a panel is the drawing area within these margins. */
enum { WIDTH = 2000, LEFT = 110, RIGHT = 40, TOP = 90, BOTTOM = 90, TEXT = 3, TICKS_APART = 90 };
enum { AREA_WIDTH = WIDTH - LEFT - RIGHT, LEAST_HEIGHT = 160, MOST_HEIGHT = 900 };

static const uint8_t paper[3] = {250, 250, 248}, ink[3] = {60, 60, 64}, grid[3] = {226, 226, 222},
                     earth[3] = {150, 120, 90};

/* A person in the side view's frame, metres: depth along the ground, heights along the normal. */
typedef struct {
    double depth, foot, head;
} Place;

/* One crowd seen from the side. */
typedef struct {
    const Crowd *crowd;
    const char *title;
    double axes[3][3]; /* right = forward along the ground, down, away */
    Place *place;      /* of the people who are drawn; heights above floor */
    int places;
    double floor; /* median height of the feet along the normal */
} Panel;

typedef struct {
    double low, high;
} Range;

typedef struct {
    Range depth, height; /* metres, shown */
    double scale;        /* pixels per metre */
    int area_height;     /* pixels */
} Layout;

static double dot(const double a[3], const double b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* Depth is the camera's z along the ground, or its y where it looks straight down.  Without a
 * ground plane up is the photo's up. */
static void set_axes(Panel *panel) {
    double up[3] = {0, -1, 0}, *right = panel->axes[0], *down = panel->axes[1];
    const float *n = panel->crowd->ground_normal;
    if (n[0] != 0 || n[1] != 0 || n[2] != 0)
        for (int k = 0; k < 3; k++) up[k] = n[k];
    int forward = fabs(up[2]) < 0.99 ? 2 : 1;
    for (int k = 0; k < 3; k++) right[k] = (k == forward) - up[forward] * up[k];
    double length = sqrt(dot(right, right));
    for (int k = 0; k < 3; k++) right[k] /= length, down[k] = -up[k];
    for (int k = 0; k < 3; k++) {
        int i = (k + 1) % 3, j = (k + 2) % 3;
        panel->axes[2][k] = right[i] * down[j] - right[j] * down[i];
    }
}

static Place place_of(const Panel *panel, const float *vertex, int vertices) {
    Place p = {0, INFINITY, -INFINITY};
    for (int i = 0; i < vertices; i++) {
        double v[3] = {vertex[3 * i], vertex[3 * i + 1], vertex[3 * i + 2]};
        double height = -dot(panel->axes[1], v);
        p.depth += dot(panel->axes[0], v) / vertices;
        p.foot = fmin(p.foot, height), p.head = fmax(p.head, height);
    }
    return p;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static Status find_places(Panel *panel, const Body *body) {
    size_t people = (size_t)panel->crowd->count;
    float *vertex = malloc(3 * (size_t)body->vertices * sizeof *vertex);
    double *foot = malloc((people + 1) * sizeof *foot);
    panel->place = malloc((people + 1) * sizeof *panel->place);
    bool room = vertex && foot && panel->place;
    for (size_t i = 0; room && i < people; i++) {
        if (!meshes_vertices(&panel->crowd->person[i], body, vertex)) continue;
        panel->place[panel->places] = place_of(panel, vertex, body->vertices);
        foot[panel->places] = panel->place[panel->places].foot;
        panel->places++;
    }
    if (room && panel->places) {
        qsort(foot, (size_t)panel->places, sizeof *foot, by_value);
        panel->floor = foot[panel->places / 2];
    }
    for (int i = 0; room && i < panel->places; i++)
        panel->place[i].foot -= panel->floor, panel->place[i].head -= panel->floor;
    free(vertex);
    free(foot);
    return room ? OK : fail(ERR_MEMORY, "no memory for the side view of %zu people", people);
}

/* The range of the values but for far outliers: more than three times the middle half's width (and
 * two metres) beyond its ends. */
static Range usual_range(double *value, int count, double margin, Range when_empty) {
    if (!count) return when_empty;
    qsort(value, (size_t)count, sizeof *value, by_value);
    double q1 = value[count / 4], q3 = value[count - 1 - count / 4], fence = 3 * (q3 - q1) + 2;
    Range r = {q1, q3};
    for (int i = 0; i < count; i++) {
        if (value[i] < q1 - fence || value[i] > q3 + fence) continue;
        r.low = fmin(r.low, value[i]), r.high = fmax(r.high, value[i]);
    }
    return (Range){r.low - margin, r.high + margin};
}

static Status make_layout(const Panel *panel, int panels, Layout *l) {
    int people = 0, depths = 0, heights = 0;
    for (int i = 0; i < panels; i++) people += panel[i].places;
    double *depth = malloc(3 * ((size_t)people + 1) * sizeof *depth), *height = depth + people;
    if (!depth) return fail(ERR_MEMORY, "no memory for the side view of %d people", people);
    for (int i = 0; i < panels; i++)
        for (const Place *p = panel[i].place; p < panel[i].place + panel[i].places; p++) {
            depth[depths++] = p->depth;
            height[heights++] = p->foot, height[heights++] = p->head;
        }
    l->depth = usual_range(depth, depths, 1, (Range){0, 10});
    l->height = usual_range(height, heights, 0.3, (Range){-0.3, 2});
    free(depth);
    l->scale = fmin(AREA_WIDTH / (l->depth.high - l->depth.low),
                    MOST_HEIGHT / (l->height.high - l->height.low));
    l->area_height = (int)fmax(LEAST_HEIGHT, l->scale * (l->height.high - l->height.low));
    l->height.high = l->height.low + l->area_height / l->scale;
    l->depth.low -= 0.5 * (AREA_WIDTH / l->scale - (l->depth.high - l->depth.low));
    l->depth.high = l->depth.low + AREA_WIDTH / l->scale;
    return OK;
}

static void fill(Image *picture, int x0, int y0, int x1, int y1, const uint8_t rgb[3]) {
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            memcpy(picture->rgb + 3 * ((size_t)y * picture->width + x), rgb, 3);
}

/* 1, 2 or 5 times a power of ten, so that ticks are TICKS_APART pixels apart or a little more. */
static double tick_step(double scale) {
    double power = pow(10, floor(log10(TICKS_APART / scale)));
    while (power * scale < TICKS_APART) {
        if (2 * power * scale >= TICKS_APART) return 2 * power;
        if (5 * power * scale >= TICKS_APART) return 5 * power;
        power *= 10;
    }
    return power;
}

static int depth_to_x(const Layout *l, double d) {
    return LEFT + (int)((d - l->depth.low) * l->scale);
}
static int height_to_y(const Layout *l, double h) {
    return TOP + (int)((l->height.high - h) * l->scale);
}

static void draw_axes(Image *picture, const Layout *l) {
    char text[32];
    int low = TOP + l->area_height, right = LEFT + AREA_WIDTH;
    double step = tick_step(l->scale);
    for (double d = ceil(l->depth.low / step) * step; d <= l->depth.high; d += step) {
        int x = depth_to_x(l, d);
        fill(picture, x, TOP, x + 1, low, grid);
        snprintf(text, sizeof text, "%g", fabs(d) < step / 2 ? 0 : d);
        font_write(picture, x - font_width(TEXT, text) / 2, low + 12, TEXT, ink, text);
    }
    for (double h = ceil(l->height.low / step) * step; h <= l->height.high; h += step) {
        int y = height_to_y(l, h);
        fill(picture, LEFT, y, right, y + 1, grid);
        snprintf(text, sizeof text, "%g", fabs(h) < step / 2 ? 0 : h);
        font_write(picture, LEFT - 10 - font_width(TEXT, text), y - 10, TEXT, ink, text);
    }
    font_write(picture, LEFT + AREA_WIDTH / 2 - 80, low + 50, TEXT, ink, "depth (m)");
    font_write(picture, 12, TOP - 36, TEXT, ink, "height (m)");
}

static void draw_title(Image *picture, const Panel *panel, const Layout *l) {
    char text[160];
    int outside = 0;
    for (int i = 0; i < panel->places; i++) {
        const Place *p = &panel->place[i];
        outside += !(p->depth >= l->depth.low && p->depth <= l->depth.high &&
                     p->head >= l->height.low && p->foot <= l->height.high);
    }
    int used = snprintf(text, sizeof text, "%s: %d people, spread %.3f m", panel->title,
                        panel->places, (double)panel->crowd->ground_spread);
    if (outside)
        snprintf(text + used, sizeof text - (size_t)used, ", %d outside the picture", outside);
    font_write(picture, LEFT + 200, 18, TEXT, ink, text);
}

static Status draw_panel(const Panel *panel, const Layout *l, const Body *body, Image *picture) {
    fill(picture, 0, 0, picture->width, picture->height, paper);
    draw_axes(picture, l);
    int y = height_to_y(l, 0);
    if (y >= TOP && y + 3 <= TOP + l->area_height)
        fill(picture, LEFT, y, LEFT + AREA_WIDTH, y + 3, earth);
    draw_title(picture, panel, l);
    MeshesView view = {.scale = l->scale,
                       .center = {LEFT - l->depth.low * l->scale,
                                  TOP + (l->height.high + panel->floor) * l->scale}};
    memcpy(view.axes, panel->axes, sizeof view.axes);
    Meshes meshes;
    TRY(meshes_new(panel->crowd, body, &view, &meshes));
    Status status = raster_draw(picture, meshes.mesh, meshes.count, 1);
    meshes_free(&meshes);
    return status;
}

static Status draw_panels(Panel *panel, int panels, const Body *body, Image *out) {
    Layout layout = {0};
    for (int i = 0; i < panels; i++) {
        set_axes(&panel[i]);
        TRY(find_places(&panel[i], body));
    }
    TRY(make_layout(panel, panels, &layout));
    int height = TOP + layout.area_height + BOTTOM;
    TRY(image_new(WIDTH, panels * height, out));
    for (int i = 0; i < panels; i++) {
        size_t offset = 3 * (size_t)i * height * WIDTH;
        TRY(draw_panel(&panel[i], &layout, body, &(Image){WIDTH, height, out->rgb + offset}));
    }
    return OK;
}

Status render_side(const Crowd *before, const Crowd *after, const Body *body, Image *out) {
    Panel panel[2] = {{.crowd = before, .title = "before"},
                      {.crowd = after, .title = before ? "after" : "side view"}};
    *out = (Image){0};
    Status status =
        before ? draw_panels(panel, 2, body, out) : draw_panels(panel + 1, 1, body, out);
    free(panel[0].place);
    free(panel[1].place);
    if (status != OK) image_free(out);
    return status;
}
