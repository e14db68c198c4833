/* Engines: what was the fastest for a shape, remembered between runs: a library's engines
 * (cudnn.cu), kernels of this program (tune.h).
 *
 *     Engines *e = engines_open("NVIDIA H200, cuDNN 9.19.0");
 *     EngineChoice choice;
 *     if (!engines_find(e, "forward tf32 x 8x64x48x48 ...", &choice)) {
 *         choice = ... measured ...;
 *         engines_keep(e, "forward tf32 x 8x64x48x48 ...", &choice);
 *     }
 *     engines_close(e);
 *
 * They lie in $XDG_CACHE_HOME/crowdrec (or ~/.cache/crowdrec), a text file for each scope, written
 * whole at each engines_keep; of two processes that write at once the later one's stays.  A file
 * that is damaged in any line is ignored and written anew; without a place to write nothing is
 * remembered.
 */
#ifndef KERNELS_ENGINES_H
#define KERNELS_ENGINES_H

#include <stdbool.h>

/* An engine as the library's heuristic lists it, or a way as the caller does, and its number, to
 * see that the list is the same. */
typedef struct {
    int list, place;
    long long engine;
    double microseconds;
} EngineChoice;

typedef struct Engines Engines;

enum { ENGINES_KEY = 256, ENGINES_MAX = 1 << 13 };

Engines *engines_open(const char *scope);
void engines_close(Engines *e); /* NULL is allowed */

/* Keys are printable, without tabs, and shorter than ENGINES_KEY. */
bool engines_find(const Engines *e, const char *key, EngineChoice *out);
void engines_keep(Engines *e, const char *key, const EngineChoice *choice);

#endif
