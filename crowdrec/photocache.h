/* Photocache: decoded photos in memory, the least recently used ones dropped beyond a limit.
 *
 *     PhotoCache *cache;
 *     TRY(photocache_new(photos, 1 << 30, &cache));
 *     TRY(photocache_borrow(cache, i, path, &photo));   // any thread
 *     photocache_release(cache, i);
 *     photocache_free(cache);
 *
 * Threads that want different photos decode them side by side; threads that want the same one wait
 * for the first of them.
 */
#ifndef CROWDREC_PHOTOCACHE_H
#define CROWDREC_PHOTOCACHE_H

#include "crowdrec/image.h"

typedef struct PhotoCache PhotoCache;

/* bytes bounds what is kept, except that a borrowed photo stays however many there are. */
Status photocache_new(int photos, size_t bytes, PhotoCache **out);
void photocache_free(PhotoCache *cache); /* NULL is allowed; nothing is borrowed any more */

/* The pixels stay in place until as many releases as borrows.  Fails as image_read does. */
Status photocache_borrow(PhotoCache *cache, int photo, const char *path, Image *out);
void photocache_release(PhotoCache *cache, int photo);

/* Bytes of all photos that are held now. */
size_t photocache_bytes(PhotoCache *cache);

#endif
