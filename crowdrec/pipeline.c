#include "crowdrec/pipeline.h"

#include "crowdrec/camera.h"
#include "crowdrec/coco.h"
#include "crowdrec/defaults.h"
#include "crowdrec/detect.h"
#include "crowdrec/jsonfile.h"
#include "crowdrec/output.h"
#include "crowdrec/photos.h"
#include "crowdrec/pose2d.h"
#include "crowdrec/posenms.h"
#include "crowdrec/progress.h"
#include "crowdrec/scoreboard.h"
#include "crowdrec/steplog.h"
#include "crowdrec/reference.h"
#include "crowdrec/weights.h"
#include "kernels/peak.h"
#include "tensor/file.h"
#include "tensor/log.h"
#include "tensor/reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Models and files that all photos share.  What a run does not need is NULL. */
typedef struct {
    CrowdrecOptions options; /* the user's, from check_options on with defaults filled in */
    char model[DEFAULTS_MODELS][PATH_MAX];
    const Backend *backend;
    CameraChoice camera;
    Coco *coco; /* boxes or keypoints of the user */
    Detector *detector;
    Pose2d *pose;
    Regressor *regressor;
    const RefineRecipe *recipe;
    Photos photos;
    Reference truth;       /* empty when it is not given */
    Score *before, *after; /* of the bodies as regressed, and of the results; NULL without truth */
    Profile *profile;      /* NULL: not asked for */
    bool poses, bodies, refines; /* the stages after the boxes */
} Pipeline;

/* One photo on its way. */
typedef struct {
    const Pipeline *pipeline;
    const Photo *photo;
    Image image;
    Crowd *crowd;
    Crowd before; /* as regressed */
    RefineReport report;
    bool refined;
    Steplog log;
} Job;

/* ---- what the options ask for ---- */

static bool interrupted(const CrowdrecOptions *o) { return o->interrupted && *o->interrupted; }

static Status need(const char *given, const char *flag, const char *what) {
    if (given) return OK;
    return fail(ERR_USAGE, "no %s given: %s", flag, what);
}

/* A network that the user does not name is crowdrec's own. */
static Status choose_model(Pipeline *p, DefaultsModel model, const char **given) {
    if (*given) return OK;
    TRY(defaults_find(model, p->model[model]));
    *given = p->model[model];
    return OK;
}

/* Betas mean what the body of the mesh network's training says. */
static Status choose_body(Pipeline *p) {
    bool own = p->model[DEFAULTS_MESH][0];
    if (!own) return need(p->options.body, "--body", "an SMPL-format body model");
    if (!p->options.body && p->options.body_regressor)
        return fail(ERR_USAGE, "--body-regressor: belongs to a body, give it with --body");
    if (p->options.body)
        log_info("--body: the default mesh network was trained on the body of `crowdrec body`; "
                 "give --mesh with another one");
    return OK;
}

static Status choose_models(Pipeline *p) {
    CrowdrecOptions *o = &p->options;
    if (!o->boxes && !o->keypoints) TRY(choose_model(p, DEFAULTS_DETECTOR, &o->detector));
    if (p->poses) TRY(choose_model(p, DEFAULTS_POSE, &o->pose));
    if (p->bodies) TRY(choose_model(p, DEFAULTS_MESH, &o->mesh));
    if (p->bodies) TRY(choose_body(p));
    for (int i = 0; i < DEFAULTS_MODELS; i++) {
        if (!p->model[i][0]) continue;
        log_info("default networks know synthetic people only; for photos bring public ones: "
                 "--detector, --pose, --mesh, --body (README, Weights)");
        break;
    }
    return OK;
}

/* What crowdrec's own networks ask for (docs/models.md), unless the user says otherwise; boxes that
 * the user brings stay as they are. */
static void choose_rules(Pipeline *p) {
    CrowdrecOptions *o = &p->options;
    bool pose = p->model[DEFAULTS_POSE][0], mesh = p->model[DEFAULTS_MESH][0];
    bool sift = pose && !o->boxes;
    if (!o->flip) o->flip = pose ? "on" : "off";
    if (!o->decode) o->decode = pose ? "fit" : "quarter";
    o->pose_nms = defaults_value(o->pose_nms, sift ? 0.3 : 0);
    o->pose_conf = defaults_value(o->pose_conf, sift ? 0.55 : 0);
    if (!o->pose_boxes) o->pose_boxes = sift ? "on" : "off";
    if (!o->recipe) o->recipe = mesh ? "models" : "paper";
}

