#include "crowdrec/posed.h"

#include "crowdrec/metrics.h"
#include "tensor/zeros.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Vertices and Halpe-26 joints, metres, scale included. */
static void pose_person(const Body *body, const GigaPerson *p, float *vertices,
                        float joint[HALPE26_COUNT][3]) {
    static const float nowhere[3] = {0};
    body_pose(body, p->pose, p->betas, nowhere, vertices, NULL, &joint[0][0]);
    for (int i = 0; i < body->vertices; i++)
        for (int k = 0; k < 3; k++)
            vertices[3 * (size_t)i + k] = p->scale * vertices[3 * (size_t)i + k] + p->trans[k];
    for (int i = 0; i < HALPE26_COUNT; i++)
        for (int k = 0; k < 3; k++) joint[i][k] = p->scale * joint[i][k] + p->trans[k];
}

static bool to_pixel(const double *camera, const double point[3], double pixel[2]) {
    if (!(point[2] > 0)) return pixel[0] = pixel[1] = INFINITY, false;
    pixel[0] = camera[0] * point[0] / point[2] + camera[2];
    pixel[1] = camera[4] * point[1] / point[2] + camera[5];
    return true;
}

static void box_of_vertices(const double *camera, const float *vertices, int count, double *box) {
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, pixel[2];
    for (int k = 0; k < 4; k++) box[k] = 0;
    for (int i = 0; i < count; i++) {
        const float *v = vertices + 3 * (size_t)i;
        if (!to_pixel(camera, (double[3]){v[0], v[1], v[2]}, pixel)) return;
        for (int k = 0; k < 2; k++)
            low[k] = fmin(low[k], pixel[k]), high[k] = fmax(high[k], pixel[k]);
    }
    for (int k = 0; k < 2; k++) box[k] = low[k], box[2 + k] = high[k];
}

static double body_height(const Body *body, const GigaPerson *p, float *vertices) {
    static const float straight[CROWD_POSE] = {0}, nowhere[3] = {0};
    body_pose(body, straight, p->betas, nowhere, vertices, NULL, NULL);
    return (double)p->scale * metrics_height(vertices, body->vertices);
}

static void make_figure(const Posed *all, const GigaPerson *p, float *vertices, PosedPerson *f) {
    const int *coco = joints_map(JOINTS_COCO17, JOINTS_HALPE26);
    float joint[HALPE26_COUNT][3];
    f->height = body_height(all->body, p, vertices);
    pose_person(all->body, p, vertices, joint);
    for (int i = 0; i < HALPE26_COUNT; i++)
        for (int k = 0; k < 3; k++) f->joint[i][k] = joint[i][k];
    for (int i = 0; i < COCO17_COUNT; i++)
        to_pixel(all->photo->camera, f->joint[coco[i]], f->pixel[i]);
    if (p->has_box)
        memcpy(f->box, p->box, sizeof f->box);
    else
        box_of_vertices(all->photo->camera, vertices, all->body->vertices, f->box);
}

Posed posed_new(const GigaPhoto *photo, const Body *body) {
    int people = photo && body ? photo->people : 0;
    Posed all = {photo, body, zeros(people, sizeof(PosedPerson)), zeros(people, sizeof *all.box),
                 people};
    float *vertices = zeros(body ? 3 * body->vertices : 0, sizeof *vertices);
    for (int i = 0; i < people; i++) {
        make_figure(&all, &photo->person[i], vertices, &all.person[i]);
        memcpy(all.box[i], all.person[i].box, sizeof all.box[i]);
    }
    free(vertices);
    return all;
}

void posed_free(Posed *all) {
    free(all->person);
    free(all->box);
}

double (*posed_vertices(const Posed *all, int person))[3] {
    int n = all->body->vertices;
    float *vertices = zeros(3 * n, sizeof *vertices), joint[HALPE26_COUNT][3];
    double(*out)[3] = zeros(n, sizeof *out);
    pose_person(all->body, &all->photo->person[person], vertices, joint);
    for (int v = 0; v < n; v++)
        for (int k = 0; k < 3; k++) out[v][k] = vertices[3 * (size_t)v + k];
    free(vertices);
    return out;
}
