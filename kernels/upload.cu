/* Uploads: two streams and a ring of stages.  What is read and written by whom is ordered by events
 * alone:
 *
 *     sent   the bytes have left the pinned stage; the host fills it again, the work's copy begins
 *     taken  the bytes have left the device stage; the next ones may come
 *
 * An event that was never recorded counts as past.
 */
#ifndef CUDA_EMULATION
#include <cuda_runtime.h>
#endif

#include <stdint.h>
#include <string.h>

extern "C" {
#include "kernels/upload.h"
}

typedef struct {
    char *pinned, *device; /* device: NULL without room */
    cudaEvent_t sent, taken;
} Stage;

static cudaStream_t the_work, the_copies;
static Stage stage[UPLOAD_STAGES];
static unsigned next_stage;

#define MUST(call)                              \
    do {                                        \
        cudaError_t error = (call);             \
        if (error != cudaSuccess) return error; \
    } while (0)

static cudaError_t make_stages(void) {
    void *pinned, *device;
    MUST(cudaStreamCreateWithFlags(&the_copies, cudaStreamNonBlocking));
    MUST(cudaMallocHost(&pinned, (size_t)UPLOAD_STAGES * UPLOAD_STAGE));
    if (cudaMalloc(&device, (size_t)UPLOAD_STAGES * UPLOAD_STAGE) != cudaSuccess) {
        (void)cudaGetLastError();
        device = NULL;
    }
    for (size_t i = 0; i < UPLOAD_STAGES; i++) {
        Stage *s = &stage[i];
        s->pinned = (char *)pinned + i * UPLOAD_STAGE;
        s->device = device ? (char *)device + i * UPLOAD_STAGE : NULL;
        MUST(cudaEventCreateWithFlags(&s->sent, cudaEventDisableTiming));
        MUST(cudaEventCreateWithFlags(&s->taken, cudaEventDisableTiming));
    }
    return cudaSuccess;
}

static cudaError_t send_within(const Stage *s, char *to, size_t bytes) {
    MUST(cudaMemcpyAsync(to, s->pinned, bytes, cudaMemcpyHostToDevice, the_work));
    return cudaEventRecord(s->sent, the_work);
}

static cudaError_t send_beside(const Stage *s, char *to, size_t bytes) {
    MUST(cudaStreamWaitEvent(the_copies, s->taken, 0));
    MUST(cudaMemcpyAsync(s->device, s->pinned, bytes, cudaMemcpyHostToDevice, the_copies));
    MUST(cudaEventRecord(s->sent, the_copies));
    MUST(cudaStreamWaitEvent(the_work, s->sent, 0));
    MUST(cudaMemcpyAsync(to, s->device, bytes, cudaMemcpyDeviceToDevice, the_work));
    return cudaEventRecord(s->taken, the_work);
}

static cudaError_t send(char *to, const char *from_host, size_t bytes) {
    const Stage *s = &stage[next_stage++ % UPLOAD_STAGES];
    MUST(cudaEventSynchronize(s->sent));
    memcpy(s->pinned, from_host, bytes);
    return s->device && bytes > UPLOAD_DIRECT ? send_beside(s, to, bytes)
                                              : send_within(s, to, bytes);
}

static const char *reason(cudaError_t error) {
    return error == cudaSuccess ? NULL : cudaGetErrorString(error);
}

const char *upload_open(cudaStream_t work) {
    the_work = work;
    return reason(make_stages());
}

const char *upload_bytes(void *to, const void *from_host, size_t bytes) {
    cudaError_t error = cudaSuccess;
    for (size_t at = 0; at < bytes && error == cudaSuccess; at += UPLOAD_STAGE) {
        size_t part = bytes - at < UPLOAD_STAGE ? bytes - at : (size_t)UPLOAD_STAGE;
        error = send((char *)to + at, (const char *)from_host + at, part);
    }
    return reason(error);
}
