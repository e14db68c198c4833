/* Log: one line to stderr, "crowdrec: " in front.  Results go to stdout, never through here. */
#ifndef TENSOR_LOG_H
#define TENSOR_LOG_H

typedef enum { LOG_QUIET, LOG_ERROR, LOG_INFO, LOG_DEBUG } LogLevel;

void log_level(LogLevel level); /* default LOG_INFO */
LogLevel log_current(void);
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line that replaces itself on a terminal; nothing where stderr is not one.  An ordinary log line
 * or log_progress_end() closes it. */
void log_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_progress_end(void);

#endif
