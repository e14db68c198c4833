/* Body: an SMPL-format body model (Loper et al. 2015) and the ways to pose it.
 *
 *     Body *body;
 *     TRY(body_load("SMPL_NEUTRAL.pkl", NULL, &body));
 *     Tensor *r = rodrigues(m, pose);                          // [n,1,24,3] -> [n,1,24,9]
 *     Tensor *halpe = add(m, body_halpe(m, body, r, betas), translation);
 *     body_pose(body, pose72, betas10, trans, vertices, NULL, NULL);    // one person, no graph
 *     body_free(body);                                         // graphs hold their own copies
 *
 * Lengths are metres.  The template stands in a T with x to its left, y up, z forward; rotations
 * are relative to the parent joint, row-major, in SMPL's joint order (joints.def).
 *
 * Halpe-26 joints are a linear function of the posed vertices.  The regressor [26,v] is, in this
 * order: the file given, the body file's own array J_regressor_halpe, or the one that landmarks.h
 * makes.  A translation moves them by itself, whatever its rows sum to (1 to a float's precision).
 */
#ifndef SMPL_BODY_H
#define SMPL_BODY_H

#include "autograd/build.h"
#include "smpl/joints.h"

enum {
    BODY_JOINTS = SMPL24_COUNT,
    BODY_BETAS = 10,
    BODY_FEATURES = 9 * (BODY_JOINTS - 1), /* of the pose: R_1 - I, ..., R_23 - I */
    BODY_ROWS = 3 * BODY_JOINTS            /* of a table of the joints op: joint, axis */
};

/* A regressor's rows folded into the tables of the joints op (attr.h), which gives the regressed
 * joints without making vertices.  Places in metres keep double precision, so that `ref` is exact
 * to 1e-8; what multiplies betas and pose feature is small enough as float. */
typedef struct {
    int rows;
    const double *constant; /* [rows,24,4] */
    const float *shape;     /* [rows,72,10] */
    const float *pose;      /* [rows,72,207], NULL for a body without posedirs */
} BodyTables;

/* Read only. */
typedef struct Body {
    Arena *arena;
    int vertices, faces;
    const float *v_template;      /* [v,3] */
    const float *shapedirs;       /* [v,3,10] */
    const float *posedirs;        /* [v,3,207] or NULL */
    const float *weights;         /* [v,24] */
    const float *joint_regressor; /* [24,v] */
    const double *joint_template; /* [24,3] = regressor v_template */
    const float *joint_shapedirs; /* [24,3,10] = regressor shapedirs */
    const int32_t *face;          /* [f,3] */
    SkinAttr tree;
    BodyTables halpe;
    const char *halpe_source; /* for reports */
} Body;

/* Reads npz and pickled bodies with v_template, shapedirs (10 or more betas, the first 10 are
 * used), J_regressor, weights, kintree_table, f and perhaps posedirs, of any vertex count.
 * halpe_regressor: .npy or .npz with a [26,v] array, or NULL.  ERR_MODEL names file, array and
 * what is wrong. */
Status body_load(const char *path, const char *halpe_regressor, Body **out);

/* The same from arrays in memory; name is what messages call them. */
Status body_read(const ArrayFile *file, const char *name, const char *halpe_regressor, Body **out);

void body_free(Body *body); /* NULL is allowed */

/* rotations [n,1,24,9], betas [n,1,1,10] -> vertices [n,1,v,3].  The chain's joints come with them:
 * graph_output(m->graph, vertices, 1).  No translation; the same for the next two. */
Tensor *body_vertices(const Scope *m, const Body *body, Tensor *rotations, Tensor *betas);

/* -> [n,1,26,3], Halpe-26; no vertices are made. */
Tensor *body_halpe(const Scope *m, const Body *body, Tensor *rotations, Tensor *betas);

/* -> [n,1,rows,3], the joints of tables made by contract_regressor (contract.h). */
Tensor *body_regressed(const Scope *m, const Body *body, const BodyTables *tables, const char *name,
                       Tensor *rotations, Tensor *betas);

/* One person without a graph, computed in double: axis-angle pose, betas and translation ->
 * vertices [v,3], chain joints [24,3], Halpe-26 [26,3]; outputs that are NULL are not made. */
void body_pose(const Body *body, const float pose[3 * BODY_JOINTS], const float betas[BODY_BETAS],
               const float translation[3], float *vertices, float *joints, float *halpe);

#endif
