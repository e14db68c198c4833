/* Scene: a made-up crowd: camera, planes, people and things, before anything is drawn.
 *
 *     SceneWish wish = {.width = 1280, .height = 720, .people = {5, 40}};
 *     Scene scene;
 *     TRY(scene_check(&wish));
 *     scene_make(&wish, seed, poser, &scene);
 *     scene_free(&scene);
 *
 * The camera frame is x right, y down, z forward, metres; the camera looks more or less level.  A
 * scene is a function of wish and seed.
 */
#ifndef CROWDREC_SCENE_H
#define CROWDREC_SCENE_H

#include "crowdrec/backdrop.h"
#include "crowdrec/crowd.h"
#include "crowdrec/outfit.h"
#include "crowdrec/posture.h"
#include "crowdrec/things.h"
#include "smpl/poser.h"

enum { SCENE_MOST_PEOPLE = 4000, SCENE_PLANES = 16 };

/* Zeroes mean the defaults. */
typedef struct {
    int width, height; /* pixels */
    double focal;      /* pixels, 0: the diagonal */
    int people[2];     /* fewest, most; fewer where they find no room */
    double tall[2];    /* height of standing people in pixels, 0: 20 and 400 */
} SceneWish;

/* normal . X = offset; the normal points up.  Plane 0 is the ground, the others are treads. */
typedef struct {
    float normal[3], offset;
    float center[3], heading; /* of a tread */
    float half[2];            /* its reach across and along the heading, metres */
} ScenePlane;

/* Half of it is there after scene_make, the rest (from box on) after paint_scene. */
typedef struct {
    Posture posture;
    int plane;
    float pose[CROWD_POSE], betas[CROWD_BETAS], trans[3];
    Outfit outfit;
    float box[4];                     /* around all vertices, x0, y0, x1, y1, may leave the photo */
    float joints[CROWD_KEYPOINTS][3]; /* Halpe-26, camera frame */
    float keypoints[CROWD_KEYPOINTS][3]; /* x, y, and 2 seen, 1 hidden, 0 outside of the photo */
    float visible;                       /* share of the silhouette that is seen */
    long seen;                           /* samples, four a pixel */
} ScenePerson;

/* A thing with its points in the camera frame. */
typedef struct {
    Thing thing;
    float (*at)[3], (*normal)[3];
    double foot[3]; /* where its origin is */
    int plane;
} ScenePlaced;

typedef struct {
    Arena *arena;
    int width, height;
    double focal, cx, cy;
    Frame frame;
    float camera_height;
    ScenePlane plane[SCENE_PLANES];
    int planes;
    Light light;
    Backdrop backdrop;
    ScenePerson *person;
    int people;
    ScenePlaced *thing;
    int things;
    float gain[3];  /* of the camera: what light becomes white */
    uint64_t grain; /* of the photo's noise */
} Scene;

/* ERR_USAGE for sizes and numbers that no scene can have. */
Status scene_check(const SceneWish *wish);

void scene_make(const SceneWish *wish, uint64_t seed, const Poser *poser, Scene *out);
void scene_free(Scene *scene); /* zeroes it */

/* A place on a plane, that many metres along right and forward of the point below the camera. */
void scene_place(const Scene *scene, const ScenePlane *plane, double right, double forward,
                 double out[3]);

/* The axes (columns of a row-major matrix) of what stands upright; heading 0 looks at the camera,
 * pi / 2 to the right. */
void scene_upright(const Scene *scene, double heading, double axes[9]);

/* Adds a thing, standing at a place. */
ScenePlaced *scene_add(Scene *scene, const Thing *thing, const double at[3], double heading,
                       int plane);

enum { SCENE_MOST_THINGS = 64 + SCENE_MOST_PEOPLE };

#endif
