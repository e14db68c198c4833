#include "tensor/file.h"

#include "tensor/collect.h"
#include "tensor/npy.h"
#include "tensor/pickle_vm.h"
#include "tensor/reader.h"
#include "tensor/safetensors.h"
#include "tensor/torch.h"
#include "tensor/zip.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ---- */

/* Opens a regular file and tells its size. */
static Status open_file(const char *path, int *descriptor, size_t *size) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait */
    if (fd < 0) return fail(ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
        close(fd);
        return fail(ERR_INPUT, "%s: is not a regular file", path);
    }
    *descriptor = fd, *size = (size_t)info.st_size;
    return OK;
}

static Status read_all(const char *path, int fd, uint8_t *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, data + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(ERR_INPUT, "%s: cannot read: %s", path, strerror(errno));
        if (!got) return fail(ERR_INPUT, "%s: became shorter while it was read", path);
        done += (size_t)got;
    }
    return OK;
}

Status file_read(const char *path, size_t limit, Bytes *out) {
    int fd = -1;
    size_t size = 0;
    *out = (Bytes){0};
    TRY(open_file(path, &fd, &size));
    uint8_t *data = size > limit ? NULL : malloc(size + 1);
    Status status = data ? read_all(path, fd, data, size) : OK;
    close(fd);
    if (size > limit)
        return fail(ERR_INPUT, "%s: has %zu bytes, at most %zu are read", path, size, limit);
    if (!data) return fail(ERR_MEMORY, "%s: no memory for %zu bytes", path, size);
    data[size] = 0;
    *out = (Bytes){data, size};
    if (status) file_release(out);
    return status;
}

size_t file_head(const char *path, void *head, size_t size) {
    int fd;
    size_t whole;
    if (open_file(path, &fd, &whole)) return 0;
    if (size > whole) size = whole;
    Status status = read_all(path, fd, head, size);
    close(fd);
    return status == OK ? size : 0;
}

void file_release(Bytes *bytes) {
    free(bytes->data);
    *bytes = (Bytes){0};
}

/* ---- telling formats apart ---- */

static bool begins(Span file, size_t at, const char *text) {
    return file.size >= at + strlen(text) && !memcmp(file.data + at, text, strlen(text));
}

static Status load_zip(Reader *r) {
    Zip zip;
    TRY(zip_open(r, &zip));
    return torch_is_zip(&zip) ? torch_load_zip(r, &zip) : npy_load_zip(r, &zip);
}

/* A legacy checkpoint is a row of pickles, of which the first is a magic number. */
static Status load_pickle(Reader *r) {
    Span rest = r->file;
    PickleVm vm;
    r->out->kind = "pickle";
    TRY(pickle_vm_run(r, &rest, &vm));
    if (torch_is_legacy(&vm.root)) return torch_load_legacy(r, rest);
    if (rest.size) return fail(ERR_MODEL, "%zu bytes follow the end of the pickle", rest.size);
    TRY(collect_arrays(r, &vm.root));
    return r->out->count ? OK : fail(ERR_MODEL, "the pickle holds no arrays");
}

/* Protocol 2 and later begin with their number; in protocol 0 or 1 containers and names begin so.
 */
static bool is_pickle(Span file) {
    return file.size && (file.data[0] == 0x80 || strchr("(]}cl", file.data[0])) && file.data[0];
}

static Status unknown_format(Span file) {
    enum { TAR_MAGIC_AT = 257 };
    if (!file.size) return fail(ERR_MODEL, "is empty");
    if (begins(file, 0, "version https://git-lfs"))
        return fail(ERR_MODEL, "is a Git LFS pointer, not the file: run `git lfs pull`");
    if (file.data[0] == '<')
        return fail(ERR_MODEL, "is a web page, not the file: download it again");
    if (begins(file, TAR_MAGIC_AT, "ustar"))
        return fail(ERR_MODEL, "is a tar archive; a torch checkpoint of that age must be saved "
                               "again by a newer torch");
    return fail(ERR_MODEL,
                "unknown format, begins with %s; expected .pth, .pt, .safetensors, "
                ".npz, .npy or .pkl",
                reader_quote(file.data, file.size < 8 ? file.size : 8));
}

