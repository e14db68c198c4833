#include "tensor/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char reason[1024];

Status fail(Status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return status;
}

const char *error_reason(void) { return reason; }

Status error_prefix(Status status, const char *format, ...) {
    char old[sizeof reason];
    memcpy(old, reason, sizeof reason);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof reason)
        snprintf(reason + used, sizeof reason - (size_t)used, ": %s", old);
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
