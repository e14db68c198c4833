#include "crowdrec/trainlog.h"

#include "crowdrec/jsonfile.h"
#include "tensor/file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 4096 };

/* ---- lines ---- */

/* The step of a line, -1 for none. */
static int step_of(const char *line) {
    int step;
    return sscanf(line, "{\"step\": %d", &step) == 1 ? step : -1;
}

/* Whether a line is of what was saved at that step; the training makes the others again. */
static bool stays(const char *line, int step, int validated) {
    int at = step_of(line);
    bool validation = strstr(line, "\"validation\": true");
    return at >= 0 && at <= (validation ? validated : step) && strchr(line, '\n');
}

static Status cut(const char *path, int step, int validated) {
    FileWriter w;
    FILE *old = fopen(path, "r");
    char line[LINE];
    if (!old) return OK;
    Status status = file_begin(path, &w);
    if (status == OK) {
        while (fgets(line, sizeof line, old))
            if (stays(line, step, validated)) fputs(line, w.stream);
        status = file_commit(&w);
    }
    fclose(old);
    return status;
}

Status trainlog_open(const char *path, int step, int validated, TrainLog *log) {
    *log = (TrainLog){.path = strdup(path)};
    CHECK(log->path, "out of memory");
    if (step > 0) TRY(cut(path, step, validated));
    log->file = fopen(path, step > 0 ? "a" : "w");
    return log->file ? OK : fail(ERR_USAGE, "%s: cannot write: %s", path, strerror(errno));
}

Status trainlog_close(TrainLog *log) {
    bool lost = log->file && ferror(log->file);
    if (log->file && fclose(log->file)) lost = true;
    Status status = lost ? fail(ERR_USAGE, "%s: lines could not be written", log->path) : OK;
    free(log->path);
    *log = (TrainLog){0};
    return status;
}

void trainlog_step(TrainLog *log, const Trainer *t, double rate, double seconds, double waited) {
    FILE *out = log->file;
    fprintf(out, "{\"step\": %d", t->step);
    jsonfile_field(out, "loss", t->loss);
    for (int i = 0; i < t->graph.terms; i++) jsonfile_field(out, t->graph.term_name[i], t->term[i]);
    jsonfile_field(out, "norm", t->norm);
    jsonfile_field(out, "rate", rate);
    jsonfile_field(out, "seconds", seconds);
    jsonfile_field(out, "waited", waited);
    fputs("}\n", out);
}

void trainlog_metrics(TrainLog *log, int step, const TrainMetrics *metrics) {
    fprintf(log->file, "{\"step\": %d, \"validation\": true", step);
    for (int i = 0; i < metrics->count; i++)
        jsonfile_field(log->file, metrics->name[i], metrics->value[i]);
    fputs("}\n", log->file);
    fflush(log->file);
}

/* ---- curves ---- */

typedef struct {
    double *x, *y;
    int count, capacity;
    char name[64];
} Curve;

static void curve_add(Curve *c, double x, double y) {
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 1024;
        c->x = realloc(c->x, (size_t)c->capacity * sizeof *c->x);
        c->y = realloc(c->y, (size_t)c->capacity * sizeof *c->y);
        CHECK(c->x && c->y, "out of memory");
    }
    c->x[c->count] = x, c->y[c->count++] = y;
}

/* The first metric behind "validation". */
static void add_metric(Curve *c, double step, const json_t *line) {
    const char *key;
    json_t *value;
    bool behind = false;
    json_object_foreach((json_t *)line, key, value) {
        if (behind && json_is_number(value)) {
            snprintf(c->name, sizeof c->name, "%s", key);
            curve_add(c, step, json_number_value(value));
        }
        if (behind) return;
        behind = !strcmp(key, "validation");
    }
}

static void add_line(Curve *loss, Curve *metric, const char *text) {
    json_t *line = json_loads(text, 0, NULL);
    double step = json_number_value(json_object_get(line, "step"));
    double value = json_number_value(json_object_get(line, "loss"));
    if (json_object_get(line, "validation"))
        add_metric(metric, step, line);
    else if (value > 0)
        curve_add(loss, step, log10(value));
    json_decref(line);
}

static void read_curves(const char *path, Curve *loss, Curve *metric) {
    char line[LINE];
    FILE *f = fopen(path, "r");
    snprintf(loss->name, sizeof loss->name, "loss, log10");
    while (f && fgets(line, sizeof line, f)) add_line(loss, metric, line);
    if (f) fclose(f);
}

enum { WIDTH = 800, PANEL = 220, MARGIN = 60, POINTS = 400 };

/* At most POINTS means of neighbours. */
static Curve thinned(const Curve *c) {
    Curve out = {0};
    int share = c->count / POINTS + 1;
    for (int i = 0; i < c->count; i += share) {
        double x = 0, y = 0;
        int end = i + share < c->count ? i + share : c->count;
        for (int k = i; k < end; k++) x += c->x[k], y += c->y[k];
        curve_add(&out, x / (end - i), y / (end - i));
    }
    return out;
}

static void draw(FILE *out, const Curve *all, int top) {
    Curve c = thinned(all);
    double low = INFINITY, high = -INFINITY, last = c.count ? c.x[c.count - 1] : 1;
    for (int i = 0; i < c.count; i++) low = fmin(low, c.y[i]), high = fmax(high, c.y[i]);
    double span = high > low ? high - low : 1;
    fprintf(out, "<text x='%d' y='%d'>%s</text>\n", MARGIN, top - 8, all->name);
    fprintf(out, "<rect x='%d' y='%d' width='%d' height='%d' fill='none' stroke='#aaa'/>\n", MARGIN,
            top, WIDTH - 2 * MARGIN, PANEL);
    if (c.count) {
        fprintf(out, "<text x='4' y='%d'>%.3g</text><text x='4' y='%d'>%.3g</text>\n", top + 10,
                high, top + PANEL, low);
        fprintf(out, "<text x='%d' y='%d'>step %.0f</text>\n", WIDTH - 2 * MARGIN, top + PANEL + 16,
                all->x[all->count - 1]);
    }
    fputs("<polyline fill='none' stroke='#06c' points='", out);
    for (int i = 0; i < c.count; i++)
        fprintf(out, "%.1f,%.1f ", MARGIN + c.x[i] / last * (WIDTH - 2 * MARGIN),
                top + (high - c.y[i]) / span * PANEL);
    fputs("'/>\n", out);
    free(c.x), free(c.y);
}

Status trainlog_curves(TrainLog *log, const char *svg) {
    Curve loss = {0}, metric = {0};
    FileWriter w;
    fflush(log->file);
    read_curves(log->path, &loss, &metric);
    Status status = file_begin(svg, &w);
    if (status == OK) {
        fprintf(w.stream,
                "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
                "font-family='sans-serif' font-size='12'>\n"
                "<rect width='100%%' height='100%%' fill='white'/>\n",
                WIDTH, 2 * (PANEL + MARGIN) + MARGIN);
        draw(w.stream, &loss, MARGIN);
        if (metric.count) draw(w.stream, &metric, PANEL + 2 * MARGIN);
        fputs("</svg>\n", w.stream);
        status = file_commit(&w);
    }
    free(loss.x), free(loss.y), free(metric.x), free(metric.y);
    return status;
}
