/* Parallel loops: OpenMP where it exists, a plain loop where not.
 *
 *     PARALLEL_FOR
 *     for (int i = 0; i < n; i++) ...
 *
 * Iterations write disjoint places and never reduce across threads, so results do not depend on the
 * number of threads.  A reduction is a loop over outputs, or over a fixed number of chunks.  The
 * one exception are gradients of convolutions' weights (autograd/chain.h, oneDNN).
 */
#ifndef TENSOR_PARALLEL_H
#define TENSOR_PARALLEL_H

#ifdef _OPENMP
#include <omp.h>
#define PARALLEL_FOR _Pragma("omp parallel for schedule(static)")
#define PARALLEL_FOR_DYNAMIC _Pragma("omp parallel for schedule(dynamic)")
static inline int parallel_threads(void) { return omp_get_max_threads(); }
static inline int parallel_thread(void) { return omp_get_thread_num(); }
static inline void parallel_set_threads(int threads) { omp_set_num_threads(threads); }
#else
#define PARALLEL_FOR
#define PARALLEL_FOR_DYNAMIC
static inline int parallel_threads(void) { return 1; }
static inline int parallel_thread(void) { return 0; }
static inline void parallel_set_threads(int threads) { (void)threads; }
#endif

#endif
