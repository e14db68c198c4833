/* Backend `cuda`: a GPU's memory, its one stream, capture, and the op table; and the plugin's door.
 *
 * A device that fails in the middle of a job cannot be mended from here: one line, and the program
 * ends with the status of an unusable device.
 */
#include "kernels/cuda.cuh"

extern "C" {
#include "kernels/cublas_gemm.h"
#include "kernels/cudnn_conv.h"
#include "kernels/plugin.h"
#include "kernels/upload.h"
#include "tensor/log.h"
}

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* SMALL bytes ride in a launch's arguments, larger ones are uploaded (upload.h). */
enum { SMALL = 64 };

typedef struct {
    unsigned char byte[SMALL];
} Small;

static int the_device = -1;
static cudaStream_t the_stream, the_side, present; /* present: one of the two */
static cudaEvent_t parted, met;
static bool capturing;

void cuda_broken(const char *what, const char *why) {
    log_error("cuda:%d: %s: %s", the_device, what, why);
    exit(ERR_DEVICE);
}

static void must(cudaError_t error, const char *what) {
    if (error != cudaSuccess) cuda_broken(what, cudaGetErrorString(error));
}

cudaStream_t cuda_stream(void) { return present; }

void cuda_launched(const char *kernel) { must(cudaGetLastError(), kernel); }

/* --- two parts of an op, side by side --- */

#if CUDART_VERSION < 13000 /* CUDA 12 has these two under other names */
#define cudaStreamGetCaptureInfo cudaStreamGetCaptureInfo_v3
#define cudaStreamUpdateCaptureDependencies cudaStreamUpdateCaptureDependencies_v2
#endif

/* Nodes of a captured graph that work waits for, and how. */
typedef struct {
    cudaGraphNode_t *node;
    cudaGraphEdgeData *edge;
    size_t count, room;
} Waits;

static void add_wait(Waits *w, cudaGraphNode_t node, cudaGraphEdgeData edge) {
    if (w->count == w->room) {
        w->room = w->room ? 2 * w->room : 256;
        w->node = (cudaGraphNode_t *)realloc(w->node, w->room * sizeof *w->node);
        w->edge = (cudaGraphEdgeData *)realloc(w->edge, w->room * sizeof *w->edge);
        CHECK(w->node && w->edge, "out of memory");
    }
    w->node[w->count] = node;
    w->edge[w->count++] = edge;
}

/* Adds what the next work in a captured stream would wait for. */
static void get_waits(cudaStream_t stream, Waits *w) {
    static const cudaGraphEdgeData plain = {};
    cudaStreamCaptureStatus status;
    const cudaGraphNode_t *node;
    const cudaGraphEdgeData *edge;
    size_t count = 0;
    must(cudaStreamGetCaptureInfo(stream, &status, NULL, NULL, &node, &edge, &count), "capture");
    for (size_t i = 0; i < count; i++) add_wait(w, node[i], edge ? edge[i] : plain);
}

static void set_waits(cudaStream_t stream, const Waits *w) {
    must(cudaStreamUpdateCaptureDependencies(stream, w->node, w->edge, w->count,
                                             cudaStreamSetCaptureDependencies),
         "capture");
}

/* A captured stream goes on behind its own last work as well; the side's was another op's. */
void cuda_beside(void) {
    static Waits waits;
    must(cudaEventRecord(parted, the_stream), "event");
    must(cudaStreamWaitEvent(the_side, parted, 0), "event");
    if (capturing) {
        waits.count = 0;
        get_waits(the_stream, &waits);
        set_waits(the_side, &waits);
    }
    present = the_side;
}

void cuda_ahead(void) {
    must(cudaEventRecord(met, the_side), "event");
    present = the_stream;
}

void cuda_together(void) { must(cudaStreamWaitEvent(the_stream, met, 0), "event"); }

/* --- memory --- */

static void *alloc(size_t bytes) {
    void *p = NULL;
    cudaError_t error = cudaMalloc(&p, bytes ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return NULL;
    }
    must(error, "alloc");
    return p;
}

static void release(void *p) { must(cudaFree(p), "release"); }

static __global__ void put_bytes(unsigned char *to, Small from, int bytes) {
    if ((int)threadIdx.x < bytes) to[threadIdx.x] = from.byte[threadIdx.x];
}

static void write_small(void *to, const void *from_host, size_t bytes) {
    Small small = {};
    memcpy(small.byte, from_host, bytes);
    LAUNCH(put_bytes, 1, SMALL, 0, (unsigned char *)to, small, (int)bytes);
}