/* Boxes and keypoints come from one source, and the user asks nothing of networks that do not run.
 */
static Status check_sources(const CrowdrecOptions *o, bool poses) {
    const char *given = o->boxes ? "--boxes" : "--keypoints";
    bool detector = o->conf != 0 || o->nms != 0 || o->agnostic || o->detector_size[0] ||
                    o->detector_size[1] || o->detector_input;
    bool asks =
        o->pose || o->pose_boxes || o->flip || o->decode || o->pose_nms != 0 || o->pose_conf != 0;
    if (o->boxes && o->keypoints)
        return fail(ERR_USAGE, "--boxes and --keypoints: give one, keypoints bring their boxes");
    if (o->detector && (o->boxes || o->keypoints))
        return fail(ERR_USAGE, "--detector and %s: give one", given);
    if (detector && (o->boxes || o->keypoints))
        return fail(ERR_USAGE,
                    "--conf, --nms, --agnostic, --detector-size, --detector-input: no boxes are "
                    "detected with %s",
                    given);
    if (asks && !poses)
        return fail(ERR_USAGE,
                    "--pose, --pose-nms, --pose-conf, --pose-boxes, --flip, --decode: no 2D "
                    "poses are estimated with %s",
                    o->keypoints ? "--keypoints" : "--no-refine");
    return OK;
}

static Status check_choice(const char *option, const char *value, const char *a, const char *b) {
    if (!strcmp(value, a) || !strcmp(value, b)) return OK;
    return fail(ERR_USAGE, "%s: '%s' is not %s or %s", option, value, a, b);
}

/* What the program's own options cannot be, and a caller's can. */
static Status check_ranges(const CrowdrecOptions *o) {
    if ((unsigned)o->until > CROWDREC_DETECT)
        return fail(ERR_USAGE, "until: there is no stage %d", (int)o->until);
    if (!(o->pose_nms <= 1) || !(o->pose_conf <= 1))
        return fail(ERR_USAGE, "--pose-nms, --pose-conf: expected numbers up to 1");
    return OK;
}

static Status check_options(Pipeline *p) {
    const CrowdrecOptions *o = &p->options;
    TRY(check_ranges(o));
    p->bodies = o->until == CROWDREC_REFINE || o->until == CROWDREC_REGRESS;
    p->refines = o->until == CROWDREC_REFINE;
    p->poses = !o->keypoints && (o->until == CROWDREC_POSE || p->refines);
    TRY(need(o->output, "--output", "the folder for the results"));
    TRY(check_sources(o, p->poses));
    TRY(choose_models(p));
    choose_rules(p);
    p->recipe = refine_recipe(o->recipe);
    if (!p->recipe)
        return fail(ERR_USAGE, "--recipe: '%s' is not paper, released or models", o->recipe);
    TRY(check_choice("--flip", o->flip, "on", "off"));
    TRY(check_choice("--decode", o->decode, "quarter", "fit"));
    TRY(check_choice("--pose-boxes", o->pose_boxes, "on", "off"));
    if (o->max_iterations && o->max_iterations < o->iterations)
        return fail(ERR_USAGE, "--max-iterations: %d is less than --iterations %d",
                    o->max_iterations, o->iterations);
    return camera_choose(o->focal_px, o->fov, o->intrinsics, &p->camera);
}

/* ---- opening ---- */

/* A job that runs no network needs no device. */
static Status open_backend(Pipeline *p) {
    const CrowdrecOptions *o = &p->options;
    bool detects = !o->keypoints && !o->boxes;
    if (!detects && !p->poses && !p->bodies) return OK;
    BackendChoice choice = {.device = o->device,
                            .precision = o->precision,
                            .deterministic = o->deterministic,
                            .exact = o->exact,
                            .tune = o->tune};
    return backend_open(&choice, &p->backend);
}

