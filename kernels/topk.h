/* topk.h - which of a row's numbers count most, exactly.
 *
 * No state.  Invariant: what is kept depends on the row and its weights alone, so whoever computes
 * it, on whatever device, keeps the same ones. */
#ifndef S3D_TOPK_H
#define S3D_TOPK_H
#include <stdint.h>

/* Where the k (1 or more) of x[0..n-1] end that count most: those of the largest |x[i]|, of
 * |x[i] * weight[i]| with weights.  Of equal ones those count that come first; what is not a number
 * comes behind all numbers. */
struct topk_cut {
	uint32_t key;           /* of the smallest score that stays: see topk.c */
	int end;                /* of those with this score, the ones before here stay */
};
struct topk_cut topk_find(const float *x, const float *weight, int n, int k);
/* Of x[from..to-1] those stay as they are; the others become zero. */
void topk_cut(float *x, const float *weight, int from, int to, const struct topk_cut *);
/* Both, of a whole row. */
void topk_keep(float *x, const float *weight, int n, int k);
#endif
