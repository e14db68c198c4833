#include "crowdrec/ablation.h"

#include "crowdrec/jsonfile.h"
#include "crowdrec/pipeline.h"
#include "crowdrec/refine.h"
#include "crowdrec/scoreboard.h"
#include "tensor/file.h"
#include "tensor/log.h"
#include "tensor/seconds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TABLE_ONE = 5, SETTING_TEXT = 64 };

static const int default_iterations[] = {0, 80, 200, 260};
static const double default_conf[] = {0.45, 0.24, 0.23};

/* The paper's results on GigaCrowd, in the order of its table 1. */
static const ScoreMetric table_one[TABLE_ONE] = {SCORE_PA_PPDS, SCORE_SS, SCORE_PCOD, SCORE_OKS,
                                                 SCORE_RP};
static const struct {
    int iterations;
    double conf, value[TABLE_ONE];
} paper[] = {{80, 0.45, {0.8163, 0.8982, 0.8788, 0.7466, 0.000}},
             {200, 0.45, {0.8245, 0.9559, 0.8786, 0.7642, 0.000}},
             {260, 0.24, {0.8378, 0.9664, 0.8979, 0.7792, 0.001}},
             {260, 0.23, {0.8385, 0.9665, 0.8990, 0.7801, 0.001}}};

/* One run: conf is NaN where boxes or keypoints are given. */
typedef struct {
    int iterations, group; /* as in CrowdrecOptions */
    double conf, seconds;
    ScoreRow total;
} Setting;

typedef struct {
    const CrowdrecAblation *options;
    CrowdrecOptions base; /* of every run */
    char data[FILE_PATH], truth[FILE_PATH], body[FILE_PATH];
    const int *iterations;
    const double *conf;
    int iterations_count, conf_count;
    Setting *done;
    int count;
    bool partial; /* a photo failed */
} Ablation;

/* ---- what the options ask for ---- */

static Status check_lists(const Ablation *a) {
    if (a->iterations_count < 1 || a->conf_count < 1)
        return fail(ERR_USAGE, "--iterations, --conf: expected one number at least");
    for (int i = 0; i < a->iterations_count; i++)
        if (a->iterations[i] < 0 || (i && a->iterations[i] <= a->iterations[i - 1]))
            return fail(ERR_USAGE, "--iterations: expected increasing numbers, from 0");
    for (int i = 0; i < a->conf_count; i++)
        if (!(a->conf[i] > 0 && a->conf[i] <= 1))
            return fail(ERR_USAGE, "--conf: %g is no number above 0, up to 1", a->conf[i]);
    return OK;
}

static Status prepare(Ablation *a) {
    static const double as_given = NAN;
    const CrowdrecAblation *o = a->options;
    a->base = o->run;
    if (!o->data) return fail(ERR_USAGE, "ablation: expected a folder with truth.json");
    if (!o->run.output) return fail(ERR_USAGE, "no --output given: the folder for the results");
    a->iterations = o->iterations ? o->iterations : default_iterations;
    a->iterations_count = o->iterations ? o->iterations_count : 4;
    a->conf = o->conf ? o->conf : default_conf;
    a->conf_count = o->conf ? o->conf_count : 3;
    TRY(check_lists(a));
    bool given = a->base.keypoints || a->base.boxes;
    if (given && o->conf)
        return fail(ERR_USAGE, "--conf: no boxes are detected with %s",
                    a->base.boxes ? "--boxes" : "--keypoints");
    if (given) a->conf = &as_given, a->conf_count = 1;
    TRY(file_join(o->data, "truth.json", a->truth));
    TRY(file_join(o->data, "images", a->data));
    if (access(a->data, F_OK)) snprintf(a->data, sizeof a->data, "%s", o->data);
    TRY(file_join(o->data, "body.npz", a->body));
    /* The default mesh network has a body of its own. */
    if (!a->base.body && a->base.mesh && !access(a->body, F_OK)) a->base.body = a->body;
    a->base.truth = a->truth;
    a->base.report = NULL;
    a->base.conf = 0;
    int settings = a->iterations_count * a->conf_count + 1;
    a->done = calloc((size_t)settings, sizeof *a->done);
    CHECK(a->done, "no memory for %d settings", settings);
    return OK;
}

/* ---- runs ---- */

/* Photos that fail are left out of the tables; the status at the end tells of them. */
static Status run(Ablation *a, const CrowdrecOptions *options) {
    const char *photos[] = {a->data};
    Status status = pipeline_run(photos, 1, options);
    if (status != ERR_PARTIAL || (options->interrupted && *options->interrupted)) return status;
    log_error("%s", error_reason());
    a->partial = true;
    return OK;
}