static Status open_boxes(Pipeline *p) {
    const CrowdrecOptions *o = &p->options;
    if (o->keypoints) return coco_open(o->keypoints, COCO_KEYPOINTS, &p->coco);
    if (o->boxes) return coco_open(o->boxes, COCO_BOXES, &p->coco);
    return detect_open(o->detector,
                       &(DetectOptions){.backend = p->backend,
                                        .confidence = (float)o->conf,
                                        .iou = (float)o->nms,
                                        .agnostic = o->agnostic,
                                        .height = o->detector_size[0],
                                        .width = o->detector_size[1],
                                        .input = o->detector_input},
                       &p->detector);
}

static Status open_bodies(Pipeline *p) {
    const CrowdrecOptions *o = &p->options;
    char mesh[WEIGHTS_TEXT];
    TRY(weights_with_mean(o->mesh, o->mean, mesh));
    return regress_open(&(RegressOptions){.backend = p->backend,
                                          .mesh = mesh,
                                          .body = o->body,
                                          .body_regressor = o->body_regressor,
                                          .interrupted = o->interrupted},
                        &p->regressor);
}

/* Every photo must have its truth. */
static Status open_truth(Pipeline *p) {
    const CrowdrecOptions *o = &p->options;
    if (!o->truth) return OK;
    TRY(reference_open(o->truth, o->truth_body, o->body, o->body_regressor, &p->truth));
    for (int i = 0; i < p->photos.count; i++)
        if (!gigacrowd_find(&p->truth.file, p->photos.photo[i].name))
            return fail(ERR_INPUT, "%s: has no photo '%s'", o->truth, p->photos.photo[i].name);
    const Body *body = p->regressor ? regress_body(p->regressor) : NULL;
    p->before = score_new(body, p->truth.body);
    p->after = score_new(body, p->truth.body);
    return OK;
}

static Status refuse_same(const char *input, const char *folder, const char *const *names) {
    char path[FILE_PATH];
    for (; input && *names; names++) {
        TRY(file_join(folder, *names, path));
        TRY(output_spares(input, path));
    }
    return OK;
}

/* Nothing is read from where the results go. */
static Status check_places(const Pipeline *p) {
    const CrowdrecOptions *o = &p->options;
    const char *const given[] = {o->boxes, o->keypoints, o->truth, o->intrinsics};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        TRY(refuse_same(given[i], o->output, output_names));
    for (int i = 0; i < p->photos.count; i++) {
        static const char *const cameras[] = {"result.json", "result.npz", NULL};
        const Photo *photo = &p->photos.photo[i];
        TRY(refuse_same(o->intrinsics, photo->folder, cameras));
        if (!output_is_picture(photo->name)) continue;
        for (int k = 0; k < p->photos.count; k++)
            TRY(refuse_same(photo->path, p->photos.photo[k].folder, output_pictures));
    }
    return OK;
}

static Status open_all(Pipeline *p, const char *const *paths, int count) {
    const CrowdrecOptions *o = &p->options;
    if (count < 1) return fail(ERR_USAGE, "no photo given");
    TRY(check_options(p));
    TRY(photos_list(paths, count, o->output, &p->photos));
    TRY(check_places(p));
    TRY(output_prepare(o->output));
    TRY(open_backend(p));
    TRY(open_boxes(p));
    Pose2dOptions pose = {.backend = p->backend,
                          .flip = !strcmp(o->flip, "on"),
                          .fit = !strcmp(o->decode, "fit"),
                          .interrupted = o->interrupted};
    if (p->poses) TRY(pose2d_open(o->pose, &pose, &p->pose));
    if (p->bodies) TRY(open_bodies(p));
    return open_truth(p);
}

static void close_all(Pipeline *p) {
    coco_close(p->coco);
    detect_close(p->detector);
    pose2d_close(p->pose);
    regress_close(p->regressor);
    score_free(p->before);
    score_free(p->after);
    reference_close(&p->truth);
    if (p->photos.arena) photos_free(&p->photos);
}

/* ---- one photo: stages ---- */

static bool all_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

/* Unsuitable weights show as numbers that are none; nobody may take them for a result. */
static Status check_finite(const Crowd *crowd, const char *stage) {
    for (int i = 0; i < crowd->count; i++) {
        const Person *p = &crowd->person[i];
        bool good = all_finite(p->box, 4) && isfinite(p->score) &&
                    all_finite(&p->keypoints[0][0], sizeof p->keypoints / sizeof(float)) &&
                    all_finite(p->pose, CROWD_POSE) && all_finite(p->betas, CROWD_BETAS) &&
                    all_finite(p->trans, 3) &&
                    all_finite(&p->joints[0][0], sizeof p->joints / sizeof(float));
        if (!good)
            return fail(ERR_MODEL,
                        "%s: person %d comes out as infinity or NaN; the weights do not "
                        "suit",
                        stage, i);
    }
    return OK;
}

