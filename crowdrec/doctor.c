#include "crowdrec/doctor.h"

#include "crowdrec/crowdrec.h"
#include "kernels/backend.h"
#include "kernels/isa.h"
#include "kernels/onednn.h"
#include "tensor/parallel.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static void line(FILE *out, const char *key, const char *value) {
    fprintf(out, "%-10s %s\n", key, value);
}

/* What the compiler took for the code that is not chosen at run time. */
static const char *build(void) {
#ifdef BUILD_NATIVE
    return "native";
#else
    return "portable";
#endif
}

static void kernels(FILE *out) {
    char text[160];
    const char *version = onednn_version();
    snprintf(text, sizeof text, "own kernels: %s; oneDNN: %s; build: %s", isa_name(isa_best()),
             version ? onednn_isa() : "none", build());
    line(out, "isa", text);
    snprintf(text, sizeof text, "oneDNN %s, zlib %s, jansson %s", version ? version : "absent",
             zlibVersion(), JANSSON_VERSION);
    line(out, "libraries", text);
}

static void memory(FILE *out) {
    char text[96];
    double gib = 0x1p30;
    double total = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    snprintf(text, sizeof text, "%.1f GiB, %.1f GiB free", total / gib,
             (double)backend_cpu.free_memory() / gib);
    line(out, "memory", text);
}

Status doctor_report(FILE *out) {
    char text[256];
    line(out, "crowdrec", CROWDREC_VERSION);
    isa_processor(text, sizeof text);
    line(out, "processor", text);
    snprintf(text, sizeof text, "%d of %ld cores", parallel_threads(),
             sysconf(_SC_NPROCESSORS_ONLN));
    line(out, "threads", text);
    kernels(out);
    memory(out);
    line(out, "devices", "cpu (single precision), ref (double precision, for checks)");
    line(out, "gpu", backend_gpu());
    return OK;
}
