/* Plugin: backend `cuda` is a shared object of its own, libcrowdrec_cuda.so.
 *
 *     const Plugin *p;
 *     TRY(plugin_load(&p));                        // once a process; later calls answer alike
 *     char reason[PLUGIN_REASON];
 *     if (!p->open(0, reason)) return fail(ERR_DEVICE, "%s", reason);
 *     const Backend *b = &p->backend[PRECISION_TF32];
 *
 * It is loaded when a job asks for a GPU, so that library and program start on machines without
 * driver, CUDA or cuDNN.  It carries its own copy of what it uses of tensor/; nothing but this
 * table passes between the two.
 */
#ifndef KERNELS_PLUGIN_H
#define KERNELS_PLUGIN_H

#include "kernels/backend.h"
#include "tensor/log.h"

enum { PLUGIN_REASON = 512 };

/* The Makefile's: a checksum of the headers that both sides share, so that a plugin of another
 * version is refused.  Without it (an editor, a linter) nothing is told apart. */
#ifndef PLUGIN_INTERFACE
#define PLUGIN_INTERFACE 0
#endif

typedef struct {
    size_t interface;               /* PLUGIN_INTERFACE of the headers it was compiled with */
    const char *(*built_for)(void); /* "sm_80 sm_90 and PTX; CUDA 13.0, cuDNN 9.19.0" */

    /* Makes GPU `device` this process's one GPU; false with one line when it cannot be used. */
    bool (*open)(int device, char reason[PLUGIN_REASON]);

    const char *(*device)(void); /* "cuda:0: NVIDIA H200, sm_90, 139.8 GiB, 138.2 GiB free" */
    void (*deterministic)(bool on);
    void (*tune)(bool on);             /* engines are measured once and remembered (engines.h) */
    void (*log_level)(LogLevel level); /* of its own lines */
    const Backend *backend;            /* [PRECISIONS], usable after open */
} Plugin;

#define PLUGIN_SYMBOL "crowdrec_cuda"

/* $CROWDREC_CUDA if set; else libcrowdrec_cuda.so beside this program or library, in ../lib from
 * there, or where the system looks.  ERR_DEVICE says what is missing: plugin, driver or library. */
Status plugin_load(const Plugin **out);

#endif
