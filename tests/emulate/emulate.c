#include "tests/emulate/emulate.h"

#include "tests/emulate/fibers.h"
#include "tests/emulate/memory.h"

#include <stdarg.h>
#include <stdio.h>

/* A device gives a block 48 KiB; kernels have up to 13 of their own (PersonChain). */
enum { SHARED = 35 << 10, GUARD = 64, POISON = 0xff };

EmulatePlace emulate_place;

static struct {
    _Alignas(64) unsigned char shared[SHARED + GUARD];
    long launches;
    bool complained;
    char complaint[256];
} emulator;

void *emulate_shared(void) { return emulator.shared; }

long emulate_launches(void) { return emulator.launches; }

void emulate_complain(const char *format, ...) {
    if (emulator.complained) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(emulator.complaint, sizeof emulator.complaint, format, arguments);
    va_end(arguments);
    emulator.complained = true;
}

const char *emulate_complaint(void) {
    bool complained = emulator.complained;
    emulator.complained = false;
    return complained ? emulator.complaint : NULL;
}

static void run_apart(const EmulateLaunch *l, bool falling) {
    int count = (int)(l->threads.x * l->threads.y * l->threads.z);
    for (int i = 0; i < count; i++) {
        fibers_place(l, falling ? count - 1 - i : i);
        l->body(l->context);
    }
}

static void run_block(const EmulateLaunch *l, bool falling) {
    memory_poison_shared();
    memset(emulator.shared, POISON, l->shared + GUARD);
    if (l->apart)
        run_apart(l, falling);
    else
        fibers_run(l, falling);
    for (size_t i = l->shared; i < l->shared + GUARD; i++)
        if (emulator.shared[i] != POISON)
            emulate_complain("%s: byte %zu of %zu of shared memory was written", l->kernel, i,
                             l->shared);
}

static void run_grid(const EmulateLaunch *l, bool falling) {
    unsigned count = l->blocks.x * l->blocks.y * l->blocks.z;
    emulate_place.block_size = l->threads;
    emulate_place.grid_size = l->blocks;
    for (unsigned i = 0; i < count && !emulator.complained; i++) {
        unsigned n = falling ? count - 1 - i : i;
        emulate_place.block =
            (uint3){n % l->blocks.x, n / l->blocks.x % l->blocks.y, n / l->blocks.x / l->blocks.y};
        run_block(l, falling);
    }
}

/* What a device would refuse. */
static bool launchable(const EmulateLaunch *l) {
    unsigned threads = l->threads.x * l->threads.y * l->threads.z;
    return l->blocks.x > 0 && l->blocks.y > 0 && l->blocks.z > 0 && l->blocks.y < 65536 &&
           l->blocks.z < 65536 && threads > 0 && threads <= FIBERS_MAX && threads % 32 == 0 &&
           l->shared <= SHARED;
}

void emulate_launch(const EmulateLaunch *l) {
    emulator.launches++;
    if (!launchable(l)) {
        emulate_complain("%s: blocks %u,%u,%u of %u,%u,%u threads with %zu bytes", l->kernel,
                         l->blocks.x, l->blocks.y, l->blocks.z, l->threads.x, l->threads.y,
                         l->threads.z, l->shared);
        return;
    }
    memory_save();
    run_grid(l, false);
    memory_swap();
    run_grid(l, true);
    const char *difference = memory_difference();
    if (difference) emulate_complain("%s: the order of threads shows in %s", l->kernel, difference);
}
