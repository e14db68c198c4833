#include "tests/recorder.h"

#include "tensor/rng.h"

#include <stdlib.h>
#include <string.h>

enum { CALLS = 4096, WAITS = 1 << 20, SMALL = 64 };

/* One thing that was captured. */
typedef struct {
    void (*run)(const Call *);
    const Call *call;
    unsigned char *to; /* of a fill or a write instead of a call */
    unsigned char from[SMALL];
    size_t bytes;
    bool fills;
    int first, waits; /* what it waits for, in `wait` */
} Entry;

static const Backend *base;
static bool capturing;
static Entry entry[CALLS];
static int entries, wait[WAITS], all_waits;
static int now_first, now_waits;     /* what entries wait for that come now */
static int mark_begin[CALLS], marks; /* a mark stands behind the entries from there on */
static int mark_end[CALLS];
static uint64_t replays;
static long swaps;

static Entry *add(void) {
    CHECK(entries < CALLS, "%d calls", entries);
    Entry *e = &entry[entries++];
    *e = (Entry){.first = now_first, .waits = now_waits};
    return e;
}

/* Within one mark entries go one behind the other. */
static void follow(void) {
    CHECK(all_waits < WAITS, "%d waits", all_waits);
    now_first = all_waits;
    wait[all_waits++] = entries - 1;
    now_waits = 1;
}

static void record(void (*run)(const Call *), const Call *call) {
    if (!capturing) {
        run(call);
        return;
    }
    Entry *e = add();
    e->run = run, e->call = call;
    follow();
}

#define FORWARD(name) \
    static void name##_forward(const Call *c) { record(base->op[OP_##name].forward, c); }
#define PLAIN(name) \
    FORWARD(name)   \
    static void name##_backward(const Call *c) { record(base->op[OP_##name].backward, c); }
#define FORWARD_PREPARED FORWARD
#define PREPARED PLAIN
#define OP(name, Attr, n_in, n_out, grads, reads, kernels) kernels(name)
#include "kernels/ops.def"
#undef OP
#undef FORWARD
#undef PLAIN

static void fill(void *to, int byte, size_t bytes) {
    if (!capturing) {
        base->fill(to, byte, bytes);
        return;
    }
    Entry *e = add();
    e->to = to, e->bytes = bytes, e->fills = true, e->from[0] = (unsigned char)byte;
    follow();
}

static void write(void *to, const void *from, size_t bytes) {
    if (!capturing) {
        base->write(to, from, bytes);
        return;
    }
    CHECK(bytes <= SMALL, "%zu bytes written while capturing", bytes);
    Entry *e = add();
    e->to = to, e->bytes = bytes;
    memcpy(e->from, from, bytes);
    follow();
}

static void capture_begin(void) {
    capturing = true;
    entries = all_waits = now_waits = marks = 0;
}

static void capture_wait(const int *mark, int count) {
    now_first = all_waits, now_waits = 0;
    for (int i = 0; i < count; i++)
        for (int k = mark_begin[mark[i]]; k < mark_end[mark[i]]; k++, now_waits++) {
            CHECK(all_waits < WAITS, "%d waits", all_waits);
            wait[all_waits++] = k;
        }
    mark_begin[marks] = entries;
}

static int capture_mark(void) {
    CHECK(marks + 1 < CALLS, "%d marks", marks);
    mark_end[marks] = entries;
    return marks++;
}

static void *capture_end(void) {
    capturing = false;
    return entry;
}

static bool is_ready(const Entry *e, const bool *done) {
    for (int i = 0; i < e->waits; i++)
        if (!done[wait[e->first + i]]) return false;
    return true;
}

static void run(const Entry *e) {
    if (e->run)
        e->run(e->call);
    else if (e->fills)
        memset(e->to, e->from[0], e->bytes);
    else
        memcpy(e->to, e->from, e->bytes);
}

/* Each time one of those that are ready, the later captured the likelier. */
static void replay(void *graph) {
    static bool done[CALLS];
    uint64_t stream = rng_stream("replay", replays++);
    memset(done, 0, sizeof done);
    (void)graph;
    for (int left = entries, draw = 0; left; left--) {
        int chosen = -1;
        for (int i = entries - 1; i >= 0; i--) {
            if (done[i] || !is_ready(&entry[i], done)) continue;
            chosen = i;
            if (rng_uniform(stream, (uint64_t)draw++) < 0.5f) break;
        }
        CHECK(chosen >= 0, "nothing is ready");
        for (int i = 0; i < chosen; i++) swaps += !done[i];
        run(&entry[chosen]);
        done[chosen] = true;
    }
}

static void graph_drop(void *graph) { (void)graph; }

Backend recorder_make(const Backend *of) {
    Backend b = *of;
    base = of;
    b.name = "recorder";
    b.on_host = false;
    b.fill = fill, b.write = write;
    b.capture_begin = capture_begin, b.capture_end = capture_end;
    b.capture_wait = capture_wait, b.capture_mark = capture_mark;
    b.replay = replay, b.graph_drop = graph_drop;
#define FORWARD(name) b.op[OP_##name].forward = name##_forward;
#define PLAIN(name) FORWARD(name) b.op[OP_##name].backward = name##_backward;
#define OP(name, Attr, n_in, n_out, grads, reads, kernels) kernels(name)
#include "kernels/ops.def"
#undef OP
    return b;
}

long recorder_swaps(void) { return swaps; }