static Status load(Reader *r) {
    Span file = r->file;
    if (begins(file, 0, "PK\3\4") || begins(file, 0, "PK\5\6")) return load_zip(r);
    if (begins(file, 0, "\x93NUMPY")) return npy_load(r);
    if (safetensors_is(file)) return safetensors_load(r);
    return is_pickle(file) ? load_pickle(r) : unknown_format(file);
}

static Status load_span(const char *name, Arena *arena, Span file, ArrayFile *out) {
    Reader r;
    *out = (ArrayFile){.arena = arena};
    Status status = reader_init(&r, arena, file, out);
    if (status == OK) status = load(&r);
    if (status == OK) return OK;
    array_file_free(out);
    return error_prefix(status, "%s", name);
}

Status file_load_memory(const char *name, const void *data, size_t size, ArrayFile *out) {
    Arena *arena = arena_new();
    uint8_t *copy = arena_try_alloc(arena, size + 1);
    *out = (ArrayFile){0};
    if (!copy) {
        arena_free(arena);
        return fail(ERR_MEMORY, "%s: no memory for %zu bytes", name, size);
    }
    if (size) memcpy(copy, data, size);
    return load_span(name, arena, (Span){copy, size}, out);
}

/* A file that is not there is a missing model: ERR_MODEL. */
Status file_load(const char *path, ArrayFile *out) {
    int fd = -1;
    size_t size = 0;
    *out = (ArrayFile){0};
    if (open_file(path, &fd, &size)) return ERR_MODEL;
    Arena *arena = arena_new();
    uint8_t *data = arena_try_alloc(arena, size + 1);
    Status status = data ? read_all(path, fd, data, size)
                         : fail(ERR_MEMORY, "%s: no memory for %zu bytes", path, size);
    close(fd);
    if (status == OK) return load_span(path, arena, (Span){data, size}, out);
    arena_free(arena);
    return status == ERR_INPUT ? ERR_MODEL : status;
}

const char *file_state_prefix(const ArrayFile *f) {
    const char *prefix = array_meta(f, "state_prefix");
    return prefix ? prefix : "";
}

static bool is_text(const ArrayFile *f, const char *name) {
    static const char KEY[] = "text:";
    for (int i = 0; i < f->meta_count; i++)
        if (!strncmp(f->meta[i].key, KEY, sizeof KEY - 1) &&
            !strcmp(f->meta[i].key + sizeof KEY - 1, name))
            return true;
    return false;
}

const char *file_text(const ArrayFile *f, const char *name, size_t i) {
    const Array *a = array_find(f, name);
    if (!a || a->dtype != U8 || !a->dims || !is_text(f, name)) return NULL;
    size_t row = (size_t)a->dim[a->dims - 1];
    if (!row || i >= array_size(a) / row) return NULL;
    const char *text = (const char *)a->data + i * row;
    return text[row - 1] ? NULL : text;
}

/* ---- writing ---- */

/* A name beside path that no other writer has: the process and a number. */
static int open_temporary(FileWriter *w) {
    enum { TRIES = 1000, SUFFIX = 48 };
    size_t size = strlen(w->path) + SUFFIX;
    char *name = malloc(size);
    if (!name) return -1;
    for (int i = 0; i < TRIES; i++) {
        snprintf(name, size, "%s.tmp-%d-%d", w->path, getpid(), i);
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) return w->temporary = name, fd;
        if (errno != EEXIST) break;
    }
    free(name);
    return -1;
}

/* What a link says, seen from where the path begins; NULL: the path is no link. */
static char *link_target(const char *path) {
    char target[FILE_PATH] = "", *seen = NULL;
    if (readlink(path, target, sizeof target - 1) < 0) return NULL;
    const char *name = strrchr(path, '/');
    int folder = *target == '/' || !name ? 0 : (int)(name + 1 - path);
    if (asprintf(&seen, "%.*s%s", folder, path, target) < 0) return NULL;
    return seen;
}

