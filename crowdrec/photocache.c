#include "crowdrec/photocache.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

enum { NONE = -1 };

typedef struct {
    Image image; /* rgb NULL: not held */
    bool loading;
    int borrowed;
    int before, after; /* neighbours among the idle ones: held and not borrowed */
} Slot;

struct PhotoCache {
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    size_t limit, bytes;
    int oldest, newest; /* of the idle ones, by release */
    int slots;
    Slot slot[];
};

Status photocache_new(int photos, size_t bytes, PhotoCache **out) {
    PhotoCache *c = *out = calloc(1, sizeof *c + (size_t)photos * sizeof *c->slot);
    if (!c) return fail(ERR_MEMORY, "no memory for a cache of %d photos", photos);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->loaded, NULL);
    c->limit = bytes, c->slots = photos;
    c->oldest = c->newest = NONE;
    return OK;
}

void photocache_free(PhotoCache *c) {
    if (!c) return;
    for (int i = 0; i < c->slots; i++) {
        CHECK(!c->slot[i].borrowed, "photo %d is still borrowed", i);
        image_free(&c->slot[i].image);
    }
    pthread_cond_destroy(&c->loaded);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static size_t image_bytes(const Image *image) {
    return 3 * (size_t)image->width * (size_t)image->height;
}

/* ---- the list of idle photos; the lock is held ---- */

static void append(PhotoCache *c, int photo) {
    Slot *s = &c->slot[photo];
    s->before = c->newest, s->after = NONE;
    *(c->newest == NONE ? &c->oldest : &c->slot[c->newest].after) = photo;
    c->newest = photo;
}

static void take_out(PhotoCache *c, int photo) {
    Slot *s = &c->slot[photo];
    *(s->before == NONE ? &c->oldest : &c->slot[s->before].after) = s->after;
    *(s->after == NONE ? &c->newest : &c->slot[s->after].before) = s->before;
}

static void shrink(PhotoCache *c) {
    while (c->bytes > c->limit && c->oldest != NONE) {
        int photo = c->oldest;
        take_out(c, photo);
        c->bytes -= image_bytes(&c->slot[photo].image);
        image_free(&c->slot[photo].image);
    }
}

/* ---- borrowing ---- */

/* Decodes without the lock, which is held before and after. */
static Status load(PhotoCache *c, Slot *s, const char *path) {
    Image image;
    s->loading = true;
    pthread_mutex_unlock(&c->lock);
    Status status = image_read(path, &image);
    pthread_mutex_lock(&c->lock);
    s->loading = false;
    pthread_cond_broadcast(&c->loaded);
    if (status) return status;
    s->image = image;
    c->bytes += image_bytes(&image);
    return OK;
}

static Status borrow(PhotoCache *c, int photo, const char *path) {
    Slot *s = &c->slot[photo];
    while (s->loading) pthread_cond_wait(&c->loaded, &c->lock);
    if (!s->image.rgb)
        TRY(load(c, s, path));
    else if (!s->borrowed)
        take_out(c, photo);
    s->borrowed++;
    shrink(c);
    return OK;
}

Status photocache_borrow(PhotoCache *c, int photo, const char *path, Image *out) {
    CHECK(photo >= 0 && photo < c->slots, "photo %d of %d", photo, c->slots);
    *out = (Image){0};
    pthread_mutex_lock(&c->lock);
    Status status = borrow(c, photo, path);
    if (!status) *out = c->slot[photo].image;
    pthread_mutex_unlock(&c->lock);
    return status;
}

void photocache_release(PhotoCache *c, int photo) {
    pthread_mutex_lock(&c->lock);
    CHECK(photo >= 0 && photo < c->slots && c->slot[photo].borrowed > 0, "photo %d is not borrowed",
          photo);
    if (!--c->slot[photo].borrowed) append(c, photo);
    shrink(c);
    pthread_mutex_unlock(&c->lock);
}

size_t photocache_bytes(PhotoCache *c) {
    pthread_mutex_lock(&c->lock);
    size_t bytes = c->bytes;
    pthread_mutex_unlock(&c->lock);
    return bytes;
}
