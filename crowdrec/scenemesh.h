/* Scenemesh: a scene's people and things as meshes in the picture, with their shadows. */
#ifndef CROWDREC_SCENEMESH_H
#define CROWDREC_SCENEMESH_H

#include "crowdrec/cover.h"
#include "crowdrec/scene.h"

typedef struct {
    CoverMesh cover;
    CoverMesh shadow;    /* flattened onto the plane along the sun; no points: none */
    int8_t (*normal)[4]; /* of a person's vertices, times 127 */
    int plane;
    long silhouette; /* samples that a person alone covers */
} SceneMesh;

/* Where something touches its plane. */
typedef struct {
    float at[3], radius;
    int plane;
} SceneBlob;

/* The scene's people, then its things. */
typedef struct {
    SceneMesh *mesh;
    int count;
    CoverPlane plane[SCENE_PLANES];
    SceneBlob *blob;
    int blobs;
    const float *rest; /* the body's template [v,3] */
} SceneMeshes;

/* Poses everybody; sets box, joints and keypoints (all of them 0, outside) of the scene's people.
 * ERR_MEMORY. */
Status scenemesh_new(Scene *scene, const Poser *poser, SceneMeshes *out);
void scenemesh_free(SceneMeshes *meshes);

#endif
