#include "crowdrec/dataset.h"

#include "crowdrec/annotations.h"
#include "crowdrec/cocoset.h"
#include "crowdrec/npzset.h"
#include "crowdrec/photocache.h"
#include "crowdrec/photos.h"
#include "tensor/arena.h"
#include "tensor/file.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { CACHE_BYTES = 1 << 30 };

typedef struct {
    Dataset set; /* first: what callers see */
    Annotations all;
    PhotoCache *cache;
    pthread_mutex_t lock; /* of sizes and focal lengths that come with the photos */
} Whole;

static bool exists(const char *path) {
    struct stat info;
    return !stat(path, &info);
}

/* The file that a path stands for: in a folder what `crowdrec synth` wrote there. */
static Status find_file(Arena *arena, const char *path, const char **out) {
    static const char *const names[] = {"people.npz", "person_keypoints.json"};
    *out = path;
    if (!exists(path)) return fail(ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
    if (!file_is_folder(path)) return OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *out = arena_printf(arena, "%s/%s", path, names[i]);
        if (exists(*out)) return OK;
    }
    return fail(ERR_INPUT, "%s: a folder without people.npz and person_keypoints.json", path);
}

static Status read_people(const char *file, Annotations *a) {
    const char *name = photos_name(file), *extension = name + photos_stem(name);
    TRY(strcasecmp(extension, ".json") ? npzset_read(file, a) : cocoset_read(file, a));
    if (a->people) return annotations_sort(a);
    return fail(ERR_INPUT, "%s: nobody in it", file);
}

/* Beside the file, or in images/ there, wherever the first photo is. */
static const char *photo_folder(Arena *arena, const char *file, const Annotations *a) {
    const char *name = photos_name(file);
    const char *beside =
        name == file ? "." : arena_printf(arena, "%.*s", (int)(name - file) - 1, file);
    const char *inner = arena_printf(arena, "%s/images", beside);
    return exists(arena_printf(arena, "%s/%s", inner, a->photo[0].path)) ? inner : beside;
}

static void set_paths(Annotations *a, const char *folder) {
    for (int i = 0; i < a->photos; i++) {
        char *path;
        CHECK(asprintf(&path, "%s/%s", folder, a->photo[i].path) >= 0, "out of memory");
        free((char *)a->photo[i].path);
        a->photo[i].path = path;
    }
}

static void set_focal(DatasetPhoto *photo) {
    if (!(photo->focal > 0) && photo->width && photo->height)
        photo->focal = (float)hypot(photo->width, photo->height);
}

static Status open_with(Arena *arena, const DatasetChoice *choice, Whole *w) {
    const char *file;
    Annotations *a = &w->all;
    TRY(find_file(arena, choice->path, &file));
    TRY(read_people(file, a));
    set_paths(a, choice->photos ? choice->photos : photo_folder(arena, file, a));
    for (int i = 0; i < a->photos; i++) set_focal(&a->photo[i]);
    w->set = (Dataset){a->photo, a->photos, a->person, a->people};
    return photocache_new(a->photos, choice->cache_bytes ? choice->cache_bytes : CACHE_BYTES,
                          &w->cache);
}

Status dataset_open(const DatasetChoice *choice, Dataset **out) {
    Whole *w = calloc(1, sizeof *w);
    CHECK(w, "out of memory");
    pthread_mutex_init(&w->lock, NULL);
    *out = &w->set;
    Arena *arena = arena_new();
    Status status = open_with(arena, choice, w);
    arena_free(arena);
    if (status) dataset_close(*out), *out = NULL;
    return status;
}

void dataset_close(Dataset *d) {
    if (!d) return;
    Whole *w = (Whole *)d;
    photocache_free(w->cache);
    annotations_free(&w->all);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* Learns the photo's size, or compares it with what the set says. */
static Status check_size(Whole *w, int index, const Image *image) {
    pthread_mutex_lock(&w->lock);
    DatasetPhoto *photo = &w->all.photo[index];
    if (!photo->width) photo->width = image->width;
    if (!photo->height) photo->height = image->height;
    set_focal(photo);
    int width = photo->width, height = photo->height;
    pthread_mutex_unlock(&w->lock);
    if (width == image->width && height == image->height) return OK;
    return fail(ERR_INPUT, "%s: a photo of %dx%d, %dx%d in the annotations", photo->path,
                image->width, image->height, width, height);
}

Status dataset_photo(Dataset *d, int photo, Image *out) {
    Whole *w = (Whole *)d;
    TRY(photocache_borrow(w->cache, photo, d->photo[photo].path, out));
    Status status = check_size(w, photo, out);
    if (status) {
        photocache_release(w->cache, photo);
        *out = (Image){0};
    }
    return status;
}

void dataset_release(Dataset *d, int photo) { photocache_release(((Whole *)d)->cache, photo); }
