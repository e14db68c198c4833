#include "crowdrec/refine.h"

#include "autograd/schedule.h"
#include "crowdrec/group.h"
#include "crowdrec/iterate.h"
#include "tensor/log.h"
#include "tensor/seconds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything in which the paper's text, its released code and what small networks ask for differ.
 */
struct RefineRecipe {
    const char *name;
    LossWeights weights;
    Schedule schedule; /* rate and, for the cosine, period are set by the options */
    int period_next;   /* of the restarts, for groups after the first */
    int iterations, iterations_next;
    bool carry; /* weights, moments, step count and decay go on to the next group */
    bool until_converged;
};

static const RefineRecipe RECIPE[] = {
    {
        .name = "paper",
        .weights = {.crowd = 0.001, .keypoints = 5, .betas = 0.001, .pose = 5, .overall = 1},
        .schedule = {.kind = SCHEDULE_COSINE, .rate = 1e-5, .decay = 0.01},
        .iterations = 260,
        .iterations_next = 260,
    },
    {
        .name = "models",
        .weights = {.crowd = 0.1,
                    .keypoints = 5,
                    .betas = 0.03,
                    .pose = 2,
                    .overall = 1,
                    .plane = CROWD_AXIS_WORTH},
        .schedule = {.kind = SCHEDULE_COSINE, .rate = 1e-4, .decay = 0.01},
        .iterations = 260,
        .iterations_next = 260,
    },
    {
        .name = "released",
        .weights = {.crowd = 0.001,
                    .keypoints = 5,
                    .betas = 0.001,
                    .pose = 5,
                    .overall = 60,
                    .means = true,
                    .betas_to_zero = true,
                    .pose_as_matrices = true},
        .schedule = {SCHEDULE_RESTARTS, .rate = 1e-5, .min_rate = 1e-7, .decay = 0.01,
                     .period = 20},
        .period_next = 140,
        .iterations = 260,
        .iterations_next = 100,
        .carry = true,
        .until_converged = true,
    },
};

const RefineRecipe *refine_recipe(const char *name) {
    for (size_t i = 0; i < sizeof RECIPE / sizeof *RECIPE; i++)
        if (!strcmp(RECIPE[i].name, name)) return &RECIPE[i];
    return NULL;
}

const char *refine_recipe_name(const RefineRecipe *recipe) { return recipe->name; }
const LossWeights *refine_recipe_weights(const RefineRecipe *recipe) { return &recipe->weights; }

typedef struct {
    Regressor *regressor;
    Cutter *cutter;
    Crowd *crowd;
    RefineOptions o;
    const RefineRecipe *recipe;
    LossWeights weights; /* the recipe's, but for what the options say */
    RefineReport *report;
    Schedule schedule;
    int *index; /* people that can be refined */
    int count;
    int step;        /* of AdamW, from 1; goes on over groups that carry */
    bool fresh;      /* the first group, or one after a group that diverged: nothing to carry on */
    const char *cut; /* why everything stopped before its end, or NULL */
    double start;
    double each; /* seconds of one iteration of this group, 0: not yet known */
} Refiner;

static double elapsed(const Refiner *r) { return seconds_now() - r->start; }

/* Why to stop everything now, or NULL. */
static const char *stopped(const Refiner *r) {
    if (r->o.interrupted && *r->o.interrupted) return "interrupted";
    if (r->o.time_limit > 0 && elapsed(r) >= r->o.time_limit) return "time limit";
    return NULL;
}

static const RefineRecipe *recipe_of(const RefineOptions *o) {
    return o->recipe ? o->recipe : &RECIPE[0];
}

static int group_size(const RefineOptions *o, int people) {
    return o->group < 0 ? people : o->group > 0 ? o->group : REFINE_GROUP;
}

/* Of the first group, or one of those after it. */
static int group_iterations(const RefineOptions *o, bool first) {
    if (o->iterations > 0) return o->iterations;
    return first ? recipe_of(o)->iterations : recipe_of(o)->iterations_next;
}

/* Who is behind the camera would draw the others to a ground that is found without them. */
static bool can_be_refined(const Person *p) {
    unsigned needed = PERSON_HAS_BODY | PERSON_HAS_KEYPOINTS;
    return (p->flags & (needed | PERSON_BEHIND_CAMERA)) == needed;
}

int refine_count(const Crowd *crowd) {
    int people = 0;
    for (int i = 0; i < crowd->count; i++) people += can_be_refined(&crowd->person[i]);
    return people;
}

