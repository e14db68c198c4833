/* Zip archives in memory: stored and deflated entries, zip64, every used entry's CRC-32 checked.
 *
 *     Zip zip;
 *     TRY(zip_open(r, &zip));
 *     const ZipEntry *e = zip_find(&zip, "archive/data.pkl", 16);
 *     Span bytes;
 *     TRY(zip_read(r, e, &bytes));
 *
 * The central directory is the authority; of a local header only its own length counts.  Entries
 * are together no larger than the file and inflate to what deflate allows at most, so an archive's
 * content is bounded by its size.  Format: PKWARE APPNOTE 6.3.
 */
#ifndef TENSOR_ZIP_H
#define TENSOR_ZIP_H

#include "tensor/file.h"
#include "tensor/reader.h"

typedef struct {
    Span name;
    uint64_t packed, size, header; /* bytes in the file and unfolded; offset of the local header */
    uint32_t crc;
    uint16_t method, flags;
} ZipEntry;

typedef struct {
    ZipEntry *entry; /* in the directory's order */
    size_t count;
    const ZipEntry **sorted; /* by name */
} Zip;

/* Reads the directory of r->file; fails unless all of it is sound. */
Status zip_open(Reader *r, Zip *out);

const ZipEntry *zip_find(const Zip *zip, const char *name, size_t size); /* NULL if absent */

/* An entry's verified bytes; of a stored entry they are the file's own. */
Status zip_read(Reader *r, const ZipEntry *e, Span *out);

/* Writing: entries are stored as they come, zip64 where sizes or offsets need it. */
typedef struct {
    FileWriter file;
    uint64_t offset; /* bytes written */
    Arena *arena;
    ZipEntry *entry;
    size_t count, capacity;
} ZipWriter;

Status zip_begin(const char *path, ZipWriter *w);
/* One entry made of two pieces, so that a header needs no copy of its data. */
Status zip_add(ZipWriter *w, const char *name, Span head, Span body);
Status zip_finish(ZipWriter *w);
void zip_abandon(ZipWriter *w);

#endif
