#include "crowdrec/photos.h"
#include "crowdrec/output.h"
#include "tensor/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *photos_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int photos_stem(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && dot != name ? (int)(dot - name) : (int)strlen(name);
}

static void append(Photos *photos, int *capacity, const char *path) {
    if (photos->count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        Photo *more = arena_alloc(photos->arena, (size_t)*capacity * sizeof *more);
        if (photos->count) memcpy(more, photos->photo, (size_t)photos->count * sizeof *more);
        photos->photo = more;
    }
    photos->photo[photos->count++] = (Photo){path, photos_name(path), NULL};
}

/* ---- folders ---- */

static int is_photo(const struct dirent *entry) {
    static const char *const known[] = {"jpg", "jpeg", "png", "bmp", "tga",
                                        "gif", "pnm",  "ppm", "pgm", NULL};
    const char *name = entry->d_name, *extension = name + photos_stem(name);
    if (*name == '.' || !*extension) return 0;
    for (const char *const *k = known; *k; k++)
        if (!strcasecmp(extension + 1, *k)) return 1;
    return 0;
}

static int by_entry(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static Status append_folder(Photos *photos, int *capacity, const char *folder, const char *output) {
    struct dirent **entry;
    bool results = file_is_same(folder, output);
    int before = photos->count;
    int count = scandir(folder, &entry, is_photo, by_entry), length = (int)strlen(folder);
    if (count < 0) return fail(ERR_INPUT, "%s: cannot list: %s", folder, strerror(errno));
    while (length > 1 && folder[length - 1] == '/') length--;
    for (int i = 0; i < count; i++) {
        if (!results || !output_is_picture(entry[i]->d_name))
            append(photos, capacity,
                   arena_printf(photos->arena, "%.*s/%s", length, folder, entry[i]->d_name));
        free(entry[i]);
    }
    free(entry);
    if (photos->count == before)
        return fail(ERR_INPUT, "%s: no photo in this folder (jpg, png, ...)", folder);
    return OK;
}

/* ---- names ---- */

static int by_name(const void *a, const void *b) {
    return strcmp((*(Photo *const *)a)->name, (*(Photo *const *)b)->name);
}

static int by_stem(const void *a, const void *b) {
    const char *x = (*(Photo *const *)a)->name, *y = (*(Photo *const *)b)->name;
    int nx = photos_stem(x), ny = photos_stem(y), order = memcmp(x, y, (size_t)(nx < ny ? nx : ny));
    return order ? order : nx - ny;
}

static int by_folder(const void *a, const void *b) {
    return strcmp((*(Photo *const *)a)->folder, (*(Photo *const *)b)->folder);
}

/* Whether OUTPUT/STEM is what it should not be: a way out, or a file that lies there. */
static bool is_taken(const char *name, int length) {
    if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'))) return true;
    for (const char *const *t = output_names; *t; t++)
        if ((int)strlen(*t) == length && !strncmp(*t, name, (size_t)length)) return true;
    return false;
}

/* Sorts; the first of two that are the same, or NULL. */
static Photo **twins(Photo **sorted, int count, int (*order)(const void *, const void *)) {
    qsort(sorted, (size_t)count, sizeof *sorted, order);
    for (int i = 1; i < count; i++)
        if (!order(&sorted[i - 1], &sorted[i])) return &sorted[i - 1];
    return NULL;
}

/* Sets the folders; equal stems stand side by side in the sorted list. */
static Status place(Photos *photos, const char *output) {
    int count = photos->count;
    Photo **sorted = arena_alloc(photos->arena, (size_t)count * sizeof *sorted);
    for (int i = 0; i < count; i++) sorted[i] = &photos->photo[i];
    Photo **same = twins(sorted, count, by_name);
    if (same)
        return fail(ERR_USAGE, "%s and %s have the same name; run them one by one", same[0]->path,
                    same[1]->path);
    qsort(sorted, (size_t)count, sizeof *sorted, by_stem);
    for (int i = 0; i < count; i++) {
        Photo *p = sorted[i];
        int length = photos_stem(p->name);
        bool shared = is_taken(p->name, length) || (i && !by_stem(&sorted[i - 1], &sorted[i])) ||
                      (i + 1 < count && !by_stem(&sorted[i], &sorted[i + 1]));
        if (shared) length = (int)strlen(p->name);
        p->folder =
            count == 1 ? output : arena_printf(photos->arena, "%s/%.*s", output, length, p->name);
    }
    same = twins(sorted, count, by_folder);
    if (!same) return OK;
    return fail(ERR_USAGE, "%s and %s would both go to %s; run them one by one", same[0]->path,
                same[1]->path, same[0]->folder);
}

static Status list(const char *const *paths, int count, const char *output, Photos *photos) {
    int capacity = 0;
    for (int i = 0; i < count; i++) {
        if (file_is_folder(paths[i]))
            TRY(append_folder(photos, &capacity, paths[i], output));
        else
            append(photos, &capacity, arena_strdup(photos->arena, paths[i]));
    }
    return place(photos, arena_strdup(photos->arena, output));
}

Status photos_list(const char *const *paths, int count, const char *output, Photos *out) {
    *out = (Photos){.arena = arena_new()};
    Status status = list(paths, count, output, out);
    if (status) photos_free(out);
    return status;
}

void photos_free(Photos *photos) {
    arena_free(photos->arena);
    *photos = (Photos){0};
}
