#include "crowdrec/crowdrec.h"

#include "crowdrec/ablation.h"
#include "crowdrec/convert.h"
#include "crowdrec/crowd.h"
#include "crowdrec/doctor.h"
#include "crowdrec/evaluate.h"
#include "crowdrec/forward.h"
#include "crowdrec/inspect.h"
#include "crowdrec/pipeline.h"
#include "crowdrec/synth.h"
#include "crowdrec/train.h"
#include "smpl/procedural.h"
#include "tensor/log.h"
#include "tensor/parallel.h"

#include <locale.h>

/* The public enums are the inner ones under public names. */
#define SAME(a, b) _Static_assert((int)(a) == (int)(b), #a)
SAME(CROWDREC_OK, OK);
SAME(CROWDREC_PARTIAL, ERR_PARTIAL);
SAME(CROWDREC_BAD_USAGE, ERR_USAGE);
SAME(CROWDREC_BAD_INPUT, ERR_INPUT);
SAME(CROWDREC_BAD_MODEL, ERR_MODEL);
SAME(CROWDREC_NO_DEVICE, ERR_DEVICE);
SAME(CROWDREC_NO_MEMORY, ERR_MEMORY);
SAME(CROWDREC_INTERRUPTED, ERR_INTERRUPTED);
SAME(CROWDREC_LOG_QUIET, LOG_QUIET);
SAME(CROWDREC_LOG_ERROR, LOG_ERROR);
SAME(CROWDREC_LOG_INFO, LOG_INFO);
SAME(CROWDREC_LOG_DEBUG, LOG_DEBUG);
SAME(CROWDREC_KEYPOINTS, CROWD_KEYPOINTS);
SAME(CROWDREC_POSE_SIZE, CROWD_POSE);
SAME(CROWDREC_BETAS, CROWD_BETAS);
SAME(CROWDREC_HAS_KEYPOINTS, PERSON_HAS_KEYPOINTS);
SAME(CROWDREC_HAS_BODY, PERSON_HAS_BODY);
SAME(CROWDREC_IS_REFINED, PERSON_REFINED);
SAME(CROWDREC_IS_BEHIND_CAMERA, PERSON_BEHIND_CAMERA);

/* Inside a call this thread writes and reads numbers with a point, whatever the program's locale.
 */
typedef struct {
    locale_t own, before;
} Stay;

static Stay enter(void) {
    Stay s = {.own = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
    if (s.own) s.before = uselocale(s.own);
    return s;
}

/* What failed on the way to a success is not told. */
static CrowdrecStatus leave(Stay s, Status status) {
    if (s.own) {
        uselocale(s.before);
        freelocale(s.own);
    }
    if (status == OK) error_clear();
    return (CrowdrecStatus)status;
}

const char *crowdrec_version(void) { return CROWDREC_VERSION; }

const char *crowdrec_error(void) { return error_reason(); }

void crowdrec_log(CrowdrecLog level) { log_level((LogLevel)level); }

void crowdrec_threads(int threads) { parallel_set_threads(threads > 1 ? threads : 1); }

CrowdrecStatus crowdrec_run(const char *const *paths, int count, const CrowdrecOptions *options) {
    Stay s = enter();
    return leave(s, pipeline_run(paths, count, options));
}

CrowdrecStatus crowdrec_eval(const CrowdrecEval *options, FILE *report) {
    Stay s = enter();
    return leave(s, evaluate_run(options, report));
}

CrowdrecStatus crowdrec_ablation(const CrowdrecAblation *options, FILE *report) {
    Stay s = enter();
    return leave(s, ablation_run(options, report));
}

CrowdrecStatus crowdrec_forward(const CrowdrecForward *options, FILE *report) {
    Stay s = enter();
    return leave(s, forward_run(options, report));
}

CrowdrecStatus crowdrec_inspect(const char *path, int all, FILE *report) {
    Stay s = enter();
    return leave(s, inspect_file(path, all, report));
}

CrowdrecStatus crowdrec_convert(const char *in, const char *out, const CrowdrecConvert *options,
                                FILE *report) {
    Stay s = enter();
    return leave(s, convert_file(in, out, options, report));
}

CrowdrecStatus crowdrec_train(const CrowdrecTrain *options, FILE *report) {
    Stay s = enter();
    return leave(s, train(options, report));
}

CrowdrecStatus crowdrec_body(const char *path, int vertices, FILE *report) {
    Stay s = enter();
    ProceduralSize made;
    Status status = procedural_write(path, vertices, &made);
    if (status == OK && report)
        fprintf(report, "%s: body of %d vertices, %d triangles\n", path, made.vertices, made.faces);
    return leave(s, status);
}

CrowdrecStatus crowdrec_synth(const CrowdrecSynth *options, FILE *report) {
    Stay s = enter();
    return leave(s, synth_run(options, report));
}

CrowdrecStatus crowdrec_doctor(FILE *report) {
    Stay s = enter();
    return leave(s, doctor_report(report));
}
