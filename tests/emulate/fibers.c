#include "tests/emulate/fibers.h"

#include "tensor/error.h"
#include "tests/emulate/context.h"

#include <sys/mman.h>

enum { WARP = 32, STACK = 256 << 10 };

typedef enum { READY, AT_BLOCK, AT_WARP, ENDED } State;

/* A fiber lives on from block to block. */
typedef struct {
    Context context;
    bool made;
    State state;
    int line;          /* of the kernel's file, where it waits */
    unsigned exchange; /* how many values it gave to its warp */
    uint64_t given[2]; /* the last two: the slower threads may still take the one before */
} Fiber;

static Fiber fibers[FIBERS_MAX];
static Context scheduler;
static const EmulateLaunch *running; /* NULL while no fiber runs */
static bool falling_order;
static int current, count, turns; /* turns: fibers that had their turn */

void fibers_place(const EmulateLaunch *l, int i) {
    unsigned n = (unsigned)i, width = l->threads.x, height = l->threads.y;
    emulate_place.thread = (uint3){n % width, n / width % height, n / width / height};
}

/* The fiber whose turn is next, or the scheduler after the last. */
static Context *next(void) {
    while (turns < count) {
        current = falling_order ? count - 1 - turns : turns;
        turns++;
        if (fibers[current].state != READY) continue;
        fibers_place(running, current);
        return &fibers[current].context;
    }
    return &scheduler;
}

static void leave(State state, int line) {
    Fiber *f = &fibers[current];
    f->state = state;
    f->line = line;
    context_switch(&f->context, next());
}

static void fiber_main(void) {
    for (;;) {
        running->body(running->context);
        leave(ENDED, 0);
    }
}

static char *stacks(void) {
    static char *area;
    if (area) return area;
    area = mmap(NULL, (size_t)FIBERS_MAX * STACK, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(area != MAP_FAILED, "no memory for %d stacks", FIBERS_MAX);
    return area;
}

static void start(int i) {
    Fiber *f = &fibers[i];
    f->state = READY;
    f->exchange = 0;
    if (f->made) return;
    context_make(&f->context, stacks() + (size_t)i * STACK, STACK, fiber_main);
    f->made = true;
}

static void wait_at(State state, int line) {
    if (running)
        leave(state, line);
    else
        emulate_complain("line %d: threads of LAUNCH_EACH wait for each other", line);
}

void emulate_sync_block(int line) { wait_at(AT_BLOCK, line); }

void emulate_sync_warp(int line) { wait_at(AT_WARP, line); }

unsigned emulate_lane(void) { return (unsigned)current % WARP; }

/* Gives the value to the warp; returns the place of `given` where each thread has put its own. */
static unsigned give(unsigned mask, uint64_t bits, int line) {
    Fiber *f = &fibers[current];
    unsigned slot = f->exchange++ % 2;
    if (mask != ~0u) emulate_complain("line %d: the mask %x is not a whole warp", line, mask);
    f->given[slot] = bits;
    wait_at(AT_WARP, line);
    return slot;
}

uint64_t emulate_shuffle(unsigned mask, uint64_t bits, unsigned lane, int line) {
    unsigned slot = give(mask, bits, line);
    return fibers[current / WARP * WARP + (int)(lane % WARP)].given[slot];
}

unsigned emulate_vote(unsigned mask, bool value, int line) {
    unsigned slot = give(mask, value, line), votes = 0;
    for (int i = 0; i < WARP; i++)
        votes |= (unsigned)fibers[current / WARP * WARP + i].given[slot] << i;
    return votes;
}

/* Fibers begin .. end-1 are all in this state, at one place. */
static bool together(int begin, int end, State state) {
    for (int i = begin; i < end; i++)
        if (fibers[i].state != state || fibers[i].line != fibers[begin].line) return false;
    return true;
}

static void release(int begin, int end) {
    for (int i = begin; i < end; i++) fibers[i].state = READY;
}

static bool release_warps(void) {
    bool any = false;
    for (int i = 0; i < count; i += WARP)
        if (together(i, i + WARP, AT_WARP)) release(i, i + WARP), any = true;
    return any;
}

static bool all_ended(void) {
    for (int i = 0; i < count; i++)
        if (fibers[i].state != ENDED) return false;
    return true;
}

static void take_turns(void) {
    turns = 0;
    for (Context *to = next(); to != &scheduler; to = next()) context_switch(&scheduler, to);
}

/* Fibers that did not come to their end cannot be used again. */
static void give_up(void) {
    int i = 0;
    while (fibers[i].state == ENDED) i++;
    emulate_complain("%s: thread %d waits at line %d, others do not", running->kernel, i,
                     fibers[i].line);
    for (; i < count; i++) fibers[i].made = fibers[i].state == ENDED;
}

void fibers_run(const EmulateLaunch *launch, bool falling) {
    running = launch;
    falling_order = falling;
    count = (int)(launch->threads.x * launch->threads.y * launch->threads.z);
    for (int i = 0; i < count; i++) start(i);
    for (take_turns(); !all_ended(); take_turns()) {
        if (release_warps()) continue;
        if (!together(0, count, AT_BLOCK)) {
            give_up();
            break;
        }
        release(0, count);
    }
    running = NULL;
}
