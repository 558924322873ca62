/* topk.h - which of a row's numbers count most, exactly.
 *
 * No state.  Invariant: what is kept depends on the row and its weights alone, so whoever computes
 * it, on whatever device, keeps the same ones. */
#ifndef S3D_TOPK_H
#define S3D_TOPK_H

/* Of x[0..n-1] the k (1 or more) of the largest |x[i]|, of |x[i] * weight[i]| with weights, stay as
 * they are; the others become zero.  Of equal ones those stay that come first; what is not a number
 * comes behind all numbers. */
void topk_keep(float *x, const float *weight, int n, int k);
#endif