/* The total of the last result in an eval.json that this program wrote. */
static Status read_total(const char *folder, ScoreRow *row) {
    char path[FILE_PATH];
    json_t *root;
    TRY(file_join(folder, "eval.json", path));
    TRY(jsonfile_read(path, &root));
    const json_t *results = json_object_get(root, "results");
    const json_t *last = json_array_get(results, json_array_size(results) - 1);
    const json_t *total = json_object_get(last, "total");
    *row = (ScoreRow){.photos = (int)json_array_size(json_object_get(last, "photos")),
                      .people = (int)json_integer_value(json_object_get(total, "people")),
                      .ignored = (int)json_integer_value(json_object_get(total, "ignored")),
                      .bodies = (int)json_integer_value(json_object_get(total, "bodies")),
                      .matched = (int)json_integer_value(json_object_get(total, "bodies_matched"))};
    for (ScoreMetric m = 0; m < SCORE_METRICS; m++) {
        const json_t *value = json_object_get(total, score_metric(m)->key);
        row->value[m] = json_is_number(value) ? json_number_value(value) : NAN;
    }
    json_decref(root);
    return OK;
}

static void setting_text(const Setting *s, char text[SETTING_TEXT]) {
    int used = snprintf(text, SETTING_TEXT, "%d iter", s->iterations);
    if (!isnan(s->conf))
        used += snprintf(text + used, SETTING_TEXT - (size_t)used, " + %g thre", s->conf);
    if (s->group == -1) snprintf(text + used, SETTING_TEXT - (size_t)used, " + one group");
}

/* Options about boxes and 2D poses say nothing any more once keypoints are there. */
static void forget_sources(CrowdrecOptions *o) {
    o->detector = o->detector_input = o->boxes = NULL;
    o->pose = o->pose_boxes = o->flip = o->decode = NULL;
    o->conf = o->nms = o->pose_nms = o->pose_conf = 0;
    o->agnostic = o->detector_size[0] = o->detector_size[1] = 0;
}

/* folder: of this least score; keypoints: found there or given. */
static Status run_setting(Ablation *a, const char *folder, const char *keypoints, Setting s) {
    char output[FILE_PATH], name[64], text[SETTING_TEXT];
    snprintf(name, sizeof name, "iterations-%d%s", s.iterations, s.group == -1 ? "-joint" : "");
    TRY(file_join(folder, name, output));
    setting_text(&s, text);
    log_info("ablation: %s", text);
    CrowdrecOptions o = a->base;
    if (!o.keypoints) forget_sources(&o);
    o.output = output, o.keypoints = keypoints;
    o.until = s.iterations ? CROWDREC_REFINE : CROWDREC_REGRESS;
    o.iterations = o.max_iterations = s.iterations, o.group = s.group;
    double begin = seconds_now();
    TRY(run(a, &o));
    s.seconds = seconds_now() - begin;
    TRY(read_total(output, &s.total));
    a->done[a->count++] = s;
    return OK;
}

static Status find_keypoints(Ablation *a, const char *folder, double conf,
                             char keypoints[FILE_PATH]) {
    CrowdrecOptions o = a->base;
    o.until = CROWDREC_POSE, o.output = folder;
    if (!isnan(conf)) o.conf = conf;
    TRY(run(a, &o));
    return file_join(folder, "keypoints.json", keypoints);
}

static Status run_conf(Ablation *a, double conf, bool last) {
    char folder[FILE_PATH], found[FILE_PATH], name[64] = "given";
    const char *keypoints = a->base.keypoints ? a->base.keypoints : found;
    if (!isnan(conf)) snprintf(name, sizeof name, "conf-%g", conf);
    TRY(file_join(a->base.output, name, folder));
    if (keypoints == found) TRY(find_keypoints(a, folder, conf, found));
    for (int i = 0; i < a->iterations_count; i++)
        TRY(run_setting(a, folder, keypoints,
                        (Setting){a->iterations[i], a->base.group, conf, 0, {0}}));
    int most = a->iterations[a->iterations_count - 1];
    if (!last || !a->options->joint || !most || a->base.group == -1) return OK;
    return run_setting(a, folder, keypoints, (Setting){most, -1, conf, 0, {0}});
}

/* ---- results ---- */

static const double *paper_row(const Setting *s) {
    for (size_t i = 0; i < sizeof paper / sizeof *paper; i++)
        if (paper[i].iterations == s->iterations && s->group != -1 &&
            fabs(paper[i].conf - s->conf) < 1e-9)
            return paper[i].value;
    return NULL;
}

