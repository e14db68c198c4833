/* Refine: the network's weights are optimised for one photo under crowd constraints (paper 1.3).
 *
 *     RefineOptions o = {.recipe = refine_recipe("paper")};
 *     RefineReport report;
 *     TRY(refine_run(r, &photo, &crowd, &o, &report));
 *
 * Loss = w_crowd * std(root . l) + w_keypoints * reprojection + w_betas * betas + w_pose * pose.
 * A recipe fixes the weights, what they are means or sums of, the schedule and how groups follow
 * each other; "paper" is equations 7 to 11, "released" is what the public code does, "models" the
 * paper's with the numbers that the small networks in models/ ask for (docs/models.md) and with the
 * ground that the roots tell instead of the bodies' axes (losses_crowd).
 */
#ifndef CROWDREC_REFINE_H
#define CROWDREC_REFINE_H

#include "autograd/profile.h"
#include "crowdrec/losses.h"
#include "crowdrec/regress.h"

typedef struct RefineRecipe RefineRecipe;

/* "paper", "released" or "models"; NULL for another name. */
const RefineRecipe *refine_recipe(const char *name);
const char *refine_recipe_name(const RefineRecipe *recipe);
const LossWeights *refine_recipe_weights(const RefineRecipe *recipe);

typedef struct {
    int group, iteration; /* from 0 */
    int people;
    double rate, decay;                          /* in force at this step's update */
    double total, crowd, keypoints, betas, pose; /* weighted terms, as they enter the total */
    double seconds;                              /* since refine_run began */
} RefineStep;

enum { REFINE_GROUP = 50 }; /* people refined together where the options do not say */

typedef struct {
    const RefineRecipe *recipe; /* NULL: "paper" */
    int iterations;             /* 0: the recipe's (260) */
    int max_iterations;         /* hard cap of the convergence rule, 0: 4 * iterations */
    int group;                  /* people per group, 0: REFINE_GROUP; -1: all people jointly */
    double rate;                /* learning rate, 0: the recipe's */
    double crowd, betas, pose;  /* weights of these terms, 0: the recipe's */
    double time_limit;          /* seconds for the whole photo, 0: none */
    int ahead; /* iterations that run before their losses are read, 0: about half a second's on a
                  GPU, 1 elsewhere and with a time limit; changes no result */
    size_t max_mem;   /* bytes for activations, 0: three quarters of what is free */
    Profile *profile; /* what the iterations' steps cost is added to it; may be NULL */
    const volatile int
        *interrupted; /* set by a signal handler: stop after this iteration; may be NULL */
    void (*step)(const RefineStep *step, void *context); /* once for each iteration, soon after
                                                            it; may be NULL */
    void *context;
} RefineOptions;

typedef struct {
    int groups, iterations; /* groups that ran, and their iterations together */
    double first, last; /* total loss of the first group's first and the last group's last step */
    double seconds;
    const char *reason; /* why the last group ended: "iterations", "converged", "cap", "time limit",
                           "interrupted"; "diverged": one of them did and its people keep the
                           bodies they had; "nobody to refine" */
} RefineReport;

/* How many people can be refined: those with keypoints and a body that is not behind the camera. */
int refine_count(const Crowd *crowd);

/* Iterations over all groups of that many people, if all go as the recipe plans. */
int refine_planned(const RefineOptions *options, int people);

/* Changes pose, betas, trans, joints, flags and group of every person with keypoints and a body
 * that is not behind the camera.  Starts from the weights as loaded and leaves the regressor with
 * them.  An interrupt or the time limit keeps what was reached and returns OK with the reason;
 * fewer than one usable person is OK with zero iterations.
 * ERR_MEMORY names both numbers and the flag that helps. */
Status refine_run(Regressor *r, const Image *photo, Crowd *crowd, const RefineOptions *options,
                  RefineReport *report);

#endif
