/* The op table of backend `cpu` (or, compiled as double, of `ref`) and its memory: the host's. */
#include "kernels/kernel.h"
#include "tensor/freememory.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static void *alloc(size_t bytes) {
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    if (bytes > SIZE_MAX - align) return NULL;
    void *p = aligned_alloc(align, (bytes + align - 1) / align * align);
#ifdef MADV_HUGEPAGE
    if (p && align == HUGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
}

static void copy(void *to, const void *from, size_t bytes) {
    if (bytes) memcpy(to, from, bytes);
}

static void fill(void *to, int byte, size_t bytes) {
    if (bytes) memset(to, byte, bytes);
}

static void wait_for_nothing(void) {}

#define HOST                                                                                    \
    .on_host = true, .real_size = sizeof(REAL), .alloc = alloc, .release = free, .write = copy, \
    .read = copy, .fill = fill, .sync = wait_for_nothing, .free_memory = freememory

const Backend KERNEL(backend) = {
#ifdef KERNEL_DOUBLE
    .name = "ref",
#else
    .name = "cpu",
#endif
    HOST,
    .op =
        {
#include "kernels/table.def"
        },
};

#ifndef KERNEL_DOUBLE
const Backend backend_cpu_exact = {
    .name = "cpu",
    .exact = true,
    HOST,
    .op =
        {
#include "kernels/table.def"
        },
};

const Backend backend_cpu_tuned = {
    .name = "cpu",
    .tune = true,
    HOST,
    .op =
        {
#include "kernels/table.def"
        },
};
#endif
