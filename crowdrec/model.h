/* Model: a scene's people and things as meshes in the picture, with their shadows. */
#ifndef CROWDREC_MODEL_H
#define CROWDREC_MODEL_H

#include "crowdrec/cover.h"
#include "crowdrec/scene.h"

typedef struct {
    CoverMesh cover;
    CoverMesh shadow;    /* flattened onto the plane along the sun; no points: none */
    int8_t (*normal)[4]; /* of a person's vertices, times 127 */
    int plane;
    long silhouette; /* samples that a person alone covers */
} Model;

/* Where something touches its plane. */
typedef struct {
    float at[3], radius;
    int plane;
} ModelBlob;

/* The scene's people, then its things. */
typedef struct {
    Model *model;
    int count;
    CoverPlane plane[SCENE_PLANES];
    ModelBlob *blob;
    int blobs;
    const float *rest; /* the body's template [v,3] */
} ModelSet;

/* Poses everybody; sets box, joints and keypoints (all of them 0, outside) of the scene's people.
 * ERR_MEMORY. */
Status model_set(Scene *scene, const Poser *poser, ModelSet *out);
void model_free(ModelSet *set);

#endif
