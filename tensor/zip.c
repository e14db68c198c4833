#include "tensor/zip.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    LOCAL_SIGNATURE = 0x04034b50,
    CENTRAL_SIGNATURE = 0x02014b50,
    END_SIGNATURE = 0x06054b50,
    END64_SIGNATURE = 0x06064b50,
    LOCATOR64_SIGNATURE = 0x07064b50,
    LOCAL_SIZE = 30,
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    END64_SIZE = 56,
    LOCATOR64_SIZE = 20,
    EXTRA64 = 0x0001,
    COMMENT_MAX = 0xffff,
    STORED = 0,
    DEFLATED = 8,
    ENCRYPTED = 1,
    VERSION_ZIP64 = 45,
    DEFLATE_RATIO_MAX = 1032, /* zlib technical notes: 258 bytes out of two bits */
    IN_ZIP64 = 0xffff,
};
#define IN_ZIP64_WIDE 0xffffffffu

typedef struct {
    uint64_t count, size, offset; /* of the central directory */
} Directory;

static Status damaged(const char *what) { return fail(ERR_MODEL, "damaged zip: %s", what); }

static Status find_end(Span file, size_t *out) {
    size_t from = file.size > END_SIZE + COMMENT_MAX ? file.size - END_SIZE - COMMENT_MAX : 0;
    for (size_t at = file.size >= END_SIZE ? file.size - END_SIZE + 1 : 0; at-- > from;) {
        const uint8_t *p = file.data + at;
        if (reader_u32(p) != END_SIGNATURE) continue;
        if (at + END_SIZE + reader_u16(p + 20) != file.size) continue;
        *out = at;
        return OK;
    }
    return damaged("no end record, the file is cut or has bytes after its end");
}

static Status read_end64(Span file, size_t end, Directory *d) {
    const uint8_t *locator = file.data + end - LOCATOR64_SIZE;
    uint64_t at = reader_u64(locator + 8);
    if (at > end - LOCATOR64_SIZE || end - LOCATOR64_SIZE - at < END64_SIZE ||
        reader_u32(file.data + at) != END64_SIGNATURE)
        return damaged("its zip64 end record is not where it should be");
    const uint8_t *p = file.data + at;
    *d = (Directory){reader_u64(p + 32), reader_u64(p + 40), reader_u64(p + 48)};
    return reader_u32(p + 16) || reader_u32(p + 20) ? damaged("it spans several disks") : OK;
}

static Status find_directory(Span file, Directory *d) {
    size_t end = 0;
    TRY(find_end(file, &end));
    const uint8_t *p = file.data + end;
    *d = (Directory){reader_u16(p + 10), reader_u32(p + 12), reader_u32(p + 16)};
    if (end >= LOCATOR64_SIZE && reader_u32(p - LOCATOR64_SIZE) == LOCATOR64_SIGNATURE)
        TRY(read_end64(file, end, d));
    else if (reader_u16(p + 4) || reader_u16(p + 6))
        return damaged("it spans several disks");
    if (d->offset > end || d->size > end - d->offset)
        return damaged("its directory lies outside the file");
    if (d->count > d->size / CENTRAL_SIZE)
        return damaged("it claims more entries than its directory holds");
    return OK;
}

/* Fields that do not fit 32 bits are all ones and follow in the extra field, in this order. */
static Status read_extra64(Span extra, ZipEntry *e) {
    uint64_t *field[] = {&e->size, &e->packed, &e->header};
    Span part;
    while (extra.size >= 4) {
        uint16_t id = reader_u16(extra.data), size = reader_u16(extra.data + 2);
        extra.data += 4, extra.size -= 4;
        if (!reader_take(&extra, size, &part)) return damaged("an extra field is cut");
        if (id != EXTRA64) continue;
        for (int i = 0; i < 3; i++) {
            Span number;
            if (*field[i] != IN_ZIP64_WIDE) continue;
            if (!reader_take(&part, 8, &number)) return damaged("a zip64 field is cut");
            *field[i] = reader_u64(number.data);
        }
        return OK;
    }
    return OK;
}