/* What an interrupted stage left is a result too. */
static Status check_stage(Status status, const Crowd *crowd, const char *stage) {
    if (status == OK || status == ERR_INTERRUPTED) TRY(check_finite(crowd, stage));
    return status;
}

/* A detector may place a box in what fills its input up beside the photo. */
static bool on_photo(const Person *p, void *crowd) { return crowd_sees(crowd, p->box); }

static Status find_people(Job *job) {
    const Pipeline *p = job->pipeline;
    if (p->coco) return coco_people(p->coco, p->photos.count == 1, job->crowd);
    TRY(detect_run(p->detector, &job->image, job->crowd));
    crowd_filter(job->crowd, on_photo, job->crowd);
    return check_finite(job->crowd, "detect");
}

/* Drops whom the 2D poses tell to drop. */
static void drop_people(Crowd *crowd, const CrowdrecOptions *o) {
    int before = crowd->count;
    posenms_run(crowd, &(PoseNms){.overlap = o->pose_nms, .confidence = o->pose_conf});
    if (crowd->count < before)
        log_info("pose: %d of %d people dropped (--pose-nms %g, --pose-conf %g)",
                 before - crowd->count, before, o->pose_nms, o->pose_conf);
}

/* How much of a box its 2D pose decides: alone it is better than the detector, with a little of
 * that best (docs/models.md). */
static const float BOX_SHARE = 0.8f;

static void tighten_boxes(Crowd *crowd) {
    for (int i = 0; i < crowd->count; i++) {
        Person moved = crowd->person[i];
        if (crowd_box_of_keypoints(&moved, BOX_SHARE) && crowd_sees(crowd, moved.box))
            crowd->person[i] = moved;
    }
}

static Status find_keypoints(Job *job) {
    const CrowdrecOptions *o = &job->pipeline->options;
    Status status = pose2d_run(job->pipeline->pose, &job->image, job->crowd);
    TRY(check_stage(status, job->crowd, "pose"));
    drop_people(job->crowd, o);
    if (!strcmp(o->pose_boxes, "on")) tighten_boxes(job->crowd);
    return OK;
}

static Status find_bodies(Job *job) {
    Status status = regress_run(job->pipeline->regressor, &job->image, job->crowd);
    return check_stage(status, job->crowd, "mesh");
}

static void copy_crowd(const Crowd *crowd, Crowd *out) {
    *out = *crowd;
    out->photo = strdup(crowd->photo);
    out->capacity = crowd->count;
    out->person = malloc((size_t)crowd->count * sizeof *out->person + 1);
    CHECK(out->photo && out->person, "no memory for %d people", crowd->count);
    if (crowd->count) memcpy(out->person, crowd->person, (size_t)crowd->count * sizeof(Person));
}

typedef struct {
    Steplog *log;
    Progress progress;
} Watch;

static void on_step(const RefineStep *step, void *context) {
    Watch *watch = context;
    steplog_add(watch->log, step);
    progress_step(&watch->progress, step);
}

static Status refine(Job *job) {
    const Pipeline *p = job->pipeline;
    const CrowdrecOptions *o = &p->options;
    char path[FILE_PATH];
    copy_crowd(job->crowd, &job->before);
    TRY(file_join(job->photo->folder, "log.jsonl", path));
    TRY(steplog_begin(path, &job->log));
    Watch watch = {&job->log, {0}};
    RefineOptions options = {.recipe = p->recipe,
                             .iterations = o->iterations,
                             .max_iterations = o->max_iterations,
                             .group = o->group,
                             .rate = o->rate,
                             .crowd = o->crowd_weight,
                             .betas = o->betas_weight,
                             .pose = o->pose_weight,
                             .time_limit = o->time_limit,
                             .max_mem = o->max_mem,
                             .profile = p->profile,
                             .interrupted = o->interrupted,
                             .step = on_step,
                             .context = &watch};
    watch.progress.iterations = refine_planned(&options, refine_count(job->crowd));
    Status status = refine_run(p->regressor, &job->image, job->crowd, &options, &job->report);
    log_progress_end();
    TRY(status);
    job->refined = true;
    TRY(check_finite(job->crowd, "refine"));
    return steplog_end(&job->log);
}

