#include "tests/emulate/streams.h"

#include "tensor/error.h"
#include "tensor/rng.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_STREAMS = 8, MAX_OWNED = 256, AFTER_A_CALL = 3 };

struct CUevent_st {
    long recorded, reached; /* records added to streams, and the latest that ran */
};

typedef enum { COPY, RECORD, WAIT } Kind;

typedef struct {
    Kind kind;
    void *to;
    const void *from;
    size_t bytes;
    bool from_host;
    cudaEvent_t event;
    long record; /* of the event: this one, or the one waited for */
} Entry;

struct CUstream_st {
    Entry *entry;
    int first, count, capacity; /* first: the next to run */
    size_t from_host;           /* bytes */
};

static cudaStream_t streams[MAX_STREAMS];
static int stream_count;
static StreamsChoice how;
static uint64_t chance, drawn;
static const char *forgotten;
static bool no_memory;
static cudaStream_t held;
static void *owned[MAX_OWNED];
static int owned_count;

void streams_start(StreamsChoice choice, uint64_t seed) {
    how = choice, chance = rng_stream("streams", seed), drawn = 0;
}

/* Remembers what streams_end frees; NULL goes through. */
static void *own(void *p) {
    CHECK(owned_count < MAX_OWNED, "%d streams, events and blocks", owned_count);
    if (p) owned[owned_count++] = p;
    return p;
}

void streams_end(void) {
    for (int i = 0; i < stream_count; i++) free(streams[i]->entry);
    for (int i = 0; i < owned_count; i++) free(owned[i]);
    stream_count = owned_count = 0;
}

void streams_forget(const char *call) { forgotten = call; }
void streams_refuse_memory(bool refuse) { no_memory = refuse; }
void streams_hold(cudaStream_t stream) { held = stream; }

static bool forgets(const char *call) { return forgotten && strcmp(forgotten, call) == 0; }

size_t streams_bytes_beside(cudaStream_t work) {
    size_t sum = 0;
    for (int i = 0; i < stream_count; i++)
        if (streams[i] != work) sum += streams[i]->from_host;
    return sum;
}

/* --- running --- */

static int draw(int limit) { return (int)(rng_uniform(chance, drawn++) * (float)limit) % limit; }

static bool can_run(const struct CUstream_st *s) {
    if (s->first == s->count || s == held) return false;
    const Entry *e = &s->entry[s->first];
    return e->kind != WAIT || e->event->reached >= e->record;
}

static void run_next(cudaStream_t s) {
    const Entry *e = &s->entry[s->first++];
    if (e->kind == COPY) memcpy(e->to, e->from, e->bytes);
    if (e->from_host) s->from_host += e->bytes;
    if (e->kind == RECORD && e->record > e->event->reached) e->event->reached = e->record;
    if (s->first == s->count) s->first = s->count = 0;
}

/* One entry of a stream chosen by chance; false if none can run. */
static bool run_any(void) {
    int start = draw(stream_count);
    for (int i = 0; i < stream_count; i++) {
        cudaStream_t s = streams[(start + i) % stream_count];
        if (!can_run(s)) continue;
        run_next(s);
        return true;
    }
    return false;
}

void streams_drain(void) {
    while (run_any()) continue;
}

static void after_call(void) {
    int limit = how == STREAMS_BY_CHANCE ? draw(AFTER_A_CALL) : 0;
    for (int i = 0; (how == STREAMS_AT_ONCE || i < limit) && run_any(); i++) continue;
}

static void add(cudaStream_t s, Entry e) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 64;
        s->entry = realloc(s->entry, (size_t)s->capacity * sizeof *s->entry);
        CHECK(s->entry, "out of memory");
    }
    s->entry[s->count++] = e;
    after_call();
}

/* --- the runtime's names --- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    (void)flags;
    CHECK(stream_count < MAX_STREAMS, "%d streams", stream_count + 1);
    *stream = own(calloc(1, sizeof **stream));
    if (*stream) streams[stream_count++] = *stream;
    return *stream ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    while (stream->first < stream->count)
        if (!run_any()) return cudaErrorUnknown;
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    (void)flags;
    if (forgets("cudaStreamWaitEvent")) return cudaSuccess;
    add(stream, (Entry){.kind = WAIT, .event = event, .record = event->recorded});
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    (void)flags;
    *event = own(calloc(1, sizeof **event));
    return *event ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    add(stream, (Entry){.kind = RECORD, .event = event, .record = ++event->recorded});
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    if (forgets("cudaEventSynchronize")) return cudaSuccess;
    while (event->reached < event->recorded)
        if (!run_any()) return cudaErrorUnknown;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    add(stream, (Entry){.kind = COPY,
                        .to = to,
                        .from = from,
                        .bytes = bytes,
                        .from_host = kind == cudaMemcpyHostToDevice});
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t bytes) {
    *p = no_memory ? NULL : own(malloc(bytes));
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaMallocHost(void **p, size_t bytes) {
    *p = own(malloc(bytes));
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaGetLastError(void) { return cudaSuccess; }

const char *cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorMemoryAllocation ? "out of memory" : "nothing can go on";
}
