#include "crowdrec/scoreboard.h"

#include "crowdrec/jsonfile.h"

#include <math.h>
#include <string.h>

const char *scoreboard_text(const ScoreRow *row, ScoreMetric metric) {
    enum { TEXTS = 8 };
    static _Thread_local char text[TEXTS][32];
    static _Thread_local int next;
    double value = row->value[metric];
    char *out = text[next++ % TEXTS];
    if (isnan(value)) return strcpy(out, "-");
    snprintf(out, sizeof text[0], "%.*f", score_metric(metric)->digits, value);
    return out;
}

/* ---- tables ---- */

static void print_counts(const ScoreRow *row, FILE *out) {
    fprintf(out, "%d photo%s, %d people", row->photos, row->photos == 1 ? "" : "s", row->people);
    if (row->ignored) fprintf(out, " and %d too small or hidden, left out", row->ignored);
    fputc('\n', out);
}

static const char *direction(char better) {
    return better == '+' ? "  larger is better" : better == '-' ? "  smaller is better" : "";
}

static void print_metric(const ScoreRow *row, int rows, ScoreMetric metric, FILE *out) {
    const ScoreMetricInfo *info = score_metric(metric);
    bool defined = false;
    for (int i = 0; i < rows; i++) defined = defined || !isnan(row[i].value[metric]);
    if (!defined) return;
    fprintf(out, "  %-21s", info->title);
    for (int i = 0; i < rows; i++) fprintf(out, "%10s", scoreboard_text(&row[i], metric));
    fprintf(out, " %-2s%s\n", info->unit, direction(info->better));
}

static void print_matched(const ScoreRow *row, int rows, FILE *out) {
    int bodies = 0;
    for (int i = 0; i < rows; i++) bodies += row[i].bodies;
    if (!bodies) return;
    fprintf(out, "  %-21s", "bodies matched");
    for (int i = 0; i < rows; i++) {
        char text[32];
        snprintf(text, sizeof text, "%d/%d", row[i].matched, row[i].bodies);
        fprintf(out, "%10s", text);
    }
    fputc('\n', out);
}

void scoreboard_print(const Scoreboard *board, FILE *out) {
    ScoreRow row[SCOREBOARD_RESULTS] = {0};
    for (int i = 0; i < board->results; i++) score_total(board->score[i], &row[i]);
    print_counts(&row[0], out);
    fprintf(out, "  %-21s", "");
    for (int i = 0; i < board->results; i++) fprintf(out, "%10s", board->name[i]);
    fputc('\n', out);
    print_matched(row, board->results, out);
    for (ScoreMetric m = 0; m < SCORE_METRICS; m++) print_metric(row, board->results, m, out);
}

void scoreboard_print_photos(const Score *score, FILE *out) {
    static const ScoreMetric shown[] = {SCORE_PA_PPDS,     SCORE_SS,    SCORE_PCOD,
                                        SCORE_OKS,         SCORE_RP,    SCORE_PA_MPJPE,
                                        SCORE_ROOT_MEDIAN, SCORE_SPREAD};
    static const char title[] =
        "   PA-PPDS      SS    PCOD     OKS      RP PA-MPJPE    root  spread";
    fprintf(out, "%-24s %7s %7s%s\n", "photo", "people", "matched", title);
    for (int i = 0; i < score_photos(score); i++) {
        const ScoreRow *row = score_photo(score, i);
        fprintf(out, "%-24s %7d %7d  ", row->photo, row->people, row->matched);
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
            fprintf(out, " %*s", k == 5 ? 8 : 7, scoreboard_text(row, shown[k]));
        fputc('\n', out);
    }
}

/* ---- JSON ---- */

json_t *scoreboard_row(const ScoreRow *row) {
    json_t *json = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "people", row->people, "ignored",
                             row->ignored, "bodies", row->bodies, "bodies_matched", row->matched,
                             "boxes", row->boxes, "boxes_matched", row->boxes_right);
    for (ScoreMetric m = 0; m < SCORE_METRICS; m++)
        json_object_set_new(json, score_metric(m)->key, jsonfile_number(row->value[m]));
    return json;
}

static json_t *result_json(const char *name, const Score *score) {
    ScoreRow total;
    json_t *photos = json_array();
    score_total(score, &total);
    for (int i = 0; i < score_photos(score); i++) {
        json_t *row = scoreboard_row(score_photo(score, i));
        json_object_set_new(row, "photo", jsonfile_text(score_photo(score, i)->photo));
        json_array_append_new(photos, row);
    }
    return json_pack("{s:s, s:o, s:o}", "name", name, "total", scoreboard_row(&total), "photos",
                     photos);
}

Status scoreboard_write(const Scoreboard *board, const char *path) {
    json_t *results = json_array();
    for (int i = 0; i < board->results; i++)
        json_array_append_new(results, result_json(board->name[i], board->score[i]));
    return jsonfile_write(
        path, JSONFILE_DOUBLE,
        json_pack("{s:s, s:i, s:o}", "schema", "crowdrec-eval", "version", 1, "results", results));
}
