#include "tensor/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static LogLevel current = LOG_INFO;
static bool progress_open;

void log_level(LogLevel level) { current = level; }
LogLevel log_current(void) { return current; }

void log_progress_end(void) {
    if (progress_open) fputc('\n', stderr);
    progress_open = false;
}

static void line(LogLevel level, const char *format, va_list args) {
    if (level > current) return;
    log_progress_end();
    fputs("crowdrec: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

#define LEVEL(name, level)               \
    void name(const char *format, ...) { \
        va_list args;                    \
        va_start(args, format);          \
        line(level, format, args);       \
        va_end(args);                    \
    }

LEVEL(log_error, LOG_ERROR)
LEVEL(log_info, LOG_INFO)
LEVEL(log_debug, LOG_DEBUG)

void log_progress(const char *format, ...) {
    if (current < LOG_INFO || !isatty(STDERR_FILENO)) return;
    va_list args;
    va_start(args, format);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
    progress_open = true;
}