int refine_planned(const RefineOptions *o, int people) {
    if (!people) return 0;
    int groups = group_split(people, group_size(o, people), NULL, 0);
    return group_iterations(o, true) + (groups - 1) * group_iterations(o, false);
}

static void report_step(const Refiner *r, int group, int iteration, int people, ScheduleValue v,
                        const IterateTerms *t) {
    if (!r->o.step) return;
    RefineStep step = {group,    iteration,    people,   v.rate,  v.decay,   t->total,
                       t->crowd, t->keypoints, t->betas, t->pose, elapsed(r)};
    r->o.step(&step, r->o.context);
}

/* One group's iterations as they run. */
typedef struct {
    Iterator *it;
    int group, people;
    int total, cap; /* iterations planned, and the most that may run */
    int done;
    GroupStop stop;
    const char *reason; /* why it ended, or NULL */
} Descent;

/* Iterations that will certainly run, unless the loss is not finite: nothing can end the group
 * between them. */
static int certain(const Refiner *r, const Descent *d) {
    int certain = d->total - d->done + (r->recipe->until_converged ? 1 : 0);
    if (certain > d->cap - d->done) certain = d->cap - d->done;
    return certain > 1 ? certain : 1;
}

/* How many to run before looking at their losses; an interrupt has to be answered soon. */
static int ahead(const Refiner *r, const Descent *d) {
    static const double patience = 0.5; /* seconds */
    int most = certain(r, d), wish = r->o.ahead;
    if (!wish && iterate_apart(d->it) && r->o.time_limit <= 0 && r->each > 0)
        wish = (int)fmin(patience / r->each, ITERATE_ROWS);
    if (wish > ITERATE_ROWS) wish = ITERATE_ROWS;
    return wish < 1 ? 1 : wish < most ? wish : most;
}

/* Takes note of one iteration and decides whether it was the last. */
static void take_step(Refiner *r, Descent *d, ScheduleValue v, const IterateTerms *terms) {
    report_step(r, d->group, d->done++, d->people, v, terms);
    if (!r->report->iterations++) r->report->first = terms->total;
    r->report->last = terms->total;
    bool converged = group_stop(&d->stop, terms->total, d->total);
    if (!isfinite(terms->total))
        d->reason = "diverged";
    else if (r->recipe->until_converged && converged)
        d->reason = "converged";
    else if (!r->recipe->until_converged && d->done >= d->total)
        d->reason = "iterations";
    else if (d->done >= d->cap)
        d->reason = "cap";
}

/* Several iterations; those after one that diverged do not count. */
static Status descend(Refiner *r, Descent *d) {
    IterateTerms terms[ITERATE_ROWS];
    PlanHyper hyper[ITERATE_ROWS];
    ScheduleValue value[ITERATE_ROWS];
    int count = ahead(r, d);
    double begin = seconds_now();
    for (int i = 0; i < count; i++) {
        value[i] = schedule_at(&r->schedule, d->done + i);
        hyper[i] = (PlanHyper){value[i].rate, value[i].decay, r->step + i + 1};
    }
    TRY(iterate_several(d->it, hyper, count, terms));
    r->each = (seconds_now() - begin) / count;
    for (int i = 0; i < count && !d->reason; i++, r->step++) take_step(r, d, value[i], &terms[i]);
    if (!d->reason) d->reason = r->cut = stopped(r);
    return OK;
}

/* Runs one group; returns why it ended. */
static Status iterate_group(Refiner *r, Iterator *it, int group, int people, const char **reason) {
    Descent d = {
        .it = it, .group = group, .people = people, .total = group_iterations(&r->o, r->fresh)};
    d.cap = r->o.max_iterations > 0 ? r->o.max_iterations : 4 * d.total;
    r->each = 0;
    while (!d.reason) TRY(descend(r, &d));
    if (r->recipe->carry) r->schedule.decay = schedule_at(&r->schedule, d.done).decay;
    *reason = d.reason;
    return OK;
}

static void fill_person(Person *person, const IterateBodies *b, int i, int group) {
    memcpy(person->pose, b->angles + (size_t)i * CROWD_POSE, sizeof person->pose);
    memcpy(person->betas, b->betas + (size_t)i * CROWD_BETAS, sizeof person->betas);
    memcpy(person->crop_camera, b->cam + (size_t)i * 3, sizeof person->crop_camera);
    memcpy(person->trans, b->trans + (size_t)i * 3, sizeof person->trans);
    memcpy(person->joints, b->joints + (size_t)i * 3 * CROWD_KEYPOINTS, sizeof person->joints);
    person->loss_keypoints = b->each_keypoints[i];
    person->loss_betas = b->each_betas[i];
    person->loss_pose = b->each_pose[i];
    person->group = group;
    person->flags |= PERSON_REFINED;
    crowd_mark_body(person);
}

