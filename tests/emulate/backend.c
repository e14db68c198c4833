#include "tests/emulate/backend.h"

#include "tests/emulate/memory.h"

#define REAL float
#define KERNEL(name) name##_cuda
#include "kernels/kernel.h"

static void copy(void *to, const void *from, size_t bytes) {
    if (bytes) memcpy(to, from, bytes);
}

static void fill(void *to, int byte, size_t bytes) {
    if (bytes) memset(to, byte, bytes);
}

static void wait_for_nothing(void) {}

static size_t free_memory(void) { return 0; }

const Backend backend_emulated = {
    .name = "emulated",
    .real_size = sizeof(REAL),
    .precision = PRECISION_FP32,
    .alloc = memory_alloc,
    .release = memory_release,
    .write = copy,
    .read = copy,
    .fill = fill,
    .sync = wait_for_nothing,
    .free_memory = free_memory,
    .op =
        {
#include "kernels/table.def"
        },
};
