/* Tune: which of several ways to do a thing is the fastest on this machine, measured when it is
 * first asked and remembered (engines.h) for the next time, in this run or a later one.
 *
 *     static const int way[] = {BY_ONEDNN, BY_WINOGRAD};
 *     int best = tune_fastest("forward x 8,64,48,48 w 48,3,3", way, 2, run, context);
 *     ... way[best] ...                              // run(context, i) does the thing by way[i]
 *
 * What is remembered holds for one processor, instruction set, number of threads and oneDNN: the
 * file has them in its name.  The one that is remembered is taken as long as it stands at the same
 * place of the list.
 */
#ifndef KERNELS_TUNE_H
#define KERNELS_TUNE_H

typedef void TuneRun(void *context, int i);

/* The first way is the one that is taken unless another one is faster by more than noise. */
int tune_fastest(const char *key, const int *way, int count, TuneRun *run, void *context);

/* "AMD EPYC, family 23 model 1, avx2, 2 threads, oneDNN 2.6.3, kernels 1" */
const char *tune_scope(void);

/* The next call reads the file again. */
void tune_forget(void);

#endif