static Status read_entry(Span *directory, ZipEntry *e) {
    Span head, extra, comment;
    if (!reader_take(directory, CENTRAL_SIZE, &head) || reader_u32(head.data) != CENTRAL_SIGNATURE)
        return damaged("a directory entry is not where it should be");
    const uint8_t *p = head.data;
    *e = (ZipEntry){.flags = reader_u16(p + 8),
                    .method = reader_u16(p + 10),
                    .crc = reader_u32(p + 16),
                    .packed = reader_u32(p + 20),
                    .size = reader_u32(p + 24),
                    .header = reader_u32(p + 42)};
    if (!reader_take(directory, reader_u16(p + 28), &e->name) ||
        !reader_take(directory, reader_u16(p + 30), &extra) ||
        !reader_take(directory, reader_u16(p + 32), &comment))
        return damaged("a directory entry is cut");
    return read_extra64(extra, e);
}

static int compare_entries(const void *a, const void *b) {
    const ZipEntry *const *x = a, *const *y = b;
    return reader_compare((*x)->name, (*y)->name);
}

static Status sort_names(Zip *zip) {
    for (size_t i = 0; i < zip->count; i++) zip->sorted[i] = &zip->entry[i];
    qsort(zip->sorted, zip->count, sizeof *zip->sorted, compare_entries);
    for (size_t i = 1; i < zip->count; i++) {
        Span name = zip->sorted[i]->name;
        if (!reader_compare(zip->sorted[i - 1]->name, name))
            return fail(ERR_MODEL, "damaged zip: two entries are named %s",
                        reader_quote(name.data, name.size));
    }
    return OK;
}

Status zip_open(Reader *r, Zip *out) {
    Directory d;
    TRY(find_directory(r->file, &d));
    Zip zip = {.count = (size_t)d.count};
    zip.entry = reader_alloc(r, zip.count, sizeof *zip.entry);
    zip.sorted = reader_alloc(r, zip.count, sizeof *zip.sorted);
    if (!zip.entry || !zip.sorted) return r->status;
    Span directory = {r->file.data + d.offset, (size_t)d.size};
    uint64_t total = 0;
    for (size_t i = 0; i < zip.count; i++) {
        TRY(read_entry(&directory, &zip.entry[i]));
        if (__builtin_add_overflow(total, zip.entry[i].packed, &total) || total > d.offset)
            return damaged("its entries are larger than the file");
    }
    TRY(sort_names(&zip));
    *out = zip;
    return OK;
}

const ZipEntry *zip_find(const Zip *zip, const char *name, size_t size) {
    ZipEntry wanted = {.name = {(const uint8_t *)name, size}};
    const ZipEntry *key = &wanted, **found = bsearch(&key, zip->sorted, zip->count,
                                                     sizeof *zip->sorted, compare_entries);
    return found ? *found : NULL;
}

static Status bad_entry(const ZipEntry *e, const char *what) {
    return fail(ERR_MODEL, "damaged zip: entry %s %s", reader_quote(e->name.data, e->name.size),
                what);
}

static Status packed_bytes(Reader *r, const ZipEntry *e, Span *out) {
    Span rest = r->file, skipped, head;
    if (!reader_take(&rest, e->header, &skipped) || !reader_take(&rest, LOCAL_SIZE, &head))
        return bad_entry(e, "lies outside the file");
    if (reader_u32(head.data) != LOCAL_SIGNATURE)
        return bad_entry(e, "has no header where the directory says");
    if ((e->flags | reader_u16(head.data + 6)) & ENCRYPTED) return bad_entry(e, "is encrypted");
    size_t names = (size_t)reader_u16(head.data + 26) + reader_u16(head.data + 28);
    if (!reader_take(&rest, names, &skipped) || !reader_take(&rest, e->packed, out))
        return bad_entry(e, "reaches beyond the file");
    return OK;
}