static void print_table_one(const Ablation *a, FILE *out) {
    char text[SETTING_TEXT], cell[64];
    fprintf(out, "| %-28s |", "method");
    for (int k = 0; k < TABLE_ONE; k++) {
        const ScoreMetricInfo *info = score_metric(table_one[k]);
        snprintf(cell, sizeof cell, "%s %s", info->title, info->better == '+' ? "up" : "down");
        fprintf(out, " %-15s |", cell);
    }
    fputs("\n|------------------------------|", out);
    for (int k = 0; k < TABLE_ONE; k++) fputs("-----------------|", out);
    for (const Setting *s = a->done; s < a->done + a->count; s++) {
        const double *values = paper_row(s);
        setting_text(s, text);
        fprintf(out, "\n| %-28s |", text);
        for (int k = 0; k < TABLE_ONE; k++) {
            int used = snprintf(cell, sizeof cell, "%s", scoreboard_text(&s->total, table_one[k]));
            if (values) snprintf(cell + used, sizeof cell - (size_t)used, " (%.4g)", values[k]);
            fprintf(out, " %-15s |", cell);
        }
    }
    fputc('\n', out);
}

static void print_others(const Ablation *a, FILE *out) {
    static const ScoreMetric shown[] = {SCORE_MPJPE,       SCORE_PA_MPJPE,    SCORE_PVE,
                                        SCORE_ROOT_MEDIAN, SCORE_SPREAD,      SCORE_TRUE_SPREAD,
                                        SCORE_AP50,        SCORE_KEYPOINT_OKS};
    char text[SETTING_TEXT];
    fputs("| method                       | MPJPE  | PA-MPJPE | PVE    | root, m | spread, m | "
          "true   | AP50   | 2D OKS | matched | seconds |\n"
          "|------------------------------|--------|----------|--------|---------|-----------|"
          "--------|--------|--------|---------|---------|",
          out);
    static const int width[] = {6, 8, 6, 7, 9, 6, 6, 6};
    for (const Setting *s = a->done; s < a->done + a->count; s++) {
        setting_text(s, text);
        fprintf(out, "\n| %-28s |", text);
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
            fprintf(out, " %*s |", width[k], scoreboard_text(&s->total, shown[k]));
        fprintf(out, " %7d | %7.1f |", s->total.matched, s->seconds);
    }
    fputc('\n', out);
}

static void print(const Ablation *a, FILE *out) {
    const ScoreRow *total = &a->done[0].total;
    fprintf(out,
            "%d photos, %d people, %d more too small or hidden to count. In brackets: the paper's "
            "results on GigaCrowd, other photos.\n\n",
            total->photos, total->people, total->ignored);
    print_table_one(a, out);
    fputc('\n', out);
    print_others(a, out);
}

static json_t *setting_json(const Setting *s) {
    const double *values = paper_row(s);
    json_t *json =
        json_pack("{s:i, s:i, s:o, s:o, s:o}", "iterations", s->iterations, "group",
                  s->group ? s->group : REFINE_GROUP, "conf", jsonfile_number(s->conf), "seconds",
                  jsonfile_number(s->seconds), "total", scoreboard_row(&s->total));
    json_t *published = values ? json_object() : json_null();
    for (int k = 0; values && k < TABLE_ONE; k++)
        json_object_set_new(published, score_metric(table_one[k])->key, json_real(values[k]));
    json_object_set_new(json, "paper", published);
    return json;
}

static Status write_json(const Ablation *a) {
    char path[FILE_PATH];
    json_t *settings = json_array();
    for (int i = 0; i < a->count; i++) json_array_append_new(settings, setting_json(&a->done[i]));
    json_t *root = json_pack("{s:s, s:i, s:o}", "schema", "crowdrec-ablation", "version", 1,
                             "settings", settings);
    Status status = file_join(a->base.output, "ablation.json", path);
    if (status == OK) return jsonfile_write(path, JSONFILE_DOUBLE, root);
    json_decref(root);
    return status;
}

static Status write_table(const Ablation *a, FILE *report) {
    char path[FILE_PATH], *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    CHECK(memory, "out of memory");
    print(a, memory);
    fclose(memory);
    if (report) fputs(text, report);
    Status status = file_join(a->base.output, "ablation.md", path);
    if (status == OK) status = file_write(path, text, size);
    free(text);
    return status;
}

Status ablation_run(const CrowdrecAblation *options, FILE *report) {
    Ablation a = {.options = options};
    Status status = prepare(&a);
    for (int i = 0; status == OK && i < a.conf_count; i++)
        status = run_conf(&a, a.conf[i], i == a.conf_count - 1);
    if (a.count) {
        Status written = write_json(&a);
        if (written == OK) written = write_table(&a, report);
        if (written) status = written;
    }
    free(a.done);
    if (status == OK && a.partial) return fail(ERR_PARTIAL, "some photos failed and are left out");
    return status;
}
