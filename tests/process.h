/* Process: the program run as a user runs it.
 *
 *     const Process *p = process_run("detect %s -o %s", photo, folder);
 *     assert_int_equal(p->status, 0);
 *
 * The program is $CROWDREC_PROGRAM, else ../crowdrec seen from the test program.
 */
#ifndef TESTS_PROCESS_H
#define TESTS_PROCESS_H

#include <sys/types.h>

typedef struct {
    int status;     /* exit code, or minus the signal that killed it */
    char out[8192]; /* stdout and stderr, cut off there */
    char err[8192];
} Process;

/* Words are separated by spaces and hold none.  The result lives until the next call. */
const Process *process_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same in two halves, with a life in between. */
pid_t process_start(const char *format, ...) __attribute__((format(printf, 1, 2)));
const Process *process_wait(pid_t pid);

#endif