static void write(void *to, const void *from_host, size_t bytes) {
    if (bytes && bytes <= SMALL) {
        write_small(to, from_host, bytes);
        return;
    }
    CHECK(!bytes || !capturing, "%zu bytes written while capturing, at most %d can be", bytes,
          SMALL);
    const char *why = upload_bytes(to, from_host, bytes);
    if (why) cuda_broken("write", why);
}

static void sync(void) { must(cudaStreamSynchronize(the_stream), "work"); }

static void read(void *to_host, const void *from, size_t bytes) {
    if (bytes)
        must(cudaMemcpyAsync(to_host, from, bytes, cudaMemcpyDeviceToHost, the_stream), "read");
    sync();
}

static void fill(void *to, int byte, size_t bytes) {
    if (bytes) must(cudaMemsetAsync(to, byte, bytes, the_stream), "fill");
}

static size_t free_memory(void) {
    size_t available, total;
    must(cudaMemGetInfo(&available, &total), "free memory");
    return available;
}

/* --- capture --- */

/* What is behind mark i: entries begin[i] to begin[i + 1] - 1 of the list. */
static struct {
    Waits list;
    size_t *begin;
    size_t marks, room;
} marked;

static void capture_begin(void) {
    must(cudaStreamBeginCapture(the_stream, cudaStreamCaptureModeRelaxed), "capture");
    capturing = true;
    marked.list.count = marked.marks = 0;
}

static bool is_listed(const Waits *w, cudaGraphNode_t node) {
    for (size_t i = 0; i < w->count; i++)
        if (w->node[i] == node) return true;
    return false;
}

static void capture_wait(const int *marks, int count) {
    static Waits waits;
    const Waits *all = &marked.list;
    waits.count = 0;
    for (int i = 0; i < count; i++)
        for (size_t k = marked.begin[marks[i]]; k < marked.begin[marks[i] + 1]; k++)
            if (!is_listed(&waits, all->node[k])) add_wait(&waits, all->node[k], all->edge[k]);
    set_waits(the_stream, &waits);
}

static int capture_mark(void) {
    if (marked.marks + 2 > marked.room) {
        marked.room = 2 * marked.room + 1024;
        marked.begin = (size_t *)realloc(marked.begin, marked.room * sizeof *marked.begin);
        CHECK(marked.begin, "out of memory");
    }
    marked.begin[marked.marks] = marked.list.count;
    get_waits(the_stream, &marked.list);
    marked.begin[marked.marks + 1] = marked.list.count;
    return (int)marked.marks++;
}

static void *capture_end(void) {
    cudaGraph_t graph;
    cudaGraphExec_t ready;
    capturing = false;
    must(cudaStreamEndCapture(the_stream, &graph), "capture");
    must(cudaGraphInstantiate(&ready, graph, 0), "capture");
    must(cudaGraphDestroy(graph), "capture");
    return ready;
}

static void replay(void *graph) {
    must(cudaGraphLaunch((cudaGraphExec_t)graph, the_stream), "replay");
}

static void graph_drop(void *graph) {
    sync();
    must(cudaGraphExecDestroy((cudaGraphExec_t)graph), "graph");
}

/* --- the table --- */

static const OpKernels row[OP_COUNT] = {
#include "kernels/table.def"
};

static Backend backend[PRECISIONS];

static void fill_backends(void) {
    for (int p = 0; p < PRECISIONS; p++) {
        Backend *b = &backend[p];
        b->name = "cuda";
        b->precision = (Precision)p;
        b->real_size = sizeof(REAL);
        b->folds_together = true;
        b->stores_half = p == PRECISION_BF16;
        b->alloc = alloc, b->release = release;
        b->write = write, b->read = read, b->fill = fill;
        b->sync = sync, b->free_memory = free_memory;
        b->capture_begin = capture_begin, b->capture_end = capture_end;
        /* In TF32 cuDNN's convolutions gave wrong numbers side by side (docs/gpu.md). */
        if (p != PRECISION_TF32) {
            b->leaves_dz = true;
            b->capture_wait = capture_wait, b->capture_mark = capture_mark;
        }
        b->replay = replay, b->graph_drop = graph_drop;
        memcpy(b->op, row, sizeof row);
    }
}

/* --- opening --- */

