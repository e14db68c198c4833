#include "crowdrec/defaults.h"

#include "tensor/program.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *name, *flag, *what;
} MODEL[DEFAULTS_MODELS] = {
    {"detector", "--detector", "YOLOX weights, or --boxes FILE instead"},
    {"pose", "--pose", "FastPose or HRNet weights, or --keypoints FILE"},
    {"mesh", "--mesh", "CLIFF weights"},
};

static bool exists(const char *folder, const char *beside, const char *name, char path[PATH_MAX]) {
    CHECK(path, "no place for a path");
    int length = snprintf(path, PATH_MAX, "%s%s/%s.safetensors", folder, beside, name);
    return length > 0 && length < PATH_MAX && access(path, R_OK) == 0;
}

Status defaults_find(DefaultsModel model, char path[PATH_MAX]) {
    /* The last two: seen from build/clang and build/clang/sanitize. */
    static const char *const place[] = {"/models", "/../models", "/../share/crowdrec/models",
                                        "/../../models", "/../../../models"};
    const char *given = getenv("CROWDREC_MODELS"), *name = MODEL[model].name;
    char folder[PATH_MAX];
    if (given && *given) {
        if (exists(given, "", name, path)) return OK;
        return fail(ERR_USAGE, "no %s given: %s; and no %s.safetensors in CROWDREC_MODELS, %s",
                    MODEL[model].flag, MODEL[model].what, name, given);
    }
    program_folder(folder);
    for (size_t i = 0; i < sizeof place / sizeof *place; i++)
        if (exists(folder, place[i], name, path)) return OK;
    return fail(ERR_USAGE, "no %s given: %s; and no models/%s.safetensors near %s",
                MODEL[model].flag, MODEL[model].what, name, folder);
}

double defaults_value(double option, double usual) {
    return option < 0 ? 0 : option > 0 ? option : usual;
}