static Status inflate_bytes(const ZipEntry *e, Span packed, uint8_t *out) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.data, .next_out = out};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return fail(ERR_MEMORY, "zlib: out of memory");
    size_t in = packed.size, space = (size_t)e->size;
    int result = Z_OK;
    while (result == Z_OK) { /* zlib counts in 32 bits */
        uInt in_now = in > UINT32_MAX ? UINT32_MAX : (uInt)in;
        uInt space_now = space > UINT32_MAX ? UINT32_MAX : (uInt)space;
        z.avail_in = in_now, z.avail_out = space_now;
        result = inflate(&z, Z_NO_FLUSH);
        in -= in_now - z.avail_in, space -= space_now - z.avail_out;
    }
    inflateEnd(&z);
    if (result != Z_STREAM_END || in || space)
        return bad_entry(e, "does not inflate to the size that the directory says");
    return OK;
}

static Status unfold(Reader *r, const ZipEntry *e, Span packed, Span *out) {
    if (e->size / DEFLATE_RATIO_MAX > e->packed)
        return bad_entry(e, "claims more than deflate can hold");
    reader_allow(r, (size_t)e->size);
    uint8_t *data = reader_alloc(r, 1, (size_t)e->size);
    if (!data) return r->status;
    *out = (Span){data, (size_t)e->size};
    return inflate_bytes(e, packed, data);
}

Status zip_read(Reader *r, const ZipEntry *e, Span *out) {
    Span packed;
    TRY(packed_bytes(r, e, &packed));
    if (e->method == DEFLATED)
        TRY(unfold(r, e, packed, out));
    else if (e->method != STORED)
        return fail(ERR_MODEL, "zip entry %s has compression method %d, expected 0 or 8",
                    reader_quote(e->name.data, e->name.size), e->method);
    else if (e->size != e->packed)
        return bad_entry(e, "is stored, but its two sizes differ");
    else
        *out = packed;
    if (crc32_z(0, out->data, out->size) != e->crc)
        return bad_entry(e, "has a wrong CRC-32: its bytes were changed");
    return OK;
}

typedef struct {
    uint8_t byte[CENTRAL_SIZE + 4 + 24];
    size_t size;
} Record;

static void put(Record *record, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) record->byte[record->size++] = (uint8_t)(value >> 8 * i);
}

static void put_narrow(Record *record, uint64_t value) {
    put(record, value < IN_ZIP64_WIDE ? value : IN_ZIP64_WIDE, 4);
}

static Status write_bytes(ZipWriter *w, const void *data, size_t size) {
    if (size && fwrite(data, 1, size, w->file.stream) != size)
        return fail(ERR_INPUT, "%s: cannot write, is the disk full?", w->file.path);
    w->offset += size;
    return OK;
}

/* What local and central header share: version, flags, method, time, date, CRC, sizes, name. */
static void put_common(Record *record, const ZipEntry *e) {
    enum { FIRST_DAY = 1 << 5 | 1 }; /* 1980-01-01: equal content gives equal bytes */
    put(record, VERSION_ZIP64, 2);
    put(record, 0, 2);
    put(record, STORED, 2);
    put(record, 0, 2);
    put(record, FIRST_DAY, 2);
    put(record, e->crc, 4);
    put_narrow(record, e->size);
    put_narrow(record, e->size);
    put(record, e->name.size, 2);
}

static bool is_wide(const ZipEntry *e) { return e->size >= IN_ZIP64_WIDE; }

static Status write_local(ZipWriter *w, const ZipEntry *e) {
    Record record = {.size = 0}, extra = {.size = 0};
    put(&record, LOCAL_SIGNATURE, 4);
    put_common(&record, e);
    if (is_wide(e)) {
        put(&extra, EXTRA64, 2), put(&extra, 16, 2);
        put(&extra, e->size, 8), put(&extra, e->size, 8);
    }
    put(&record, extra.size, 2);
    TRY(write_bytes(w, record.byte, record.size));
    TRY(write_bytes(w, e->name.data, e->name.size));
    return write_bytes(w, extra.byte, extra.size);
}

