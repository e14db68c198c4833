#include "crowdrec/evaluate.h"

#include "crowdrec/coco.h"
#include "crowdrec/output.h"
#include "crowdrec/scoreboard.h"
#include "crowdrec/reference.h"
#include "tensor/file.h"
#include "tensor/log.h"

#include <string.h>
#include <unistd.h>

/* What is read of the results; bodies without photos, and NULL, are not there. */
typedef struct {
    GigaFile bodies;
    Coco *boxes, *keypoints;
} Found;

enum { ANY_SIZE = 1 << 30 }; /* pixels; of a photo whose size its file does not say */

/* ---- what the options ask for ---- */

static const char *const result_names[] = {"predict.json", "detections.json", "keypoints.json"};
enum { RESULT_NAMES = sizeof result_names / sizeof *result_names };

/* Nothing is read from where the results go. */
static Status check_output(const CrowdrecEval *o) {
    char beside[FILE_PATH], path[FILE_PATH];
    const char *body = reference_body(o->truth, o->truth_body, o->body, beside);
    const char *const given[] = {o->predict, o->truth, o->body, o->body_regressor, body};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        TRY(output_spares(given[i], o->output));
    for (int i = 0; i < RESULT_NAMES && file_is_folder(o->predict); i++) {
        TRY(file_join(o->predict, result_names[i], path));
        TRY(output_spares(path, o->output));
    }
    return OK;
}

static Status check_options(const CrowdrecEval *o) {
    if (!o->predict || !o->truth)
        return fail(ERR_USAGE, "eval: expected results (PREDICT) and the truth (TRUTH)");
    if (!o->body && o->body_regressor)
        return fail(ERR_USAGE, "--body-regressor: belongs to a body, give it with --body");
    return o->output ? check_output(o) : OK;
}

/* ---- opening ---- */

/* Whether the folder has such a file; its path. */
static bool has(const char *folder, const char *name, char path[FILE_PATH]) {
    return file_join(folder, name, path) == OK && !access(path, F_OK);
}

static Status open_folder(const char *folder, Found *r) {
    char path[FILE_PATH];
    if (has(folder, "predict.json", path)) TRY(gigacrowd_read(path, &r->bodies));
    if (has(folder, "detections.json", path)) TRY(coco_open(path, COCO_BOXES, &r->boxes));
    if (has(folder, "keypoints.json", path)) TRY(coco_open(path, COCO_KEYPOINTS, &r->keypoints));
    if (r->bodies.arena || r->boxes) return OK;
    return fail(ERR_INPUT, "%s: has neither predict.json nor detections.json", folder);
}

static Status open_results(const char *path, Found *r) {
    return file_is_folder(path) ? open_folder(path, r) : gigacrowd_read(path, &r->bodies);
}

static void close_results(Found *r) {
    gigacrowd_free(&r->bodies);
    coco_close(r->boxes);
    coco_close(r->keypoints);
}

/* ---- one photo ---- */

/* The photo's people in a COCO file; false where it does not have the photo. */
static Status people_of(const Coco *coco, const char *photo, Crowd *crowd, bool *there) {
    *crowd = (Crowd){0};
    *there = coco && coco_size(coco, photo, &crowd->width, &crowd->height);
    if (!*there) return OK;
    if (!crowd->width) crowd->width = ANY_SIZE;
    if (!crowd->height) crowd->height = ANY_SIZE;
    crowd->photo = strdup(photo);
    CHECK(crowd->photo, "out of memory");
    return coco_people(coco, false, crowd);
}

/* Where each detection became a body, it is that body's box. */
static void take_boxes(GigaPhoto *found, const Crowd *boxes) {
    if (found->people != boxes->count) return;
    for (int i = 0; i < found->people; i++) {
        found->person[i].has_box = true;
        for (int k = 0; k < 4; k++) found->person[i].box[k] = boxes->person[i].box[k];
    }
}

static Status add_photo(const GigaPhoto *truth, Found *r, Score *score) {
    GigaPhoto *found = gigacrowd_find(&r->bodies, truth->name);
    Crowd boxes = {0}, keypoints = {0};
    bool has_boxes = false, has_keypoints = false;
    Status status = people_of(r->boxes, truth->name, &boxes, &has_boxes);
    if (status == OK) status = people_of(r->keypoints, truth->name, &keypoints, &has_keypoints);
    if (status == OK && (found || has_boxes)) {
        if (found && has_boxes) take_boxes(found, &boxes);
        score_add(score, &(ScorePhoto){.truth = truth,
                                       .found = found,
                                       .boxes = has_boxes ? &boxes : NULL,
                                       .keypoints = has_keypoints ? &keypoints : NULL});
    }
    crowd_free(&boxes);
    crowd_free(&keypoints);
    return status;
}

/* ---- all ---- */

static void tell_left_out(const Reference *truth, const Found *r, const Score *score) {
    int unknown = 0, rest = truth->file.photos - score_photos(score);
    for (int i = 0; i < r->bodies.photos; i++)
        unknown += !gigacrowd_find(&truth->file, r->bodies.photo[i].name);
    if (unknown) log_info("photos without truth, left out: %d", unknown);
    if (rest) log_info("photos of the truth without results, left out: %d", rest);
}

static Status add_photos(const Reference *truth, Found *r, Score *score) {
    for (int i = 0; i < truth->file.photos; i++) TRY(add_photo(&truth->file.photo[i], r, score));
    if (!score_photos(score)) return fail(ERR_INPUT, "results and truth have no photo in common");
    tell_left_out(truth, r, score);
    return OK;
}

static Status report_score(const CrowdrecEval *o, const Score *score, FILE *report) {
    Scoreboard board = {{"result"}, {score}, 1};
    if (report && o->per_photo) scoreboard_print_photos(score, report);
    if (report) scoreboard_print(&board, report);
    return o->output ? scoreboard_write(&board, o->output) : OK;
}

static Status evaluate(const CrowdrecEval *o, Reference *truth, Found *r, FILE *report) {
    Body *own = NULL;
    TRY(reference_open(o->truth, o->truth_body, o->body, o->body_regressor, truth));
    TRY(open_results(o->predict, r));
    if (o->body) TRY(body_load(o->body, o->body_regressor, &own));
    Score *score = score_new(own ? own : truth->body, truth->body);
    Status status = add_photos(truth, r, score);
    if (status == OK) status = report_score(o, score, report);
    score_free(score);
    body_free(own);
    return status;
}

Status evaluate_run(const CrowdrecEval *o, FILE *report) {
    Reference truth = {0};
    Found r = {0};
    TRY(check_options(o));
    Status status = evaluate(o, &truth, &r, report);
    close_results(&r);
    reference_close(&truth);
    return status;
}