static bool refuse(char reason[PLUGIN_REASON], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(char reason[PLUGIN_REASON], const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(reason, PLUGIN_REASON, format, args);
    va_end(args);
    (void)cudaGetLastError();
    return false;
}

static bool driver_answers(char reason[PLUGIN_REASON], int *devices) {
    int driver = 0, ours = CUDART_VERSION;
    cudaError_t error = cudaGetDeviceCount(devices);
    (void)cudaDriverGetVersion(&driver);
    if (error == cudaErrorInsufficientDriver)
        return refuse(reason,
                      "the nvidia driver is for cuda %d.%d, this build needs %d.%d; update the "
                      "driver, or build with an older toolkit",
                      driver / 1000, driver % 1000 / 10, ours / 1000, ours % 1000 / 10);
    if (error == cudaErrorNoDevice || (error == cudaSuccess && !*devices))
        return refuse(reason, "no nvidia gpu is visible on this machine");
    if (error != cudaSuccess) return refuse(reason, "cuda: %s", cudaGetErrorString(error));
    return true;
}

/* Whether this file's own kernels, and so all, have code that runs on the device. */
static bool has_code(char reason[PLUGIN_REASON], int device) {
    cudaFuncAttributes ignored;
    cudaDeviceProp gpu;
    cudaError_t error = cudaGetDeviceProperties(&gpu, device);
    if (error == cudaSuccess) error = cudaSetDevice(device);
    if (error != cudaSuccess)
        return refuse(reason, "cuda:%d: %s", device, cudaGetErrorString(error));
    if (cudaFuncGetAttributes(&ignored, put_bytes) == cudaSuccess) return true;
    return refuse(reason,
                  "cuda:%d (%s) is sm_%d%d, this build is for " CUDA_BUILT_FOR
                  "; run: make CUDA_ARCHS=%d%d",
                  device, gpu.name, gpu.major, gpu.minor, gpu.major, gpu.minor);
}

static bool libraries_answer(char reason[PLUGIN_REASON]) {
    const char *cudnn = cudnn_conv_open(), *cublas = cublas_gemm_open();
    if (!cudnn && !cublas) return true;
    return refuse(reason, "%s cannot be used: %s", cudnn ? "cudnn" : "cublas",
                  cudnn ? cudnn : cublas);
}

static bool make_streams(char reason[PLUGIN_REASON]) {
    cudaError_t error = cudaStreamCreateWithFlags(&the_stream, cudaStreamNonBlocking);
    if (error == cudaSuccess) error = cudaStreamCreateWithFlags(&the_side, cudaStreamNonBlocking);
    if (error == cudaSuccess) error = cudaEventCreateWithFlags(&parted, cudaEventDisableTiming);
    if (error == cudaSuccess) error = cudaEventCreateWithFlags(&met, cudaEventDisableTiming);
    present = the_stream;
    const char *why = error == cudaSuccess ? upload_open(the_stream) : cudaGetErrorString(error);
    return !why || refuse(reason, "cuda: %s", why);
}

static bool open_device(int device, char reason[PLUGIN_REASON]) {
    int devices = 0;
    if (the_device >= 0 && device != the_device)
        return refuse(reason, "cuda:%d is in use; a process works on one gpu", the_device);
    if (the_device >= 0) { /* another thread's call */
        cudaError_t error = cudaSetDevice(device);
        return error == cudaSuccess ||
               refuse(reason, "cuda:%d: %s", device, cudaGetErrorString(error));
    }
    if (!driver_answers(reason, &devices)) return false;
    if (device >= devices)
        return refuse(reason, "cuda:%d: there are %d gpus, the last is cuda:%d", device, devices,
                      devices - 1);
    if (!has_code(reason, device) || !libraries_answer(reason) || !make_streams(reason))
        return false;
    the_device = device;
    fill_backends();
    return true;
}

static const char *describe_device(void) {
    static char text[512];
    cudaDeviceProp gpu;
    size_t available, total;
    must(cudaGetDeviceProperties(&gpu, the_device), "properties");
    must(cudaMemGetInfo(&available, &total), "free memory");
    snprintf(text, sizeof text, "cuda:%d: %s, sm_%d%d, %.1f GiB, %.1f GiB free", the_device,
             gpu.name, gpu.major, gpu.minor, (double)total / 0x1p30, (double)available / 0x1p30);
    return text;
}

/* "sm_80 sm_90 and PTX; CUDA 13.0, cuDNN 9.19.0" */
static const char *built_for(void) {
    static char text[128];
    snprintf(text, sizeof text, CUDA_BUILT_FOR "; CUDA %d.%d, cuDNN %s", CUDART_VERSION / 1000,
             CUDART_VERSION % 1000 / 10, cudnn_conv_version());
    return text;
}

extern "C" {
extern __attribute__((visibility("default"))) const Plugin crowdrec_cuda;
const Plugin crowdrec_cuda = {
    PLUGIN_INTERFACE,         built_for,       open_device, describe_device,
    cudnn_conv_deterministic, cudnn_conv_tune, log_level,   backend};
}
