/* Peak: how many multiply-adds this machine's cores can do at most, measured. */
#ifndef KERNELS_PEAK_H
#define KERNELS_PEAK_H

/* Floating-point operations per second (a fused multiply-add counts as two) of all threads of the
 * parallel loop together, with the widest instructions that the processor has.  Takes 0.2 s. */
double peak_flops(void);

#endif
