/* util.h - error text, checked allocation, clock.
 *
 * Errors: a function that can fail takes char err[ERR_MAX] and returns -1 or NULL after
 * fail(err, ...) has said what was wrong, where, and what to do.  err is never left unset. */
#ifndef S3D_UTIL_H
#define S3D_UTIL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define ERR_MAX 512

/* Formats into err (cut at ERR_MAX, control bytes made visible) and returns -1. */
int fail(char err[ERR_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* n * size zeroed bytes, aligned to 64; NULL with err set on overflow or lack of memory.
 * The owner frees with mem_free (NULL is allowed). */
void *mem_new(size_t n, size_t size, char err[ERR_MAX]);
void mem_free(void *p);
/* For a block that will be used whole and read in order: huge pages, fewer TLB misses.  Not for
 * one that fills slowly (a cache), where a whole huge page would be cleared at a touch. */
void mem_huge(void *p, size_t bytes);
/* Between mem_guard(true) and mem_guard(false) a mem_new in this thread aborts: a decode step
 * must not allocate.  Calls nest. */
void mem_guard(bool on);

/* All n bytes; -1 with errno. */
int fd_write(int fd, const void *p, size_t n);

/* Before a function that kernels of a GPU call too. */
#ifdef __CUDACC__
#define ON_DEVICE __host__ __device__
#else
#define ON_DEVICE
#endif

/* A 64-bit finaliser (the constants of splitmix64, Steele, Lea, Flood 2014). */
ON_DEVICE static inline uint64_t mix64(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

double clock_now(void);         /* seconds, monotonic */

#ifdef __cplusplus
}
#endif
#endif