/* The stages in their order; an interrupt keeps the ones after it from beginning. */
static Status run_stages(Job *job) {
    const Pipeline *p = job->pipeline;
    const struct {
        bool wanted;
        Status (*run)(Job *);
    } stage[] = {{true, find_people},
                 {p->poses, find_keypoints},
                 {p->bodies, find_bodies},
                 {p->refines, refine}};
    for (size_t i = 0; i < sizeof stage / sizeof *stage; i++) {
        if (!stage[i].wanted) continue;
        Status status = interrupted(&p->options) ? ERR_INTERRUPTED : stage[i].run(job);
        if (status == ERR_INTERRUPTED) {
            job->crowd->reason = "interrupted";
            return OK;
        }
        TRY(status);
    }
    return OK;
}

/* ---- one photo: all ---- */

static Status write_results(const Job *job) {
    const Pipeline *p = job->pipeline;
    return output_photo(job->photo->folder,
                        &(Results){.crowd = job->crowd,
                                   .before = job->refined ? &job->before : NULL,
                                   .image = &job->image,
                                   .body = p->regressor ? regress_body(p->regressor) : NULL,
                                   .recipe = refine_recipe_name(p->recipe),
                                   .refined = job->refined ? &job->report : NULL,
                                   .meshes = p->options.meshes});
}

static void add_score(const Pipeline *p, const Crowd *crowd, Score *score) {
    Arena *arena = arena_new();
    GigaPhoto found = gigacrowd_photo(crowd, arena);
    bool keypoints = p->poses || p->options.keypoints;
    score_add(score, &(ScorePhoto){.truth = gigacrowd_find(&p->truth.file, found.name),
                                   .found = p->bodies ? &found : NULL,
                                   .boxes = crowd,
                                   .keypoints = keypoints ? crowd : NULL});
    arena_free(arena);
}

static void score_results(const Job *job) {
    const Pipeline *p = job->pipeline;
    if (!p->after) return;
    if (job->refined) add_score(p, &job->before, p->before);
    add_score(p, job->crowd, p->after);
}

static Status run_job(Job *job) {
    const Pipeline *p = job->pipeline;
    Crowd *crowd = job->crowd;
    if (!jsonfile_is_plain(job->photo->name))
        return fail(ERR_INPUT,
                    "%s: the name is no UTF-8 or has control characters, which results cannot say; "
                    "rename it",
                    reader_quote(job->photo->path, strlen(job->photo->path)));
    TRY(image_read(job->photo->path, &job->image));
    crowd->photo = strdup(job->photo->path);
    CHECK(crowd->photo, "out of memory");
    crowd->width = job->image.width, crowd->height = job->image.height;
    TRY(camera_of(&p->camera, crowd->width, crowd->height, &crowd->camera));
    if (p->backend)
        snprintf(crowd->arithmetic, sizeof crowd->arithmetic, "%s", backend_arithmetic(p->backend));
    TRY(output_prepare(job->photo->folder));
    TRY(run_stages(job));
    TRY(write_results(job));
    score_results(job);
    return OK;
}

static CrowdrecPerson public_person(const Person *p) {
    CrowdrecPerson out = {
        .id = p->id, .score = p->score, .flags = p->flags, .ground_distance = p->ground_distance};
    memcpy(out.box, p->box, sizeof out.box);
    memcpy(out.keypoints, p->keypoints, sizeof out.keypoints);
    memcpy(out.pose, p->pose, sizeof out.pose);
    memcpy(out.betas, p->betas, sizeof out.betas);
    memcpy(out.trans, p->trans, sizeof out.trans);
    memcpy(out.joints, p->joints, sizeof out.joints);
    return out;
}

