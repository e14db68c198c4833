/* Errors: bad code aborts, bad input returns.
 *
 *     Status load(const char *path) {
 *         FILE *f = fopen(path, "rb");
 *         if (!f) return fail(ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
 *         TRY(read_header(f));            // hands a failure on
 *         return OK;
 *     }
 *     if (load(path)) fprintf(stderr, "crowdrec: %s\n", error_reason());
 *
 * A Status is also the program's exit code.  A reason is one lower-case line: thing, what was
 * found, what was expected, remedy.  It belongs to the thread and lives until the thread's next
 * fail().
 */
#ifndef TENSOR_ERROR_H
#define TENSOR_ERROR_H

typedef enum {
    OK = 0,
    ERR_PARTIAL = 1, /* some inputs failed, the others were done */
    ERR_USAGE = 2,
    ERR_INPUT = 3,  /* photo, boxes, keypoints, any user file but a model */
    ERR_MODEL = 4,  /* missing, damaged or unsuitable weights or body */
    ERR_DEVICE = 5, /* no usable device */
    ERR_MEMORY = 6,
    ERR_INTERRUPTED = 130
} Status;

/* Stores the reason and returns the status, so that `return fail(...)` reads well. */
Status fail(Status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The reason of this thread's latest fail(), or "" if there was none. */
const char *error_reason(void);

void error_clear(void);

/* Puts "PREFIX: " before the reason; returns status.  For callers that know the file's name. */
Status error_prefix(Status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

void error_check_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

#define TRY(call)                                \
    do {                                         \
        Status try_status = (call);              \
        if (try_status != OK) return try_status; \
    } while (0)

/* A broken promise of the program itself: prints file, line, condition and message, then aborts. */
#define CHECK(condition, ...)                                                              \
    do {                                                                                   \
        if (!(condition)) error_check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    } while (0)

#endif
