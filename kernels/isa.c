#include "kernels/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const NAME[] = {"portable", "avx2", "avx512"};

const char *isa_name(Isa isa) { return NAME[isa]; }

static Isa available(void) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ISA_AVX2;
#endif
    return ISA_PORTABLE;
}

/* Every thread that comes first finds the same, so it does not matter which one stores it. */
Isa isa_best(void) {
    static int found;
    int isa = __atomic_load_n(&found, __ATOMIC_RELAXED) - 1;
    if (isa >= 0) return (Isa)isa;
    isa = (int)available();
    const char *word = getenv("CROWDREC_ISA");
    for (int i = 0; word && i < isa; i++)
        if (!strcmp(word, NAME[i])) isa = i;
    __atomic_store_n(&found, isa + 1, __ATOMIC_RELAXED);
    return (Isa)isa;
}

void isa_processor(char *text, size_t size) {
    FILE *f = fopen("/proc/cpuinfo", "r");
    char row[256];
    int family = 0, model = 0;
    snprintf(text, size, "unknown");
    while (f && fgets(row, sizeof row, f) && *row != '\n') { /* the first processor's rows */
        const char *colon = strchr(row, ':');
        row[strcspn(row, "\n")] = 0;
        if (colon && !strncmp(row, "model name", 10))
            snprintf(text, size, "%s", colon + 1 + strspn(colon + 1, " "));
        if (sscanf(row, "cpu family : %d", &family) < 1) sscanf(row, "model : %d", &model);
    }
    if (f) fclose(f);
    size_t end = strlen(text);
    if (family) snprintf(text + end, size - end, ", family %d model %d", family, model);
}