/* A rename would put a file in a device's place, and a link's, even one that leads to nothing yet.
 */
static Status find_place(const char *path, char **place) {
    enum { LINKS = 40 };
    struct stat info;
    *place = realpath(path, NULL);
    if (!*place) *place = strdup(path);
    CHECK(*place, "out of memory");
    char *next;
    for (int i = 0; i < LINKS && (next = link_target(*place)); i++) free(*place), *place = next;
    if (stat(*place, &info) || S_ISREG(info.st_mode)) return OK;
    free(*place);
    *place = NULL;
    return fail(ERR_INPUT, "%s: cannot write: is there and no regular file", path);
}

Status file_begin(const char *path, FileWriter *w) {
    *w = (FileWriter){0};
    TRY(find_place(path, &w->path));
    int fd = open_temporary(w);
    if (fd >= 0) w->stream = fdopen(fd, "wb");
    if (w->stream) return OK;
    Status status = fail(ERR_INPUT, "%s: cannot write: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    file_abandon(w);
    return status;
}

/* A rename lasts once its folder is on disk. */
static void sync_folder(const char *path) {
    char *copy = strdup(path);
    if (!copy) return;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(copy);
}

Status file_commit(FileWriter *w) {
    CHECK(w->stream && w->path, "nothing was begun");
    bool good = !ferror((FILE *)w->stream) && !fflush(w->stream) && !fsync(fileno(w->stream));
    good = !fclose(w->stream) && good;
    w->stream = NULL;
    if (good) good = !rename(w->temporary, w->path);
    Status status = good ? OK : fail(ERR_INPUT, "%s: cannot write: %s", w->path, strerror(errno));
    if (good) {
        sync_folder(w->path);
        free(w->temporary);
        w->temporary = NULL;
    }
    file_abandon(w);
    return status;
}

void file_abandon(FileWriter *w) {
    if (w->stream) fclose(w->stream);
    if (w->temporary) unlink(w->temporary);
    free(w->temporary);
    free(w->path);
    *w = (FileWriter){0};
}

Status file_write(const char *path, const void *data, size_t size) {
    FileWriter w;
    TRY(file_begin(path, &w));
    if (size && fwrite(data, 1, size, w.stream) != size) {
        Status status = fail(ERR_INPUT, "%s: cannot write: %s", path, strerror(errno));
        file_abandon(&w);
        return status;
    }
    return file_commit(&w);
}

bool file_is_folder(const char *path) {
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

bool file_is_same(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

Status file_make_folder(const char *path) {
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof part) return fail(ERR_INPUT, "%s: the path is too long", path);
    for (size_t i = 1; i <= length; i++) {
        if (i < length && path[i] != '/') continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (!mkdir(part, 0777)) continue;
        int reason = errno;
        if (!file_is_folder(part))
            return fail(ERR_INPUT, "%s: cannot make the folder: %s", part, strerror(reason));
    }
    return OK;
}

Status file_join(const char *folder, const char *name, char path[FILE_PATH]) {
    int length = snprintf(path, FILE_PATH, "%s/%s", folder, name);
    if (length >= 0 && length < FILE_PATH) return OK;
    return fail(ERR_USAGE, "%.60s: path longer than %d characters", folder, FILE_PATH - 1);
}

Status file_write_npy(const char *path, const Array *a) { return npy_write(path, a); }

Status file_write_npz(const char *path, const Array *arrays, int count) {
    return npy_write_zip(path, arrays, count, 0);
}

Status file_write_npz_texts(const char *path, const Array *arrays, int count, int texts) {
    return npy_write_zip(path, arrays, count, texts);
}

Status file_write_safetensors(const char *path, const ArrayFile *f) {
    return safetensors_write(path, f);
}