static void report(const CrowdrecOptions *o, const Photo *photo, const Crowd *crowd,
                   Status status) {
    if (!o->done) return;
    CrowdrecPerson *person = malloc((size_t)crowd->count * sizeof *person + 1);
    CHECK(person, "no memory for %d people", crowd->count);
    for (int i = 0; i < crowd->count; i++) person[i] = public_person(&crowd->person[i]);
    CrowdrecPhoto done = {.path = photo->path,
                          .folder = photo->folder,
                          .status = (CrowdrecStatus)status,
                          .reason = status ? error_reason() : crowd->reason,
                          .width = crowd->width,
                          .height = crowd->height,
                          .focal = crowd->camera.focal,
                          .cx = crowd->camera.cx,
                          .cy = crowd->camera.cy,
                          .ground_offset = crowd->ground_offset,
                          .iterations = crowd->iterations,
                          .person = person,
                          .people = crowd->count,
                          .bodies = crowd_count(crowd, PERSON_HAS_BODY),
                          .refined = crowd_count(crowd, PERSON_REFINED)};
    memcpy(done.ground_normal, crowd->ground_normal, sizeof done.ground_normal);
    o->done(&done, o->context);
    free(person);
}

/* Puts the photo's people into *crowd, which is emptied when it fails. */
static Status run_photo(const Pipeline *p, const Photo *photo, Crowd *crowd) {
    Job job = {.pipeline = p, .photo = photo, .crowd = crowd};
    Status status = run_job(&job);
    if (status && p->photos.count > 1) log_error("%s", error_reason());
    report(&p->options, photo, crowd, status);
    if (status) {
        steplog_abandon(&job.log);
        crowd_free(crowd);
    }
    crowd_free(&job.before);
    image_free(&job.image);
    return status;
}

/* ---- all photos ---- */

/* Runs them one after the other; *done of them succeeded and have their crowds in a row. */
static Status run_photos(const Pipeline *p, Crowd *crowd, int *done) {
    Status first = OK;
    int tried = 0;
    for (; tried < p->photos.count && !interrupted(&p->options); tried++) {
        const Photo *photo = &p->photos.photo[tried];
        if (p->photos.count > 1)
            log_info("photo %d of %d: %s", tried + 1, p->photos.count, photo->path);
        Status status = run_photo(p, photo, &crowd[*done]);
        if (!status) ++*done;
        if (!first) first = status;
    }
    if (!first) return OK;
    if (tried == 1) return first;
    const char *rest = tried < p->photos.count ? ", interrupted before the others" : "";
    if (*done) return fail(ERR_PARTIAL, "%d of %d photos failed%s", tried - *done, tried, rest);
    return fail(first, "all %d photos failed%s", tried, rest);
}

/* eval.json and the table; before and after where all photos were refined. */
static Status write_scores(const Pipeline *p) {
    const CrowdrecOptions *o = &p->options;
    char path[FILE_PATH];
    bool both = score_photos(p->before) == score_photos(p->after);
    Scoreboard board = {{"before", "after"}, {p->before, p->after}, 2};
    if (!both) board = (Scoreboard){{"result"}, {p->after}, 1};
    if (o->report) scoreboard_print(&board, o->report);
    TRY(file_join(o->output, "eval.json", path));
    return scoreboard_write(&board, path);
}

static Status run(Pipeline *p) {
    const CrowdrecOptions *o = &p->options;
    Crowd *crowd = calloc((size_t)p->photos.count, sizeof *crowd);
    CHECK(crowd, "no memory for %d photos", p->photos.count);
    int done = 0;
    Status status = run_photos(p, crowd, &done);
    unsigned stages =
        (p->poses || o->keypoints ? OUTPUT_KEYPOINTS : 0) | (p->bodies ? OUTPUT_BODIES : 0);
    if (done) {
        Status written = output_run(o->output, crowd, done, stages);
        if (written == OK && p->after) written = write_scores(p);
        if (written) status = written;
    }
    for (int i = 0; i < done; i++) crowd_free(&crowd[i]);
    free(crowd);
    if (status == OK && interrupted(o))
        return fail(ERR_INTERRUPTED, "interrupted; %s",
                    done ? "what was reached is written" : "nothing was reached");
    return status;
}

Status pipeline_run(const char *const *paths, int count, const CrowdrecOptions *options) {
    Profile profile = {0};
    Pipeline p = {.options = *options, .profile = options->profile ? &profile : NULL};
    Status status = open_all(&p, paths, count);
    if (status == OK) status = run(&p);
    if (profile.rows) profile_log(&profile, strcmp(p.backend->name, "cuda") ? peak_flops() : 0);
    close_all(&p);
    return status;
}
