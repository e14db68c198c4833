#include "tensor/freememory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Names in the first and the second version of control groups. */
typedef struct {
    const char *controller;            /* as a line of the list and a folder under root say it */
    const char *limit, *used, *unused; /* unused: of `used`, what files leave when asked */
} Names;

static const Names VERSIONS[] = {
    {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
    {"", "memory.max", "memory.current", "inactive_file"},
};

/* The number in a file, or behind a word in it; false where there is none ("max", no such file). */
static bool read_number(const char *folder, const char *name, const char *word, size_t *out) {
    char path[PATH_MAX], line[256];
    unsigned long long number = 0;
    bool found = false;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return false;
    FILE *f = fopen(path, "r");
    size_t length = strlen(word);
    while (f && !found && fgets(line, sizeof line, f))
        found = !strncmp(line, word, length) && (!length || line[length] == ' ') &&
                sscanf(line + length, "%llu", &number) == 1;
    if (f) fclose(f);
    *out = number > SIZE_MAX ? SIZE_MAX : (size_t)number;
    return found;
}

static size_t left_in(const Names *n, const char *folder) {
    size_t limit, used, unused;
    if (!read_number(folder, n->limit, "", &limit) || !read_number(folder, n->used, "", &used))
        return SIZE_MAX;
    if (read_number(folder, "memory.stat", n->unused, &unused) && unused < used) used -= unused;
    return limit > used ? limit - used : 0;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* The least of a group and all above it. */
static size_t left_above(const Names *n, const char *root, const char *group) {
    char folder[PATH_MAX];
    size_t least = SIZE_MAX;
    const char *between = *n->controller ? "/" : "";
    int top = snprintf(folder, sizeof folder, "%s%s%s", root, between, n->controller);
    if (top < 0 || snprintf(folder + top, sizeof folder - (size_t)top, "%s", group) >=
                       (int)sizeof folder - top)
        return SIZE_MAX;
    char *end = folder + strlen(folder);
    while (end > folder + top) {
        least = smaller(least, left_in(n, folder));
        while (end > folder + top && *--end != '/') continue;
        *end = 0;
    }
    return smaller(least, left_in(n, folder));
}

size_t freememory_in_groups(const char *list, const char *root) {
    char line[PATH_MAX];
    size_t least = SIZE_MAX;
    FILE *f = fopen(list, "r");
    while (f && fgets(line, sizeof line, f)) { /* NUMBER:CONTROLLER:/GROUP */
        char *controller = strchr(line, ':'),
             *group = controller ? strchr(controller + 1, ':') : NULL;
        if (!group) continue;
        *controller++ = 0, *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        for (size_t i = 0; i < sizeof VERSIONS / sizeof *VERSIONS; i++)
            if (!strcmp(controller, VERSIONS[i].controller))
                least = smaller(least, left_above(&VERSIONS[i], root, group));
    }
    if (f) fclose(f);
    return least;
}

size_t freememory(void) {
    size_t kib = 0;
    if (!read_number("/proc", "meminfo", "MemAvailable:", &kib)) return 0;
    size_t least = smaller(kib << 10, freememory_in_groups("/proc/self/cgroup", "/sys/fs/cgroup"));
    return least ? least : 1;
}
