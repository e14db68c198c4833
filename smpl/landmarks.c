#include "smpl/landmarks.h"

#include <math.h>

enum { LEFT, UP, FORWARD };

/* The vertices that mostly follow one of two joints. */
typedef struct {
    int joint[2];
} Part;

static const Part HEAD = {{SMPL24_HEAD, SMPL24_HEAD}};
static const Part FOOT[2] = {{{SMPL24_L_ANKLE, SMPL24_L_FOOT}}, {{SMPL24_R_ANKLE, SMPL24_R_FOOT}}};

/* Halpe joints that are joints of SMPL. */
static const struct {
    int halpe, smpl;
} SHARED[] = {
    {HALPE26_L_SHOULDER, SMPL24_L_SHOULDER},
    {HALPE26_R_SHOULDER, SMPL24_R_SHOULDER},
    {HALPE26_L_ELBOW, SMPL24_L_ELBOW},
    {HALPE26_R_ELBOW, SMPL24_R_ELBOW},
    {HALPE26_L_WRIST, SMPL24_L_WRIST},
    {HALPE26_R_WRIST, SMPL24_R_WRIST},
    {HALPE26_L_HIP, SMPL24_L_HIP},
    {HALPE26_R_HIP, SMPL24_R_HIP},
    {HALPE26_L_KNEE, SMPL24_L_KNEE},
    {HALPE26_R_KNEE, SMPL24_R_KNEE},
    {HALPE26_L_ANKLE, SMPL24_L_ANKLE},
    {HALPE26_R_ANKLE, SMPL24_R_ANKLE},
    {HALPE26_NECK, SMPL24_NECK},
};

/* Vertices of the SMPL topology: nose to heels from smplx's vertex_ids ("smplh"), the head's top
 * from SMPLify (head_id). */
enum { SMPL_VERTICES = 6890, SMPL_FACES = 13776 };
static const struct {
    int halpe, vertex;
} SMPL_IDS[] = {
    {HALPE26_NOSE, 332},         {HALPE26_L_EYE, 2800},     {HALPE26_R_EYE, 6260},
    {HALPE26_L_EAR, 583},        {HALPE26_R_EAR, 4071},     {HALPE26_HEAD, 411},
    {HALPE26_L_BIG_TOE, 3216},   {HALPE26_R_BIG_TOE, 6617}, {HALPE26_L_SMALL_TOE, 3226},
    {HALPE26_R_SMALL_TOE, 6624}, {HALPE26_L_HEEL, 3387},    {HALPE26_R_HEEL, 6787},
};

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

static const float *vertex(const Body *body, int v) { return body->v_template + 3 * v; }

static bool follows(const Body *body, int v, Part part) {
    const float *w = body->weights + (size_t)v * BODY_JOINTS;
    int a = part.joint[0], b = part.joint[1];
    return (a == b ? w[a] : w[a] + w[b]) > 0.5f;
}

/* The part's vertex farthest in a direction; -1 if the part has none. */
static int farthest(const Body *body, Part part, float left, float up, float forward) {
    int best = -1;
    float most = -INFINITY;
    for (int v = 0; v < body->vertices; v++) {
        const float *p = vertex(body, v);
        float reach = left * p[LEFT] + up * p[UP] + forward * p[FORWARD];
        if (reach > most && follows(body, v, part)) best = v, most = reach;
    }
    return best;
}

/* The vertex on the face nearest to where an eye is seen from the front: above the nose by a
 * quarter of the way to the top, a fifth of the head's width to its side.  side: +1 left. */
static int eye(const Body *body, int side) {
    int nose = farthest(body, HEAD, 0, 0, 1), top = farthest(body, HEAD, 0, 1, 0);
    int ear = farthest(body, HEAD, 1, 0, 0), other = farthest(body, HEAD, -1, 0, 0);
    if (nose < 0) return -1;
    const float *n = vertex(body, nose);
    float width = vertex(body, ear)[LEFT] - vertex(body, other)[LEFT];
    float x = n[LEFT] + 0.2f * (float)side * width;
    float y = n[UP] + 0.25f * (vertex(body, top)[UP] - n[UP]);
    float behind = (vertex(body, ear)[FORWARD] + vertex(body, other)[FORWARD]) / 2;
    int best = nose;
    float nearest = INFINITY;
    for (int v = 0; v < body->vertices; v++) {
        const float *p = vertex(body, v);
        if (p[FORWARD] < (behind + n[FORWARD]) / 2 || !follows(body, v, HEAD)) continue;
        float distance = hypotf(p[LEFT] - x, p[UP] - y);
        if (distance < nearest) best = v, nearest = distance;
    }
    return best;
}

static void put_joint(const Body *body, float *regressor, int halpe, int smpl, float share) {
    size_t size = (size_t)body->vertices;
    for (size_t v = 0; v < size; v++)
        regressor[(size_t)halpe * size + v] +=
            share * body->joint_regressor[(size_t)smpl * size + v];
}

/* A single vertex, or the joint where the part has no vertices. */
static void put_vertex(const Body *body, float *regressor, int halpe, int v, int smpl) {
    if (v < 0)
        put_joint(body, regressor, halpe, smpl, 1);
    else
        regressor[(size_t)halpe * (size_t)body->vertices + (size_t)v] = 1;
}

static void put_extremes(const Body *body, float *regressor) {
    put_vertex(body, regressor, HALPE26_NOSE, farthest(body, HEAD, 0, 0, 1), SMPL24_HEAD);
    put_vertex(body, regressor, HALPE26_HEAD, farthest(body, HEAD, 0, 1, 0), SMPL24_HEAD);
    for (int right = 0; right < 2; right++) {
        int side = right ? -1 : 1;
        Part foot = FOOT[right];
        /* The left joint's partner follows it in Halpe-26. */
        put_vertex(body, regressor, HALPE26_L_EYE + right, eye(body, side), SMPL24_HEAD);
        put_vertex(body, regressor, HALPE26_L_EAR + right, farthest(body, HEAD, (float)side, 0, 0),
                   SMPL24_HEAD);
        put_vertex(body, regressor, HALPE26_L_BIG_TOE + right,
                   farthest(body, foot, -0.3f * (float)side, 0, 1), foot.joint[1]);
        put_vertex(body, regressor, HALPE26_L_SMALL_TOE + right,
                   farthest(body, foot, (float)side, 0, 0.5f), foot.joint[1]);
        put_vertex(body, regressor, HALPE26_L_HEEL + right, farthest(body, foot, 0, -0.3f, -1),
                   foot.joint[0]);
    }
}

const char *landmarks_halpe(const Body *body, float *regressor) {
    for (int i = 0; i < COUNT(SHARED); i++)
        put_joint(body, regressor, SHARED[i].halpe, SHARED[i].smpl, 1);
    put_joint(body, regressor, HALPE26_HIP, SMPL24_L_HIP, 0.5f);
    put_joint(body, regressor, HALPE26_HIP, SMPL24_R_HIP, 0.5f);
    if (body->vertices == SMPL_VERTICES && body->faces == SMPL_FACES) {
        for (int i = 0; i < COUNT(SMPL_IDS); i++)
            put_vertex(body, regressor, SMPL_IDS[i].halpe, SMPL_IDS[i].vertex, 0);
        return "vertex ids of the SMPL topology";
    }
    put_extremes(body, regressor);
    return "extreme vertices of the template";
}
