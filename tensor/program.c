#include "tensor/program.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void program_folder(char folder[PATH_MAX]) {
    static const char inside;
    Dl_info info;
    char self[PATH_MAX] = "";
    const char *file = self;
    if (dladdr(&inside, &info) && info.dli_fname && strstr(info.dli_fname, "/libcrowdrec"))
        file = info.dli_fname;
    else if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        file = "";
    const char *slash = strrchr(file, '/');
    snprintf(folder, PATH_MAX, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
}
