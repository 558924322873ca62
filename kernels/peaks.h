/* peaks.h - how rows of logits lie: each with the largest of every few of them behind it.
 *
 * No state. */
#ifndef S3D_PEAKS_H
#define S3D_PEAKS_H
#include <stddef.h>

/* A row of n logits has behind it the largest of every PEAK of them, in order, which a backend
 * finds while it makes them: who looks for the largest ones need not read them all. */
enum { PEAK = 16 };
static inline int row_peaks(int n)
{
	return (n + PEAK - 1) / PEAK;
}
static inline const float *row_at(const float *rows, int n, int i)      /* row i of rows of n */
{
	return rows + (size_t)i * (size_t)(n + row_peaks(n));
}
#endif
