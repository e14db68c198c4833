#include "kernels/engines.h"

#include "tensor/file.h"
#include "tensor/log.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_LINE "crowdrec engines 1\n"
enum { LARGEST_FILE = 32 << 20 };

typedef struct {
    char key[ENGINES_KEY];
    EngineChoice choice;
} Entry;

struct Engines {
    char path[PATH_MAX]; /* "" where there is no place for it */
    Entry *entry;
    int count, capacity;
};

/* --- the place --- */

/* "NVIDIA H200, cuDNN 9.19.0" -> ".../crowdrec/NVIDIA-H200--cuDNN-9.19.0" */
static void find_place(const char *scope, char path[PATH_MAX]) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    path[0] = '\0';
    int length = cache && *cache ? snprintf(path, PATH_MAX, "%s/crowdrec/", cache)
                 : home && *home ? snprintf(path, PATH_MAX, "%s/.cache/crowdrec/", home)
                                 : 0;
    size_t at = (size_t)length;
    if (length <= 0 || path[0] != '/' || at + strlen(scope) + 1 > PATH_MAX) {
        path[0] = '\0';
        return;
    }
    for (; *scope; scope++)
        path[at++] = (char)(isalnum((unsigned char)*scope) || *scope == '.' ? *scope : '-');
    path[at] = '\0';
}

/* --- the file: a first line, then KEY, tab, list, place, engine, microseconds --- */

static Entry *entry_of(const Engines *e, const char *key) {
    for (int i = 0; i < e->count; i++)
        if (!strcmp(e->entry[i].key, key)) return &e->entry[i];
    return NULL;
}

static Entry *entry_add(Engines *e, const char *key) {
    if (e->count == e->capacity) {
        e->capacity = e->capacity ? 2 * e->capacity : 64;
        e->entry = realloc(e->entry, (size_t)e->capacity * sizeof *e->entry);
        CHECK(e->entry, "out of memory");
    }
    Entry *entry = &e->entry[e->count++];
    snprintf(entry->key, sizeof entry->key, "%s", key);
    return entry;
}

static const double LONGEST = 1e12; /* microseconds: a line stays short */

static bool take_line(Engines *e, char *line) {
    char *tab = strchr(line, '\t');
    EngineChoice c;
    int end = -1;
    if (!tab || tab == line || tab - line >= ENGINES_KEY || e->count >= ENGINES_MAX) return false;
    *tab = '\0';
    bool whole = sscanf(tab + 1, "%d %d %lld %lf%n", &c.list, &c.place, &c.engine, &c.microseconds,
                        &end) == 4;
    if (!whole || end < 0 || tab[1 + end] || c.list < 0 || c.place < 0) return false;
    if (!(c.microseconds >= 0 && c.microseconds <= LONGEST) || entry_of(e, line)) return false;
    entry_add(e, line)->choice = c;
    return true;
}

/* False, with nothing taken, unless every line is as it should be. */
static bool take_lines(Engines *e, char *text) {
    bool good = !strncmp(text, FIRST_LINE, strlen(FIRST_LINE));
    char *line = good ? text + strlen(FIRST_LINE) : NULL;
    while (good && *line) {
        char *end = strchr(line, '\n');
        if (end) *end = '\0';
        good = end && take_line(e, line);
        if (good) line = end + 1;
    }
    if (!good) e->count = 0;
    return good;
}

static void read_file(Engines *e) {
    Bytes file;
    struct stat info;
    if (!*e->path || stat(e->path, &info) || file_read(e->path, LARGEST_FILE, &file) != OK) return;
    char *text = malloc(file.size + 1);
    CHECK(text, "out of memory");
    memcpy(text, file.data, file.size);
    text[file.size] = '\0';
    if (strlen(text) != file.size || !take_lines(e, text))
        log_info("%s: damaged, it is written anew", e->path);
    free(text);
    file_release(&file);
}

static void write_file(const Engines *e) {
    size_t size = sizeof FIRST_LINE + (size_t)e->count * (ENGINES_KEY + 96), at = 0;
    char *text = malloc(size);
    CHECK(text, "out of memory");
    at += (size_t)snprintf(text, size, "%s", FIRST_LINE);
    for (int i = 0; i < e->count; i++) {
        const EngineChoice *c = &e->entry[i].choice;
        at += (size_t)snprintf(text + at, size - at, "%s\t%d %d %lld %.3f\n", e->entry[i].key,
                               c->list, c->place, c->engine, c->microseconds);
    }
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(e->path, '/') - e->path), e->path);
    if (file_make_folder(folder) != OK || file_write(e->path, text, at) != OK)
        log_debug("engines: %s", error_reason());
    free(text);
}

Engines *engines_open(const char *scope) {
    Engines *e = calloc(1, sizeof *e);
    CHECK(e, "out of memory");
    find_place(scope, e->path);
    read_file(e);
    return e;
}

void engines_close(Engines *e) {
    if (!e) return;
    free(e->entry);
    free(e);
}

bool engines_find(const Engines *e, const char *key, EngineChoice *out) {
    const Entry *entry = entry_of(e, key);
    if (entry) *out = entry->choice;
    return entry != NULL;
}

void engines_keep(Engines *e, const char *key, const EngineChoice *choice) {
    CHECK(strlen(key) < ENGINES_KEY && !strpbrk(key, "\t\n"), "engine key '%s'", key);
    Entry *entry = entry_of(e, key);
    if (!entry && e->count >= ENGINES_MAX) return;
    (entry ? entry : entry_add(e, key))->choice = *choice;
    if (*e->path) write_file(e);
}