static Status keep_bodies(Refiner *r, const Iterator *it, const Group *g, int group) {
    IterateBodies b;
    TRY(iterate_bodies(it, &b));
    for (int i = g->first; i < g->end; i++)
        fill_person(&r->crowd->person[r->index[i]], &b, i - g->first, group);
    iterate_bodies_free(&b);
    return OK;
}

static Status refine_people(Refiner *r, const People *people, const Group *g, int group,
                            const char **reason) {
    IterateOptions o = {.net = regress_net(r->regressor),
                        .params = regress_params(r->regressor),
                        .body = regress_body(r->regressor),
                        .weights = &r->weights,
                        .people = people,
                        .max_mem = r->o.max_mem,
                        .profile = r->o.profile};
    Iterator *it;
    TRY(iterate_new(&o, &it));
    Status status = iterate_start(it);
    if (status == OK) status = iterate_group(r, it, group, people->count, reason);
    if (status == OK && strcmp(*reason, "diverged")) status = keep_bodies(r, it, g, group);
    iterate_free(it);
    return status;
}

/* Each group starts from the loaded weights, or carries on where the one before it ended. */
static Status start_group(Refiner *r) {
    if (r->recipe->carry && !r->fresh) {
        r->schedule.period = r->recipe->period_next;
        return OK;
    }
    r->schedule = r->recipe->schedule;
    if (r->o.rate > 0) r->schedule.rate = r->o.rate;
    if (r->schedule.kind == SCHEDULE_COSINE) r->schedule.period = group_iterations(&r->o, r->fresh);
    r->step = 0;
    return regress_reset(r->regressor);
}

static Status refine_group(Refiner *r, const Group *g, int group, const char **reason) {
    const NetSpec *net = regress_net(r->regressor);
    People people;
    TRY(start_group(r));
    TRY(people_new(r->cutter, r->crowd, r->index + g->first, g->end - g->first, net->height,
                   net->width, &people));
    Status status = refine_people(r, &people, g, group, reason);
    people_free(&people);
    return status;
}

static Status refine_groups(Refiner *r, Group *groups) {
    int count = group_split(r->count, group_size(&r->o, r->count), groups, r->count), diverged = 0;
    const char *reason = "iterations";
    r->fresh = true;
    for (int i = 0; i < count && !r->cut; i++) {
        r->report->groups = i + 1;
        TRY(refine_group(r, &groups[i], i, &reason));
        r->fresh = !strcmp(reason, "diverged");
        diverged += r->fresh;
        if (!r->cut && i + 1 < count) r->cut = stopped(r);
    }
    if (diverged)
        log_info("refine: %d of %d groups diverged, their people keep the bodies they had",
                 diverged, r->report->groups);
    r->report->reason = r->cut ? r->cut : diverged ? "diverged" : reason;
    return OK;
}

Status refine_run(Regressor *regressor, const Image *photo, Crowd *crowd,
                  const RefineOptions *options, RefineReport *report) {
    Refiner r = {.regressor = regressor, .crowd = crowd, .o = *options, .report = report};
    r.start = seconds_now();
    r.recipe = recipe_of(options);
    r.weights = r.recipe->weights;
    if (options->crowd > 0) r.weights.crowd = options->crowd;
    if (options->betas > 0) r.weights.betas = options->betas;
    if (options->pose > 0) r.weights.pose = options->pose;
    *report = (RefineReport){.reason = "nobody to refine"};
    r.index = malloc(((size_t)crowd->count + 1) * sizeof *r.index);
    Group *groups = malloc(((size_t)crowd->count + 1) * sizeof *groups);
    CHECK(r.index && groups, "out of memory");
    for (int i = 0; i < crowd->count; i++)
        if (can_be_refined(&crowd->person[i])) r.index[r.count++] = i;
    Status status = cutter_new(photo, params_backend(regress_params(regressor)), 0, &r.cutter);
    if (status == OK && r.count) {
        status = refine_groups(&r, groups);
        Status reset = regress_reset(regressor);
        if (status == OK) status = reset;
    }
    cutter_free(r.cutter);
    free(r.index);
    free(groups);
    report->seconds = elapsed(&r);
    crowd->iterations = report->iterations;
    crowd->reason = report->reason;
    crowd_ground(crowd);
    return status;
}