static Status write_central(ZipWriter *w, const ZipEntry *e) {
    Record record = {.size = 0}, extra = {.size = 0};
    bool far = e->header >= IN_ZIP64_WIDE;
    if (is_wide(e) || far) {
        put(&extra, EXTRA64, 2), put(&extra, (is_wide(e) ? 16 : 0) + (far ? 8 : 0), 2);
        if (is_wide(e)) put(&extra, e->size, 8), put(&extra, e->size, 8);
        if (far) put(&extra, e->header, 8);
    }
    put(&record, CENTRAL_SIGNATURE, 4);
    put(&record, VERSION_ZIP64, 2);
    put_common(&record, e);
    put(&record, extra.size, 2);
    put(&record, 0, 2);                     /* comment */
    put(&record, 0, 2), put(&record, 0, 2); /* disk, kind of content */
    put(&record, 0, 4);                     /* attributes */
    put_narrow(&record, e->header);
    TRY(write_bytes(w, record.byte, record.size));
    TRY(write_bytes(w, e->name.data, e->name.size));
    return write_bytes(w, extra.byte, extra.size);
}

static Status write_end(ZipWriter *w, uint64_t directory) {
    Record end64 = {.size = 0}, end = {.size = 0};
    uint64_t size = w->offset - directory, at = w->offset;
    if (w->count >= IN_ZIP64 || directory >= IN_ZIP64_WIDE || size >= IN_ZIP64_WIDE) {
        put(&end64, END64_SIGNATURE, 4), put(&end64, END64_SIZE - 12, 8);
        put(&end64, VERSION_ZIP64, 2), put(&end64, VERSION_ZIP64, 2);
        put(&end64, 0, 4), put(&end64, 0, 4); /* disks */
        put(&end64, w->count, 8), put(&end64, w->count, 8);
        put(&end64, size, 8), put(&end64, directory, 8);
        put(&end, LOCATOR64_SIGNATURE, 4), put(&end, 0, 4), put(&end, at, 8), put(&end, 1, 4);
    }
    uint64_t count = w->count < IN_ZIP64 ? w->count : IN_ZIP64;
    put(&end, END_SIGNATURE, 4), put(&end, 0, 2), put(&end, 0, 2);
    put(&end, count, 2), put(&end, count, 2);
    put_narrow(&end, size), put_narrow(&end, directory), put(&end, 0, 2);
    TRY(write_bytes(w, end64.byte, end64.size));
    return write_bytes(w, end.byte, end.size);
}

Status zip_begin(const char *path, ZipWriter *w) {
    *w = (ZipWriter){0};
    TRY(file_begin(path, &w->file));
    w->arena = arena_new();
    return OK;
}

Status zip_add(ZipWriter *w, const char *name, Span head, Span body) {
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 16;
        ZipEntry *grown = arena_alloc(w->arena, capacity * sizeof *grown);
        if (w->count) memcpy(grown, w->entry, w->count * sizeof *grown);
        w->entry = grown, w->capacity = capacity;
    }
    size_t length = strlen(name);
    CHECK(length < IN_ZIP64, "entry name of %zu bytes", length);
    uLong crc = crc32_z(0, head.data, head.size); /* a NULL body would reset it */
    if (body.size) crc = crc32_z(crc, body.data, body.size);
    ZipEntry *e = &w->entry[w->count++];
    *e = (ZipEntry){.name = {(const uint8_t *)arena_strdup(w->arena, name), length},
                    .size = head.size + body.size,
                    .header = w->offset,
                    .crc = (uint32_t)crc};
    TRY(write_local(w, e));
    TRY(write_bytes(w, head.data, head.size));
    return write_bytes(w, body.data, body.size);
}

static Status write_directory(ZipWriter *w) {
    uint64_t directory = w->offset;
    for (size_t i = 0; i < w->count; i++) TRY(write_central(w, &w->entry[i]));
    return write_end(w, directory);
}

Status zip_finish(ZipWriter *w) {
    Status status = write_directory(w);
    if (status == OK) {
        status = file_commit(&w->file);
        w->file = (FileWriter){0};
    }
    zip_abandon(w);
    return status;
}

void zip_abandon(ZipWriter *w) {
    file_abandon(&w->file);
    arena_free(w->arena);
    *w = (ZipWriter){0};
}
