/* Streams and events of the CUDA runtime on the host, so that code that orders work between streams
 * is tested without a device (kernels/upload.cu).
 *
 *     streams_start(STREAMS_BY_CHANCE, seed);
 *     ... cudaMemcpyAsync, cudaEventRecord, cudaStreamWaitEvent ...
 *     cudaStreamSynchronize(stream);
 *
 * Calls only add to a stream's list.  Entries run one by one, those of a stream in order, those of
 * different streams in an order that the CUDA rules leave open and that these stand-ins choose; a
 * copy reads its source when it runs.  So what no event and no stream orders goes wrong here in
 * some choice, also where a device would do it right almost always.
 */
#ifndef TESTS_EMULATE_STREAMS_H
#define TESTS_EMULATE_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* When entries run: at once; only when somebody waits for them, as few as will do; or by chance,
 * some after each call. */
typedef enum { STREAMS_AT_ONCE, STREAMS_WHEN_WAITED_FOR, STREAMS_BY_CHANCE } StreamsChoice;

void streams_start(StreamsChoice choice, uint64_t seed);

/* Frees all streams, events and memory that were made. */
void streams_end(void);

/* From now on one kind of order is missing, to see that it is needed; NULL: none.  Names are those
 * of the calls: "cudaStreamWaitEvent", "cudaEventSynchronize". */
void streams_forget(const char *call);

/* From now on cudaMalloc has no memory, or has. */
void streams_refuse_memory(bool refuse);

/* Nothing in this stream runs until another, or NULL, is held. */
typedef struct CUstream_st *cudaStream_t;
void streams_hold(cudaStream_t stream);

/* Runs all that can run. */
void streams_drain(void);

/* How many bytes have gone from host to device in streams other than `work`. */
size_t streams_bytes_beside(cudaStream_t work);

/* --- the runtime's own names --- */

typedef enum { cudaSuccess, cudaErrorMemoryAllocation = 2, cudaErrorUnknown = 999 } cudaError_t;
typedef enum { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToDevice = 3 } cudaMemcpyKind;
typedef struct CUevent_st *cudaEvent_t;
enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMalloc(void **p, size_t bytes);
cudaError_t cudaMallocHost(void **p, size_t bytes);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t error);

#ifdef __cplusplus
}
#endif

#endif
