#include "kernels/plugin.h"

#include "tensor/program.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "libcrowdrec_cuda.so"
#define DRIVER "libcuda.so.1"

/* Where the plugin is; its bare name, for the system's search, when it is in none of our places. */
static const char *find_file(char path[PATH_MAX + 32]) {
    const char *given = getenv("CROWDREC_CUDA");
    if (given && *given) return given;
    char folder[PATH_MAX];
    program_folder(folder);
    snprintf(path, PATH_MAX + 32, "%s/" FILE_NAME, folder);
    if (access(path, R_OK) == 0) return path;
    snprintf(path, PATH_MAX + 32, "%s/../lib/" FILE_NAME, folder);
    return access(path, R_OK) == 0 ? path : FILE_NAME;
}

static bool driver_is_there(void) {
    void *driver = dlopen(DRIVER, RTLD_LAZY | RTLD_LOCAL);
    if (driver) dlclose(driver);
    return driver != NULL;
}

/* Whether the system's search found no plugin: of one that it found the loader gives the path, or
 * the library that it misses. */
static bool nowhere(const char *why) { return !strncmp(why, FILE_NAME ":", strlen(FILE_NAME ":")); }

static Status load(const Plugin **out) {
    char path[PATH_MAX + 32];
    const char *file = find_file(path);
    if (strchr(file, '/') && access(file, R_OK))
        return fail(ERR_DEVICE, "%s: no such cuda plugin; build it with nvcc: make", file);
    if (!driver_is_there())
        return fail(ERR_DEVICE, "no nvidia driver on this machine (" DRIVER " is not found)");
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    const char *why = handle ? "" : dlerror();
    if (!handle && nowhere(why))
        return fail(ERR_DEVICE, "built without cuda; install nvcc, cudnn and cublas, then: make");
    if (!handle) return fail(ERR_DEVICE, "%s: %s", file, why);
    const Plugin *plugin = dlsym(handle, PLUGIN_SYMBOL);
    if (plugin && plugin->interface == PLUGIN_INTERFACE) {
        *out = plugin;
        return OK;
    }
    dlclose(handle);
    return fail(ERR_DEVICE, "%s: belongs to another version of crowdrec; run make again", file);
}

Status plugin_load(const Plugin **out) {
    static const Plugin *plugin;
    if (!plugin) TRY(load(&plugin));
    *out = plugin;
    return OK;
}
