/* Uploads beside the work (kernels/upload.cu) in every order that two streams allow: work that was
 * added before an upload never sees its bytes, work after it always does, and the host's memory may
 * change on return.  Streams and events are stand-ins (emulate/streams.h). */
#include "kernels/upload.h"
#include "tests/emulate/streams.h"
#include "tests/support.h"

#include "tensor/rng.h"

#include <stdlib.h>
#include <string.h>

enum { PLACE = 9 << 20, STEPS = 90, LARGE = 3 * UPLOAD_STAGE / 2 };

/* A place on the device that is written again and again, and what work saw of it after each
 * write: the number of the write, at a few bytes of it. */
typedef struct {
    cudaStream_t work;
    unsigned char *place, *host;
    unsigned char seen[STEPS][8], want[STEPS][8];
} Job;

static const size_t LENGTH[] = {
    LARGE, 1, UPLOAD_DIRECT, UPLOAD_DIRECT + 1, 1000, UPLOAD_STAGE, UPLOAD_STAGE + 1, 300000};
enum { LENGTHS = sizeof LENGTH / sizeof *LENGTH };

/* Where the looks are: on both sides of the edges of small, middle and large writes. */
static const size_t LOOK[8] = {
    0, 1, UPLOAD_DIRECT - 1, UPLOAD_DIRECT, UPLOAD_STAGE - 1, UPLOAD_STAGE, LARGE - 1, LARGE};

static void open_job(Job *j) {
    memset(j, 0, sizeof *j);
    j->place = calloc(1, PLACE), j->host = malloc(LARGE);
    assert_true(j->place && j->host);
    assert_int_equal(cudaStreamCreateWithFlags(&j->work, 0), cudaSuccess);
    const char *why = upload_open(j->work);
    if (why) fail_msg("%s", why);
}

static void close_job(Job *j) {
    streams_end();
    free(j->place);
    free(j->host);
}

/* The same bytes of the place, as the host believes they are, and as the stream finds them. */
static void write_and_look(Job *j, int step, unsigned char *believed) {
    size_t length = LENGTH[step % LENGTHS];
    memset(j->host, step + 1, length);
    memset(believed, step + 1, length);
    const char *why = upload_bytes(j->place, j->host, length);
    if (why) fail_msg("%s", why);
    memset(j->host, 0xee, length);
    for (int i = 0; i < 8; i++) {
        j->want[step][i] = believed[LOOK[i]];
        cudaMemcpyAsync(&j->seen[step][i], j->place + LOOK[i], 1, cudaMemcpyDeviceToDevice,
                        j->work);
    }
}

/* Whether every look saw what it should; all stages are used several times. */
static bool in_order(Job *j) {
    unsigned char *believed = calloc(1, PLACE);
    assert_non_null(believed);
    memset(j->place, 0, PLACE);
    for (int step = 0; step < STEPS; step++) write_and_look(j, step, believed);
    assert_int_equal(cudaStreamSynchronize(j->work), cudaSuccess);
    bool same =
        memcmp(j->seen, j->want, sizeof j->want) == 0 && memcmp(j->place, believed, PLACE) == 0;
    free(believed);
    return same;
}

static void every_order_gives_the_same(void **state) {
    (void)state;
    Job j;
    open_job(&j);
    streams_start(STREAMS_AT_ONCE, 0);
    assert_true(in_order(&j));
    streams_start(STREAMS_WHEN_WAITED_FOR, 1);
    assert_true(in_order(&j));
    for (uint64_t seed = 2; seed < 6; seed++) {
        streams_start(STREAMS_BY_CHANCE, seed);
        if (!in_order(&j)) fail_msg("seed %d", (int)seed);
    }
    assert_true(streams_bytes_beside(j.work) > 0);
    close_job(&j);
}

/* Each kind of order is needed: without it some look sees what it must not. */
static void a_forgotten_order_shows(void **state) {
    (void)state;
    static const char *const calls[] = {"cudaStreamWaitEvent", "cudaEventSynchronize"};
    Job j;
    open_job(&j);
    for (int i = 0; i < 2; i++) {
        streams_start(STREAMS_WHEN_WAITED_FOR, 1);
        streams_forget(calls[i]);
        assert_false(in_order(&j));
        streams_forget(NULL);
    }
    close_job(&j);
}

/* While the work stands still, as many uploads as there are stages cross the bus; what they are for
 * changes when the work gets there. */
static void the_bus_does_not_wait_for_work(void **state) {
    (void)state;
    enum { BYTES = UPLOAD_DIRECT + 1 };
    Job j;
    open_job(&j);
    streams_start(STREAMS_WHEN_WAITED_FOR, 1);
    streams_hold(j.work);
    for (int i = 0; i < UPLOAD_STAGES; i++) {
        memset(j.host, i + 1, BYTES);
        const char *why = upload_bytes(j.place + (size_t)i * BYTES, j.host, BYTES);
        if (why) fail_msg("upload %d: %s", i, why);
    }
    streams_drain();
    assert_int_equal(streams_bytes_beside(j.work), (size_t)UPLOAD_STAGES * BYTES);
    assert_int_equal(j.place[0], 0);
    streams_hold(NULL);
    assert_int_equal(cudaStreamSynchronize(j.work), cudaSuccess);
    for (size_t i = 0; i < (size_t)UPLOAD_STAGES * BYTES; i++)
        if (j.place[i] != i / BYTES + 1) fail_msg("byte %zu is %d", i, j.place[i]);
    close_job(&j);
}

/* Without room on the device copies are part of the work, in order all the same. */
static void a_full_device_copies_in_the_stream(void **state) {
    (void)state;
    Job j;
    streams_refuse_memory(true);
    open_job(&j);
    streams_refuse_memory(false);
    for (uint64_t seed = 1; seed < 4; seed++) {
        streams_start(STREAMS_BY_CHANCE, seed);
        assert_true(in_order(&j));
    }
    assert_int_equal(streams_bytes_beside(j.work), 0);
    close_job(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_gives_the_same),
        cmocka_unit_test(a_forgotten_order_shows),
        cmocka_unit_test(the_bus_does_not_wait_for_work),
        cmocka_unit_test(a_full_device_copies_in_the_stream),
    };
    return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
