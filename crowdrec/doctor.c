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

/* What the processor can do, and what the own kernels were compiled for. */
static const char *best_isa(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return "AVX-512";
    if (__builtin_cpu_supports("avx2")) return "AVX2";
    return "x86-64";
#else
    return "not x86-64";
#endif
}

static const char *compiled_isa(void) {
#ifndef BUILD_NATIVE
    return "portable";
#elif defined __AVX512F__
    return "native, AVX-512";
#elif defined __AVX2__
    return "native, AVX2";
#else
    return "native";
#endif
}

static void kernels(FILE *out) {
    char text[160];
    const char *version = onednn_version();
    snprintf(text, sizeof text, "processor has %s; own kernels: %s; oneDNN: %s", best_isa(),
             compiled_isa(), version ? onednn_isa() : "none");
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
