/* Upload: the host's bytes to the device, beside the work that is already in the stream.
 *
 *     const char *why = upload_open(stream);             // once
 *     why = upload_bytes(to, from_host, bytes);          // NULL, or what the device says
 *
 * On return the host's memory is free again.  The bytes are at `to` for all work that is added to
 * the stream from then on; work that was there before still finds what was there.  So it is as if
 * the copy were a part of the stream, but the slow part, over the bus, does not wait for its turn:
 *
 *     host     pinned stage          device stage            to
 *          ----->        ------------>            ----------->
 *          memcpy        stream of copies         the stream of work
 *
 * A stage is filled again when its bytes have left it.  The host waits only when all stages are
 * full.
 */
#ifndef KERNELS_UPLOAD_H
#define KERNELS_UPLOAD_H

#include <stddef.h>

struct CUstream_st;

/* UPLOAD_STAGES times UPLOAD_STAGE bytes are taken on both sides.  On a device without room for
 * them copies are part of the stream of work, and only the host does not wait. */
enum { UPLOAD_STAGES = 16, UPLOAD_STAGE = 4 << 20 };

/* Up to this size the way beside the stream would take longer than it can save. */
enum { UPLOAD_DIRECT = 64 << 10 };

const char *upload_open(struct CUstream_st *work);
const char *upload_bytes(void *to, const void *from_host, size_t bytes);

#endif
