#include "kernels/plugin.h"

#include "tensor/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const precision_name[PRECISIONS] = {
    [PRECISION_TF32] = "tf32", [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16"};

const Backend *backend_find(const char *name) {
    static const Backend *const all[] = {&backend_cpu, &backend_ref};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->name, name)) return all[i];
    return NULL;
}

/* What was asked for, else what the environment says, else the standard. */
static const char *wish(const char *asked, const char *variable, const char *standard) {
    const char *set = getenv(variable);
    return asked ? asked : set && *set ? set : standard;
}

static Status find_precision(const char *name, Precision *out) {
    for (int p = 0; p < PRECISIONS; p++)
        if (!strcmp(name, precision_name[p])) return *out = (Precision)p, OK;
    return fail(ERR_USAGE, "precision '%s' is not known, use tf32, fp32 or bf16", name);
}

/* 1 and 0 are on and off too. */
static Status find_tune(const char *word, bool *out) {
    *out = !strcmp(word, "on") || !strcmp(word, "1");
    if (*out || !strcmp(word, "off") || !strcmp(word, "0")) return OK;
    return fail(ERR_USAGE, "tune '%s' is not known, use on or off", word);
}

/* The N of "cuda:N", 0 of "cuda"; -1 for anything else. */
static int gpu_number(const char *device) {
    int number = 0, end = 0;
    if (!strcmp(device, "cuda")) return 0;
    bool digit = !strncmp(device, "cuda:", 5) && device[5] >= '0' && device[5] <= '9';
    return digit && sscanf(device, "cuda:%3d%n", &number, &end) == 1 && !device[end] ? number : -1;
}

static Status open_gpu(int number, Precision precision, bool deterministic, bool tune,
                       const Backend **out) {
    const Plugin *plugin;
    char reason[PLUGIN_REASON];
    TRY(plugin_load(&plugin));
    plugin->log_level(log_current());
    if (!plugin->open(number, reason)) return fail(ERR_DEVICE, "%s", reason);
    plugin->deterministic(deterministic);
    plugin->tune(tune);
    *out = &plugin->backend[precision];
    return OK;
}

Status backend_open(const BackendChoice *choice, const Backend **out) {
    const char *device = wish(choice->device, "CROWDREC_DEVICE", "auto");
    Precision precision = PRECISION_TF32;
    TRY(find_precision(wish(choice->precision, "CROWDREC_PRECISION", "tf32"), &precision));
    bool tune = false;
    TRY(find_tune(wish(choice->tune, "CROWDREC_TUNE", "off"), &tune));
    const Backend *cpu = choice->exact ? &backend_cpu_exact
                         : tune        ? &backend_cpu_tuned
                                       : &backend_cpu;
    *out = backend_find(device);
    if (*out == &backend_cpu) *out = cpu;
    if (*out) return OK;
    bool any = !strcmp(device, "auto");
    int number = any ? 0 : gpu_number(device);
    if (number < 0)
        return fail(ERR_USAGE, "device '%s' is not known, use auto, cpu, cuda or cuda:N", device);
    Status status = open_gpu(number, precision, choice->deterministic, tune, out);
    if (status == OK || !any) return status;
    log_info("device: cpu; %s", error_reason());
    *out = cpu;
    return OK;
}

const char *backend_arithmetic(const Backend *backend) {
    static _Thread_local char text[32];
    if (backend == &backend_cpu) return "cpu, fp32, winograd";
    if (backend == &backend_cpu_exact) return "cpu, fp32, direct";
    if (backend == &backend_cpu_tuned) return "cpu, fp32, tuned";
    if (backend == &backend_ref) return "ref, fp64, direct";
    snprintf(text, sizeof text, "%s, %s", backend->name, precision_name[backend->precision]);
    return text;
}

const char *backend_gpu(void) {
    static char text[2 * PLUGIN_REASON];
    const Plugin *plugin;
    char reason[PLUGIN_REASON];
    if (plugin_load(&plugin) != OK) return error_reason();
    if (!plugin->open(0, reason))
        snprintf(text, sizeof text, "%s", reason);
    else
        snprintf(text, sizeof text, "%s; built for %s", plugin->device(), plugin->built_for());
    return text;
}
