#include "tests/process.h"

#include "tests/support.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS = 128, LINE = 16384 };

static const char *program(void) {
    static char path[4200];
    char self[4096] = "";
    const char *given = getenv("CROWDREC_PROGRAM");
    if (given && *given) return given;
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) fail_msg("no /proc/self/exe");
    snprintf(path, sizeof path, "%s/../crowdrec", dirname(self));
    return path;
}

static int redirect(const char *path, int to) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    return fd < 0 ? -1 : dup2(fd, to);
}

static pid_t start(char *line) {
    char *word[WORDS] = {(char *)program()};
    int words = 1;
    for (char *next = strtok(line, " "); next && words < WORDS - 1; next = strtok(NULL, " "))
        word[words++] = next;
    if (access(word[0], X_OK)) fail_msg("%s: no such program", word[0]);
    const char *out = support_in_folder("stdout"), *err = support_in_folder("stderr");
    pid_t pid = fork();
    if (pid) return pid;
    if (redirect(out, STDOUT_FILENO) < 0 || redirect(err, STDERR_FILENO) < 0) _exit(127);
    execv(word[0], word);
    _exit(127);
}

#define FORMAT(line, format)                        \
    do {                                            \
        va_list args;                               \
        va_start(args, format);                     \
        vsnprintf(line, sizeof line, format, args); \
        va_end(args);                               \
    } while (0)

pid_t process_start(const char *format, ...) {
    char line[LINE];
    FORMAT(line, format);
    return start(line);
}

static void read_text(const char *path, char *text, size_t size) {
    FILE *f = fopen(path, "rb");
    size_t got = f ? fread(text, 1, size - 1, f) : 0;
    text[got] = 0;
    if (f) fclose(f);
}

const Process *process_wait(pid_t pid) {
    static Process p;
    int status = 0;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    p.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    read_text(support_in_folder("stdout"), p.out, sizeof p.out);
    read_text(support_in_folder("stderr"), p.err, sizeof p.err);
    return &p;
}

const Process *process_run(const char *format, ...) {
    char line[LINE];
    FORMAT(line, format);
    return process_wait(start(line));
}
