/* THE backend interface: a machine's memory, its order of work, and its op table.
 *
 *     const Backend *b = backend_find("cpu");
 *     void *p = b->alloc(bytes);
 *     b->write(p, host, bytes);
 *     b->op[OP_conv].forward(&call);
 *     b->sync();
 *
 * All work of a backend is one stream: calls run in the order in which they were made.  Capture
 * records the calls between capture_begin and capture_end into a graph that replay runs again with
 * the same addresses; backends that gain nothing from it leave the four entries NULL.
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
    size_t real_size;             /* bytes of one F32 number: 4, or 8 on `ref` */
    void *(*alloc)(size_t bytes); /* NULL when there is not enough; 64-byte aligned */
    void (*release)(void *p);
    void (*write)(void *to, const void *from_host, size_t bytes);
    void (*read)(void *to_host, const void *from, size_t bytes);
    void (*fill)(void *to, int byte, size_t bytes);
    void (*sync)(void);
    size_t (*free_memory)(void); /* bytes that alloc may still get, 0 when unknown */
    void (*capture_begin)(void);
    void *(*capture_end)(void);
    void (*replay)(void *graph);
    void (*graph_drop)(void *graph);
    OpKernels op[OP_COUNT];
} Backend;

extern const Backend backend_cpu, backend_ref;

/* "cpu" or "ref"; NULL for a name that this build does not have. */
const Backend *backend_find(const char *name);

#endif
