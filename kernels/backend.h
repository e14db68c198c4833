/* THE backend interface: a machine's memory, its order of work, and its op table.
 *
 *     const Backend *b;
 *     TRY(backend_open(&(BackendChoice){.device = "auto"}, &b));
 *     void *p = b->alloc(bytes);
 *     b->write(p, host, bytes);
 *     b->op[OP_conv].forward(&call);
 *     b->sync();
 *
 * All work of a backend is one stream: calls run in the order in which they were made.  Capture
 * records the calls between capture_begin and capture_end into a graph that replay runs again with
 * the same addresses; backends that gain nothing from it leave the entries NULL.  Between
 * capture_wait and capture_mark stand calls that wait for those behind the marks given, and for
 * nothing else that was captured; without them calls are recorded one behind the other.
 */
#ifndef KERNELS_BACKEND_H
#define KERNELS_BACKEND_H

#include "kernels/op.h"

typedef struct {
    void (*forward)(const Call *call);
    void (*backward)(const Call *call);         /* NULL: not differentiable */
    void (*prepare)(Call *call, bool backward); /* NULL for PLAIN ops */
    void (*drop)(Call *call);
} OpKernels;

typedef struct Backend {
    const char *name;
    Precision precision; /* of its calls; means nothing on `cpu` and `ref` */
    bool exact;          /* convs as plain sums: no Winograd (winograd.h) on `cpu` */
    bool tune;           /* convs in the fastest way measured (tune.h) on `cpu` */
    bool on_host;        /* its memory is the host's: photos need not be copied to it */
    bool folds_together; /* a fold also runs the calls that follow in Call.next */
    bool stores_half;    /* its kernels take BF16 tensors where plans make them */
    bool leaves_dz;      /* conv's backward without the weights' gradient leaves what reached
                            the sums, behind the activation, in dout */
    size_t real_size;    /* bytes of one F32 number: 4, or 8 on `ref` */
    void *(*alloc)(size_t bytes); /* NULL when there is not enough; 64-byte aligned */
    void (*release)(void *p);
    void (*write)(void *to, const void *from_host, size_t bytes);
    void (*read)(void *to_host, const void *from, size_t bytes);
    void (*fill)(void *to, int byte, size_t bytes);
    void (*sync)(void);
    size_t (*free_memory)(void); /* bytes that alloc may still get, 0 when unknown */
    void (*capture_begin)(void);
    void (*capture_wait)(const int *marks, int count);
    int (*capture_mark)(void); /* of the calls since capture_wait */
    void *(*capture_end)(void);
    void (*replay)(void *graph);
    void (*graph_drop)(void *graph);
    OpKernels op[OP_COUNT];
} Backend;

/* backend_cpu_exact is backend_cpu with `exact`, backend_cpu_tuned with `tune`. */
extern const Backend backend_cpu, backend_cpu_exact, backend_cpu_tuned, backend_ref;

/* "cpu" or "ref"; NULL for another name. */
const Backend *backend_find(const char *name);

/* Where and how a job computes. */
typedef struct {
    const char *device;    /* "auto", "cpu", "ref", "cuda[:N]"; NULL: $CROWDREC_DEVICE or auto */
    const char *precision; /* "tf32", "fp32", "bf16"; NULL: $CROWDREC_PRECISION or tf32.  The cpu
                              computes in fp32 whatever is asked for. */
    bool deterministic;    /* the same bits in every run on the same device */
    bool exact;            /* convs as plain sums: no Winograd on the cpu, whatever `tune` says */
    const char *tune;      /* "on": measure ways that are not yet known; "off": keep to what is
                              fixed; NULL: $CROWDREC_TUNE or off */
} BackendChoice;

/* "auto" takes the GPU cuda:0 when it can be used, otherwise the cpu, and logs why.  ERR_USAGE for
 * an unknown word, ERR_DEVICE with what mends it when the GPU asked for cannot be used. */
Status backend_open(const BackendChoice *choice, const Backend **out);

/* How a backend computes: "cpu, fp32, winograd", "cpu, fp32, direct", "cpu, fp32, tuned", "cuda,
 * tf32" and so on. */
const char *backend_arithmetic(const Backend *backend);

/* One line: the GPU and what the backend was built for, or why there is none. */
const char *backend_gpu(void);

#endif
