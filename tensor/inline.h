/* INLINE: a small function in a header that C, and CUDA for both host and device, compile. */
#ifndef TENSOR_INLINE_H
#define TENSOR_INLINE_H

#ifdef __CUDACC__
#define INLINE static inline __host__ __device__
#else
#define INLINE static inline
#endif

#endif
