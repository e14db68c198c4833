#include "tensor/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char reason[1024];

/* One line, whatever a name holds. */
static void make_plain(void) {
    for (char *c = reason; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

Status fail(Status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    make_plain();
    return status;
}

const char *error_reason(void) { return reason; }
void error_clear(void) { reason[0] = 0; }

Status error_prefix(Status status, const char *format, ...) {
    char old[sizeof reason];
    memcpy(old, reason, sizeof reason);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof reason)
        snprintf(reason + used, sizeof reason - (size_t)used, ": %s", old);
    make_plain();
    return status;
}

void error_check_failed(const char *file, int line, const char *condition, const char *format,
                        ...) {
    fprintf(stderr, "crowdrec: internal error at %s:%d: %s is false: ", file, line, condition);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
